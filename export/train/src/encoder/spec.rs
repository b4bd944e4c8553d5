//! One transformer encoder, described by data. Knows nothing of tensors: the network, the exporter and
//! the parameter count all walk this description.
//!
//! # Parameter names
//! Those of the Hugging Face ViT and AST, in safetensors, whatever the family; [`super::family`] knows what
//! other families call them. Linear layers compute `x Wᵀ + b` with `weight` `[out, in]`; layer norms have
//! `weight` and `bias` `[width]`.
//! ```text
//! of patches
//! embeddings.cls_token                           [1, 1, width]
//! embeddings.distillation_token                  [1, 1, width]        with two class tokens
//! embeddings.position_embeddings                 [1, class tokens + patches, width]
//! embeddings.patch_embeddings.projection.weight  [width, channels, patch height, patch width]
//! embeddings.patch_embeddings.projection.bias    [width]              with `bias`
//! of words
//! embeddings.word_embeddings.weight              [vocabulary, width]
//! embeddings.position_embeddings.weight          [positions, width]
//! embeddings.token_type_embeddings.weight        [types, width]
//! of both
//! embeddings.norm.*                                                   with `embedding_norm`
//! encoder.layer.{i}.layernorm_before.*                                with `Norm::After`: after attention
//! encoder.layer.{i}.attention.attention.{query,key,value}.*           weight [width, width]
//! encoder.layer.{i}.attention.output.dense.*                          weight [width, width]
//! encoder.layer.{i}.layernorm_after.*                                 with `Norm::After`: after the layers below
//! encoder.layer.{i}.intermediate.dense.*                              weight [mlp, width]
//! encoder.layer.{i}.output.dense.*                                    weight [width, mlp]
//! layernorm.*                                                         with `Norm::Before`
//! pooler.dense.*                                 weight [width, width] with `pooler`
//! ```
//! The cross-modal method adds, see [`crate::method::spec`]:
//! ```text
//! encoder.layer.{i}.attention.….lora_a           [rank, in]           beside each adapted `weight`
//! encoder.layer.{i}.attention.….lora_b           [out, rank]          W' = W + alpha / rank * B A
//! proxy.{other modality}                         [width]
//! projection.weight                              [fusion width, width] only where the widths differ
//! ```
//!
//! # Forward pass
//! Tokens are `[proxies in the order of the modalities, class tokens, patches or words]`. Positions are added
//! to class tokens, patches and words, never to proxies. Then `embedding_norm`, the blocks, and after
//! pre-norm blocks the final layer norm on every token that is read: each proxy, and the mean of the class
//! tokens. Post-norm blocks end with a norm of their own.

use serde::{Deserialize, Serialize};

pub use super::embedding::{Embedding, Layout, PatchEmbedding, WordEmbedding};
pub use super::parameter::{Init, Parameter};

/// Linear layers of a block's attention, which are those LoRA adapts.
pub const ATTENTION_LINEARS: [&str; 4] = [
    "attention.attention.query",
    "attention.attention.key",
    "attention.attention.value",
    "attention.output.dense",
];

/// A transformer with one or two class tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    /// What turns input into tokens.
    pub embedding: Embedding,
    /// Class tokens: 1, or 2 where there is a distillation token as well; the read-out is their mean.
    pub class_tokens: usize,
    /// Whether a layer norm follows the embedding (CLIP's pre-layer-norm, BERT's).
    pub embedding_norm: bool,
    /// Width of a token.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads; `width` is a multiple of it.
    pub heads: usize,
    /// Width of a block's hidden layer.
    pub mlp: usize,
    /// Activation of that layer.
    pub activation: Activation,
    /// Epsilon of every layer norm.
    pub layer_norm_eps: f64,
    /// Where the layer norms of a block stand.
    #[serde(default)]
    pub norm: Norm,
    /// Whether the weights have a layer (BERT's pooler) that follows the class token. It is kept and counted,
    /// and not read: tokens are read as they leave the last block.
    #[serde(default)]
    pub pooler: bool,
}

/// Where the layer norms of a block stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Before attention and before the hidden layer (pre-norm): `x + f(norm(x))`, and once more at the end.
    #[default]
    Before,
    /// After the sum (post-norm): `norm(x + f(x))`.
    After,
}

/// Activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x Φ(x)`, exact.
    Gelu,
    /// `x sigmoid(1.702 x)`.
    QuickGelu,
}

/// A description that is no encoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A size that must be positive is zero.
    #[error("{field} is 0, expected at least 1")]
    Zero {
        /// The size.
        field: &'static str,
    },
    /// Heads do not divide the width.
    #[error("width {width} is not a multiple of {heads} heads")]
    Heads {
        /// Width of a token.
        width: usize,
        /// Number of heads.
        heads: usize,
    },
    /// Neither one nor two class tokens, or two of words.
    #[error("{found} class tokens, expected 1, or 2 of patches")]
    ClassTokens {
        /// Number of class tokens.
        found: usize,
    },
    /// The patch is larger than the image.
    #[error("patch of {patch:?} does not fit an input of {input:?} (rows, columns)")]
    Patch {
        /// Rows and columns of the patch.
        patch: [usize; 2],
        /// Rows and columns of the image.
        input: [usize; 2],
    },
    /// A number that another one bounds.
    #[error("{field} is {found}, expected at most {limit}")]
    TooLarge {
        /// The number.
        field: &'static str,
        /// Its value.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// A spectrogram with several channels.
    #[error("spectrogram with {channels} channels, expected 1")]
    Channels {
        /// Number of channels.
        channels: usize,
    },
}

impl SpecError {
    pub(super) fn positive(sizes: &[(&'static str, usize)]) -> Result<(), Self> {
        match sizes.iter().find(|(_, size)| *size == 0) {
            Some((field, _)) => Err(Self::Zero { field }),
            None => Ok(()),
        }
    }

    pub(super) fn at_most(field: &'static str, found: usize, limit: usize) -> Result<(), Self> {
        if found <= limit { Ok(()) } else { Err(Self::TooLarge { field, found, limit }) }
    }
}

impl EncoderSpec {
    /// A ViT on pictures of `channels` x `edge` x `edge` in square patches.
    pub fn vit(size: Size, channels: usize, edge: usize, patch: usize) -> Self {
        let embedding = PatchEmbedding {
            layout: Layout::Picture,
            channels,
            height: edge,
            width: edge,
            patch: [patch, patch],
            stride: [patch, patch],
            bias: true,
        };
        Self::with(size, Embedding::Patches(embedding), 1)
    }

    /// The same as CLIP has it: a layer norm before the blocks, no bias of the patches, quick GELU.
    pub fn clip_vit(size: Size, edge: usize, patch: usize) -> Self {
        let mut spec = Self::vit(size, 3, edge, patch);
        if let Embedding::Patches(patches) = &mut spec.embedding {
            patches.bias = false;
        }
        Self { embedding_norm: true, activation: Activation::QuickGelu, layer_norm_eps: 1e-5, ..spec }
    }

    /// A BERT: words, post-norm blocks.
    pub fn bert(size: Size, words: WordEmbedding) -> Self {
        let spec = Self::with(size, Embedding::Words(words), 1);
        Self { embedding_norm: true, norm: Norm::After, pooler: true, ..spec }
    }

    /// An audio spectrogram transformer on `steps` x `mels` in square, possibly overlapping patches.
    pub fn ast(size: Size, steps: usize, mels: usize, patch: usize, stride: usize) -> Self {
        let embedding = PatchEmbedding {
            layout: Layout::Spectrogram,
            channels: 1,
            height: mels,
            width: steps,
            patch: [patch, patch],
            stride: [stride, stride],
            bias: true,
        };
        Self::with(size, Embedding::Patches(embedding), 2)
    }

    /// The same with other patches, which need not be square: rows (mel bins of a spectrogram) and columns
    /// (its steps). Patches as high as a spectrogram learn from far less data than square ones.
    pub fn with_patches(mut self, patch: [usize; 2], stride: [usize; 2]) -> Self {
        if let Embedding::Patches(patches) = &mut self.embedding {
            (patches.patch, patches.stride) = (patch, stride);
        }
        self
    }

    fn with(size: Size, embedding: Embedding, class_tokens: usize) -> Self {
        Self {
            embedding,
            class_tokens,
            embedding_norm: false,
            width: size.width,
            depth: size.depth,
            heads: size.heads,
            mlp: size.mlp,
            activation: Activation::Gelu,
            layer_norm_eps: 1e-12,
            norm: Norm::Before,
            pooler: false,
        }
    }

    /// Checks that the sizes make an encoder.
    pub fn validate(&self) -> Result<(), SpecError> {
        let sizes = [("width", self.width), ("depth", self.depth), ("heads", self.heads), ("mlp", self.mlp)];
        SpecError::positive(&sizes)?;
        if !self.width.is_multiple_of(self.heads) {
            return Err(SpecError::Heads { width: self.width, heads: self.heads });
        }
        if !(1..=2).contains(&self.class_tokens) {
            return Err(SpecError::ClassTokens { found: self.class_tokens });
        }
        self.embedding.validate(self.class_tokens)
    }

    /// Shape of one sample's `features`, without the batch dimension.
    pub fn input_shape(&self) -> Vec<usize> {
        self.embedding.input_shape()
    }

    /// Tokens that have a position: class tokens and patches, or words. Proxies come on top.
    pub fn positions(&self) -> usize {
        self.embedding.positions(self.class_tokens)
    }

    /// Every parameter of the encoder itself, in the order of the forward pass.
    pub fn parameters(&self) -> Vec<Parameter> {
        let width = self.width;
        let mut all = self.embedding.parameters(self.class_tokens, width);
        if self.embedding_norm {
            all.extend(norm("embeddings.norm", width));
        }
        for layer in 0..self.depth {
            let prefix = layer_prefix(layer);
            all.extend(norm(&format!("{prefix}.layernorm_before"), width));
            for name in ATTENTION_LINEARS {
                all.extend(linear(&format!("{prefix}.{name}"), width, width));
            }
            all.extend(norm(&format!("{prefix}.layernorm_after"), width));
            all.extend(linear(&format!("{prefix}.intermediate.dense"), width, self.mlp));
            all.extend(linear(&format!("{prefix}.output.dense"), self.mlp, width));
        }
        if self.norm == Norm::Before {
            all.extend(norm("layernorm", width));
        }
        if self.pooler {
            all.extend(linear("pooler.dense", width, width));
        }
        all
    }

    /// LoRA factors of every adapted linear layer.
    pub fn lora_parameters(&self, rank: usize) -> Vec<Parameter> {
        let mut all = Vec::new();
        for layer in 0..self.depth {
            for name in ATTENTION_LINEARS {
                let linear = format!("{}.{name}", layer_prefix(layer));
                all.push(Parameter::new(format!("{linear}.lora_a"), [rank, self.width], Init::FanIn));
                all.push(Parameter::new(format!("{linear}.lora_b"), [self.width, rank], Init::Zeros));
            }
        }
        all
    }
}

/// Width, depth, heads and hidden width of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width of a token.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of a block's hidden layer.
    pub mlp: usize,
}

impl Size {
    /// Base size of ViT, AST, CLIP's vision tower and BERT.
    pub const BASE: Self = Self { width: 768, depth: 12, heads: 12, mlp: 3072 };
}

/// Prefix of the names of block `index`.
pub fn layer_prefix(index: usize) -> String {
    format!("encoder.layer.{index}")
}

fn norm(prefix: &str, width: usize) -> [Parameter; 2] {
    [
        Parameter::new(format!("{prefix}.weight"), [width], Init::Ones),
        Parameter::new(format!("{prefix}.bias"), [width], Init::Zeros),
    ]
}

fn linear(prefix: &str, input: usize, output: usize) -> [Parameter; 2] {
    [
        Parameter::new(format!("{prefix}.weight"), [output, input], Init::Glorot),
        Parameter::new(format!("{prefix}.bias"), [output], Init::Zeros),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(parameters: &[Parameter]) -> usize {
        parameters.iter().map(Parameter::count).sum()
    }

    #[test]
    fn ast_base_has_the_published_number_of_parameters() {
        let spec = EncoderSpec::ast(Size::BASE, 1024, 128, 16, 10);
        assert_eq!(spec.positions(), 1214);
        assert_eq!(count(&spec.parameters()), 86_187_264);
        assert_eq!(count(&spec.lora_parameters(1)), 73_728);
    }

    #[test]
    fn clip_base_vision_tower_has_the_published_number_of_parameters() {
        let spec = EncoderSpec::clip_vit(Size::BASE, 224, 16);
        assert_eq!(count(&spec.parameters()), 85_799_424);
    }

    fn bert(words: WordEmbedding) -> EncoderSpec {
        EncoderSpec::bert(Size::BASE, words)
    }

    const WORDS: WordEmbedding =
        WordEmbedding { vocabulary: 30_522, positions: 512, types: 2, tokens: 40, padding: 0 };

    #[test]
    fn bert_base_has_the_published_number_of_parameters() {
        assert_eq!(count(&bert(WORDS).parameters()), 109_482_240);
        assert_eq!(bert(WORDS).positions(), 40);
    }

    #[test]
    fn impossible_words_are_refused() {
        assert_eq!(bert(WORDS).validate(), Ok(()));
        assert_eq!(
            bert(WordEmbedding { tokens: 513, ..WORDS }).validate(),
            Err(SpecError::TooLarge { field: "tokens", found: 513, limit: 512 })
        );
        assert_eq!(
            bert(WordEmbedding { padding: 30_522, ..WORDS }).validate(),
            Err(SpecError::TooLarge { field: "padding + 1", found: 30_523, limit: 30_522 })
        );
        let two = EncoderSpec { class_tokens: 2, ..bert(WORDS) };
        assert_eq!(two.validate(), Err(SpecError::ClassTokens { found: 2 }));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let good = EncoderSpec::vit(Size { width: 32, depth: 1, heads: 2, mlp: 64 }, 1, 28, 4);
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(
            EncoderSpec { heads: 3, ..good.clone() }.validate(),
            Err(SpecError::Heads { width: 32, heads: 3 })
        );
        assert_eq!(
            EncoderSpec { depth: 0, ..good.clone() }.validate(),
            Err(SpecError::Zero { field: "depth" })
        );
        assert_eq!(
            EncoderSpec { class_tokens: 3, ..good.clone() }.validate(),
            Err(SpecError::ClassTokens { found: 3 })
        );
        let small = EncoderSpec::vit(Size::BASE, 1, 8, 16);
        assert_eq!(small.validate(), Err(SpecError::Patch { patch: [16, 16], input: [8, 8] }));
    }
}
