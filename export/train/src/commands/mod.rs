//! The commands: each reads its arguments, composes the library, and reports.

pub mod eval;
pub mod experiment;
pub mod export;
pub mod fit;
pub mod init;
pub mod missing_args;
pub mod params;
pub mod pretrain;
pub mod run_args;

/// Arguments that contradict each other or the data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use {argument}: {reason}")]
pub struct UsageError {
    /// The argument.
    pub argument: String,
    /// What was found and what was expected.
    pub reason: String,
}

impl UsageError {
    fn new(argument: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { argument: argument.into(), reason: reason.into() }
    }
}
