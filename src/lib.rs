//! The daemon's library: all I/O of cmpt lives here; `main.rs` only composes it.

pub mod backoff;
pub mod bench;
pub mod bundle_command;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cost;
pub mod exit_code;
pub mod failure;
pub mod health;
pub mod inference;
pub mod ingest;
pub mod journal;
pub mod keeper;
pub mod labeller;
pub mod memory;
pub mod model;
pub mod offset;
pub mod pipeline;
pub mod publish;
pub mod recording;
pub mod replay;
pub mod sensors;
pub mod supervisor;
