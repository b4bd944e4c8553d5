//! Streams without devices, libraries or brokers: what is published, whatever fails.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod failing_source;
mod labels_never_stop;
mod shared_inference;
mod support;
