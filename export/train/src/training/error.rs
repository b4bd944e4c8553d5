//! Why a run ended badly.

use std::io;
use std::path::PathBuf;

use super::checkpoint::CheckpointError;
use super::inputs::InputsError;
use super::memory::OutOfMemory;
use super::metrics::MetricsError;
use super::settings::SettingsError;
use crate::data::error::DataError;
use crate::evaluation::evaluate::EvaluateError;

/// Why a run ended badly.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The training split is empty.
    #[error("train: the training split has no samples")]
    Empty,
    /// There is no validation split to see an improvement on.
    #[error("train with patience: the validation split has no samples")]
    NoValidation,
    /// Settings out of their range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The run's folder cannot be made.
    #[error("write {}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The run to resume is another one.
    #[error("resume {}: it was begun with {field} {found}, not {expected}", path.display())]
    Resume {
        /// The checkpoint.
        path: PathBuf,
        /// The first field of settings or model that differs.
        field: String,
        /// What the run was begun with, as JSON.
        found: String,
        /// What was asked for, as JSON.
        expected: String,
    },
    /// There is no run to resume.
    #[error("resume {}: there is no checkpoint", path.display())]
    NothingToResume {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is a run already.
    #[error("train into {}: there is a run already; resume it or name another folder", path.display())]
    Exists {
        /// Its checkpoint.
        path: PathBuf,
    },
    /// The loss is no number any more. What was saved before is left as it was.
    #[error(
        "train: the loss is {loss} by step {step}; try a smaller --learning-rate, a longer warm-up, or --clip-norm 1"
    )]
    Diverged {
        /// Steps that are done.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// A step needs more memory than there is.
    #[error(
        "train: {}; try a smaller --batch-size, and --accumulate to make up for it, or --precision bf16", said.0
    )]
    Memory {
        /// What libtorch said.
        said: OutOfMemory,
    },
    /// Data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Data and model do not fit.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// Validation.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// Checkpoints.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}
