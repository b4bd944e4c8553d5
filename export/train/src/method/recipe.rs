//! The paper's experiments: models, and how they are trained.

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

/// What an experiment is trained with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constants {
    /// Passes over the training split.
    pub epochs: usize,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Learning rate after the warm-up.
    pub learning_rate: f64,
    /// Epochs of warm-up, at a tenth of the rate.
    pub warmup_epochs: f64,
    /// Power of the polynomial decay.
    pub decay_power: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Lambda of equation 7.
    pub alignment_weight: f64,
    /// Adapters.
    pub lora: Lora,
}

impl Recipe {
    /// What it is trained with: table 5 of the paper.
    pub fn constants(self) -> Constants {
        let (learning_rate, epochs, batch_size) = match self {
            Self::CremaD | Self::KineticsSounds | Self::Ave => (5e-5, 100, 4),
            Self::UpmcFood101 | Self::MmImdb => (1e-3, 10, 8),
        };
        Constants {
            epochs,
            batch_size,
            learning_rate,
            warmup_epochs: 5.0,
            decay_power: 0.9,
            weight_decay: 0.02,
            alignment_weight: 0.20,
            lora: Lora { rank: 1, alpha: 1.0, p_dropout: 0.1 },
        }
    }

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
            tune: Tune::Lora(self.constants().lora),
            missing: Missing::Proxies,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::ablation::Method;

    #[test]
    fn constants_are_those_of_table_5() {
        let image_text = Constants {
            epochs: 10,
            batch_size: 8,
            learning_rate: 0.001,
            warmup_epochs: 5.0,
            decay_power: 0.9,
            weight_decay: 0.02,
            alignment_weight: 0.2,
            lora: Lora { rank: 1, alpha: 1.0, p_dropout: 0.1 },
        };
        let audio_video = Constants { epochs: 100, batch_size: 4, learning_rate: 0.000_05, ..image_text };
        for recipe in [Recipe::UpmcFood101, Recipe::MmImdb] {
            assert_eq!(recipe.constants(), image_text);
        }
        for recipe in [Recipe::CremaD, Recipe::KineticsSounds, Recipe::Ave] {
            assert_eq!(recipe.constants(), audio_video);
        }
        // What `fit` does without a recipe agrees where the table has one value for all.
        assert_eq!(Method::Cmpt.alignment_weight(), image_text.alignment_weight);
        assert_eq!(Lora::default(), image_text.lora);
    }

    #[test]
    fn encoders_see_what_table_5_says() {
        for recipe in Recipe::value_variants() {
            for modality in recipe.model().unwrap().modalities {
                let (shape, frames) = (modality.encoder.input_shape(), modality.info.frames);
                match modality.info.name.as_str() {
                    "audio" => assert_eq!((shape, frames), (vec![1024, 128], 1)),
                    "video" => assert_eq!((shape, frames), (vec![3, 224, 224], 3)),
                    "image" => assert_eq!((shape, frames), (vec![3, 224, 224], 1)),
                    "text" => {
                        let tokens = if *recipe == Recipe::MmImdb { 256 } else { 40 };
                        assert_eq!((shape, frames), (vec![tokens], 1));
                    }
                    name => panic!("modality {name}"),
                }
            }
        }
    }
}
