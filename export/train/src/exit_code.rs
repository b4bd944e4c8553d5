//! Exit codes, after BSD's `sysexits.h`. The daemon has a list of its own: neither may see the other, and
//! each lists what it uses.

use std::error::Error;
use std::io;

use cmpt_bundle::WriteError;

use crate::commands::UsageError;
use crate::data::error::DataError;
use crate::encoder::config::ConfigError;
use crate::encoder::pretrained::PretrainedError;
use crate::evaluation::evaluate::EvaluateError;
use crate::experiment::error::ExperimentError;
use crate::export::ExportError;
use crate::report::html::ReportError;
use crate::training::checkpoint::CheckpointError;
use crate::training::device::DeviceError;
use crate::training::error::TrainError;
use crate::training::inputs::InputsError;
use crate::training::metrics::MetricsError;
use crate::weights::WeightsError;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All went well.
    Success = 0,
    /// The command line is wrong.
    Usage = 64,
    /// Input data is not what it should be.
    BadData = 65,
    /// An input file is missing or unreadable.
    NoInput = 66,
    /// Something that is needed cannot be had, such as a speech synthesiser.
    Unavailable = 69,
    /// A defect of this program.
    Internal = 70,
    /// Output cannot be written.
    Io = 74,
    /// A signal stopped a run, which was saved and can be resumed. The shell's code for SIGINT.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// The code of the outermost error in the chain that says what went wrong.
pub fn of(error: &anyhow::Error) -> ExitCode {
    error.chain().find_map(classify).unwrap_or(ExitCode::Internal)
}

fn classify(error: &(dyn Error + 'static)) -> Option<ExitCode> {
    if error.is::<UsageError>() {
        return Some(ExitCode::Usage);
    }
    if let Some(error) = error.downcast_ref::<TrainError>() {
        return train(error);
    }
    if let Some(error) = error.downcast_ref::<EvaluateError>() {
        return evaluate(error);
    }
    if let Some(error) = error.downcast_ref::<CheckpointError>() {
        return Some(checkpoint(error));
    }
    if let Some(error) = error.downcast_ref::<DataError>() {
        return Some(data(error));
    }
    if let Some(error) = error.downcast_ref::<WeightsError>() {
        return Some(weights(error));
    }
    if let Some(error) = error.downcast_ref::<PretrainedError>() {
        return Some(pretrained(error));
    }
    if let Some(error) = error.downcast_ref::<ExportError>() {
        return Some(export(error));
    }
    if error.is::<DeviceError>() {
        return Some(ExitCode::Unavailable);
    }
    if let Some(error) = error.downcast_ref::<ExperimentError>() {
        return experiment(error);
    }
    if error.is::<ReportError>() {
        return Some(ExitCode::Io);
    }
    if error.is::<InputsError>() {
        return Some(ExitCode::BadData);
    }
    if error.is::<MetricsError>() || error.is::<io::Error>() {
        return Some(ExitCode::Io);
    }
    None
}

fn experiment(error: &ExperimentError) -> Option<ExitCode> {
    Some(match error {
        ExperimentError::Protocol { .. } => ExitCode::Usage,
        ExperimentError::Read { .. } => ExitCode::NoInput,
        ExperimentError::Malformed { .. } | ExperimentError::Incomplete { .. } => ExitCode::BadData,
        ExperimentError::Write { .. } | ExperimentError::Report(_) => ExitCode::Io,
        ExperimentError::Data(error) => data(error),
        ExperimentError::Train(error) => return train(error),
        ExperimentError::Evaluate(error) => return evaluate(error),
        ExperimentError::Checkpoint(error) => checkpoint(error),
    })
}

fn train(error: &TrainError) -> Option<ExitCode> {
    Some(match error {
        TrainError::Empty
        | TrainError::NoValidation
        | TrainError::Inputs(_)
        | TrainError::Diverged { .. } => ExitCode::BadData,
        TrainError::Memory { .. } => ExitCode::Unavailable,
        TrainError::Settings(_) => ExitCode::Usage,
        TrainError::Write { .. } | TrainError::Metrics(_) => ExitCode::Io,
        TrainError::Resume { .. } | TrainError::NothingToResume { .. } | TrainError::Exists { .. } => {
            ExitCode::Usage
        }
        TrainError::Data(error) => data(error),
        TrainError::Evaluate(error) => return evaluate(error),
        TrainError::Checkpoint(error) => checkpoint(error),
    })
}

fn evaluate(error: &EvaluateError) -> Option<ExitCode> {
    Some(match error {
        EvaluateError::Data(error) => data(error),
        EvaluateError::Inputs(_) | EvaluateError::Empty { .. } => ExitCode::BadData,
    })
}

fn checkpoint(error: &CheckpointError) -> ExitCode {
    match error {
        CheckpointError::Read { .. } => ExitCode::NoInput,
        CheckpointError::Json { .. } | CheckpointError::Model { .. } | CheckpointError::Encoder { .. } => {
            ExitCode::BadData
        }
        CheckpointError::Write { .. } => ExitCode::Io,
        CheckpointError::Weights(error) => weights(error),
    }
}

fn weights(error: &WeightsError) -> ExitCode {
    match error {
        WeightsError::Read { .. }
        | WeightsError::Missing { .. }
        | WeightsError::Surplus { .. }
        | WeightsError::Shape { .. }
        | WeightsError::Index { .. }
        | WeightsError::NotInShard { .. } => ExitCode::BadData,
        WeightsError::Write { .. } => ExitCode::Io,
    }
}

fn pretrained(error: &PretrainedError) -> ExitCode {
    match error {
        PretrainedError::Config(ConfigError::Read { .. }) => ExitCode::NoInput,
        PretrainedError::Config(_) => ExitCode::BadData,
        PretrainedError::Weights(error) => weights(error),
    }
}

fn export(error: &ExportError) -> ExitCode {
    match error {
        ExportError::Write(WriteError::Exists { .. } | WriteError::Io { .. }) => ExitCode::Io,
        ExportError::Write(_) | ExportError::Graph(_) => ExitCode::BadData,
        ExportError::Torch(_) => ExitCode::Internal,
    }
}

fn data(error: &DataError) -> ExitCode {
    match error {
        DataError::Read { .. } => ExitCode::NoInput,
        DataError::Malformed { .. } | DataError::Unusable { .. } => ExitCode::BadData,
        DataError::Write { .. } | DataError::Exists { .. } => ExitCode::Io,
        DataError::Run { .. } | DataError::Failed { .. } => ExitCode::Unavailable,
    }
}
