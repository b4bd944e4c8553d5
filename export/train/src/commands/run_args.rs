//! Arguments that every run has.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tch::Device;

use super::UsageError;
use crate::data::batch::Dataset;
use crate::exit_code::ExitCode;
use crate::method::ablation::Method;
use crate::method::alignment::AlignmentTarget;
use crate::method::modality_dropout::{Drawing, PatternRate};
use crate::method::precision::Precision;
use crate::method::recipe::{Constants, Recipe};
use crate::method::spec::{Lora, Missing, ModelSpec};
use crate::training::device::DeviceChoice;
use crate::training::job::{self, Job, Origin, Start};
use crate::training::progress::Report;
use crate::training::schedule::Warmup;
use crate::training::settings::{Selection, Settings};
use crate::training::stop::{Stop, Stopped};

/// Arguments that every run has.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Folder of the prepared data
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Folder of the run: `last`, `best`, `metrics.jsonl`
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on with the run in the folder; all other arguments must be as they were
    #[arg(long)]
    pub resume: bool,
    /// Save and stop after so many hours
    #[arg(long, value_name = "HOURS")]
    pub max_hours: Option<f64>,
    /// Threads of libtorch [default: one per core]
    #[arg(long)]
    pub threads: Option<i32>,
    /// Seed of weights, order, pairing, augmentation and dropout
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Passes over the training split
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Samples in a batch [default: 64]
    #[arg(long)]
    pub batch_size: Option<usize>,
    /// Batches whose gradients make one step: a large batch in the memory of a small one
    #[arg(long, default_value_t = 1)]
    pub accumulate: usize,
    /// Learning rate after the warm-up [default: 0.001]
    #[arg(long, visible_alias = "lr")]
    pub learning_rate: Option<f64>,
    /// Epochs of warm-up, which need not be whole [default: 5]
    #[arg(long)]
    pub warmup_epochs: Option<f64>,
    /// Shape of the warm-up
    #[arg(long, value_enum, default_value_t)]
    pub warmup: Warmup,
    /// Power of the polynomial decay [default: 0.9]
    #[arg(long)]
    pub decay_power: Option<f64>,
    /// Weight decay [default: 0.02]
    #[arg(long)]
    pub weight_decay: Option<f64>,
    /// Bound on the norm of the gradients [default: none]
    #[arg(long)]
    pub clip_norm: Option<f64>,
    /// Part of the target that is spread over all classes
    #[arg(long, default_value_t = 0.0)]
    pub label_smoothing: f64,
    /// Stop after so many epochs without a better one [default: never]
    #[arg(long, value_name = "EPOCHS")]
    pub patience: Option<usize>,
    /// Pattern that chooses the best epoch on validation data, such as `video` [default: the mean of all]
    #[arg(long, value_name = "PATTERN")]
    pub select_by: Option<String>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// What the encoders compute in
    #[arg(long, value_enum, default_value_t)]
    pub precision: Precision,
}

/// Arguments of the cross-modal method.
#[derive(Args, Clone, Debug)]
pub struct MethodArgs {
    /// The method, or an ablation of it
    #[arg(long, value_enum, default_value_t)]
    pub method: Method,
    /// Weight of the alignment loss, lambda of equation 7 [default: 0.2]
    #[arg(long, visible_alias = "lambda")]
    pub alignment_weight: Option<f64>,
    /// Whether the alignment loss moves the class tokens [default: moves]
    #[arg(long, value_enum)]
    pub alignment_target: Option<AlignmentTarget>,
    /// How often modality dropout draws a pattern [default: batch]
    #[arg(long, value_enum)]
    pub modality_dropout: Option<Drawing>,
    /// Share of an availability pattern, such as `audio+video=2`; once given, patterns that are not
    /// named have none [default: the same for all]
    #[arg(long, value_name = "PATTERN=SHARE")]
    pub pattern_rate: Vec<NamedRate>,
}

/// `audio+video=2`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedRate {
    available: Vec<String>,
    rate: f64,
}

impl FromStr for NamedRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (names, rate) = text.split_once('=').ok_or("no `=`, expected such as `audio+video=2`")?;
        let rate: f64 = rate.parse().map_err(|_| format!("share `{rate}`, expected a number"))?;
        if !(rate >= 0.0 && rate.is_finite()) {
            return Err(format!("share {rate}, expected 0 or more"));
        }
        Ok(Self { available: self::names(names), rate })
    }
}

/// The modalities of a pattern such as `audio+video`.
fn names(pattern: &str) -> Vec<String> {
    pattern.split('+').map(str::to_owned).collect()
}

/// For each of `modalities` whether it is in `pattern`.
fn flags(argument: &str, pattern: &[String], modalities: &[&str]) -> Result<Vec<bool>, UsageError> {
    if let Some(unknown) = pattern.iter().find(|name| !modalities.contains(&name.as_str())) {
        let reason = format!("no modality `{unknown}`, expected some of {modalities:?}");
        return Err(UsageError::new(argument, reason));
    }
    Ok(modalities.iter().map(|name| pattern.iter().any(|given| given == name)).collect())
}

impl MethodArgs {
    /// Refuses options of what the method leaves out.
    fn validate(&self) -> Result<(), UsageError> {
        let refuse = |argument: &str, lacks: &str| {
            let method = self.method.to_possible_value().expect("no method is hidden");
            let reason = format!("`--method {}` {lacks}", method.get_name());
            Err(UsageError::new(argument, reason))
        };
        if !self.method.drops() {
            if self.modality_dropout.is_some() {
                return refuse("--modality-dropout", "drops nothing");
            }
            if !self.pattern_rate.is_empty() {
                return refuse("--pattern-rate", "drops nothing");
            }
        }
        if self.method.missing() == Missing::Zeros {
            if self.alignment_weight.is_some() {
                return refuse("--alignment-weight", "has no proxies to align");
            }
            if self.alignment_target.is_some() {
                return refuse("--alignment-target", "has no proxies to align");
            }
        }
        Ok(())
    }

    /// The shares of the patterns of `modalities`.
    fn pattern_rates(&self, modalities: &[&str]) -> Result<Vec<PatternRate>, UsageError> {
        if self.pattern_rate.is_empty() {
            return Ok(self.method.pattern_rates(modalities.len()));
        }
        let rate = |named: &NamedRate| {
            let available = flags("--pattern-rate", &named.available, modalities)?;
            Ok(PatternRate { available, rate: named.rate })
        };
        self.pattern_rate.iter().map(rate).collect()
    }
}

/// Constants of a run of no recipe; it has to say how many epochs.
const CONSTANTS: Constants = Constants {
    epochs: 0,
    batch_size: 64,
    learning_rate: 1e-3,
    warmup_epochs: 5.0,
    decay_power: 0.9,
    weight_decay: 0.02,
    alignment_weight: 0.20,
    lora: Lora { rank: 1, alpha: 1.0, p_dropout: 0.1 },
};

impl RunArgs {
    /// The settings of a run on `modalities`; without `method`, of a single modality. What is not given is
    /// the recipe's.
    pub fn settings(
        &self,
        modalities: &[&str],
        method: Option<&MethodArgs>,
        recipe: Option<Recipe>,
    ) -> Result<Settings, UsageError> {
        let pattern_rates = match method {
            Some(method) => {
                method.validate()?;
                method.pattern_rates(modalities)?
            }
            None => Method::Baseline.pattern_rates(modalities.len()),
        };
        let alignment_weight =
            |method: &MethodArgs| method.alignment_weight.unwrap_or(method.method.alignment_weight());
        let constants = recipe.map_or(CONSTANTS, Recipe::constants);
        if recipe.is_none() && self.epochs.is_none() {
            return Err(UsageError::new("--epochs", "it is not given, and there is no recipe that says"));
        }
        let selection = match &self.select_by {
            None => Selection::Mean,
            Some(pattern) => Selection::Pattern(flags("--select-by", &names(pattern), modalities)?),
        };
        let settings = Settings {
            seed: self.seed,
            epochs: self.epochs.unwrap_or(constants.epochs),
            batch_size: self.batch_size.unwrap_or(constants.batch_size),
            accumulate: self.accumulate,
            precision: self.precision,
            patience: self.patience,
            selection,
            learning_rate: self.learning_rate.unwrap_or(constants.learning_rate),
            warmup_epochs: self.warmup_epochs.unwrap_or(constants.warmup_epochs),
            warmup: self.warmup,
            decay_power: self.decay_power.unwrap_or(constants.decay_power),
            weight_decay: self.weight_decay.unwrap_or(constants.weight_decay),
            clip_norm: self.clip_norm,
            label_smoothing: self.label_smoothing,
            alignment_weight: method.map_or(0.0, alignment_weight),
            alignment_target: method.and_then(|method| method.alignment_target).unwrap_or_default(),
            drawing: method.and_then(|method| method.modality_dropout).unwrap_or_default(),
            pattern_rates,
        };
        let wrong = |error: crate::training::settings::SettingsError| {
            let argument = format!("--{}", error.field.replace('_', "-").replace("rates", "rate"));
            UsageError::new(argument, format!("{}, expected {}", error.value, error.expected))
        };
        settings.validate().map_err(wrong)?;
        Ok(settings)
    }

    /// Trains to the end, or until a signal or the time limit.
    pub fn train(
        &self,
        dataset: &dyn Dataset,
        spec: &ModelSpec,
        origin: &Origin,
        settings: &Settings,
    ) -> anyhow::Result<ExitCode> {
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads);
        }
        let limit = match self.max_hours.map(|hours| Duration::try_from_secs_f64(hours * 3600.0)) {
            None => None,
            Some(Ok(limit)) => Some(limit),
            Some(Err(_)) => return Err(UsageError::new("--max-hours", "expected 0 or more").into()),
        };
        let device = self.device.open()?;
        match device {
            Device::Cuda(number) => eprintln!("computing on GPU {number}"),
            _ => eprintln!("computing on the CPU"),
        }
        let stop = Stop::on_signals(limit).context("watch for signals")?;
        let start = if self.resume { Start::Resume } else { Start::Fresh };
        let (out, report) = (self.out.as_path(), Report::Epochs);
        let job = Job { dataset, spec, origin, settings, device, out, start, report };
        let outcome = job::train(&job, &stop)?;
        Ok(match outcome.stopped {
            None => ExitCode::Success,
            Some(Stopped::NoImprovement) => {
                eprintln!("no better epoch for as long as patience lasts");
                ExitCode::Success
            }
            Some(Stopped::OutOfTime) => {
                eprintln!("out of time: saved, `--resume` goes on");
                ExitCode::Success
            }
            Some(Stopped::Interrupted) => {
                eprintln!("interrupted: saved, `--resume` goes on");
                ExitCode::Interrupted
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(rates: &[&str]) -> MethodArgs {
        MethodArgs {
            method: Method::Cmpt,
            alignment_weight: None,
            alignment_target: None,
            modality_dropout: None,
            pattern_rate: rates.iter().map(|rate| rate.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn patterns_share_evenly_unless_told() {
        let names = ["audio", "video"];
        let even = method(&[]).pattern_rates(&names).unwrap();
        assert_eq!(even.len(), 3);
        assert!(even.iter().all(|pattern| pattern.rate == 1.0));
        assert_eq!(even[0].available, [true, true]);
        let told = method(&["audio+video=2", "video=0.5"]).pattern_rates(&names).unwrap();
        let expected = [(vec![true, true], 2.0), (vec![false, true], 0.5)];
        assert_eq!(told, expected.map(|(available, rate)| PatternRate { available, rate }));
    }

    #[test]
    fn ablations_refuse_options_of_what_they_leave_out() {
        let refusal = |args: MethodArgs| args.validate().unwrap_err().to_string();
        let given = |method| MethodArgs { method, ..self::method(&[]) };
        assert_eq!(
            refusal(MethodArgs { modality_dropout: Some(Drawing::Sample), ..given(Method::Baseline) }),
            "use --modality-dropout: `--method baseline` drops nothing"
        );
        let rates = self::method(&["audio=1"]).pattern_rate;
        assert_eq!(
            refusal(MethodArgs { pattern_rate: rates, ..given(Method::Baseline) }),
            "use --pattern-rate: `--method baseline` drops nothing"
        );
        for method in [Method::Baseline, Method::ModalityDropout] {
            let weight = refusal(MethodArgs { alignment_weight: Some(0.1), ..given(method) });
            assert!(weight.ends_with("has no proxies to align"), "{weight}");
            let target = AlignmentTarget::Fixed;
            let target = refusal(MethodArgs { alignment_target: Some(target), ..given(method) });
            assert!(target.starts_with("use --alignment-target: "), "{target}");
        }
        let dropout = MethodArgs {
            modality_dropout: Some(Drawing::Every),
            ..MethodArgs { method: Method::ModalityDropout, ..self::method(&["audio=1"]) }
        };
        assert_eq!(dropout.validate(), Ok(()));
    }

    #[test]
    fn wrong_patterns_are_named() {
        let error = method(&["smell=1"]).pattern_rates(&["audio"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "use --pattern-rate: no modality `smell`, expected some of [\"audio\"]"
        );
        assert!("audio".parse::<NamedRate>().is_err());
        assert!("audio=-1".parse::<NamedRate>().is_err());
        assert!("audio=NaN".parse::<NamedRate>().is_err());
    }
}
