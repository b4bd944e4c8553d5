//! What can go wrong with an experiment.

use std::io;
use std::path::PathBuf;

use crate::data::error::DataError;
use crate::evaluation::evaluate::EvaluateError;
use crate::report::html::ReportError;
use crate::training::checkpoint::CheckpointError;
use crate::training::error::TrainError;

/// Why an experiment cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The folder holds runs of another protocol.
    #[error("go on in {}: its runs have another {field}; name another folder", path.display())]
    Protocol {
        /// The protocol's file.
        path: PathBuf,
        /// What differs.
        field: String,
    },
    /// A file that cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("read {}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A file that cannot be written.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Some test samples lack a modality of themselves, so that rates would not be what they say.
    #[error("test on {found} complete samples of {expected}: every test sample must have all modalities")]
    Incomplete {
        /// Samples with all modalities.
        found: usize,
        /// Samples of the test split.
        expected: usize,
    },
    /// Data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Testing.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// Checkpoints.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The report.
    #[error(transparent)]
    Report(#[from] ReportError),
}
