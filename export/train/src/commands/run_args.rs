//! Arguments that every run has.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::UsageError;
use crate::data::batch::Dataset;
use crate::exit_code::ExitCode;
use crate::method::ablation::Method;
use crate::method::alignment::AlignmentTarget;
use crate::method::modality_dropout::{Drawing, PatternRate};
use crate::method::model::Model;
use crate::method::spec::Missing;
use crate::training::schedule::Warmup;
use crate::training::settings::Settings;
use crate::training::stop::{Stop, Stopped};
use crate::training::trainer::{Outcome, Start, Trainer};

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
    pub epochs: usize,
    /// Samples in a batch
    #[arg(long, default_value_t = 64)]
    pub batch_size: usize,
    /// Learning rate after the warm-up
    #[arg(long, visible_alias = "lr", default_value_t = 1e-3)]
    pub learning_rate: f64,
    /// Epochs of warm-up, which need not be whole
    #[arg(long, default_value_t = 5.0)]
    pub warmup_epochs: f64,
    /// Shape of the warm-up
    #[arg(long, value_enum, default_value_t)]
    pub warmup: Warmup,
    /// Power of the polynomial decay
    #[arg(long, default_value_t = 0.9)]
    pub decay_power: f64,
    /// Weight decay
    #[arg(long, default_value_t = 0.02)]
    pub weight_decay: f64,
    /// Bound on the norm of the gradients [default: none]
    #[arg(long)]
    pub clip_norm: Option<f64>,
    /// Part of the target that is spread over all classes
    #[arg(long, default_value_t = 0.0)]
    pub label_smoothing: f64,
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
        Ok(Self { available: names.split('+').map(str::to_owned).collect(), rate })
    }
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
            if let Some(unknown) = named.available.iter().find(|name| !modalities.contains(&name.as_str())) {
                let reason = format!("no modality `{unknown}`, expected some of {modalities:?}");
                return Err(UsageError::new("--pattern-rate", reason));
            }
            let available = modalities.iter().map(|name| named.available.iter().any(|given| given == name));
            Ok(PatternRate { available: available.collect(), rate: named.rate })
        };
        self.pattern_rate.iter().map(rate).collect()
    }
}

impl RunArgs {
    /// The settings of a run on `modalities`; without `method`, of a single modality.
    pub fn settings(&self, modalities: &[&str], method: Option<&MethodArgs>) -> Result<Settings, UsageError> {
        let pattern_rates = match method {
            Some(method) => {
                method.validate()?;
                method.pattern_rates(modalities)?
            }
            None => Method::Baseline.pattern_rates(modalities.len()),
        };
        let alignment_weight =
            |method: &MethodArgs| method.alignment_weight.unwrap_or(method.method.alignment_weight());
        let settings = Settings {
            seed: self.seed,
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            warmup_epochs: self.warmup_epochs,
            warmup: self.warmup,
            decay_power: self.decay_power,
            weight_decay: self.weight_decay,
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

    /// Sets libtorch up before anything else of it is used.
    pub fn prepare_torch(&self) {
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads);
        }
        tch::manual_seed(self.seed as i64);
    }

    /// Runs `model` to its end, or until a signal or the time limit.
    pub fn train(
        &self,
        dataset: &dyn Dataset,
        model: Model,
        settings: Settings,
    ) -> anyhow::Result<(Outcome, ExitCode)> {
        let limit = match self.max_hours.map(|hours| Duration::try_from_secs_f64(hours * 3600.0)) {
            None => None,
            Some(Ok(limit)) => Some(limit),
            Some(Err(_)) => return Err(UsageError::new("--max-hours", "expected 0 or more").into()),
        };
        let stop = Stop::on_signals(limit).context("watch for signals")?;
        let start = if self.resume { Start::Resume } else { Start::Fresh };
        let outcome = Trainer::new(dataset, model, settings, &self.out, start)?.run(&stop)?;
        let code = match outcome.stopped {
            None => ExitCode::Success,
            Some(Stopped::OutOfTime) => {
                eprintln!("out of time: saved, `--resume` goes on");
                ExitCode::Success
            }
            Some(Stopped::Interrupted) => {
                eprintln!("interrupted: saved, `--resume` goes on");
                ExitCode::Interrupted
            }
        };
        Ok((outcome, code))
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
