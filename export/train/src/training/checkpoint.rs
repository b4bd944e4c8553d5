//! Checkpoints: folders that are there whole or not at all.
//!
//! ```text
//! model.json             ModelSpec
//! model.safetensors      weights, names as in method/spec.rs
//! training.json          Training: settings and progress; not in an untrained one
//! calibration.json       Calibration; in `best` only
//! optimizer.safetensors  moments; in `last` only
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use cmpt_bundle::manifest::Pattern;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tch::Device;

use super::settings::Settings;
use crate::encoder::spec::SpecError;
use crate::method::model::Model;
use crate::method::spec::{ModalitySpec, ModelSpec, ModelSpecError};
use crate::weights::{self, Tensors, WeightsError};

const MODEL: &str = "model.json";
const WEIGHTS: &str = "model.safetensors";
const TRAINING: &str = "training.json";
const CALIBRATION: &str = "calibration.json";
const OPTIMIZER: &str = "optimizer.safetensors";
const ENCODER: &str = "encoder.json";
const ENCODER_WEIGHTS: &str = "encoder.safetensors";

/// `training.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// What decides the run.
    pub settings: Settings,
    /// How far it is.
    pub progress: Progress,
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Epochs that are done, validation included.
    pub epoch: usize,
    /// Batches of the next epoch that are done.
    pub batch: usize,
    /// Steps that are done.
    pub step: usize,
    /// The best epoch so far.
    pub best: Option<Best>,
}

/// The best epoch of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Epoch from 0.
    pub epoch: usize,
    /// The metric, meant over availability patterns, on validation data.
    pub score: f64,
}

/// `calibration.json`: figures on validation data, which the bundle carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// One entry per availability pattern, all modalities first.
    pub patterns: Vec<Pattern>,
}

/// Why a checkpoint could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file that cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("read {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A description that makes no model.
    #[error("read {}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ModelSpecError,
    },
    /// A description that makes no encoder.
    #[error("read {}", path.display())]
    Encoder {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SpecError,
    },
    /// A file or folder that cannot be written.
    #[error("write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// Reads `model.json` of the checkpoint in `dir`.
pub fn open_spec(dir: &Path) -> Result<ModelSpec, CheckpointError> {
    let path = dir.join(MODEL);
    let spec: ModelSpec = read_json(&path)?;
    spec.validate().map_err(|source| CheckpointError::Model { path, source })?;
    Ok(spec)
}

/// Reads `model.json` and the weights of the checkpoint in `dir`.
pub fn open_model(dir: &Path, device: Device) -> Result<Model, CheckpointError> {
    let model = Model::new(&open_spec(dir)?, device);
    weights::load(&dir.join(WEIGHTS), model.weights())?;
    Ok(model)
}

/// Overwrites every weight of `model` with that of the checkpoint in `dir`, which may have others too.
pub fn load_weights(dir: &Path, model: &Model) -> Result<(), CheckpointError> {
    Ok(weights::load(&dir.join(WEIGHTS), model.weights())?)
}

/// Reads `training.json` of the checkpoint in `dir`; `None` where it has none, as an untrained one.
pub fn find_training(dir: &Path) -> Result<Option<Training>, CheckpointError> {
    if dir.join(TRAINING).exists() { open_training(dir).map(Some) } else { Ok(None) }
}

/// Reads `training.json` of the checkpoint in `dir`.
pub fn open_training(dir: &Path) -> Result<Training, CheckpointError> {
    read_json(&dir.join(TRAINING))
}

/// Reads `calibration.json` of the checkpoint in `dir`, which must have one.
pub fn open_calibration(dir: &Path) -> Result<Calibration, CheckpointError> {
    read_json(&dir.join(CALIBRATION))
}

/// Reads `calibration.json` of the checkpoint in `dir`; `None` where it has none, such as `last`.
pub fn find_calibration(dir: &Path) -> Result<Option<Calibration>, CheckpointError> {
    if dir.join(CALIBRATION).exists() { open_calibration(dir).map(Some) } else { Ok(None) }
}

/// Overwrites the moments with those of the checkpoint in `dir`.
pub fn open_optimizer(dir: &Path, state: &Tensors) -> Result<(), CheckpointError> {
    Ok(weights::load(&dir.join(OPTIMIZER), state)?)
}

/// What a checkpoint holds besides the model.
pub enum Extra<'a> {
    /// What a resumed run needs.
    Optimizer(&'a Tensors),
    /// What the bundle needs.
    Calibration(&'a Calibration),
    /// Nothing: an epoch of a run without validation data.
    Nothing,
}

/// Replaces the checkpoint in `dir`.
pub fn save(dir: &Path, model: &Model, training: &Training, extra: Extra<'_>) -> Result<(), CheckpointError> {
    replace(dir, |dir| {
        write_json(&dir.join(MODEL), model.spec())?;
        weights::save(&dir.join(WEIGHTS), model.weights())?;
        write_json(&dir.join(TRAINING), training)?;
        match extra {
            Extra::Optimizer(state) => Ok(weights::save(&dir.join(OPTIMIZER), state)?),
            Extra::Calibration(calibration) => write_json(&dir.join(CALIBRATION), calibration),
            Extra::Nothing => Ok(()),
        }
    })
}

/// Writes the checkpoint of a model that nothing was learned by yet.
pub fn save_untrained(dir: &Path, model: &Model) -> Result<(), CheckpointError> {
    replace(dir, |dir| {
        write_json(&dir.join(MODEL), model.spec())?;
        Ok(weights::save(&dir.join(WEIGHTS), model.weights())?)
    })
}

/// Writes one modality's encoder as `encoder.json` and `encoder.safetensors`, to start others from.
pub fn save_encoder(dir: &Path, model: &Model, index: usize) -> Result<(), CheckpointError> {
    replace(dir, |dir| {
        write_json(&dir.join(ENCODER), &model.spec().modalities[index])?;
        Ok(weights::save(&dir.join(ENCODER_WEIGHTS), &model.encoder_weights(index))?)
    })
}

/// Reads `encoder.json` of a pretrained encoder.
pub fn open_encoder(dir: &Path) -> Result<ModalitySpec, CheckpointError> {
    let path = dir.join(ENCODER);
    let modality: ModalitySpec = read_json(&path)?;
    modality.encoder.validate().map_err(|source| CheckpointError::Encoder { path, source })?;
    Ok(modality)
}

/// Overwrites the encoder of one modality with the pretrained one in `dir`.
pub fn load_encoder(dir: &Path, model: &Model, index: usize) -> Result<(), CheckpointError> {
    Ok(weights::load(&dir.join(ENCODER_WEIGHTS), &model.encoder_weights(index))?)
}

/// The checkpoint `dir`, brought back first where a kill came between the two renames of a save.
/// `None` where there never was one.
pub fn recover(dir: &Path) -> Result<Option<PathBuf>, CheckpointError> {
    let old = sibling(dir, "old");
    if !dir.exists() && old.exists() {
        rename(&old, dir)?;
    }
    Ok(dir.exists().then(|| dir.to_owned()))
}

/// Fills a folder beside `dir`, then puts it in the place of `dir`.
fn replace(
    dir: &Path,
    fill: impl FnOnce(&Path) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    let (new, old) = (sibling(dir, "new"), sibling(dir, "old"));
    let write = |path: &Path, result: io::Result<()>| {
        result.map_err(|source| CheckpointError::Write { path: path.into(), source })
    };
    // Left behind by a kill; what they hold is older than or part of what is written now.
    for stale in [&new, &old] {
        if stale.exists() && (stale == &new || dir.exists()) {
            write(stale, fs::remove_dir_all(stale))?;
        }
    }
    write(&new, fs::create_dir_all(&new))?;
    fill(&new)?;
    write(&new, sync(&new))?;
    if dir.exists() {
        rename(dir, &old)?;
    }
    rename(&new, dir)?;
    if old.exists() {
        write(&old, fs::remove_dir_all(&old))?;
    }
    Ok(())
}

/// Waits until the files of `dir` are on disk.
fn sync(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(dir)?.sync_all()
}

fn rename(from: &Path, to: &Path) -> Result<(), CheckpointError> {
    fs::rename(from, to).map_err(|source| CheckpointError::Write { path: to.into(), source })
}

fn sibling(dir: &Path, extension: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    dir.with_file_name(name)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, CheckpointError> {
    let text =
        fs::read_to_string(path).map_err(|source| CheckpointError::Read { path: path.into(), source })?;
    serde_json::from_str(&text).map_err(|source| CheckpointError::Json { path: path.into(), source })
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), CheckpointError> {
    let mut text = serde_json::to_string_pretty(value).expect("specs and settings have string keys only");
    text.push('\n');
    fs::write(path, text).map_err(|source| CheckpointError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(text: &str) -> impl Fn(&Path) -> Result<(), CheckpointError> {
        move |dir| write_json(&dir.join("x.json"), &text)
    }

    #[test]
    fn a_failed_write_leaves_the_old_checkpoint() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("last");
        replace(&dir, put("first")).unwrap();
        replace(&dir, |_| {
            Err(CheckpointError::Write { path: dir.clone(), source: io::Error::other("full") })
        })
        .unwrap_err();
        assert_eq!(read_json::<String>(&dir.join("x.json")).unwrap(), "first");
        replace(&dir, put("second")).unwrap();
        assert_eq!(read_json::<String>(&dir.join("x.json")).unwrap(), "second");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_kill_between_the_renames_loses_nothing() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("last");
        assert_eq!(recover(&dir).unwrap(), None);
        replace(&dir, put("first")).unwrap();
        fs::rename(&dir, root.path().join("last.old")).unwrap();
        assert_eq!(recover(&dir).unwrap(), Some(dir.clone()));
        assert_eq!(read_json::<String>(&dir.join("x.json")).unwrap(), "first");
    }
}
