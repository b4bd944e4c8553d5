//! One transformer encoder, described by data. Knows nothing of tensors: the network, the exporter and
//! the parameter count all walk this description.
//!
//! # Parameter names
//! Those of the Hugging Face ViT and AST, in safetensors. Linear layers compute `x Wᵀ + b` with
//! `weight` `[out, in]`; layer norms have `weight` and `bias` `[width]`.
//! ```text
//! embeddings.cls_token                           [1, 1, width]
//! embeddings.distillation_token                  [1, 1, width]        with two class tokens
//! embeddings.position_embeddings                 [1, class tokens + patches, width]
//! embeddings.patch_embeddings.projection.weight  [width, channels, patch height, patch width]
//! embeddings.patch_embeddings.projection.bias    [width]              with `bias`
//! embeddings.norm.*                                                   with `embedding_norm`
//! encoder.layer.{i}.layernorm_before.*
//! encoder.layer.{i}.attention.attention.{query,key,value}.*           weight [width, width]
//! encoder.layer.{i}.attention.output.dense.*                          weight [width, width]
//! encoder.layer.{i}.layernorm_after.*
//! encoder.layer.{i}.intermediate.dense.*                              weight [mlp, width]
//! encoder.layer.{i}.output.dense.*                                    weight [width, mlp]
//! layernorm.*
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
//! Tokens are `[proxies in the order of the modalities, class tokens, patches]`. Positions are added
//! to class tokens and patches, never to proxies. Then `embedding_norm`, the pre-norm blocks, and
//! the final layer norm on every token that is read: each proxy, and the mean of the class tokens.

use serde::{Deserialize, Serialize};

/// Linear layers of a block's attention, which are those LoRA adapts.
pub const ATTENTION_LINEARS: [&str; 4] = [
    "attention.attention.query",
    "attention.attention.key",
    "attention.attention.value",
    "attention.output.dense",
];

/// A pre-norm transformer with one or more class tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    /// What turns input into tokens.
    pub embedding: Embedding,
    /// Class tokens: 1, or 2 where there is a distillation token as well; the read-out is their mean.
    pub class_tokens: usize,
    /// Whether a layer norm follows the embedding (CLIP's pre-layer-norm).
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
}

/// What turns input into tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Embedding {
    /// A strided convolution over a picture or a spectrogram.
    Patches(PatchEmbedding),
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
    /// Neither one nor two class tokens.
    #[error("{found} class tokens, expected 1 or 2")]
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
    /// A spectrogram with several channels.
    #[error("spectrogram with {channels} channels, expected 1")]
    Channels {
        /// Number of channels.
        channels: usize,
    },
}

/// Name and shape of one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name, relative to the encoder.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// What it holds before anything was learned.
    pub init: Init,
}

/// What a parameter holds before anything was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// 0.
    Zeros,
    /// 1.
    Ones,
    /// Normal with mean 0 and standard deviation 0.02, as in ViT.
    Normal,
    /// Uniform within the square root of 6 over inputs plus outputs (Glorot and Bengio). At widths of a
    /// few hundred ViT's 0.02 is so small that a short training never leaves its start.
    Glorot,
    /// Zeros for so many class tokens, then sines and cosines of row and column of each patch
    /// (Vaswani et al.; in two dimensions as in MAE).
    SineCosine {
        /// Class tokens.
        class_tokens: usize,
        /// Rows and columns of patches.
        grid: [usize; 2],
    },
    /// Uniform within one over the square root of the inputs, as LoRA's `A`.
    FanIn,
}

impl Parameter {
    pub(crate) fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>, init: Init) -> Self {
        Self { name: name.into(), shape: shape.into(), init }
    }

    /// How many numbers it holds.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
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
        Self::with(size, embedding, 1)
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
        Self::with(size, embedding, 2)
    }

    /// The same with other patches, which need not be square: rows (mel bins of a spectrogram) and columns
    /// (its steps). Patches as high as a spectrogram learn from far less data than square ones.
    pub fn with_patches(mut self, patch: [usize; 2], stride: [usize; 2]) -> Self {
        let Embedding::Patches(patches) = &mut self.embedding;
        (patches.patch, patches.stride) = (patch, stride);
        self
    }

    fn with(size: Size, embedding: PatchEmbedding, class_tokens: usize) -> Self {
        Self {
            embedding: Embedding::Patches(embedding),
            class_tokens,
            embedding_norm: false,
            width: size.width,
            depth: size.depth,
            heads: size.heads,
            mlp: size.mlp,
            activation: Activation::Gelu,
            layer_norm_eps: 1e-12,
        }
    }

    /// Checks that the sizes make an encoder.
    pub fn validate(&self) -> Result<(), SpecError> {
        let Embedding::Patches(patches) = &self.embedding;
        let sizes = [
            ("width", self.width),
            ("depth", self.depth),
            ("heads", self.heads),
            ("mlp", self.mlp),
            ("channels", patches.channels),
            ("patch height", patches.patch[0]),
            ("patch width", patches.patch[1]),
            ("stride height", patches.stride[0]),
            ("stride width", patches.stride[1]),
        ];
        if let Some((field, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(SpecError::Zero { field });
        }
        if !self.width.is_multiple_of(self.heads) {
            return Err(SpecError::Heads { width: self.width, heads: self.heads });
        }
        if !(1..=2).contains(&self.class_tokens) {
            return Err(SpecError::ClassTokens { found: self.class_tokens });
        }
        let input = [patches.height, patches.width];
        if patches.patch[0] > input[0] || patches.patch[1] > input[1] {
            return Err(SpecError::Patch { patch: patches.patch, input });
        }
        if patches.layout == Layout::Spectrogram && patches.channels != 1 {
            return Err(SpecError::Channels { channels: patches.channels });
        }
        Ok(())
    }

    /// Shape of one sample's `features`, without the batch dimension.
    pub fn input_shape(&self) -> Vec<usize> {
        let Embedding::Patches(patches) = &self.embedding;
        match patches.layout {
            Layout::Picture => vec![patches.channels, patches.height, patches.width],
            Layout::Spectrogram => vec![patches.width, patches.height],
        }
    }

    /// Tokens that have a position: class tokens and patches. Proxies come on top.
    pub fn positions(&self) -> usize {
        let Embedding::Patches(patches) = &self.embedding;
        let [rows, columns] = patches.grid();
        self.class_tokens + rows * columns
    }

    /// Every parameter of the encoder itself, in the order of the forward pass.
    pub fn parameters(&self) -> Vec<Parameter> {
        let Embedding::Patches(patches) = &self.embedding;
        let width = self.width;
        let mut all = vec![Parameter::new("embeddings.cls_token", [1, 1, width], Init::Normal)];
        if self.class_tokens == 2 {
            all.push(Parameter::new("embeddings.distillation_token", [1, 1, width], Init::Normal));
        }
        all.push(Parameter::new(
            "embeddings.position_embeddings",
            [1, self.positions(), width],
            Init::SineCosine { class_tokens: self.class_tokens, grid: patches.grid() },
        ));
        let [rows, columns] = patches.patch;
        let projection = "embeddings.patch_embeddings.projection";
        all.push(Parameter::new(
            format!("{projection}.weight"),
            [width, patches.channels, rows, columns],
            Init::Glorot,
        ));
        if patches.bias {
            all.push(Parameter::new(format!("{projection}.bias"), [width], Init::Zeros));
        }
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
        all.extend(norm("layernorm", width));
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

impl PatchEmbedding {
    /// Rows and columns of patches; the token of patch (r, c) is number `r * columns + c`.
    pub fn grid(&self) -> [usize; 2] {
        [
            (self.height - self.patch[0]) / self.stride[0] + 1,
            (self.width - self.patch[1]) / self.stride[1] + 1,
        ]
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
    /// Base size of ViT and AST.
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
        let mut spec = EncoderSpec::vit(Size::BASE, 3, 224, 16);
        let Embedding::Patches(patches) = &mut spec.embedding;
        patches.bias = false;
        spec.embedding_norm = true;
        assert_eq!(count(&spec.parameters()), 85_799_424);
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
