//! One training: what is trained on what, and where it goes.

use std::fs;
use std::path::{Path, PathBuf};

use tch::Device;

use super::checkpoint::{self, Best, Calibration};
use super::error::TrainError;
use super::memory;
use super::progress::Report;
use super::settings::Settings;
use super::stop::{Stop, Stopped};
use super::trainer::Trainer;
use crate::data::batch::Dataset;
use crate::method::model::Model;
use crate::method::spec::ModelSpec;

/// The folder of a run's latest state within its folder.
pub const LAST: &str = "last";
/// The folder of a run's best epoch within its folder.
pub const BEST: &str = "best";

/// What is trained on what, and where it goes.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Data.
    pub dataset: &'a dyn Dataset,
    /// The model.
    pub spec: &'a ModelSpec,
    /// The weights it begins with.
    pub origin: &'a Origin,
    /// Everything else that decides the result.
    pub settings: &'a Settings,
    /// Where it computes.
    pub device: Device,
    /// The run's folder: `last`, `best`, `metrics.jsonl` and TensorBoard's events.
    pub out: &'a Path,
    /// Whether the run is new.
    pub start: Start,
    /// What is shown of it.
    pub report: Report,
}

/// The weights that a run begins with. What they leave open is drawn by the run's seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Pretrained encoders, by the place of their modality in the model.
    Encoders(Vec<(usize, PathBuf)>),
    /// A checkpoint that has every weight of the model.
    Checkpoint(PathBuf),
}

/// Whether a run is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// There must be no run in the folder.
    Fresh,
    /// There must be one with the same model and settings.
    Resume,
    /// Resumes where there is one, which must have the same model and settings, and else begins.
    Either,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why it stopped early, if it did.
    pub stopped: Option<Stopped>,
    /// The best epoch; `None` before the first or without validation data.
    pub best: Option<Best>,
    /// Its figures on validation data.
    pub calibration: Option<Calibration>,
}

/// Trains until the last epoch is done, patience is over or `stop` asks; saves, and can be resumed.
///
/// Sets libtorch's generator, which all threads of the process share: a run is repeatable only while no
/// other draws from it.
pub fn train(job: &Job<'_>, stop: &Stop) -> Result<Outcome, TrainError> {
    job.settings.validate()?;
    memory::guard(|| run(job, stop)).map_err(|said| TrainError::Memory { said })?
}

fn run(job: &Job<'_>, stop: &Stop) -> Result<Outcome, TrainError> {
    fs::create_dir_all(job.out).map_err(|source| TrainError::Write { path: job.out.into(), source })?;
    let model = begin(job)?;
    let mut trainer = Trainer::new(job, model)?;
    let stopped = trainer.run(stop)?;
    let best = trainer.best();
    let calibration = match best {
        Some(_) => checkpoint::find_calibration(&job.out.join(BEST))?,
        None => None,
    };
    Ok(Outcome { stopped, best, calibration })
}

/// The model with the weights that it begins with.
fn begin(job: &Job<'_>) -> Result<Model, TrainError> {
    tch::manual_seed(job.settings.seed as i64);
    let model = Model::new(job.spec, job.device);
    match job.origin {
        Origin::Encoders(encoders) => {
            for (index, dir) in encoders {
                checkpoint::load_encoder(dir, &model, *index)?;
            }
        }
        Origin::Checkpoint(dir) => checkpoint::load_weights(dir, &model)?,
    }
    Ok(model.with_precision(job.settings.precision))
}
