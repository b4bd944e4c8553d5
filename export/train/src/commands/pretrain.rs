//! `pretrain`: one encoder with a linear head, on a task of its own.

use std::str::FromStr;

use anyhow::Context;
use clap::{Args, ValueEnum};
use cmpt_bundle::manifest::FrontEnd;
use tch::Device;

use super::UsageError;
use super::run_args::RunArgs;
use crate::data::batch::ModalityInfo;
use crate::data::open::{Opening, open};
use crate::encoder::spec::{EncoderSpec, Size};
use crate::exit_code::ExitCode;
use crate::method::spec::{Missing, ModalitySpec, ModelSpec, Tune};
use crate::training::checkpoint;
use crate::training::job::{BEST, Origin};

/// Train an encoder on a single-modality task; `fit` starts from it
#[derive(Args, Clone, Debug)]
pub struct PretrainArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Modality of the data to learn from
    #[arg(long)]
    modality: String,
    #[command(flatten)]
    architecture: ArchitectureArgs,
}

/// Family and sizes of an encoder; its input follows from the data.
#[derive(Args, Clone, Debug)]
pub struct ArchitectureArgs {
    /// Family [default: ast for sound, vit for pictures]
    #[arg(long, value_enum)]
    family: Option<Family>,
    /// Width of a token
    #[arg(long, default_value_t = 192)]
    width: usize,
    /// Number of blocks
    #[arg(long, default_value_t = 4)]
    depth: usize,
    /// Attention heads
    #[arg(long, default_value_t = 3)]
    heads: usize,
    /// Width of a block's hidden layer [default: 4 x width]
    #[arg(long)]
    mlp: Option<usize>,
    /// Edge of a patch, or rows x columns such as `64x8` [default: 16 for sound, 4 for pictures]
    #[arg(long)]
    patch: Option<Extent>,
    /// Distance of two patches of a spectrogram, or rows x columns such as `64x4`
    #[arg(long, default_value = "10")]
    stride: Extent,
}

/// Rows and columns, written `64x8`, or `16` where they are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent([usize; 2]);

impl FromStr for Extent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rows, columns) = text.split_once('x').unwrap_or((text, text));
        let parse =
            |size: &str| size.parse().map_err(|_| format!("`{text}`, expected such as `16` or `64x8`"));
        Ok(Self([parse(rows)?, parse(columns)?]))
    }
}

/// Family of encoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// Pictures in patches that do not overlap.
    Vit,
    /// Spectrograms in patches that may.
    Ast,
}

impl ArchitectureArgs {
    /// An encoder of this architecture for the features of `modality`.
    pub fn encoder(&self, modality: &ModalityInfo) -> Result<EncoderSpec, UsageError> {
        let size = Size {
            width: self.width,
            depth: self.depth,
            heads: self.heads,
            mlp: self.mlp.unwrap_or(4 * self.width),
        };
        let patch = |default| self.patch.unwrap_or(Extent([default; 2])).0;
        let spec = match (&modality.front_end, self.family) {
            (FrontEnd::LogMel(mel), None | Some(Family::Ast)) => {
                let spec = EncoderSpec::ast(size, mel.steps, mel.n_mels, 1, 1);
                spec.with_patches(patch(16), self.stride.0)
            }
            (FrontEnd::Picture(picture), None | Some(Family::Vit)) => {
                let spec = EncoderSpec::vit(size, picture.mean.len(), picture.edge, 1);
                spec.with_patches(patch(4), patch(4))
            }
            (FrontEnd::WordPiece(_), None) => {
                let reason = format!("modality {} is text, expected sound or pictures", modality.name);
                return Err(UsageError::new("--modality", reason));
            }
            (_, Some(family)) => {
                let reason = format!("{family:?} does not take the features of modality {}", modality.name);
                return Err(UsageError::new("--family", reason));
            }
        };
        let wrong = |error| UsageError::new("--width, --heads, --patch", format!("{error}"));
        spec.validate().map_err(wrong)?;
        Ok(spec)
    }
}

/// Runs the command.
pub fn run(args: &PretrainArgs) -> anyhow::Result<ExitCode> {
    let opening = Opening { modalities: vec![args.modality.clone()], fixed_pairs: None };
    let dataset = open(&args.run.data, &opening)?;
    let info = dataset.modalities()[0].clone();
    let encoder = args.architecture.encoder(&info)?;
    let spec = ModelSpec {
        task: dataset.task(),
        labels: dataset.labels().to_vec(),
        width: encoder.width,
        modalities: vec![ModalitySpec { info, encoder }],
        tune: Tune::Full,
        missing: Missing::Proxies,
    };
    spec.validate().context("describe the model")?;
    let settings = args.run.settings(&[&args.modality], None, None)?;
    let code = args.run.train(&*dataset, &spec, &Origin::Encoders(Vec::new()), &settings)?;
    let best = args.run.out.join(BEST);
    if best.exists() {
        let model = checkpoint::open_model(&best, Device::Cpu)?;
        checkpoint::save_encoder(&args.run.out.join("encoder"), &model, 0)?;
    }
    Ok(code)
}
