//! Runs of an experiment: each is trained once, and asked once about every test set.

use std::fs;
use std::path::{Path, PathBuf};

use cmpt_bundle::manifest::Task;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::Device;

use super::answers::Answers;
use super::contender::Contender;
use super::error::ExperimentError;
use super::mix::Mix;
use crate::data::batch::Dataset;
use crate::data::missing::{MissingDataset, MissingTables, Phase};
use crate::method::spec::ModelSpec;
use crate::training::checkpoint::{self, Best};
use crate::training::job::{self, BEST, Job, Origin, Start};
use crate::training::progress::Report;
use crate::training::settings::Settings;
use crate::training::stop::{Stop, Stopped};

const PROTOCOL: &str = "protocol.json";
const RUNS: &str = "runs";
const DONE: &str = "done.json";

/// What all runs of a folder share.
pub struct Lab<'a> {
    dataset: &'a dyn Dataset,
    protocol: Protocol,
    device: Device,
    out: PathBuf,
}

/// `protocol.json`: runs of two protocols are never mixed.
#[derive(Clone, Debug, Serialize)]
pub struct Protocol {
    /// What the data are, in words.
    pub data: String,
    /// The model; a contender decides how it is tuned, and what stands for the missing.
    pub model: ModelSpec,
    /// Folders of what its weights begin with: a pretrained encoder for each modality, or one checkpoint.
    pub weights: Vec<PathBuf>,
    /// Settings that the contender and the seed complete.
    pub settings: Settings,
}

/// One training.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Who trains.
    pub contender: Contender,
    /// On what.
    pub mix: Mix,
    /// Seed of weights, order, dropout, and of the table of what is missing: the same for all contenders.
    pub seed: u64,
}

/// `done.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Done {
    /// The best epoch by validation.
    best: Option<Best>,
}

/// A test set.
pub struct TestSet<'a> {
    /// Its name: that of its folder.
    pub name: String,
    /// Its samples.
    pub dataset: &'a dyn Dataset,
}

impl Run {
    /// Its folder below that of the experiment.
    pub fn folder(&self, out: &Path) -> PathBuf {
        let (mix, contender) = (self.mix.key(), self.contender.key());
        out.join(RUNS).join(mix).join(contender).join(format!("seed-{}", self.seed))
    }
}

impl<'a> Lab<'a> {
    /// Opens the folder `out`, which is new or holds runs of this very protocol.
    pub fn open(
        dataset: &'a dyn Dataset,
        protocol: Protocol,
        device: Device,
        out: &Path,
    ) -> Result<Self, ExperimentError> {
        fs::create_dir_all(out).map_err(|source| ExperimentError::Write { path: out.into(), source })?;
        let path = out.join(PROTOCOL);
        let expected = serde_json::to_value(&protocol).expect("a protocol has string keys only");
        match fs::read(&path) {
            Ok(bytes) => {
                let malformed = |error: serde_json::Error| ExperimentError::Malformed {
                    path: path.clone(),
                    reason: error.to_string(),
                };
                let found: Value = serde_json::from_slice(&bytes).map_err(malformed)?;
                let fields = ["data", "model", "weights", "settings"];
                if let Some(field) = fields.into_iter().find(|field| found[field] != expected[field]) {
                    return Err(ExperimentError::Protocol { path, field: field.into() });
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let json = serde_json::to_vec_pretty(&expected).expect("a value is JSON");
                write_whole(&path, &json)?;
            }
            Err(source) => return Err(ExperimentError::Read { path, source }),
        }
        Ok(Self { dataset, protocol, device, out: out.into() })
    }

    /// What all runs share.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// The folder of the experiment.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Trains `run`, or what is left of it. Returns why it stopped early, if it did.
    pub fn train(&self, run: &Run, stop: &Stop) -> Result<Option<Stopped>, ExperimentError> {
        let folder = run.folder(&self.out);
        if folder.join(DONE).exists() {
            return Ok(None);
        }
        fs::create_dir_all(&folder)
            .map_err(|source| ExperimentError::Write { path: folder.clone(), source })?;
        let mut tables = MissingTables::none();
        if !run.mix.is_complete() {
            tables = tables.with(self.dataset, Phase::Training, run.mix.available(), run.seed)?;
        }
        tables.write(&folder.join(MissingTables::FILE))?;
        let dataset = MissingDataset::new(self.dataset, &tables)?;
        let Protocol { model, settings, .. } = &self.protocol;
        let spec = run.contender.model(model);
        let settings = Settings { seed: run.seed, ..run.contender.settings(settings, spec.modalities.len()) };
        let job = Job {
            dataset: &dataset,
            spec: &spec,
            origin: &self.origin(),
            settings: &settings,
            device: self.device,
            out: &folder,
            start: Start::Either,
            report: Report::Epochs,
        };
        let outcome = job::train(&job, stop)?;
        match outcome.stopped {
            // Its patience is over: that is an end.
            None | Some(Stopped::NoImprovement) => {}
            stopped => return Ok(stopped),
        }
        let done = serde_json::to_vec(&Done { best: outcome.best }).expect("a record has string keys only");
        write_whole(&folder.join(DONE), &done)?;
        Ok(None)
    }

    fn origin(&self) -> Origin {
        let Protocol { model, weights, .. } = &self.protocol;
        match &weights[..] {
            [checkpoint] if model.modalities.len() > 1 => Origin::Checkpoint(checkpoint.clone()),
            encoders => Origin::Encoders(encoders.iter().cloned().enumerate().collect()),
        }
    }

    /// What the finished `run` answers to `test`: asked once, then read.
    pub fn answers(&self, run: &Run, test: &TestSet<'_>) -> Result<Answers, ExperimentError> {
        let folder = run.folder(&self.out);
        let path = folder.join(format!("{}.safetensors", test.name));
        if !path.exists() {
            let best = folder.join(BEST);
            let model = checkpoint::open_model(&best, self.device)?;
            let calibration = checkpoint::find_calibration(&best)?;
            Answers::ask(&model, test.dataset, BATCH, calibration.as_ref())?.write(&path)?;
        }
        let ModelSpec { task, modalities, .. } = &self.protocol.model;
        Answers::read(&path, *task, modalities.len())
    }

    /// What the model tells apart.
    pub fn task(&self) -> Task {
        self.protocol.model.task
    }
}

/// Samples in a batch of a test.
const BATCH: usize = 250;

/// Writes beside its place, then renames: an interrupted run leaves nothing that looks whole.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ExperimentError> {
    let partial = path.with_extension("partial");
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| ExperimentError::Write { path: path.into(), source })
}
