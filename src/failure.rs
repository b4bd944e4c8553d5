//! Why a command failed, and the exit code that says so.

use cmpt_bundle::BundleError;
use cmpt_core::sync::SyncError;

use crate::config::ConfigError;
use crate::exit_code::ExitCode;
use crate::health::HealthError;
use crate::inference::{EngineError, WorkerError};
use crate::ingest::{DropError, SourceError};
use crate::publish::PublishError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// A `--drop` does not fit the stream.
    #[error(transparent)]
    Drop(#[from] DropError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A check that found mistakes; they have been printed.
    #[error("check {file}: {mistakes} found")]
    Check {
        /// The file.
        file: String,
        /// How many things are wrong.
        mistakes: String,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Inference while running.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A publisher.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Sound and picture cannot be compared.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// Metrics.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// Output cannot be written.
    #[error("write to standard output: {0}")]
    Output(#[from] std::io::Error),
    /// The system does not tell what its threads cost.
    #[error("measure CPU time: {0}")]
    CpuTime(std::io::Error),
    /// A task of the daemon panicked.
    #[error("go on: task {task} ended unexpectedly")]
    Task {
        /// Its name.
        task: &'static str,
    },
}

impl Failure {
    /// The exit code that says what kind of failure it is.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::Drop(_) => ExitCode::Usage,
            Self::Config(ConfigError::Read { .. }) => ExitCode::NoInput,
            Self::Config(ConfigError::Problems(_)) | Self::Check { .. } => ExitCode::Config,
            Self::Bundle(BundleError::NotFound { .. }) => ExitCode::NoInput,
            Self::Bundle(BundleError::Invalid { .. }) => ExitCode::BadData,
            Self::Engine(error) => of_engine(error),
            Self::Worker(WorkerError::Engine(error)) => of_engine(error),
            Self::Worker(_) | Self::Task { .. } => ExitCode::Internal,
            Self::Source(error) => of_source(error),
            Self::Sync(_) => ExitCode::BadData,
            Self::Publish(PublishError::NotBuilt { .. }) | Self::Health(_) | Self::CpuTime(_) => {
                ExitCode::Unavailable
            }
            Self::Publish(PublishError::File { .. }) => ExitCode::NoInput,
            Self::Publish(PublishError::Stdout(_)) | Self::Output(_) => ExitCode::Io,
        }
    }
}

fn of_engine(error: &EngineError) -> ExitCode {
    match error {
        EngineError::NotBuilt { .. } | EngineError::Library { .. } | EngineError::Cuda { .. } => {
            ExitCode::Unavailable
        }
        EngineError::Load { .. } | EngineError::Signature { .. } | EngineError::Golden { .. } => {
            ExitCode::BadData
        }
        EngineError::Run { .. } => ExitCode::Internal,
    }
}

fn of_source(error: &SourceError) -> ExitCode {
    match error {
        SourceError::File { .. } | SourceError::Credentials { .. } => ExitCode::NoInput,
        SourceError::NoStream { .. } | SourceError::Corrupt { .. } => ExitCode::BadData,
        SourceError::Syntax { .. } | SourceError::NoTail { .. } => ExitCode::Config,
        SourceError::NoGStreamer { .. }
        | SourceError::Setup { .. }
        | SourceError::NoPlugin { .. }
        | SourceError::Unreachable { .. }
        | SourceError::Stalled { .. }
        | SourceError::Behind { .. }
        | SourceError::Element { .. } => ExitCode::Unavailable,
    }
}
