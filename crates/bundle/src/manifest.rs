//! `manifest.json`: everything about a model that is not a weight.

use std::collections::BTreeMap;

use cmpt_core::features::{MelSpec, PictureSpec};
use cmpt_core::modality::{Kind, ModalityId, ModalitySet};
use serde::{Deserialize, Serialize};

/// Version of the format this crate writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 1;

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub format_version: u32,
    /// Name of the model, `[A-Za-z0-9_-]+`.
    pub name: String,
    /// Version of the model.
    pub version: String,
    /// What the logits mean.
    pub task: Task,
    /// Class names, in the order of the logits.
    pub labels: Vec<String>,
    /// What one prediction looks at.
    pub window: Window,
    /// Modalities; their order is the order of ids everywhere.
    pub modalities: Vec<Modality>,
    /// File of the fusion graph: input `token` [batch, width], output `logits` [batch, classes].
    pub fusion: String,
    /// Width of the fused token.
    pub width: usize,
    /// Calibration and measured quality, one entry per availability pattern.
    pub patterns: Vec<Pattern>,
    /// Every other file of the bundle.
    pub files: Vec<FileEntry>,
    /// Golden inputs and outputs.
    pub golden: Golden,
    /// Where the model comes from.
    pub provenance: Provenance,
}

impl Manifest {
    /// The modality of this name.
    pub fn modality(&self, name: &str) -> Option<ModalityId> {
        self.modalities.iter().position(|m| m.name == name).map(ModalityId)
    }

    /// Calibration and quality of an availability pattern, if the bundle has them.
    pub fn pattern(&self, available: ModalitySet) -> Option<&Pattern> {
        self.patterns.iter().find(|pattern| self.available(pattern) == available)
    }

    /// The available set of a pattern.
    pub fn available(&self, pattern: &Pattern) -> ModalitySet {
        pattern.available.iter().filter_map(|name| self.modality(name)).collect()
    }
}

/// What the logits mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Exactly one class: softmax.
    Multiclass,
    /// Any number of classes: sigmoid.
    Multilabel,
}

/// What one prediction looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Length in milliseconds.
    pub length_ms: u64,
    /// Distance between two windows in milliseconds.
    pub hop_ms: u64,
}

/// One modality.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modality {
    /// Name, `[A-Za-z0-9_-]+`.
    pub name: String,
    /// Kind of signal.
    pub kind: Kind,
    /// What turns samples into `features`.
    pub front_end: FrontEnd,
    /// File of the encoder graph: input `features` [batch, ...], outputs `cls` [batch, width] and
    /// `proxy_<other>` [batch, width].
    pub encoder: String,
    /// Width of the encoder's inner tokens.
    pub width: usize,
    /// Modalities this encoder has a proxy for.
    pub proxies: Vec<String>,
    /// How many parts a window has, whose tokens are averaged: pictures of a video, 1 otherwise.
    pub frames: usize,
}

impl Modality {
    /// Shape of one part of model input, without the batch dimension: [steps, n_mels] of sound,
    /// [channels, edge, edge] of a picture, `[tokens]` of a text.
    pub fn part_shape(&self) -> Vec<usize> {
        match &self.front_end {
            FrontEnd::LogMel(spec) => vec![spec.steps, spec.n_mels],
            FrontEnd::Picture(spec) => vec![spec.mean.len(), spec.edge, spec.edge],
            FrontEnd::WordPiece(spec) => vec![spec.tokens],
        }
    }
}

/// A front end and its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FrontEnd {
    /// Log-mel energies.
    LogMel(MelSpec),
    /// Resized, cropped, normalised pictures.
    Picture(PictureSpec),
    /// Numbers of WordPiece tokens.
    WordPiece(WordPieceSpec),
}

/// Texts as BERT reads them: the numbers of `[CLS]`, of the text's tokens and of `[SEP]` as f32, cut at
/// `tokens` or padded to it. The vocabulary is no part of the bundle: no sensor of this format gives text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WordPieceSpec {
    /// Tokens of one text, padding included.
    pub tokens: usize,
    /// Number of the padding, which is never attended to.
    pub padding: usize,
}

/// Calibration and measured quality of one availability pattern.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Available modalities, in manifest order.
    pub available: Vec<String>,
    /// Softmax temperature.
    pub temperature: f32,
    /// The metric on validation data.
    pub metric: Metric,
    /// The metric per class, in the order of `labels`.
    pub per_class: Vec<f32>,
    /// Expected calibration error on the same data, after the temperature.
    pub calibration_error: Option<f32>,
}

impl Pattern {
    /// Name of the pattern in the golden file: its modalities joined by `+`.
    pub fn key(&self) -> String {
        self.available.join("+")
    }
}

/// A measured figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Such as `accuracy`.
    pub name: String,
    /// In [0, 1].
    pub value: f32,
    /// How many samples it was measured on.
    pub samples: usize,
}

/// A file of the bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path inside the bundle.
    pub path: String,
    /// SHA-256, lowercase hexadecimal.
    pub sha256: String,
    /// Size.
    pub bytes: u64,
}

/// Golden inputs and outputs. Tensors of the file: `<modality>.features`, `<modality>.cls`,
/// `<modality>.proxy_<other>`, and per pattern `<a+b>.token`, `<a+b>.logits`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// The safetensors file.
    pub file: String,
    /// Largest absolute difference that passes.
    pub tolerance: f32,
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Revision of the code that trained it.
    pub code: String,
    /// The data it was trained on, in words.
    pub data: String,
    /// Seed.
    pub seed: u64,
    /// When, RFC 3339.
    pub created: String,
    /// Further facts: method, rank, epochs, parameter counts.
    #[serde(default)]
    pub details: BTreeMap<String, serde_json::Value>,
}
