//! What the trainer asks of data: batches of samples by split, in an order that a seed decides.

use cmpt_bundle::manifest::{FrontEnd, Task};
use cmpt_core::modality::Kind;
use serde::{Deserialize, Serialize};

use super::error::DataError;

/// Samples of one or more modalities.
pub trait Dataset: Send + Sync {
    /// Class names, in the order of the targets.
    fn labels(&self) -> &[String];

    /// What the data are, in words.
    fn description(&self) -> &str {
        "data that nobody described"
    }

    /// Whether a sample has one class or any number of labels, as every batch's targets say.
    fn task(&self) -> Task;

    /// The modalities, in the order of every batch.
    fn modalities(&self) -> &[ModalityInfo];

    /// How many samples one epoch of a split has.
    fn samples(&self, split: Split) -> usize;

    /// Whether a number of [`Batch::samples`] means the same recordings in every epoch.
    fn is_stable(&self, _split: Split) -> bool {
        true
    }

    /// One pass over a split, prepared ahead on a worker thread behind a bounded channel. Equal
    /// requests give equal batches. The last batch may be smaller.
    fn batches(&self, request: BatchRequest) -> Result<Batches, DataError>;
}

/// One pass over a split. Dropping it stops its worker.
pub type Batches = Box<dyn Iterator<Item = Result<Batch, DataError>> + Send>;

/// One modality of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModalityInfo {
    /// Name, `[A-Za-z0-9_-]+`.
    pub name: String,
    /// Kind of signal.
    pub kind: Kind,
    /// What made the features.
    pub front_end: FrontEnd,
    /// How many parts a window has at run time, whose tokens are averaged. Training uses one.
    pub frames: usize,
}

/// Part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Learned from.
    Train,
    /// Chooses the epoch and the temperatures.
    Validation,
    /// Reported, and used for nothing else.
    Test,
}

/// Which batches are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRequest {
    /// Split. Only `Train` is shuffled, paired anew and augmented; the others come alike every time.
    pub split: Split,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Epoch from 0; with `seed` it decides order, pairing and augmentation.
    pub epoch: usize,
    /// Batches to leave out at the start, so that a run resumes in the middle of an epoch with the
    /// very batches it would have had.
    pub skip: usize,
}

/// Some samples. Vectors over modalities are in the order of [`Dataset::modalities`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// For each sample its number within the split, from 0, whatever the order of the epoch.
    pub samples: Vec<usize>,
    /// Per modality, the features of all samples, row-major, zeros where a sample lacks it. Sound is
    /// [steps, mels], a picture [channels, height, width].
    pub features: Vec<Vec<f32>>,
    /// Per modality, the shape of one sample's features.
    pub shapes: Vec<Vec<usize>>,
    /// Per modality, for each sample whether it has it.
    pub present: Vec<Vec<bool>>,
    /// What the samples are.
    pub targets: Targets,
}

/// What the samples of a batch are, by their place in [`Dataset::labels`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// For each sample its class.
    Classes(Vec<i64>),
    /// For each sample and each label whether it has it.
    MultiHot(Vec<Vec<bool>>),
}

impl Default for Targets {
    fn default() -> Self {
        Self::Classes(Vec::new())
    }
}

impl Targets {
    /// Of how many samples.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.len(),
            Self::MultiHot(rows) => rows.len(),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What they are targets of.
    pub fn task(&self) -> Task {
        match self {
            Self::Classes(_) => Task::Multiclass,
            Self::MultiHot(_) => Task::Multilabel,
        }
    }
}

impl Batch {
    /// How many samples.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }
}
