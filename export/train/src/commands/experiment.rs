//! `experiment`: the paper's tables and figures on any data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::UsageError;
use super::fit::{NamedDir, TuneArg};
use crate::data::batch::{Dataset, ModalityInfo, Split};
use crate::data::open::{Opening, open};
use crate::exit_code::ExitCode;
use crate::experiment::contender::Contender;
use crate::experiment::exhibit::{Exhibit, Mixes};
use crate::experiment::lab::{Lab, Protocol, TestSet};
use crate::experiment::mix::MixArg;
use crate::experiment::recipe::Recipe;
use crate::experiment::study::{Field, Study};
use crate::method::spec::{Lora, Missing, ModalitySpec, ModelSpec, Tune};
use crate::report::html::Report;
use crate::training::checkpoint;
use crate::training::device::DeviceChoice;
use crate::training::settings::{Selection, Settings};
use crate::training::stop::{Stop, Stopped};

/// Train methods against each other with modalities missing, and report it as the paper does
///
/// Run it again to go on where it was cut: what is finished is never repeated. Exhibits in one folder share
/// their runs.
#[derive(Args, Clone, Debug)]
pub struct ExperimentArgs {
    /// The table or figure of the paper
    #[arg(value_enum)]
    exhibit: Exhibit,
    /// How to train
    #[arg(long, value_enum)]
    recipe: Recipe,
    /// Folder of the prepared data; its pairs must be fixed
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder of prepared data with another test split [default: that of --data]
    #[arg(long, value_name = "DIR")]
    test_data: Option<PathBuf>,
    /// Pretrained encoder of a modality, such as `audio=runs/audio/encoder`; one for each
    #[arg(long, value_name = "MODALITY=DIR", required_unless_present = "model")]
    encoder: Vec<NamedDir>,
    /// Checkpoint to start from in place of encoders, as `init` makes it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["encoder", "tune", "lora_rank"])]
    model: Option<PathBuf>,
    /// Folder of the experiment
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Who competes: `baseline`, `modality-dropout` or `cmpt`, each with options such as
    /// `cmpt:lambda=1:target=fixed:drawing=every:rank=4:tune=full`
    #[arg(long, value_delimiter = ',', default_value = "baseline,modality-dropout,cmpt")]
    methods: Vec<Contender>,
    /// Seeds, one training each
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seeds: Vec<u64>,
    /// Shares of the samples that have a modality in training, in place of the paper's, such as
    /// `audio=30%,image=100%` or `complete`; may be given more than once
    #[arg(long, value_name = "SHARES")]
    train: Vec<MixArg>,
    /// The same of the test
    #[arg(long, value_name = "SHARES")]
    test: Vec<MixArg>,
    /// Save and stop after so many hours
    #[arg(long, value_name = "HOURS")]
    max_hours: Option<f64>,
    /// Threads of libtorch [default: one per core]
    #[arg(long)]
    threads: Option<i32>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    #[command(flatten)]
    overrides: Overrides,
}

/// Settings in place of the recipe's.
#[derive(Args, Clone, Debug)]
struct Overrides {
    /// Passes over the training split [default: the recipe's]
    #[arg(long)]
    epochs: Option<usize>,
    /// Samples in a batch [default: the recipe's]
    #[arg(long)]
    batch_size: Option<usize>,
    /// Learning rate after the warm-up [default: the recipe's]
    #[arg(long, visible_alias = "lr")]
    learning_rate: Option<f64>,
    /// Epochs of warm-up, which need not be whole [default: the recipe's]
    #[arg(long)]
    warmup_epochs: Option<f64>,
    /// How the encoders are adapted [default: as the recipe does]
    #[arg(long, value_enum)]
    tune: Option<TuneArg>,
    /// LoRA rank; alpha is the same [default: 1]
    #[arg(long)]
    lora_rank: Option<usize>,
    /// Modalities that are there in the pattern by which the best epoch is chosen, such as `image` or
    /// `audio+image` [default: the mean over all patterns]
    #[arg(long, value_delimiter = '+', value_name = "PATTERN")]
    select: Vec<String>,
}

/// Runs the command.
pub fn run(args: &ExperimentArgs) -> anyhow::Result<ExitCode> {
    if let Some(threads) = args.threads {
        tch::set_num_threads(threads);
    }
    let whole = Opening::default();
    let dataset = open(&args.data, &whole)?;
    let other = args.test_data.as_deref().map(|folder| open(folder, &whole)).transpose()?;
    let (name, tested) = match (&args.test_data, &other) {
        (Some(folder), Some(dataset)) => (name_of(folder), &**dataset),
        _ => (name_of(&args.data), &*dataset),
    };
    let test = TestSet { name, dataset: tested };
    let protocol = protocol(args, &*dataset)?;
    let field = field(args, &protocol)?;
    let mixes = mixes(args, dataset.modalities())?;
    let lab = Lab::open(&*dataset, protocol, args.device.open()?, &args.out)?;
    let limit = args.max_hours.map(|hours| Duration::try_from_secs_f64(hours * 3600.0)).transpose();
    let limit = limit.map_err(|_| UsageError::new("--max-hours", "expected 0 or more"))?;
    let stop = Stop::on_signals(limit).context("watch for signals")?;

    let trainings = args.exhibit.trainings(dataset.modalities(), &mixes);
    let runs = field.runs(&trainings);
    for (number, run) in runs.iter().enumerate() {
        let (mix, contender) = (run.mix.words(), &run.contender);
        eprintln!("run {} of {}: {mix}; {contender}; seed {}", number + 1, runs.len(), run.seed);
        if let Some(stopped) = lab.train(run, &stop)? {
            eprintln!("stopped: saved, the same command goes on");
            return Ok(match stopped {
                Stopped::Interrupted => ExitCode::Interrupted,
                Stopped::OutOfTime | Stopped::NoImprovement => ExitCode::Success,
            });
        }
    }
    let study = Study::of(&lab, &test, &field, &trainings)?;
    let report = Report {
        title: format!("{} on {}", args.exhibit, test.name),
        protocol: words(args, &lab, &*dataset, &test),
        sections: args.exhibit.sections(&study, &mixes)?,
    };
    let name = if args.test_data.is_some() {
        format!("{}-{}", args.exhibit, test.name)
    } else {
        args.exhibit.to_string()
    };
    let path = report.write(&args.out, &name)?;
    println!("{}", path.display());
    Ok(ExitCode::Success)
}

/// What all runs share.
fn protocol(args: &ExperimentArgs, dataset: &dyn Dataset) -> anyhow::Result<Protocol> {
    let (model, weights) = match &args.model {
        Some(folder) => {
            let model = checkpoint::open_spec(folder)?;
            (ModelSpec { labels: dataset.labels().to_vec(), ..model }, vec![folder.clone()])
        }
        None => on_encoders(args, dataset)?,
    };
    model.validate().context("describe the model")?;
    let Overrides { epochs, batch_size, learning_rate, warmup_epochs, select, .. } = &args.overrides;
    let recipe = args.recipe.settings();
    let settings = Settings {
        epochs: epochs.unwrap_or(recipe.epochs),
        batch_size: batch_size.unwrap_or(recipe.batch_size),
        learning_rate: learning_rate.unwrap_or(recipe.learning_rate),
        warmup_epochs: warmup_epochs.unwrap_or(recipe.warmup_epochs),
        selection: selection(select, dataset.modalities())?,
        ..recipe
    };
    Ok(Protocol { data: dataset.description().into(), model, weights, settings })
}

/// A model on pretrained encoders, and their folders.
fn on_encoders(args: &ExperimentArgs, dataset: &dyn Dataset) -> anyhow::Result<(ModelSpec, Vec<PathBuf>)> {
    let mut modalities = Vec::new();
    let mut encoders = Vec::new();
    for info in dataset.modalities() {
        let Some(given) = args.encoder.iter().find(|given| given.name == info.name) else {
            return Err(UsageError::new("--encoder", format!("none for modality {}", info.name)).into());
        };
        let pretrained = checkpoint::open_encoder(&given.dir)?;
        if pretrained.info.front_end != info.front_end {
            let reason = format!("{} takes other features than {} has", given.dir.display(), info.name);
            return Err(UsageError::new("--encoder", reason).into());
        }
        modalities.push(ModalitySpec { info: info.clone(), encoder: pretrained.encoder });
        encoders.push(given.dir.clone());
    }
    let tune = match args.overrides.tune {
        None => args.recipe.tune(),
        Some(TuneArg::Full) => Tune::Full,
        Some(TuneArg::Lora) => Tune::Lora(Lora::default()),
    };
    let tune = match (tune, args.overrides.lora_rank) {
        (Tune::Lora(lora), Some(rank)) => Tune::Lora(Lora { rank, ..lora }),
        (tune, _) => tune,
    };
    let width = modalities.first().map_or(0, |modality: &ModalitySpec| modality.encoder.width);
    let (task, labels) = (dataset.task(), dataset.labels().to_vec());
    Ok((ModelSpec { task, labels, modalities, width, tune, missing: Missing::Proxies }, encoders))
}

/// What the best epoch is the best by.
fn selection(select: &[String], modalities: &[ModalityInfo]) -> Result<Selection, UsageError> {
    if select.is_empty() {
        return Ok(Selection::Mean);
    }
    if let Some(stray) = select.iter().find(|name| modalities.iter().all(|info| &info.name != *name)) {
        return Err(UsageError::new("--select", format!("no modality `{stray}` in the data")));
    }
    Ok(Selection::Pattern(modalities.iter().map(|info| select.contains(&info.name)).collect()))
}

fn field(args: &ExperimentArgs, protocol: &Protocol) -> Result<Field, UsageError> {
    if args.methods.is_empty() || args.seeds.is_empty() {
        return Err(UsageError::new("--methods, --seeds", "none given, expected at least one of each"));
    }
    for contender in &args.methods {
        let settings = contender.settings(&protocol.settings, protocol.model.modalities.len());
        let wrong = |error: crate::training::settings::SettingsError| {
            UsageError::new(format!("--methods {contender}"), error.to_string())
        };
        settings.validate().map_err(wrong)?;
    }
    Ok(Field { contenders: args.methods.clone(), seeds: args.seeds.clone() })
}

fn mixes(args: &ExperimentArgs, modalities: &[ModalityInfo]) -> anyhow::Result<Mixes> {
    let of = |given: &[MixArg]| given.iter().map(|mix| mix.of(modalities)).collect::<Result<Vec<_>, _>>();
    Ok(Mixes { train: of(&args.train)?, test: of(&args.test)? })
}

/// The protocol in words.
fn words(args: &ExperimentArgs, lab: &Lab<'_>, dataset: &dyn Dataset, test: &TestSet<'_>) -> Vec<String> {
    let Protocol { data, model, settings, .. } = lab.protocol();
    let seeds: Vec<String> = args.seeds.iter().map(u64::to_string).collect();
    let encoders = model.modalities.iter().map(|modality| {
        let (name, encoder) = (&modality.info.name, &modality.encoder);
        format!("{name}: width {}, {} blocks", encoder.width, encoder.depth)
    });
    let tune = match model.tune {
        Tune::Full => "learn whole".into(),
        Tune::Lora(lora) => format!("are frozen beside LoRA of rank {}", lora.rank),
    };
    vec![
        args.exhibit.words().into(),
        format!(
            "Data: {data}. {} samples to train on, {} to validate on, {} to test on ({}).",
            dataset.samples(Split::Train),
            dataset.samples(Split::Validation),
            test.dataset.samples(Split::Test),
            test.dataset.description()
        ),
        format!("Encoders ({}) {tune}.", encoders.collect::<Vec<_>>().join("; ")),
        format!(
            "{} epochs of batches of {}, learning rate {}, {} epochs of warm-up. The epoch and the \
             temperatures are those that are best on the validation split; the test split decides nothing.",
            settings.epochs, settings.batch_size, settings.learning_rate, settings.warmup_epochs
        ),
        format!(
            "Seeds {}. A seed decides the fresh weights, the order of the samples, and which samples lack what, \
             in training and in the test; it does so alike for all methods, so that they are compared seed by \
             seed. A test under a missing rate draws for each sample what it lacks, and takes the answer that \
             the model gives without it; rates of one modality are nested.",
            seeds.join(", ")
        ),
    ]
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
