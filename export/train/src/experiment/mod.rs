//! The paper's experiments: methods x missing data x seeds, one folder a run, one report.
//!
//! ```text
//! OUT/protocol.json                     what all runs share
//! OUT/runs/MIX/CONTENDER/seed-N/        a run: `last`, `best`, `metrics.jsonl`, `missing.json`
//!     done.json                         it is finished, and never repeated
//!     TEST.safetensors                  its answers to a test set
//! OUT/EXHIBIT.html, EXHIBIT-*.csv       the report
//! ```
//! Exhibits in one folder share their runs.

pub mod answers;
pub mod contender;
pub mod error;
pub mod exhibit;
pub mod lab;
pub mod mix;
pub mod recipe;
pub mod sections;
pub mod statistics;
pub mod study;
