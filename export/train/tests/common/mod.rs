//! A dataset that any encoder learns at once, and small models for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cmpt_bundle::manifest::{FrontEnd, Task};
use cmpt_core::features::PictureSpec;
use cmpt_core::modality::Kind;
use cmpt_train::data::batch::{Batch, BatchRequest, Batches, Dataset, ModalityInfo, Split, Targets};
use cmpt_train::data::error::DataError;
use cmpt_train::encoder::spec::{EncoderSpec, Size};
use cmpt_train::method::alignment::AlignmentTarget;
use cmpt_train::method::modality_dropout::{Drawing, PatternRate};
use cmpt_train::method::precision::Precision;
use cmpt_train::method::spec::{Missing, ModalitySpec, ModelSpec, Tune};
use cmpt_train::training::job::{Job, Origin, Start};
use cmpt_train::training::progress::Report;
use cmpt_train::training::schedule::Warmup;
use cmpt_train::training::settings::{Selection, Settings};
use fastrand::Rng;
use tch::Device;

const CLASSES: usize = 3;
const EDGE: usize = 8;

/// Noisy pictures whose brightest row is the class, or whose bright rows are the labels.
#[derive(Clone)]
pub struct Stripes {
    pub modalities: Vec<ModalityInfo>,
    pub labels: Vec<String>,
    pub samples: usize,
    /// Whether samples have any number of labels.
    pub task: Task,
    /// The modality of this place is missing from every so many-th training sample, and this stands there.
    pub lacking: Option<(usize, usize, f32)>,
    /// Raised when this many training batches were handed out.
    pub interrupt: Option<(usize, Arc<AtomicBool>)>,
}

impl Stripes {
    pub fn new(modalities: &[&str], samples: usize) -> Self {
        // Models this small gain nothing from threads, and lose much to them on a busy machine.
        tch::set_num_threads(1);
        let info = |name: &&str| ModalityInfo {
            name: (*name).into(),
            kind: Kind::Image,
            front_end: FrontEnd::Picture(PictureSpec { edge: EDGE, mean: vec![0.0], std: vec![1.0] }),
            frames: 1,
        };
        Self {
            modalities: modalities.iter().map(info).collect(),
            labels: (0..CLASSES).map(|class| class.to_string()).collect(),
            samples,
            task: Task::Multiclass,
            lacking: None,
            interrupt: None,
        }
    }

    /// A model of one small encoder for each modality. The second is narrower than the others.
    pub fn model(&self, tune: Tune) -> ModelSpec {
        let size = |index| Size { width: if index == 1 { 12 } else { 16 }, depth: 2, heads: 2, mlp: 32 };
        let encoder = |index| EncoderSpec::vit(size(index), 1, EDGE, 4);
        let modality = |(index, info): (usize, &ModalityInfo)| ModalitySpec {
            info: info.clone(),
            encoder: encoder(index),
        };
        ModelSpec {
            task: self.task,
            labels: self.labels.clone(),
            modalities: self.modalities.iter().enumerate().map(modality).collect(),
            width: 16,
            tune,
            missing: Missing::Proxies,
        }
    }
}

/// A run in the folder `out` that begins with fresh weights.
pub fn job<'a>(
    dataset: &'a dyn Dataset,
    spec: &'a ModelSpec,
    settings: &'a Settings,
    out: &'a Path,
) -> Job<'a> {
    const FRESH: &Origin = &Origin::Encoders(Vec::new());
    let (device, start, report) = (Device::Cpu, Start::Fresh, Report::Nothing);
    Job { dataset, spec, origin: FRESH, settings, device, out, start, report }
}

impl Dataset for Stripes {
    fn labels(&self) -> &[String] {
        &self.labels
    }

    fn task(&self) -> Task {
        self.task
    }

    fn modalities(&self) -> &[ModalityInfo] {
        &self.modalities
    }

    fn samples(&self, split: Split) -> usize {
        if split == Split::Train { self.samples } else { self.samples / 2 }
    }

    fn is_stable(&self, _split: Split) -> bool {
        false
    }

    fn batches(&self, request: BatchRequest) -> Result<Batches, DataError> {
        let (samples, modalities) = (self.samples(request.split), self.modalities.len());
        let interrupt = self.interrupt.clone().filter(|_| request.split == Split::Train);
        let (task, lacking) = (self.task, self.lacking.filter(|_| request.split == Split::Train));
        let batch = move |index: usize| {
            if let Some((_, flag)) = interrupt.as_ref().filter(|(after, _)| *after == index) {
                flag.store(true, Ordering::Relaxed);
            }
            let first = index * request.batch_size;
            let count = request.batch_size.min(samples - first);
            let seed = request.seed * 1_000_003 + (request.epoch * 1009 + index * 7) as u64;
            let samples = (first..first + count).collect();
            let mut batch = Batch { samples, ..stripes(Rng::with_seed(seed), modalities, count, task) };
            if let Some((modality, every, filler)) = lacking {
                let pixels = EDGE * EDGE;
                for sample in (0..count).step_by(every) {
                    batch.present[modality][sample] = false;
                    batch.features[modality][sample * pixels..][..pixels].fill(filler);
                }
            }
            Ok(batch)
        };
        let batches = samples.div_ceil(request.batch_size);
        Ok(Box::new((request.skip..batches).map(batch)))
    }
}

fn stripes(mut rng: Rng, modalities: usize, count: usize, task: Task) -> Batch {
    let rows: Vec<[bool; CLASSES]> = (0..count)
        .map(|_| match task {
            Task::Multiclass => {
                let class = rng.usize(..CLASSES);
                std::array::from_fn(|row| row == class)
            }
            Task::Multilabel => std::array::from_fn(|_| rng.bool()),
        })
        .collect();
    let mut picture = |bright: &[bool; CLASSES]| -> Vec<f32> {
        let pixel =
            |row: usize| if row.is_multiple_of(2) && bright.get(row / 2) == Some(&true) { 2.0 } else { 0.0 };
        (0..EDGE * EDGE).map(|at| pixel(at / EDGE) + rng.f32() - 0.5).collect()
    };
    Batch {
        features: (0..modalities).map(|_| rows.iter().flat_map(&mut picture).collect()).collect(),
        shapes: vec![vec![1, EDGE, EDGE]; modalities],
        present: vec![vec![true; count]; modalities],
        targets: match task {
            Task::Multiclass => {
                let class =
                    |row: &[bool; CLASSES]| row.iter().position(|bright| *bright).map(|class| class as i64);
                Targets::Classes(rows.iter().filter_map(class).collect())
            }
            Task::Multilabel => Targets::MultiHot(rows.iter().map(|row| row.to_vec()).collect()),
        },
        ..Batch::default()
    }
}

/// Settings of a short run on `modalities`, with every pattern sharing evenly.
pub fn settings(modalities: usize, epochs: usize) -> Settings {
    let patterns = 1..1u32 << modalities;
    let available = |pattern: u32| (0..modalities).map(|id| pattern >> id & 1 == 1).collect();
    Settings {
        seed: 7,
        epochs,
        batch_size: 16,
        accumulate: 1,
        precision: Precision::F32,
        patience: None,
        selection: Selection::Mean,
        learning_rate: 3e-3,
        warmup_epochs: 0.5,
        warmup: Warmup::Linear,
        decay_power: 0.9,
        weight_decay: 0.02,
        clip_norm: Some(1.0),
        label_smoothing: 0.0,
        alignment_weight: 0.2,
        alignment_target: AlignmentTarget::Moves,
        drawing: Drawing::Batch,
        pattern_rates: patterns
            .map(|pattern| PatternRate { available: available(pattern), rate: 1.0 })
            .collect(),
    }
}
