//! The paper's experiments, as models.

use clap::ValueEnum;
use cmpt_bundle::manifest::Task;

use super::spec::{Lora, Missing, ModalitySpec, ModelSpec, Tune};
use crate::data::batch::ModalityInfo;
use crate::encoder::config::ConfigError;
use crate::encoder::family::Family;

/// An experiment of the paper: a data set and the model for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Recipe {
    /// Six emotions of actors, seen and heard.
    CremaD,
    /// 31 things that people do, seen and heard.
    KineticsSounds,
    /// 28 events, seen and heard.
    Ave,
    /// 101 dishes: a picture and a recipe's text.
    UpmcFood101,
    /// 23 genres of films, any number each: a poster and the plot.
    MmImdb,
}

impl Recipe {
    /// The model: CLIP ViT-B/16 beside AST or BERT base, with adapters of rank 1.
    ///
    /// Errors: none but a mistake in this file.
    pub fn model(self) -> Result<ModelSpec, ConfigError> {
        use Family::{Ast, Bert, ClipVit};
        // Names, families, and parts in a window.
        let sight_and_sound = [("audio", Ast, 1), ("video", ClipVit, 3)];
        let sight_and_text = [("image", ClipVit, 1), ("text", Bert, 1)];
        let (classes, encoders, tokens) = match self {
            Self::CremaD => (6, sight_and_sound, 0),
            Self::KineticsSounds => (31, sight_and_sound, 0),
            Self::Ave => (28, sight_and_sound, 0),
            Self::UpmcFood101 => (101, sight_and_text, 40),
            Self::MmImdb => (23, sight_and_text, 256),
        };
        let modality = |(name, family, frames): (&str, Family, usize)| {
            let (encoder, front_end) = family.base(tokens)?;
            let info = ModalityInfo { name: name.into(), kind: family.kind(frames), front_end, frames };
            Ok(ModalitySpec { info, encoder })
        };
        let modalities: Vec<ModalitySpec> = encoders.into_iter().map(modality).collect::<Result<_, _>>()?;
        Ok(ModelSpec {
            task: if self == Self::MmImdb { Task::Multilabel } else { Task::Multiclass },
            labels: (0..classes).map(|class: usize| class.to_string()).collect(),
            width: modalities[0].encoder.width,
            modalities,
            tune: Tune::Lora(Lora::default()),
            missing: Missing::Proxies,
        })
    }
}
