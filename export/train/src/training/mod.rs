//! Runs: optimizer, schedule, checkpoints, the loop.

pub mod adamw;
pub mod checkpoint;
pub mod inputs;
pub mod metrics;
pub mod progress;
pub mod schedule;
pub mod settings;
pub mod stop;
pub mod trainer;
