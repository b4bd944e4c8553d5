//! What turns a modality's features into tokens, described by data.

use serde::{Deserialize, Serialize};

use super::parameter::{Init, Parameter};
use super::spec::SpecError;

/// Largest token id that every f32 up to it tells apart: the features of all modalities are f32.
const MAX_VOCABULARY: usize = 1 << 24;

/// What turns input into tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Embedding {
    /// A strided convolution over a picture or a spectrogram.
    Patches(PatchEmbedding),
    /// A table of words.
    Words(WordEmbedding),
}

/// A strided convolution whose outputs, row by row, are the patch tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchEmbedding {
    /// How `features` lie in memory.
    pub layout: Layout,
    /// Channels.
    pub channels: usize,
    /// Rows of the image that is convolved; mel bins of a spectrogram.
    pub height: usize,
    /// Columns of it; steps of a spectrogram.
    pub width: usize,
    /// Rows and columns of a patch.
    pub patch: [usize; 2],
    /// Rows and columns from one patch to the next.
    pub stride: [usize; 2],
    /// Whether the convolution has a bias.
    pub bias: bool,
}

/// How one sample's `features` lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[channels, height, width]`.
    Picture,
    /// `[width, height]`, that is `[steps, mels]`, one channel: transposed before the convolution.
    Spectrogram,
}

/// A table of words. Features are token ids, the class token `[CLS]` first; padding is never attended to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WordEmbedding {
    /// Words in the table.
    pub vocabulary: usize,
    /// Positions in the table.
    pub positions: usize,
    /// Segments in the table, of which the first is used.
    pub types: usize,
    /// Tokens of one sample, padding included; at most `positions`.
    pub tokens: usize,
    /// Id of the padding.
    pub padding: usize,
}

impl Embedding {
    /// Shape of one sample's `features`, without the batch dimension.
    pub fn input_shape(&self) -> Vec<usize> {
        match self {
            Self::Patches(patches) => match patches.layout {
                Layout::Picture => vec![patches.channels, patches.height, patches.width],
                Layout::Spectrogram => vec![patches.width, patches.height],
            },
            Self::Words(words) => vec![words.tokens],
        }
    }

    /// Tokens that have a position: class tokens, of which there are `class_tokens`, and the others.
    pub fn positions(&self, class_tokens: usize) -> usize {
        match self {
            Self::Patches(patches) => class_tokens + patches.grid().iter().product::<usize>(),
            Self::Words(words) => words.tokens,
        }
    }

    /// Its parameters, in the order of the forward pass.
    pub(super) fn parameters(&self, class_tokens: usize, width: usize) -> Vec<Parameter> {
        match self {
            Self::Patches(patches) => patches.parameters(class_tokens, width),
            Self::Words(words) => words.parameters(width),
        }
    }

    pub(super) fn validate(&self, class_tokens: usize) -> Result<(), SpecError> {
        match self {
            Self::Patches(patches) => patches.validate(),
            // The class token is a word.
            Self::Words(_) if class_tokens != 1 => Err(SpecError::ClassTokens { found: class_tokens }),
            Self::Words(words) => words.validate(),
        }
    }
}

impl PatchEmbedding {
    /// Rows and columns of patches; the token of patch (r, c) is number `r * columns + c`.
    pub fn grid(&self) -> [usize; 2] {
        [
            (self.height - self.patch[0]) / self.stride[0] + 1,
            (self.width - self.patch[1]) / self.stride[1] + 1,
        ]
    }

    fn parameters(&self, class_tokens: usize, width: usize) -> Vec<Parameter> {
        let mut all = vec![Parameter::new("embeddings.cls_token", [1, 1, width], Init::Normal)];
        if class_tokens == 2 {
            all.push(Parameter::new("embeddings.distillation_token", [1, 1, width], Init::Normal));
        }
        let [rows, columns] = self.grid();
        all.push(Parameter::new(
            "embeddings.position_embeddings",
            [1, class_tokens + rows * columns, width],
            Init::SineCosine { class_tokens, grid: [rows, columns] },
        ));
        let projection = "embeddings.patch_embeddings.projection";
        all.push(Parameter::new(
            format!("{projection}.weight"),
            [width, self.channels, self.patch[0], self.patch[1]],
            Init::Glorot,
        ));
        if self.bias {
            all.push(Parameter::new(format!("{projection}.bias"), [width], Init::Zeros));
        }
        all
    }

    fn validate(&self) -> Result<(), SpecError> {
        SpecError::positive(&[
            ("channels", self.channels),
            ("patch height", self.patch[0]),
            ("patch width", self.patch[1]),
            ("stride height", self.stride[0]),
            ("stride width", self.stride[1]),
        ])?;
        let input = [self.height, self.width];
        if self.patch[0] > input[0] || self.patch[1] > input[1] {
            return Err(SpecError::Patch { patch: self.patch, input });
        }
        if self.layout == Layout::Spectrogram && self.channels != 1 {
            return Err(SpecError::Channels { channels: self.channels });
        }
        Ok(())
    }
}

impl WordEmbedding {
    fn parameters(&self, width: usize) -> Vec<Parameter> {
        let tables = [("word", self.vocabulary), ("position", self.positions), ("token_type", self.types)];
        let table = |(name, rows)| {
            Parameter::new(format!("embeddings.{name}_embeddings.weight"), [rows, width], Init::Normal)
        };
        tables.map(table).into()
    }

    fn validate(&self) -> Result<(), SpecError> {
        SpecError::positive(&[("token types", self.types), ("tokens", self.tokens)])?;
        SpecError::at_most("tokens", self.tokens, self.positions)?;
        SpecError::at_most("vocabulary", self.vocabulary, MAX_VOCABULARY)?;
        SpecError::at_most("padding + 1", self.padding.saturating_add(1), self.vocabulary)
    }
}
