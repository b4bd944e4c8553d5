//! A multimodal model, described by data. Knows nothing of tensors.
//!
//! # Parameter names
//! Those of modality `m` are `{m}.{name}` with the names of [`crate::encoder::spec`], then
//! ```text
//! head.weight  [classes, fusion width]
//! head.bias    [classes]
//! ```

use cmpt_bundle::manifest::Task;
use serde::{Deserialize, Serialize};

use crate::data::batch::ModalityInfo;
use crate::encoder::spec::{EncoderSpec, Init, Parameter, SpecError};

/// `model.json` of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// What the logits mean.
    pub task: Task,
    /// Class names, in the order of the logits.
    pub labels: Vec<String>,
    /// Modalities; their order is the order of ids everywhere.
    pub modalities: Vec<ModalitySpec>,
    /// Width of the fused token.
    pub width: usize,
    /// How the encoders are adapted.
    pub tune: Tune,
    /// What stands for the class token of a missing modality.
    #[serde(default)]
    pub missing: Missing,
}

/// What stands for the class token of a missing modality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Proxy tokens, which the encoders of the others carry.
    #[default]
    Proxies,
    /// Zeros; the encoders are as they were pretrained.
    Zeros,
}

/// One modality: its input and its encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModalitySpec {
    /// Name, kind, front end.
    pub info: ModalityInfo,
    /// The encoder.
    pub encoder: EncoderSpec,
}

/// How the encoders are adapted. Proxies, width projections and the head always learn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Tune {
    /// Encoders stay as pretrained, beside low-rank factors on the attention's linear layers.
    Lora(Lora),
    /// Encoders learn whole, and there are no factors.
    Full,
}

/// Low-rank adapters: `y = W x + b + alpha / rank * B A dropout(x)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// Rank of the factors.
    pub rank: usize,
    /// Scale, divided by the rank.
    pub alpha: f64,
    /// Dropout on the input of the factors, in training.
    pub p_dropout: f64,
}

impl Default for Lora {
    /// The paper's: rank 1, alpha 1, dropout 0.1.
    fn default() -> Self {
        Self { rank: 1, alpha: 1.0, p_dropout: 0.1 }
    }
}

/// A description that is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelSpecError {
    /// An encoder's description is wrong.
    #[error("encoder of modality {modality}")]
    Encoder {
        /// The modality.
        modality: String,
        /// What is wrong.
        source: SpecError,
    },
    /// There is nothing to see or nothing to say.
    #[error("no {missing} in the model, expected at least one")]
    Empty {
        /// `modality` or `label`.
        missing: &'static str,
    },
    /// Two modalities of one name.
    #[error("two modalities named {name}")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// LoRA of rank 0.
    #[error("LoRA rank is 0, expected at least 1")]
    Rank,
}

impl ModelSpec {
    /// Checks that the parts make a model.
    pub fn validate(&self) -> Result<(), ModelSpecError> {
        if self.modalities.is_empty() {
            return Err(ModelSpecError::Empty { missing: "modality" });
        }
        if self.labels.is_empty() {
            return Err(ModelSpecError::Empty { missing: "label" });
        }
        for (index, modality) in self.modalities.iter().enumerate() {
            let name = &modality.info.name;
            if self.modalities[..index].iter().any(|earlier| &earlier.info.name == name) {
                return Err(ModelSpecError::Duplicate { name: name.clone() });
            }
            let wrong = |source| ModelSpecError::Encoder { modality: name.clone(), source };
            modality.encoder.validate().map_err(wrong)?;
        }
        match self.tune {
            Tune::Lora(Lora { rank: 0, .. }) => Err(ModelSpecError::Rank),
            _ => Ok(()),
        }
    }

    /// Names of the modalities that encoder `index` has a proxy for: all others, in order, if any.
    pub fn proxies(&self, index: usize) -> Vec<&str> {
        if self.missing == Missing::Zeros {
            return Vec::new();
        }
        let others = self.modalities.iter().enumerate().filter(|(other, _)| *other != index);
        others.map(|(_, modality)| modality.info.name.as_str()).collect()
    }

    /// Every parameter under its name in a checkpoint.
    pub fn parameters(&self) -> Vec<ModelParameter> {
        let mut all = Vec::new();
        for (index, modality) in self.modalities.iter().enumerate() {
            let name = &modality.info.name;
            let width = modality.encoder.width;
            let mut add = |role, parameter: Parameter| {
                let parameter =
                    Parameter::new(format!("{name}.{}", parameter.name), parameter.shape, parameter.init);
                all.push(ModelParameter { role, parameter });
            };
            modality.encoder.parameters().into_iter().for_each(|parameter| add(Role::Encoder, parameter));
            if let Tune::Lora(lora) = self.tune {
                let factors = modality.encoder.lora_parameters(lora.rank);
                factors.into_iter().for_each(|parameter| add(Role::Lora, parameter));
            }
            for other in self.proxies(index) {
                add(Role::Proxy, Parameter::new(format!("proxy.{other}"), [width], Init::Normal));
            }
            if width != self.width {
                add(Role::Projection, Parameter::new("projection.weight", [self.width, width], Init::FanIn));
            }
        }
        let head = |parameter| ModelParameter { role: Role::Head, parameter };
        all.push(head(Parameter::new("head.weight", [self.labels.len(), self.width], Init::Normal)));
        all.push(head(Parameter::new("head.bias", [self.labels.len()], Init::Zeros)));
        all
    }

    /// Whether parameters of this role learn.
    pub fn learns(&self, role: Role) -> bool {
        role != Role::Encoder || self.tune == Tune::Full
    }
}

/// A parameter and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelParameter {
    /// What it is for.
    pub role: Role,
    /// Name in the checkpoint, and shape.
    pub parameter: Parameter,
}

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Pretrained weight of an encoder.
    Encoder,
    /// Low-rank factor.
    Lora,
    /// Cross-modal proxy token.
    Proxy,
    /// From an encoder's width to the fusion width.
    Projection,
    /// Classifier.
    Head,
}
