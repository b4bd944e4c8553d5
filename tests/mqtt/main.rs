//! Labels through a real broker.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod contract;
mod support;
mod transports;
