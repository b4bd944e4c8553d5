//! Runs: optimizer, schedule, checkpoints, the loop.

pub mod adamw;
pub mod checkpoint;
pub mod device;
pub mod error;
pub mod inputs;
pub mod job;
pub mod memory;
pub mod metrics;
pub mod progress;
pub mod schedule;
pub mod settings;
pub mod step;
pub mod stop;
pub mod tensorboard;
mod trainer;
