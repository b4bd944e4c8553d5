//! What can be wrong with data.

use std::io;
use std::path::PathBuf;

/// Data that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
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
        /// Where in it, what was found, and what was expected.
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
    /// The folder to write is already there.
    #[error("write {}: it already exists", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Samples that make no dataset.
    #[error("make a dataset: {reason}")]
    Unusable {
        /// What was found and what was expected.
        reason: String,
    },
    /// A speech synthesiser that cannot be run.
    #[error("run `{command}`")]
    Run {
        /// The command line.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// A speech synthesiser that failed.
    #[error("run `{command}`: {status}: {stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        stderr: String,
    },
}

impl DataError {
    pub(super) fn malformed(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Malformed { path: path.into(), reason: reason.into() }
    }

    pub(crate) fn unusable(reason: impl Into<String>) -> Self {
        Self::Unusable { reason: reason.into() }
    }
}
