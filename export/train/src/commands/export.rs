//! `export`: the bundle of a checkpoint.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::Args;
use cmpt_bundle::BundleWriter;
use cmpt_bundle::manifest::{Pattern, Provenance, Window};
use cmpt_core::modality::ModalitySet;
use serde_json::json;
use tch::Device;

use crate::data::batch::Split;
use crate::data::open::{Opening, open};
use crate::evaluation::evaluate::{self, Evaluation};
use crate::exit_code::ExitCode;
use crate::export::ExportError;
use crate::export::bundle::Release;
use crate::method::model::Model;
use crate::training::checkpoint::{self, Calibration, Training};

/// Write the bundle of a checkpoint: ONNX graphs, golden tensors, manifest, model card
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// Checkpoint, such as `runs/fit/best`
    #[arg(long, visible_alias = "model", value_name = "DIR")]
    checkpoint: PathBuf,
    /// Folder of the prepared data; its test split is measured for the model card [default: no figures]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the bundle goes, such as `models/avdigits/1`; nothing may be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the model
    #[arg(long)]
    name: String,
    /// Version of the model
    #[arg(long)]
    version: String,
    /// Length of a window
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    length_ms: u64,
    /// Distance between two windows
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    hop_ms: u64,
    /// Markdown for the end of the model card
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,
    /// Samples in a batch
    #[arg(long, default_value_t = 128)]
    batch_size: usize,
    /// Threads of libtorch [default: one per core]
    #[arg(long)]
    threads: Option<i32>,
}

/// Runs the command.
pub fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    if let Some(threads) = args.threads {
        tch::set_num_threads(threads);
    }
    // First of all, because measuring takes its time.
    let writer = BundleWriter::create(&args.out).map_err(ExportError::from)?;
    let notes = args
        .notes
        .as_deref()
        .map(|path| fs::read_to_string(path).with_context(|| format!("read {}", path.display())));
    let model = checkpoint::open_model(&args.checkpoint, Device::Cpu)?;
    let training = checkpoint::find_training(&args.checkpoint)?;
    let validation = match checkpoint::find_calibration(&args.checkpoint)? {
        Some(Calibration { patterns }) => patterns,
        None => ModalitySet::patterns(model.spec().modalities.len())
            .map(|pattern| evaluate::unmeasured(model.spec(), pattern))
            .collect(),
    };
    let (test, data) = match &args.data {
        Some(data) => test_figures(&model, data, args.batch_size, &validation)?,
        None => (Vec::new(), "Not given to the exporter.".to_owned()),
    };
    let release = Release {
        model: &model,
        name: args.name.clone(),
        version: args.version.clone(),
        window: Window { length_ms: args.length_ms, hop_ms: args.hop_ms },
        test,
        validation,
        provenance: provenance(&args.checkpoint, &model, training.as_ref(), &data)?,
        notes: notes.transpose()?,
    };
    let bundle = release.write(writer)?;
    eprintln!("{}: sha256 {}", bundle.root().display(), bundle.digest());
    Ok(ExitCode::Success)
}

/// Figures per pattern on the test split of `data`, and what the data are.
fn test_figures(
    model: &Model,
    data: &Path,
    batch_size: usize,
    validation: &[Pattern],
) -> anyhow::Result<(Vec<Pattern>, String)> {
    let names: Vec<String> =
        model.spec().modalities.iter().map(|modality| modality.info.name.clone()).collect();
    let dataset = open(data, &Opening { modalities: names.clone(), fixed_pairs: None })?;
    let evaluation = Evaluation { dataset: &*dataset, split: Split::Test, batch_size };
    let patterns: Vec<ModalitySet> = ModalitySet::patterns(names.len()).collect();
    let predictions = evaluate::predict(model, evaluation, &patterns)?;
    let test = predictions.iter().map(|predictions| {
        let available: Vec<&str> = predictions.available.iter().map(|id| names[id.0].as_str()).collect();
        let fitted = validation.iter().find(|pattern| pattern.available == available);
        let temperature = fitted.map_or(1.0, |pattern| f64::from(pattern.temperature));
        evaluate::measure(model, predictions, temperature)
    });
    Ok((test.collect(), dataset.description().to_owned()))
}

fn provenance(
    checkpoint: &Path,
    model: &Model,
    training: Option<&Training>,
    data: &str,
) -> anyhow::Result<Provenance> {
    let spec = model.spec();
    let parameters = spec.parameters();
    let count = |learnable: bool| -> usize {
        let counted = parameters.iter().filter(|entry| !learnable || spec.learns(entry.role));
        counted.map(|entry| entry.parameter.count()).sum()
    };
    let mut details = BTreeMap::from([
        ("parameters".to_owned(), json!({ "total": count(false), "learnable": count(true) })),
        ("tune".to_owned(), serde_json::to_value(spec.tune).context("write provenance")?),
    ]);
    if let Some(Training { settings, progress }) = training {
        let settings = serde_json::to_value(settings).context("write provenance")?;
        let best = serde_json::to_value(progress.best).context("write provenance")?;
        details.extend([("settings".to_owned(), settings), ("best".to_owned(), best)]);
    }
    // The checkpoint's time, not the present: exporting it again gives the same bundle.
    let created = checkpoint.metadata().and_then(|folder| folder.modified());
    let created = created.with_context(|| format!("read {}", checkpoint.display()))?;
    Ok(Provenance {
        code: revision(),
        data: data.to_owned(),
        seed: training.map_or(0, |training| training.settings.seed),
        created: humantime::format_rfc3339_seconds(created).to_string(),
        details,
    })
}

/// Revision of the code, where there is a repository to ask.
fn revision() -> String {
    let asked = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let revision = asked.ok().filter(|output| output.status.success());
    let package = concat!("cmpt-train ", env!("CARGO_PKG_VERSION"));
    match revision.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()) {
        Some(revision) if !revision.is_empty() => format!("{package}, {revision}"),
        _ => package.to_owned(),
    }
}
