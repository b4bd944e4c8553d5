//! `fit`: the cross-modal method on pretrained encoders.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::UsageError;
use super::missing_args::MissingArgs;
use super::pretrain::ArchitectureArgs;
use super::run_args::{MethodArgs, RunArgs};
use crate::data::batch::{Dataset, ModalityInfo};
use crate::data::missing::MissingDataset;
use crate::data::open::{Opening, open};
use crate::exit_code::ExitCode;
use crate::method::recipe::Recipe;
use crate::method::spec::{Lora, Missing, ModalitySpec, ModelSpec, Tune};
use crate::training::checkpoint;
use crate::training::job::Origin;

/// Train proxies, adapters and head on top of pretrained encoders
#[derive(Args, Clone, Debug)]
pub struct FitArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Constants of an experiment of the paper; options that are given go before it
    #[arg(long, value_enum)]
    recipe: Option<Recipe>,
    /// Checkpoint to start from, as `init` makes it: its encoders, adapters and widths stay as they are
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "modalities", "encoder", "tune", "lora_rank", "lora_alpha", "lora_dropout", "fusion_width",
        "family", "width", "depth", "heads", "mlp", "patch", "stride",
    ])]
    model: Option<PathBuf>,
    /// Modalities of the model, in its order [default: all of the data]
    #[arg(long, value_delimiter = ',')]
    modalities: Vec<String>,
    /// Pretrained encoder of a modality, such as `audio=runs/audio/encoder`; a modality without one
    /// starts from nothing, which needs `--tune full`
    #[arg(long, value_name = "MODALITY=DIR")]
    encoder: Vec<NamedDir>,
    #[command(flatten)]
    architecture: ArchitectureArgs,
    #[command(flatten)]
    method: MethodArgs,
    #[command(flatten)]
    missing: MissingArgs,
    /// How the encoders are adapted
    #[arg(long, value_enum, default_value_t = TuneArg::Lora)]
    tune: TuneArg,
    /// LoRA rank
    #[arg(long, default_value_t = 1)]
    lora_rank: usize,
    /// LoRA alpha; the factors' product is scaled by alpha / rank
    #[arg(long, default_value_t = 1.0)]
    lora_alpha: f64,
    /// Dropout on the input of the LoRA factors
    #[arg(long, default_value_t = 0.1)]
    lora_dropout: f64,
    /// Width of the fused token [default: the first encoder's]
    #[arg(long)]
    fusion_width: Option<usize>,
}

/// How the encoders are adapted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TuneArg {
    /// Encoders are frozen, low-rank factors learn.
    Lora,
    /// Encoders learn whole.
    Full,
}

/// `audio=DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedDir {
    /// The modality.
    pub name: String,
    /// The folder.
    pub dir: PathBuf,
}

impl FromStr for NamedDir {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, dir) = text.split_once('=').ok_or("no `=`, expected such as `audio=DIR`")?;
        Ok(Self { name: name.into(), dir: dir.into() })
    }
}

/// Runs the command.
pub fn run(args: &FitArgs) -> anyhow::Result<ExitCode> {
    let opening = Opening { modalities: args.modalities.clone(), fixed_pairs: args.missing.fixed_pairs() };
    let whole = open(&args.run.data, &opening)?;
    let tables = args.missing.tables(&*whole, &args.run)?;
    let dataset = MissingDataset::new(&*whole, &tables)?;
    let (spec, origin) = match &args.model {
        Some(dir) => (describe_checkpoint(args, dir, &dataset)?, Origin::Checkpoint(dir.clone())),
        None => {
            let spec = describe(args, &dataset)?;
            let origin = Origin::Encoders(args.encoder_dirs(&spec));
            (spec, origin)
        }
    };
    let names: Vec<_> = spec.modalities.iter().map(|modality| modality.info.name.as_str()).collect();
    let settings = args.run.settings(&names, Some(&args.method), args.recipe)?;
    args.run.train(&dataset, &spec, &origin, &settings)
}

/// The model of the checkpoint in `dir`, with the labels of the data.
fn describe_checkpoint(args: &FitArgs, dir: &Path, dataset: &dyn Dataset) -> anyhow::Result<ModelSpec> {
    let spec = checkpoint::open_spec(dir)?;
    let refuse = |argument: &str, reason: String| {
        Err(UsageError::new(argument, format!("{} {reason}", dir.display())).into())
    };
    let (found, expected) = (spec.labels.len(), dataset.labels().len());
    if found != expected {
        return refuse("--model", format!("has {found} classes, the data {expected}"));
    }
    if spec.task != dataset.task() {
        return refuse("--model", format!("is {:?}, the data {:?}", spec.task, dataset.task()));
    }
    for ModalitySpec { info, .. } in &spec.modalities {
        let Some(known) = dataset.modalities().iter().find(|known| known.name == info.name) else {
            return refuse("--model", format!("has a modality {} that the data has not", info.name));
        };
        if known.front_end != info.front_end {
            let (name, model, data) = (&info.name, &info.front_end, &known.front_end);
            return refuse("--model", format!("takes {name} as {model:?}, the data has {data:?}"));
        }
    }
    let missing = args.method.method.missing();
    if (missing, spec.missing) == (Missing::Proxies, Missing::Zeros) {
        return refuse(
            "--method",
            "has no proxies: make it with `init --proxies all`, or use an ablation".into(),
        );
    }
    Ok(ModelSpec { labels: dataset.labels().to_vec(), missing, ..spec })
}

/// The model to train.
fn describe(args: &FitArgs, dataset: &dyn Dataset) -> anyhow::Result<ModelSpec> {
    let known = dataset.modalities();
    if let Some(stray) = args.encoder.iter().find(|given| known.iter().all(|info| info.name != given.name)) {
        let names: Vec<_> = known.iter().map(|info| &info.name).collect();
        let reason = format!("no modality `{}`, expected one of {names:?}", stray.name);
        return Err(UsageError::new("--encoder", reason).into());
    }
    let modalities: Vec<_> = known.iter().map(|info| args.modality(info)).collect::<Result<_, _>>()?;
    let spec = ModelSpec {
        task: dataset.task(),
        labels: dataset.labels().to_vec(),
        width: args.fusion_width.unwrap_or(modalities[0].encoder.width),
        modalities,
        tune: args.tune(),
        missing: args.method.method.missing(),
    };
    spec.validate().context("describe the model")?;
    Ok(spec)
}

impl FitArgs {
    fn tune(&self) -> Tune {
        match self.tune {
            TuneArg::Full => Tune::Full,
            TuneArg::Lora => Tune::Lora(Lora {
                rank: self.lora_rank,
                alpha: self.lora_alpha,
                p_dropout: self.lora_dropout,
            }),
        }
    }

    /// The pretrained encoders, by the place of their modality in `spec`.
    fn encoder_dirs(&self, spec: &ModelSpec) -> Vec<(usize, PathBuf)> {
        let dir = |(index, modality): (usize, &ModalitySpec)| {
            Some((index, self.encoder_dir(&modality.info.name)?.to_owned()))
        };
        spec.modalities.iter().enumerate().filter_map(dir).collect()
    }

    fn encoder_dir(&self, modality: &str) -> Option<&Path> {
        let given = self.encoder.iter().find(|given| given.name == modality);
        given.map(|given| given.dir.as_path())
    }

    fn modality(&self, info: &ModalityInfo) -> anyhow::Result<ModalitySpec> {
        let Some(dir) = self.encoder_dir(&info.name) else {
            if self.tune == TuneArg::Lora {
                let reason = format!("none for modality {}, which `--tune lora` needs", info.name);
                return Err(UsageError::new("--encoder", reason).into());
            }
            return Ok(ModalitySpec { info: info.clone(), encoder: self.architecture.encoder(info)? });
        };
        let pretrained = checkpoint::open_encoder(dir)?;
        if pretrained.info.front_end != info.front_end {
            let reason = format!(
                "{} was pretrained on {:?}, modality {} of the data has {:?}",
                dir.display(),
                pretrained.info.front_end,
                info.name,
                info.front_end
            );
            return Err(UsageError::new("--encoder", reason).into());
        }
        Ok(ModalitySpec { info: info.clone(), encoder: pretrained.encoder })
    }
}
