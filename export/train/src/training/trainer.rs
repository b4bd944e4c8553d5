//! The training loop.
//!
//! All randomness of a step comes from the run's seed and the number of the step, so a run that was
//! stopped anywhere and resumed gives the very weights of one that was not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cmpt_core::modality::ModalitySet;
use serde::Serialize;
use serde_json::Value;
use tch::{Kind, Tensor};

use super::adamw::AdamW;
use super::checkpoint::{self, Best, Calibration, CheckpointError, Extra, Progress, Training};
use super::inputs::{Columns, Inputs, InputsError};
use super::metrics::{Event, Metrics, MetricsError};
use super::progress;
use super::schedule::Schedule;
use super::settings::Settings;
use super::stop::{Stop, Stopped};
use crate::data::batch::{BatchRequest, Dataset, Split};
use crate::data::error::DataError;
use crate::encoder::Mode;
use crate::evaluation::evaluate::{self, EvaluateError, Evaluation};
use crate::method::alignment::alignment_loss;
use crate::method::gate::fuse;
use crate::method::modality_dropout::modality_dropout;
use crate::method::model::Model;
use crate::method::task::task_loss;

/// Steps between two readings of the loss; each makes the loop wait for the device.
const LOG_STEPS: usize = 20;
/// Time between two checkpoints within an epoch.
const SAVE_AFTER: Duration = Duration::from_secs(300);

/// Why a run ended badly.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The training split is empty.
    #[error("train: the training split has no samples")]
    Empty,
    /// The run's folder cannot be made.
    #[error("write {}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The run to resume is another one.
    #[error("resume {}: it was begun with {field} {found}, not {expected}", path.display())]
    Resume {
        /// The checkpoint.
        path: PathBuf,
        /// The first field of settings or model that differs.
        field: String,
        /// What the run was begun with, as JSON.
        found: String,
        /// What was asked for, as JSON.
        expected: String,
    },
    /// There is no run to resume.
    #[error("resume {}: there is no checkpoint", path.display())]
    NothingToResume {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is a run already.
    #[error("train into {}: there is a run already; resume it or name another folder", path.display())]
    Exists {
        /// Its checkpoint.
        path: PathBuf,
    },
    /// The loss is no number any more.
    #[error("train: the loss is {loss} at step {step}; try a smaller learning rate")]
    Diverged {
        /// Steps that are done.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// Data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Data and model do not fit.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// Validation.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// Checkpoints.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Why it stopped early, if it did.
    pub stopped: Option<Stopped>,
    /// The best epoch; `None` before the first or without validation data.
    pub best: Option<Best>,
}

/// Whether a run is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// There must be no run in the folder.
    Fresh,
    /// There must be one with the same model and settings.
    Resume,
}

/// A run: model, optimizer and where they are.
pub struct Trainer<'a> {
    dataset: &'a dyn Dataset,
    columns: Columns,
    model: Model,
    optimizer: AdamW,
    schedule: Schedule,
    steps_per_epoch: usize,
    training: Training,
    metrics: Metrics,
    out: PathBuf,
}

/// The folder of a run's latest state within its folder.
pub const LAST: &str = "last";
/// The folder of a run's best epoch within its folder.
pub const BEST: &str = "best";

impl<'a> Trainer<'a> {
    /// A run of `model` on `dataset` in the folder `out`.
    pub fn new(
        dataset: &'a dyn Dataset,
        model: Model,
        settings: Settings,
        out: &Path,
        start: Start,
    ) -> Result<Self, TrainError> {
        let columns = Columns::find(model.spec(), dataset)?;
        let samples = dataset.samples(Split::Train);
        if samples == 0 {
            return Err(TrainError::Empty);
        }
        fs::create_dir_all(out).map_err(|source| TrainError::Write { path: out.into(), source })?;
        let steps_per_epoch = samples.div_ceil(settings.batch_size);
        let last = out.join(LAST);
        let found = checkpoint::recover(&last)?;
        let (model, progress) = match (start, found) {
            (Start::Fresh, None) => (model, Progress::default()),
            (Start::Fresh, Some(path)) => return Err(TrainError::Exists { path }),
            (Start::Resume, None) => return Err(TrainError::NothingToResume { path: last.clone() }),
            (Start::Resume, Some(path)) => resume(&path, &model, &settings)?,
        };
        let optimizer = AdamW::new(model.learnable(), settings.weight_decay, settings.clip_norm);
        if start == Start::Resume {
            checkpoint::open_optimizer(&last, &optimizer.state())?;
        }
        Ok(Self {
            dataset,
            columns,
            model,
            optimizer,
            schedule: settings.schedule(steps_per_epoch),
            steps_per_epoch,
            metrics: Metrics::open(&out.join("metrics.jsonl"), progress.step)?,
            training: Training { settings, progress },
            out: out.into(),
        })
    }

    /// The model as it is.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Trains until the last epoch is done or `stop` asks, and saves.
    pub fn run(&mut self, stop: &Stop) -> Result<Outcome, TrainError> {
        while self.training.progress.epoch < self.training.settings.epochs {
            if let Some(stopped) = self.epoch(stop)? {
                self.save_last()?;
                return Ok(Outcome { stopped: Some(stopped), best: self.training.progress.best });
            }
            self.finish_epoch()?;
        }
        Ok(Outcome { stopped: None, best: self.training.progress.best })
    }

    /// The rest of the current epoch.
    fn epoch(&mut self, stop: &Stop) -> Result<Option<Stopped>, TrainError> {
        let Training { settings, progress } = &self.training;
        let request = BatchRequest {
            split: Split::Train,
            batch_size: settings.batch_size,
            seed: settings.seed,
            epoch: progress.epoch,
            skip: progress.batch,
        };
        let total = self.dataset.samples(Split::Train);
        let bar = progress::bar(
            format!("epoch {}/{}", progress.epoch + 1, settings.epochs),
            total,
            progress.batch * settings.batch_size,
        );
        let mut window = Window::default();
        let mut saved_at = Instant::now();
        for batch in self.dataset.batches(request)? {
            let inputs = self.columns.inputs(&batch?, self.model.device())?;
            window.add(&self.step(&inputs), inputs.targets.size()[0]);
            bar.inc(inputs.targets.size()[0] as u64);
            let progress = &self.training.progress;
            if progress.step.is_multiple_of(LOG_STEPS) || progress.batch == self.steps_per_epoch {
                let event = window.take(&self.training.progress, &self.schedule)?;
                if let Event::Train { loss, alignment, .. } = &event {
                    bar.set_message(format!("loss {loss:.3} alignment {alignment:.3}"));
                }
                self.metrics.write(&event)?;
            }
            if let Some(stopped) = stop.requested() {
                return Ok(Some(stopped));
            }
            if saved_at.elapsed() > SAVE_AFTER {
                self.save_last()?;
                saved_at = Instant::now();
            }
        }
        bar.finish_and_clear();
        Ok(None)
    }

    /// One step of the optimizer. Returns the losses without waiting for them.
    fn step(&mut self, inputs: &Inputs) -> Losses {
        let Training { settings, progress } = &mut self.training;
        tch::manual_seed(step_seed(settings.seed, progress.step));
        let encode = |(index, features)| self.model.encode(index, features, Mode::Train);
        let tokens: Vec<_> = inputs.features.iter().enumerate().map(encode).collect();
        let drawn = modality_dropout(&inputs.present, &settings.pattern_rates, settings.drawing);
        let task_losses = drawn.into_iter().map(|(weight, available)| {
            let logits = self.model.classify(&fuse(&tokens, &available));
            let task = self.model.spec().task;
            task_loss(task, &logits, &inputs.targets, settings.label_smoothing) * weight
        });
        let task = task_losses.reduce(|sum, next| sum + next).expect("there is a pattern to train on");
        let alignment = alignment_loss(&tokens, &inputs.present, settings.alignment_target);
        let loss = task + &alignment * settings.alignment_weight;
        loss.backward();
        self.optimizer.step(progress.step, self.schedule.at(progress.step));
        progress.step += 1;
        progress.batch += 1;
        Losses { loss: loss.detach(), alignment: alignment.detach() }
    }

    /// Validates, keeps the best epoch, saves.
    fn finish_epoch(&mut self) -> Result<(), TrainError> {
        let epoch = self.training.progress.epoch;
        self.training.progress.epoch += 1;
        self.training.progress.batch = 0;
        if self.dataset.samples(Split::Validation) == 0 {
            // Nothing to choose by: the latest epoch is the one to use.
            checkpoint::save(&self.out.join(BEST), &self.model, &self.training, Extra::Nothing)?;
            return self.save_last();
        }
        let calibration = self.validate()?;
        let score = evaluate::mean_metric(&calibration.patterns);
        progress::report_epoch(epoch, score, &calibration.patterns);
        if self.training.progress.best.is_none_or(|best| score > best.score) {
            self.training.progress.best = Some(Best { epoch, score });
            let extra = Extra::Calibration(&calibration);
            checkpoint::save(&self.out.join(BEST), &self.model, &self.training, extra)?;
        }
        let step = self.training.progress.step;
        self.metrics.write(&Event::Validation { step, epoch, score, patterns: calibration.patterns })?;
        self.save_last()
    }

    fn validate(&self) -> Result<Calibration, TrainError> {
        let evaluation = Evaluation {
            dataset: self.dataset,
            split: Split::Validation,
            batch_size: self.training.settings.batch_size,
        };
        let patterns: Vec<_> = ModalitySet::patterns(self.model.spec().modalities.len()).collect();
        let predictions = evaluate::predict(&self.model, evaluation, &patterns)?;
        let calibrated = predictions.iter().map(|each| evaluate::calibrate(&self.model, each));
        Ok(Calibration { patterns: calibrated.collect() })
    }

    fn save_last(&self) -> Result<(), TrainError> {
        let state = self.optimizer.state();
        let last = self.out.join(LAST);
        Ok(checkpoint::save(&last, &self.model, &self.training, Extra::Optimizer(&state))?)
    }
}

/// The model and progress of the checkpoint in `dir`, which must be of the same model and settings.
fn resume(dir: &Path, model: &Model, settings: &Settings) -> Result<(Model, Progress), TrainError> {
    let found = checkpoint::open_training(dir)?;
    let resumed = checkpoint::open_model(dir, model.device())?;
    let checks = [
        ("settings", json(&found.settings), json(settings)),
        ("model", json(resumed.spec()), json(model.spec())),
    ];
    for (field, found, expected) in checks {
        if let Some((field, found, expected)) = difference(field.into(), &found, &expected) {
            return Err(TrainError::Resume { path: dir.into(), field, found, expected });
        }
    }
    Ok((resumed, found.progress))
}

/// The innermost first difference of two values: where, and both sides.
fn difference(field: String, found: &Value, expected: &Value) -> Option<(String, String, String)> {
    if found == expected {
        return None;
    }
    if let (Value::Object(left), Value::Object(right)) = (found, expected)
        && left.keys().eq(right.keys())
    {
        let mut inner = left.iter().zip(right.values());
        return inner.find_map(|((name, left), right)| difference(format!("{field}.{name}"), left, right));
    }
    Some((field, found.to_string(), expected.to_string()))
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("specs and settings have string keys only")
}

/// A seed for one step, far from those of its neighbours.
fn step_seed(seed: u64, step: usize) -> i64 {
    // One round of SplitMix64 (Steele et al. 2014).
    let mut z = seed.wrapping_add((step as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as i64
}

struct Losses {
    loss: Tensor,
    alignment: Tensor,
}

/// Losses since they were last read.
struct Window {
    losses: Option<Losses>,
    steps: usize,
    samples: i64,
    since: Instant,
}

impl Default for Window {
    fn default() -> Self {
        Self { losses: None, steps: 0, samples: 0, since: Instant::now() }
    }
}

impl Window {
    fn add(&mut self, new: &Losses, samples: i64) {
        self.losses = Some(match self.losses.take() {
            None => Losses { loss: new.loss.shallow_clone(), alignment: new.alignment.shallow_clone() },
            Some(sum) => Losses { loss: sum.loss + &new.loss, alignment: sum.alignment + &new.alignment },
        });
        self.steps += 1;
        self.samples += samples;
    }

    /// Their means, and starts anew.
    fn take(&mut self, progress: &Progress, schedule: &Schedule) -> Result<Event, TrainError> {
        let Self { losses, steps, samples, since } = std::mem::take(self);
        let mean = |tensor: Tensor| tensor.to_kind(Kind::Double).double_value(&[]) / steps as f64;
        let Losses { loss, alignment } = losses.expect("a step came before");
        let (loss, alignment) = (mean(loss), mean(alignment));
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step: progress.step, loss });
        }
        Ok(Event::Train {
            step: progress.step,
            epoch: progress.epoch,
            loss,
            alignment,
            learning_rate: schedule.at(progress.step - 1),
            samples_per_s: samples as f64 / since.elapsed().as_secs_f64(),
        })
    }
}
