//! The network of an [`Embedding`].

use tch::{Kind, Tensor};

use super::spec::{Embedding, EncoderSpec, Layout, PatchEmbedding, WordEmbedding};

/// What turns features into tokens.
pub(super) enum Embedder {
    Patches {
        spec: PatchEmbedding,
        kernel: Tensor,
        bias: Option<Tensor>,
        classes: Vec<Tensor>,
        positions: Tensor,
    },
    Words {
        spec: WordEmbedding,
        table: Tensor,
        positions: Tensor,
        types: Tensor,
    },
}

/// Tokens with their positions, and which of them are attended to.
pub(super) struct Embedded {
    /// `[batch, positions, width]`.
    pub tokens: Tensor,
    /// `[batch, positions]` of booleans; `None` where all are.
    pub attended: Option<Tensor>,
}

impl Embedder {
    pub fn new(spec: &EncoderSpec, weight: &dyn Fn(&str) -> Tensor) -> Self {
        match &spec.embedding {
            Embedding::Patches(patches) => {
                let projection = "embeddings.patch_embeddings.projection";
                let mut classes = vec![weight("embeddings.cls_token")];
                if spec.class_tokens == 2 {
                    classes.push(weight("embeddings.distillation_token"));
                }
                Self::Patches {
                    spec: patches.clone(),
                    kernel: weight(&format!("{projection}.weight")),
                    bias: patches.bias.then(|| weight(&format!("{projection}.bias"))),
                    classes,
                    positions: weight("embeddings.position_embeddings"),
                }
            }
            Embedding::Words(words) => {
                let table = |name: &str| weight(&format!("embeddings.{name}_embeddings.weight"));
                Self::Words {
                    spec: words.clone(),
                    table: table("word"),
                    positions: table("position"),
                    types: table("token_type"),
                }
            }
        }
    }

    /// Shapes: `features` `[batch, ..input shape]`.
    pub fn forward(&self, features: &Tensor) -> Embedded {
        match self {
            Self::Patches { spec, kernel, bias, classes, positions } => {
                let patches = convolve(spec, features, kernel, bias.as_ref());
                let classes = Tensor::cat(classes, 1).expand([features.size()[0], -1, -1], false);
                Embedded { tokens: Tensor::cat(&[classes, patches], 1) + positions, attended: None }
            }
            Self::Words { spec, table, positions, types } => {
                let ids = features.to_kind(Kind::Int64);
                let words = Tensor::embedding(table, &ids, -1, false, false);
                let places = positions.narrow(0, 0, spec.tokens as i64) + types.get(0);
                Embedded { tokens: words + places, attended: Some(ids.ne(spec.padding as i64)) }
            }
        }
    }
}

/// Patch tokens [batch, rows * columns, width].
fn convolve(spec: &PatchEmbedding, features: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let image = match spec.layout {
        Layout::Picture => features.shallow_clone(),
        Layout::Spectrogram => features.transpose(1, 2).unsqueeze(1),
    };
    let stride = spec.stride.map(|step| step as i64);
    image.conv2d(kernel, bias, stride, [0, 0], [1, 1], 1).flatten(2, 3).transpose(1, 2)
}
