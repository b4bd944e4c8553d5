//! Everything that decides a run, besides data and model.

use serde::{Deserialize, Serialize};

use super::schedule::{Schedule, Warmup};
use crate::method::alignment::AlignmentTarget;
use crate::method::modality_dropout::{Drawing, PatternRate};
use crate::method::precision::Precision;

/// Settings of a run; a resumed run must have the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Seed of weights, order, pairing, augmentation, dropout.
    pub seed: u64,
    /// Passes over the training split.
    pub epochs: usize,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Batches whose gradients make one step.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// What the encoders compute in.
    #[serde(default)]
    pub precision: Precision,
    /// Epochs without a better one after which the run ends; never where there is none.
    #[serde(default)]
    pub patience: Option<usize>,
    /// What makes an epoch better than another.
    #[serde(default)]
    pub selection: Selection,
    /// Learning rate after the warm-up.
    pub learning_rate: f64,
    /// Epochs of warm-up, which need not be whole.
    pub warmup_epochs: f64,
    /// Shape of the warm-up.
    pub warmup: Warmup,
    /// Power of the polynomial decay.
    pub decay_power: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Bound on the norm of the gradients.
    pub clip_norm: Option<f64>,
    /// Part of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// Lambda of equation 7.
    pub alignment_weight: f64,
    /// Whether the alignment loss moves the class tokens.
    pub alignment_target: AlignmentTarget,
    /// How often modality dropout draws.
    pub drawing: Drawing,
    /// Shares of the availability patterns.
    pub pattern_rates: Vec<PatternRate>,
}

/// What the best epoch is the best by, on validation data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The mean of the metric over all availability patterns that have samples.
    #[default]
    Mean,
    /// The metric of one pattern: for each modality whether it is there.
    Pattern(Vec<bool>),
}

fn one() -> usize {
    1
}

/// A setting out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("setting {field} is {value}, expected {expected}")]
pub struct SettingsError {
    /// The setting.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// What it should be.
    pub expected: &'static str,
}

impl Settings {
    /// Checks the ranges.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let rates: f64 = self.pattern_rates.iter().map(|pattern| pattern.rate).sum();
        let checks = [
            ("epochs", self.epochs as f64, self.epochs > 0, "at least 1"),
            ("batch_size", self.batch_size as f64, self.batch_size > 0, "at least 1"),
            ("accumulate", self.accumulate as f64, self.accumulate > 0, "at least 1"),
            (
                "patience",
                self.patience.unwrap_or_default() as f64,
                self.patience.is_none_or(|epochs| epochs > 0),
                "at least 1",
            ),
            ("learning_rate", self.learning_rate, self.learning_rate > 0.0, "a positive number"),
            (
                "warmup_epochs",
                self.warmup_epochs,
                (0.0..self.epochs as f64).contains(&self.warmup_epochs),
                "0 or more, and less than the epochs",
            ),
            ("decay_power", self.decay_power, self.decay_power > 0.0, "a positive number"),
            ("weight_decay", self.weight_decay, self.weight_decay >= 0.0, "0 or more"),
            (
                "clip_norm",
                self.clip_norm.unwrap_or_default(),
                self.clip_norm.is_none_or(|norm| norm > 0.0),
                "a positive number",
            ),
            (
                "label_smoothing",
                self.label_smoothing,
                (0.0..1.0).contains(&self.label_smoothing),
                "at least 0 and less than 1",
            ),
            ("alignment_weight", self.alignment_weight, self.alignment_weight >= 0.0, "0 or more"),
            ("pattern_rates", rates, rates > 0.0, "a positive sum"),
        ];
        match checks.into_iter().find(|(_, _, holds, _)| !holds) {
            Some((field, value, _, expected)) => Err(SettingsError { field, value, expected }),
            None => Ok(()),
        }
    }

    /// The learning rate over a run of `epochs` of `steps_per_epoch`.
    pub fn schedule(&self, steps_per_epoch: usize) -> Schedule {
        Schedule {
            learning_rate: self.learning_rate,
            warmup: self.warmup,
            warmup_steps: (self.warmup_epochs * steps_per_epoch as f64).round() as usize,
            total_steps: self.epochs * steps_per_epoch,
            power: self.decay_power,
        }
    }
}
