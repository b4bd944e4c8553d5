//! How an experiment trains, by name. What it trains on and on which encoders, the command line says.

use clap::ValueEnum;
use serde::Serialize;

use crate::method::alignment::AlignmentTarget;
use crate::method::modality_dropout::Drawing;
use crate::method::precision::Precision;
use crate::method::recipe::{Constants, Recipe as PaperRecipe};
use crate::method::spec::{Lora, Tune};
use crate::training::schedule::Warmup;
use crate::training::settings::{Selection, Settings};

/// Settings of the paper's experiments and of those on the data of `prepare`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// The paper's, for sound and pictures: six emotions of actors.
    CremaD,
    /// The paper's, for sound and pictures: 31 things that people do.
    KineticsSounds,
    /// The paper's, for sound and pictures: 28 events.
    Ave,
    /// The paper's, for pictures and text: 101 dishes.
    UpmcFood101,
    /// The paper's, for pictures and text: 23 genres of films.
    MmImdb,
    /// Spoken and written digits of the released bundle.
    Avdigits,
    /// 1,500 pairs of a written and a spoken digit.
    Avmnist,
    /// Written digits partly hidden, spoken digits in noise.
    HardDigits,
    /// Two halves of one picture.
    Halves,
    /// Two bands of one spoken digit.
    Bands,
}

impl Recipe {
    /// Its settings; the contender decides about the method, the run about the seed.
    ///
    /// Source: table 5 of the paper for its data sets; `docs/results` for the others.
    pub fn settings(self) -> Settings {
        let of = |constants: Constants| Settings {
            seed: 0,
            epochs: constants.epochs,
            batch_size: constants.batch_size,
            accumulate: 1,
            precision: Precision::F32,
            patience: None,
            selection: Selection::Mean,
            learning_rate: constants.learning_rate,
            warmup_epochs: constants.warmup_epochs,
            warmup: Warmup::Constant,
            decay_power: constants.decay_power,
            weight_decay: constants.weight_decay,
            clip_norm: None,
            label_smoothing: 0.0,
            alignment_weight: constants.alignment_weight,
            alignment_target: AlignmentTarget::Moves,
            drawing: Drawing::Batch,
            pattern_rates: Vec::new(),
        };
        let small = Settings {
            learning_rate: 3e-3,
            batch_size: 32,
            warmup_epochs: 0.1,
            warmup: Warmup::Linear,
            clip_norm: Some(1.0),
            ..of(PaperRecipe::UpmcFood101.constants())
        };
        match self {
            Self::CremaD => of(PaperRecipe::CremaD.constants()),
            Self::KineticsSounds => of(PaperRecipe::KineticsSounds.constants()),
            Self::Ave => of(PaperRecipe::Ave.constants()),
            Self::UpmcFood101 => of(PaperRecipe::UpmcFood101.constants()),
            Self::MmImdb => of(PaperRecipe::MmImdb.constants()),
            Self::Avdigits => Settings {
                epochs: 3,
                learning_rate: 1e-3,
                label_smoothing: 0.05,
                drawing: Drawing::Every,
                ..small
            },
            Self::Avmnist => Settings { epochs: 5, learning_rate: 1e-3, ..small },
            Self::HardDigits => Settings { epochs: 1, batch_size: 64, learning_rate: 4e-3, ..small },
            Self::Halves => Settings { epochs: 1, ..small },
            Self::Bands => Settings { epochs: 2, ..small },
        }
    }

    /// How it adapts the encoders: as the paper does, but where they saw little before or nothing.
    pub fn tune(self) -> Tune {
        match self {
            Self::Avdigits | Self::Avmnist => Tune::Full,
            _ => Tune::Lora(Lora::default()),
        }
    }
}
