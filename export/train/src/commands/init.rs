//! `init`: an untrained model of pretrained encoders.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use clap::{Args, ValueEnum};
use cmpt_bundle::manifest::Task;
use tch::Device;

use super::UsageError;
use crate::data::batch::ModalityInfo;
use crate::encoder::family::Family;
use crate::encoder::pretrained::Pretrained;
use crate::exit_code::ExitCode;
use crate::method::model::Model;
use crate::method::spec::{Lora, Missing, ModalitySpec, ModelSpec, Tune};
use crate::training::checkpoint;

/// Pictures of a window where nothing else is said; the paper's.
const FRAMES: usize = 3;

/// Make an untrained checkpoint out of pretrained encoders, to train, to export or to measure
#[derive(Args, Clone, Debug)]
pub struct InitArgs {
    /// Modality and its encoder: family (`clip-vit`, `ast`, `bert`, `vit`) and either the folder with
    /// Hugging Face's `model.safetensors` and `config.json`, or the safetensors file
    #[arg(long = "encoder", value_name = "MODALITY=FAMILY:PATH", required = true)]
    encoders: Vec<EncoderArg>,
    /// Number of classes
    #[arg(long, value_name = "N")]
    classes: usize,
    /// Where the checkpoint goes; nothing may be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Whether encoders carry proxy tokens; without, what is missing counts as zeros
    #[arg(long, value_enum, default_value_t = Proxies::All)]
    proxies: Proxies,
    /// Whether samples have one class or any number of them
    #[arg(long, value_enum, default_value_t = TaskArg::Multiclass)]
    task: TaskArg,
    /// Pictures of a window, averaged after the encoder; 1 makes an image of a video [default: 3]
    #[arg(long, value_name = "MODALITY=N")]
    frames: Vec<FramesArg>,
    /// Tokens of a text
    #[arg(long, default_value_t = 40)]
    tokens: usize,
    /// Rank of the adapters
    #[arg(long, default_value_t = Lora::default().rank)]
    rank: usize,
    /// Scale of the adapters
    #[arg(long, default_value_t = Lora::default().alpha)]
    alpha: f64,
    /// Seed of what is not pretrained
    #[arg(long, default_value_t = 1)]
    seed: i64,
}

/// `video=clip-vit:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct EncoderArg {
    modality: String,
    family: Family,
    path: PathBuf,
}

/// `video=3`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FramesArg {
    modality: String,
    frames: usize,
}

/// Whether encoders carry proxy tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Proxies {
    /// One for each other modality.
    All,
    /// No proxies.
    None,
}

/// What the logits mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TaskArg {
    /// One class: softmax.
    Multiclass,
    /// Any number of classes: sigmoids.
    Multilabel,
}

impl FromStr for EncoderArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}`, expected such as `video=clip-vit:PATH`");
        let (modality, encoder) = text.split_once('=').ok_or_else(expected)?;
        let (family, path) = encoder.split_once(':').ok_or_else(expected)?;
        // Modalities become part of topics, tensor names and file names.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if modality.is_empty() || !modality.chars().all(plain) {
            return Err(format!("modality `{modality}`, expected [A-Za-z0-9_-]+"));
        }
        let family = Family::from_str(family, false).map_err(|_| {
            let families = Family::value_variants().iter().map(Family::to_string);
            format!("family `{family}`, expected one of {}", families.collect::<Vec<_>>().join(", "))
        })?;
        Ok(Self { modality: modality.to_owned(), family, path: path.into() })
    }
}

impl FromStr for FramesArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (modality, frames) = text.split_once('=').ok_or("no `=`, expected such as `video=3`")?;
        match frames.parse() {
            Ok(frames) if frames > 0 => Ok(Self { modality: modality.to_owned(), frames }),
            _ => Err(format!("`{frames}` pictures, expected a whole number of at least 1")),
        }
    }
}

impl InitArgs {
    /// How many parts a window of this modality has.
    fn frames(&self, encoder: &EncoderArg) -> Result<usize, UsageError> {
        let given = self.frames.iter().find(|given| given.modality == encoder.modality);
        match (encoder.family, given) {
            (Family::ClipVit | Family::Vit, given) => Ok(given.map_or(FRAMES, |given| given.frames)),
            (Family::Ast | Family::Bert, None) => Ok(1),
            (family, Some(_)) => {
                let reason = format!("modality {} has a {family} and no pictures", encoder.modality);
                Err(UsageError::new("--frames", reason))
            }
        }
    }

    fn spec(&self, encoders: &[Pretrained]) -> Result<ModelSpec, UsageError> {
        let has = |name: &String| self.encoders.iter().any(|encoder| encoder.modality == *name);
        if let Some(unknown) = self.frames.iter().find(|given| !has(&given.modality)) {
            return Err(UsageError::new("--frames", format!("no modality `{}`", unknown.modality)));
        }
        let modality = |(argument, encoder): (&EncoderArg, &Pretrained)| {
            let frames = self.frames(argument)?;
            let info = ModalityInfo {
                name: argument.modality.clone(),
                kind: argument.family.kind(frames),
                front_end: encoder.front_end.clone(),
                frames,
            };
            Ok(ModalitySpec { info, encoder: encoder.spec.clone() })
        };
        Ok(ModelSpec {
            task: match self.task {
                TaskArg::Multiclass => Task::Multiclass,
                TaskArg::Multilabel => Task::Multilabel,
            },
            labels: (0..self.classes).map(|class| class.to_string()).collect(),
            modalities: self.encoders.iter().zip(encoders).map(modality).collect::<Result<_, _>>()?,
            // The widest, so that no encoder's token loses a dimension.
            width: encoders.iter().map(|encoder| encoder.spec.width).max().unwrap_or_default(),
            tune: Tune::Lora(Lora { rank: self.rank, alpha: self.alpha, ..Lora::default() }),
            missing: match self.proxies {
                Proxies::All => Missing::Proxies,
                Proxies::None => Missing::Zeros,
            },
        })
    }
}

/// Runs the command.
pub fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    if args.out.exists() {
        let reason = format!("{} exists, expected a new folder", args.out.display());
        return Err(UsageError::new("--out", reason).into());
    }
    tch::manual_seed(args.seed);
    let open = |encoder: &EncoderArg| Pretrained::open(encoder.family, &encoder.path, args.tokens);
    let encoders: Vec<Pretrained> = args.encoders.iter().map(open).collect::<Result<_, _>>()?;
    let spec = args.spec(&encoders)?;
    spec.validate().map_err(|error| UsageError::new("--encoder, --classes, --rank", error.to_string()))?;
    let model = Model::new(&spec, Device::Cpu);
    for (index, encoder) in encoders.iter().enumerate() {
        encoder.load(&model.encoder_weights(index)).context("initialise the model")?;
    }
    checkpoint::save_untrained(&args.out, &model)?;
    Ok(ExitCode::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoders_are_named_by_modality_family_and_path() {
        let found: EncoderArg = "video=clip-vit:a/b:c".parse().unwrap();
        let (modality, path) = ("video".to_owned(), "a/b:c".into());
        assert_eq!(found, EncoderArg { modality, family: Family::ClipVit, path });
        for (text, error) in [
            ("video", "`video`, expected such as `video=clip-vit:PATH`"),
            ("video=ast", "`video=ast`, expected such as `video=clip-vit:PATH`"),
            ("vi/deo=ast:x", "modality `vi/deo`, expected [A-Za-z0-9_-]+"),
            ("video=cnn:x", "family `cnn`, expected one of clip-vit, ast, bert, vit"),
        ] {
            assert_eq!(text.parse::<EncoderArg>().unwrap_err(), error);
        }
    }
}
