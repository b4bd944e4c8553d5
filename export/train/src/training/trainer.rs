//! The training loop.
//!
//! All randomness of a step comes from the run's seed and the number of the step, so a run that was
//! stopped anywhere and resumed gives the very weights of one that was not.

use std::path::Path;
use std::time::{Duration, Instant};

use cmpt_core::modality::{ModalityId, ModalitySet};
use serde::Serialize;
use serde_json::Value;
use tch::Kind;

use super::adamw::AdamW;
use super::checkpoint::{self, Best, Calibration, Extra, Progress, Training};
use super::error::TrainError;
use super::inputs::{Columns, Inputs};
use super::job::{BEST, Job, LAST, Start};
use super::metrics::{Event, Metrics};
use super::progress::EpochReport;
use super::schedule::Schedule;
use super::settings::{Selection, Settings};
use super::step::{self, Losses};
use super::stop::{Stop, Stopped};
use crate::data::batch::{BatchRequest, Batches, Split};
use crate::evaluation::evaluate::{self, Evaluation};
use crate::method::model::Model;

/// Steps between two readings of the loss; each makes the loop wait for the device.
const LOG_STEPS: usize = 20;
/// Time between two checkpoints within an epoch.
const SAVE_AFTER: Duration = Duration::from_secs(300);

/// A run: model, optimizer and where they are.
pub(super) struct Trainer<'a> {
    job: &'a Job<'a>,
    columns: Columns,
    model: Model,
    optimizer: AdamW,
    schedule: Schedule,
    batches_per_epoch: usize,
    training: Training,
    metrics: Metrics,
}

impl<'a> Trainer<'a> {
    /// A run that begins with `model`, or goes on.
    pub fn new(job: &'a Job<'a>, model: Model) -> Result<Self, TrainError> {
        let Job { dataset, settings, .. } = *job;
        let columns = Columns::find(model.spec(), dataset)?;
        let samples = dataset.samples(Split::Train);
        if samples == 0 {
            return Err(TrainError::Empty);
        }
        if settings.patience.is_some() && dataset.samples(Split::Validation) == 0 {
            return Err(TrainError::NoValidation);
        }
        let batches_per_epoch = samples.div_ceil(settings.batch_size);
        let last = job.out.join(LAST);
        let found = checkpoint::recover(&last)?;
        let progress = match (job.start, &found) {
            (Start::Fresh | Start::Either, None) => Progress::default(),
            (Start::Fresh, Some(path)) => return Err(TrainError::Exists { path: path.clone() }),
            (Start::Resume, None) => return Err(TrainError::NothingToResume { path: last }),
            (Start::Resume | Start::Either, Some(path)) => resume(path, &model, settings)?,
        };
        let optimizer = AdamW::new(model.learnable(), settings.weight_decay, settings.clip_norm);
        if let Some(path) = &found {
            checkpoint::open_optimizer(path, &optimizer.state())?;
        }
        Ok(Self {
            job,
            columns,
            model,
            optimizer,
            schedule: settings.schedule(batches_per_epoch.div_ceil(settings.accumulate)),
            batches_per_epoch,
            metrics: Metrics::open(job.out, progress.step)?,
            training: Training { settings: settings.clone(), progress },
        })
    }

    /// The best epoch so far.
    pub fn best(&self) -> Option<Best> {
        self.training.progress.best
    }

    /// Trains until the last epoch is done, patience is over or `stop` asks, and saves.
    pub fn run(&mut self, stop: &Stop) -> Result<Option<Stopped>, TrainError> {
        while self.training.progress.epoch < self.training.settings.epochs {
            if self.is_stale() {
                return Ok(Some(Stopped::NoImprovement));
            }
            let began = Instant::now();
            let skipped = self.training.progress.batch * self.training.settings.batch_size;
            if let Some(stopped) = self.epoch(stop)? {
                self.save_last()?;
                return Ok(Some(stopped));
            }
            let samples = self.job.dataset.samples(Split::Train) - skipped;
            self.finish_epoch(began, samples)?;
        }
        Ok(None)
    }

    /// Whether the best epoch is as long ago as patience lasts.
    fn is_stale(&self) -> bool {
        let Training { settings, progress } = &self.training;
        let since = |best: Best| progress.epoch.saturating_sub(best.epoch + 1);
        match (settings.patience, progress.best) {
            (Some(patience), Some(best)) => since(best) >= patience,
            _ => false,
        }
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
        let total = self.job.dataset.samples(Split::Train);
        let bar = self.job.report.bar(
            format!("epoch {}/{}", progress.epoch + 1, settings.epochs),
            total,
            progress.batch * settings.batch_size,
        );
        let mut window = Window::default();
        let mut saved_at = Instant::now();
        let mut batches = self.job.dataset.batches(request)?;
        while self.training.progress.batch < self.batches_per_epoch {
            let asked = Instant::now();
            let inputs = self.gather(&mut batches)?;
            window.waited += asked.elapsed();
            let samples = inputs.iter().map(Inputs::samples).sum();
            if let Some(losses) = self.step(&inputs) {
                window.add(losses, samples);
            }
            bar.inc(samples as u64);
            let Progress { step, batch, .. } = self.training.progress;
            let stopped = stop.requested();
            let save = saved_at.elapsed() > SAVE_AFTER;
            let read = step.is_multiple_of(LOG_STEPS) || batch == self.batches_per_epoch;
            // Before anything is saved, so that no checkpoint has weights that are no numbers.
            if (read || save || stopped.is_some())
                && let Some(event) = window.take(&self.training.progress, &self.schedule)?
            {
                if let Event::Train { loss, alignment, .. } = &event {
                    bar.set_message(format!("loss {loss:.3} alignment {alignment:.3}"));
                }
                self.metrics.write(&event)?;
            }
            if stopped.is_some() {
                return Ok(stopped);
            }
            if save {
                self.save_last()?;
                saved_at = Instant::now();
            }
        }
        bar.finish_and_clear();
        Ok(None)
    }

    /// The batches of one step, without those of which no sample has any modality.
    fn gather(&mut self, batches: &mut Batches) -> Result<Vec<Inputs>, TrainError> {
        let mut gathered = Vec::new();
        let left = self.batches_per_epoch - self.training.progress.batch;
        for _ in 0..self.training.settings.accumulate.min(left) {
            self.training.progress.batch += 1;
            let Some(batch) = batches.next() else { continue };
            let inputs = self.columns.inputs(&batch?, self.model.device())?;
            if inputs.samples() > 0 {
                gathered.push(inputs);
            }
        }
        Ok(gathered)
    }

    /// One step of the optimizer. Returns the losses without waiting for them; none without samples.
    fn step(&mut self, inputs: &[Inputs]) -> Option<Losses> {
        let Training { settings, progress } = &mut self.training;
        let step = progress.step;
        progress.step += 1;
        if inputs.is_empty() {
            return None;
        }
        tch::manual_seed(step_seed(settings.seed, step));
        let losses = step::backward(&self.model, settings, inputs);
        self.optimizer.step(step, self.schedule.at(step));
        Some(losses)
    }

    /// Validates, keeps the best epoch, saves. It `began` then, and has learned from `samples` since.
    fn finish_epoch(&mut self, began: Instant, samples: usize) -> Result<(), TrainError> {
        self.check_weights()?;
        let trained = began.elapsed();
        let epoch = self.training.progress.epoch;
        self.training.progress.epoch += 1;
        self.training.progress.batch = 0;
        let calibration = match self.job.dataset.samples(Split::Validation) {
            0 => None,
            _ => Some(self.validate()?),
        };
        let score = match &calibration {
            Some(calibration) => self.keep_best(epoch, calibration)?,
            None => {
                // Nothing to choose by: the latest epoch is the one to use.
                checkpoint::save(&self.job.out.join(BEST), &self.model, &self.training, Extra::Nothing)?;
                0.0
            }
        };
        let patterns = calibration.map(|calibration| calibration.patterns).unwrap_or_default();
        if !patterns.is_empty() {
            let step = self.training.progress.step;
            let patterns = patterns.clone();
            self.metrics.write(&Event::Validation { step, epoch, score, patterns })?;
        }
        self.save_last()?;
        // Only now: who reads it may end the process, and loses nothing.
        let left = self.training.settings.epochs - self.training.progress.epoch;
        self.job.report.epoch(&EpochReport {
            epoch,
            score,
            patterns: &patterns,
            samples_per_s: samples as f64 / trained.as_secs_f64(),
            left: began.elapsed() * u32::try_from(left).unwrap_or(u32::MAX),
        });
        Ok(())
    }

    fn validate(&self) -> Result<Calibration, TrainError> {
        let evaluation = Evaluation {
            dataset: self.job.dataset,
            split: Split::Validation,
            batch_size: self.training.settings.batch_size,
        };
        let patterns: Vec<_> = ModalitySet::patterns(self.model.spec().modalities.len()).collect();
        let predictions = evaluate::predict(&self.model, evaluation, &patterns)?;
        let calibrated = predictions.iter().map(|each| evaluate::calibrate(&self.model, each));
        Ok(Calibration { patterns: calibrated.collect() })
    }

    /// Saves the epoch if it is the best, and returns its score.
    fn keep_best(&mut self, epoch: usize, calibration: &Calibration) -> Result<f64, TrainError> {
        let score = match &self.training.settings.selection {
            Selection::Mean => evaluate::mean_metric(&calibration.patterns),
            Selection::Pattern(flags) => {
                let available = (0..flags.len()).filter(|id| flags[*id]).map(ModalityId).collect();
                let names = evaluate::unmeasured(self.model.spec(), available).available;
                let chosen = calibration.patterns.iter().find(|pattern| pattern.available == names);
                chosen.map_or(0.0, |pattern| f64::from(pattern.metric.value))
            }
        };
        if self.training.progress.best.is_none_or(|best| score > best.score) {
            self.training.progress.best = Some(Best { epoch, score });
            let extra = Extra::Calibration(calibration);
            checkpoint::save(&self.job.out.join(BEST), &self.model, &self.training, extra)?;
        }
        Ok(score)
    }

    /// Refuses to keep weights that are no numbers: the last step may have made them so, and no loss
    /// has told yet.
    fn check_weights(&self) -> Result<(), TrainError> {
        let finite = |weight: &tch::Tensor| weight.isfinite().all().int64_value(&[]) != 0;
        if self.model.learnable().values().all(finite) {
            return Ok(());
        }
        Err(TrainError::Diverged { step: self.training.progress.step, loss: f64::NAN })
    }

    fn save_last(&self) -> Result<(), TrainError> {
        self.check_weights()?;
        let state = self.optimizer.state();
        let last = self.job.out.join(LAST);
        Ok(checkpoint::save(&last, &self.model, &self.training, Extra::Optimizer(&state))?)
    }
}

/// Gives `model` the weights of the checkpoint in `dir`, which must be of the same model and settings.
/// Returns how far it was.
fn resume(dir: &Path, model: &Model, settings: &Settings) -> Result<Progress, TrainError> {
    let found = checkpoint::open_training(dir)?;
    let spec = checkpoint::open_spec(dir)?;
    let checks =
        [("settings", json(&found.settings), json(settings)), ("model", json(&spec), json(model.spec()))];
    for (field, found, expected) in checks {
        if let Some((field, found, expected)) = difference(field.into(), &found, &expected) {
            return Err(TrainError::Resume { path: dir.into(), field, found, expected });
        }
    }
    checkpoint::load_weights(dir, model)?;
    Ok(found.progress)
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

/// Losses since they were last read.
struct Window {
    losses: Option<Losses>,
    steps: usize,
    samples: usize,
    /// For batches.
    waited: Duration,
    since: Instant,
}

impl Default for Window {
    fn default() -> Self {
        Self { losses: None, steps: 0, samples: 0, waited: Duration::ZERO, since: Instant::now() }
    }
}

impl Window {
    fn add(&mut self, new: Losses, samples: usize) {
        self.losses = Some(match self.losses.take() {
            None => new,
            Some(sum) => Losses { loss: sum.loss + new.loss, alignment: sum.alignment + new.alignment },
        });
        self.steps += 1;
        self.samples += samples;
    }

    /// Their means, if there are any, and starts anew.
    fn take(&mut self, progress: &Progress, schedule: &Schedule) -> Result<Option<Event>, TrainError> {
        let Self { losses, steps, samples, waited, since } = std::mem::take(self);
        let Some(Losses { loss, alignment }) = losses else { return Ok(None) };
        let mean = |tensor: tch::Tensor| tensor.to_kind(Kind::Double).double_value(&[]) / steps as f64;
        let (loss, alignment) = (mean(loss), mean(alignment));
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step: progress.step, loss });
        }
        // After the losses were read, which waits for the device.
        let seconds = since.elapsed().as_secs_f64();
        Ok(Some(Event::Train {
            step: progress.step,
            epoch: progress.epoch,
            loss,
            alignment,
            learning_rate: schedule.at(progress.step - 1),
            samples_per_s: samples as f64 / seconds,
            idle_share: waited.as_secs_f64() / seconds,
        }))
    }
}
