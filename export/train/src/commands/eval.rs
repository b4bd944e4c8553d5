//! `eval`: figures of a checkpoint for every availability pattern.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use cmpt_bundle::manifest::{Pattern, Task};
use cmpt_core::modality::{ModalityId, ModalitySet};
use serde::Serialize;

use super::UsageError;
use crate::data::batch::{Dataset, Split};
use crate::data::missing::{MissingDataset, MissingTables};
use crate::data::open::{Opening, open};
use crate::evaluation::evaluate::{self, Evaluation, Figures, Predictions};
use crate::evaluation::f1::F1;
use crate::evaluation::precision;
use crate::exit_code::ExitCode;
use crate::method::spec::Missing;
use crate::training::checkpoint;
use crate::training::device::DeviceChoice;

/// Measure a checkpoint: accuracy or F1, overall and per class, and calibration, for each pattern
#[derive(Args, Clone, Debug)]
pub struct EvalArgs {
    /// Checkpoint, such as `runs/fit/best`
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Folder of the prepared data
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Split to measure on
    #[arg(long, value_enum, default_value_t = SplitArg::Test)]
    split: SplitArg,
    /// Only the pattern in which this modality alone is available
    #[arg(long, value_name = "MODALITY")]
    only: Option<String>,
    /// Also tell what each class was taken for: rows are the truth, columns the answers
    #[arg(long)]
    confusion: bool,
    /// Also measure all samples together, each with the modalities that it has
    #[arg(long)]
    as_present: bool,
    /// Tables of what samples lack, such as `runs/fit/missing.json` [default: nothing is missing]
    #[arg(long, value_name = "FILE")]
    missing: Option<PathBuf>,
    /// The `--missing-seed` with which the tables' training split was drawn, where pairs are class-level
    #[arg(long, value_name = "SEED")]
    fixed_pairs: Option<u64>,
    /// Weigh the proxies for a missing modality by how well each predicts it on validation data, in place of
    /// their mean; makes no difference with less than three modalities, and a bundle has the mean
    #[arg(long)]
    weigh_proxies: bool,
    /// Where to compute
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Samples in a batch
    #[arg(long, default_value_t = 128)]
    batch_size: usize,
    /// Threads of libtorch [default: one per core]
    #[arg(long)]
    threads: Option<i32>,
}

/// Split to measure on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SplitArg {
    /// What was learned from.
    Train,
    /// What chose the epoch.
    Validation,
    /// What nothing was chosen by.
    Test,
}

/// What the command prints, as JSON.
#[derive(Serialize)]
struct Report {
    split: Split,
    mean: f64,
    labels: Vec<String>,
    patterns: Vec<Pattern>,
    /// One matrix a pattern, where asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    confusion: Vec<Vec<Vec<usize>>>,
    /// One a pattern, where samples have any number of labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    f1: Vec<F1>,
    /// All samples as they are, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    present: Option<Figures>,
}

/// Runs the command. Temperatures are the checkpoint's, where it has them, else 1.
pub fn run(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    if args.batch_size == 0 {
        return Err(UsageError::new("--batch-size", "0, expected at least 1").into());
    }
    if let Some(threads) = args.threads {
        tch::set_num_threads(threads);
    }
    let model = checkpoint::open_model(&args.model, args.device.open()?)?;
    let task = model.spec().task;
    if args.confusion && task == Task::Multilabel {
        return Err(UsageError::new("--confusion", "samples have any number of labels, expected one").into());
    }
    let names: Vec<String> =
        model.spec().modalities.iter().map(|modality| modality.info.name.clone()).collect();
    let whole = open(&args.data, &Opening { modalities: names.clone(), fixed_pairs: args.fixed_pairs })?;
    let tables = args.missing.as_deref().map_or_else(|| Ok(MissingTables::none()), MissingTables::read)?;
    let dataset = MissingDataset::new(&*whole, &tables)?;
    let calibrated = checkpoint::find_calibration(&args.model)?;
    let calibrated = calibrated.map(|calibration| calibration.patterns).unwrap_or_default();
    let temperature = |available: &[String]| {
        calibrated
            .iter()
            .find(|pattern| pattern.available == available)
            .map_or(1.0, |p| f64::from(p.temperature))
    };
    let split = match args.split {
        SplitArg::Train => Split::Train,
        SplitArg::Validation => Split::Validation,
        SplitArg::Test => Split::Test,
    };
    let evaluation = Evaluation { dataset: &dataset, split, batch_size: args.batch_size };
    let wanted = patterns(args, &names)?;
    let predictions = match args.weigh_proxies {
        false => evaluate::predict(&model, evaluation, &wanted)?,
        true => {
            if model.spec().missing == Missing::Zeros {
                return Err(UsageError::new("--weigh-proxies", "the model has no proxies").into());
            }
            let validation = Evaluation { split: Split::Validation, ..evaluation };
            let weights = precision::proxy_precision(&model, validation)?;
            evaluate::predict_weighted(&model, evaluation, &wanted, &weights)?
        }
    };
    let measure = |predictions: &Predictions| {
        let available: Vec<String> = predictions.available.iter().map(|id| names[id.0].clone()).collect();
        evaluate::measure(&model, predictions, temperature(&available))
    };
    let patterns: Vec<Pattern> = predictions.iter().map(measure).collect();
    let present = match args.as_present {
        true => {
            let predictions = evaluate::predict_present(&model, evaluation)?;
            Some(evaluate::measure_present(&model, &predictions, &calibrated))
        }
        false => None,
    };
    let report = Report {
        split,
        mean: evaluate::mean_metric(&patterns),
        labels: dataset.labels().to_vec(),
        patterns,
        confusion: predictions.iter().filter(|_| args.confusion).map(evaluate::confusion).collect(),
        f1: predictions
            .iter()
            .filter(|_| task == Task::Multilabel)
            .map(|predictions| F1::of(&predictions.logits, &predictions.targets))
            .collect(),
        present,
    };
    let mut stdout = io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, &report).map_err(io::Error::from).context("write to stdout")?;
    writeln!(stdout).context("write to stdout")?;
    Ok(ExitCode::Success)
}

fn patterns(args: &EvalArgs, names: &[String]) -> Result<Vec<ModalitySet>, UsageError> {
    let Some(only) = &args.only else { return Ok(ModalitySet::patterns(names.len()).collect()) };
    let Some(id) = names.iter().position(|name| name == only) else {
        return Err(UsageError::new("--only", format!("no modality `{only}`, expected one of {names:?}")));
    };
    Ok(vec![std::iter::once(ModalityId(id)).collect()])
}
