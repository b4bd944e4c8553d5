//! The network of an [`EncoderSpec`].

use tch::Tensor;

use super::Mode;
use super::linear::{Adapter, Linear};
use super::spec::{Activation, Embedding, EncoderSpec, Layout, PatchEmbedding, layer_prefix};
use crate::method::spec::Lora;

/// Slope of the sigmoid in the quick GELU.
const QUICK_GELU: f64 = 1.702;

/// An encoder. It borrows its weights: whoever owns them decides what learns.
pub struct Encoder {
    spec: EncoderSpec,
    patches: (Tensor, Option<Tensor>),
    class_tokens: Vec<Tensor>,
    positions: Tensor,
    proxies: Vec<Tensor>,
    embedding_norm: Option<LayerNorm>,
    blocks: Vec<Block>,
    final_norm: LayerNorm,
}

/// Tokens read out of one modality's encoder.
#[derive(Debug)]
pub struct Tokens {
    /// The modality's own class token, `[batch, width]`.
    pub cls: Tensor,
    /// Its proxy for each other modality, in their order, each `[batch, width]`.
    pub proxies: Vec<Tensor>,
}

impl Encoder {
    /// Builds the network from `weight`, which gives the tensor of each name that `spec` lists, and
    /// of each name `proxy.{other}`.
    pub fn new(
        spec: &EncoderSpec,
        others: &[&str],
        lora: Option<&Lora>,
        weight: &dyn Fn(&str) -> Tensor,
    ) -> Self {
        let Embedding::Patches(patches) = &spec.embedding;
        let projection = "embeddings.patch_embeddings.projection";
        let mut class_tokens = vec![weight("embeddings.cls_token")];
        if spec.class_tokens == 2 {
            class_tokens.push(weight("embeddings.distillation_token"));
        }
        Self {
            spec: spec.clone(),
            patches: (
                weight(&format!("{projection}.weight")),
                patches.bias.then(|| weight(&format!("{projection}.bias"))),
            ),
            class_tokens,
            positions: weight("embeddings.position_embeddings"),
            proxies: others.iter().map(|other| weight(&format!("proxy.{other}"))).collect(),
            embedding_norm: spec.embedding_norm.then(|| LayerNorm::new(spec, "embeddings.norm", weight)),
            blocks: (0..spec.depth).map(|layer| Block::new(spec, layer, lora, weight)).collect(),
            final_norm: LayerNorm::new(spec, "layernorm", weight),
        }
    }

    /// Shapes: `features` `[batch, ..input shape]`; tokens `[batch, width]`.
    pub fn forward(&self, features: &Tensor, mode: Mode) -> Tokens {
        let mut x = self.embed(features);
        if let Some(norm) = &self.embedding_norm {
            x = norm.forward(&x);
        }
        let proxies = self.proxies.len() as i64;
        let class_tokens = self.spec.class_tokens as i64;
        let read = proxies + class_tokens;
        let (last, earlier) = self.blocks.split_last().expect("a valid encoder has a block");
        for block in earlier {
            x = block.forward(&x, x.size()[1], mode);
        }
        let x = self.final_norm.forward(&last.forward(&x, read, mode));
        Tokens {
            cls: x.narrow(1, proxies, class_tokens).mean_dim(1, false, None),
            proxies: x.narrow(1, 0, proxies).unbind(1),
        }
    }

    /// Tokens [batch, proxies + class tokens + patches, width].
    fn embed(&self, features: &Tensor) -> Tensor {
        let Embedding::Patches(spec) = &self.spec.embedding;
        let (batch, width) = (features.size()[0], self.spec.width as i64);
        let patches = convolve(spec, features, &self.patches);
        let class_tokens = Tensor::cat(&self.class_tokens, 1).expand([batch, -1, width], false);
        let placed = Tensor::cat(&[class_tokens, patches], 1) + &self.positions;
        if self.proxies.is_empty() {
            return placed;
        }
        let proxies = Tensor::stack(&self.proxies, 0).unsqueeze(0).expand([batch, -1, width], false);
        Tensor::cat(&[proxies, placed], 1)
    }
}

/// Patch tokens [batch, rows * columns, width].
fn convolve(spec: &PatchEmbedding, features: &Tensor, (weight, bias): &(Tensor, Option<Tensor>)) -> Tensor {
    let image = match spec.layout {
        Layout::Picture => features.shallow_clone(),
        Layout::Spectrogram => features.transpose(1, 2).unsqueeze(1),
    };
    let stride = spec.stride.map(|step| step as i64);
    image.conv2d(weight, bias.as_ref(), stride, [0, 0], [1, 1], 1).flatten(2, 3).transpose(1, 2)
}

struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    fn new(spec: &EncoderSpec, prefix: &str, weight: &dyn Fn(&str) -> Tensor) -> Self {
        Self {
            weight: weight(&format!("{prefix}.weight")),
            bias: weight(&format!("{prefix}.bias")),
            eps: spec.layer_norm_eps,
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.eps, true)
    }
}

struct Block {
    heads: i64,
    activation: Activation,
    norm_before: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm_after: LayerNorm,
    expand: Linear,
    contract: Linear,
}

impl Block {
    fn new(spec: &EncoderSpec, layer: usize, lora: Option<&Lora>, weight: &dyn Fn(&str) -> Tensor) -> Self {
        let prefix = layer_prefix(layer);
        let adapter = |name: &str, lora: &Lora| Adapter {
            a: weight(&format!("{prefix}.{name}.lora_a")),
            b: weight(&format!("{prefix}.{name}.lora_b")),
            scale: lora.alpha / lora.rank as f64,
            p_dropout: lora.p_dropout,
        };
        let linear = |name: &str, lora: Option<&Lora>| Linear {
            weight: weight(&format!("{prefix}.{name}.weight")),
            bias: weight(&format!("{prefix}.{name}.bias")),
            adapter: lora.map(|lora| adapter(name, lora)),
        };
        Self {
            heads: spec.heads as i64,
            activation: spec.activation,
            norm_before: LayerNorm::new(spec, &format!("{prefix}.layernorm_before"), weight),
            query: linear("attention.attention.query", lora),
            key: linear("attention.attention.key", lora),
            value: linear("attention.attention.value", lora),
            output: linear("attention.output.dense", lora),
            norm_after: LayerNorm::new(spec, &format!("{prefix}.layernorm_after"), weight),
            expand: linear("intermediate.dense", None),
            contract: linear("output.dense", None),
        }
    }

    /// The first `read` tokens after this block. All tokens are attended to; the others' own outputs
    /// are not computed, which saves most of the last block.
    ///
    /// Shapes: `x` `[batch, tokens, width]` gives `[batch, read, width]`.
    fn forward(&self, x: &Tensor, read: i64, mode: Mode) -> Tensor {
        let normed = self.norm_before.forward(x);
        let kept = normed.narrow(1, 0, read);
        let query = self.split_heads(&self.query.forward(&kept, mode));
        let key = self.split_heads(&self.key.forward(&normed, mode));
        let value = self.split_heads(&self.value.forward(&normed, mode));
        let mixed = Tensor::scaled_dot_product_attention(
            &query,
            &key,
            &value,
            None::<&Tensor>,
            0.0,
            false,
            None,
            false,
        );
        let x = x.narrow(1, 0, read) + self.output.forward(&mixed.transpose(1, 2).flatten(2, 3), mode);
        let hidden = self.expand.forward(&self.norm_after.forward(&x), mode);
        let hidden = match self.activation {
            Activation::Gelu => hidden.gelu("none"),
            Activation::QuickGelu => &hidden * (&hidden * QUICK_GELU).sigmoid(),
        };
        &x + self.contract.forward(&hidden, mode)
    }

    /// `[batch, tokens, width]` to `[batch, heads, tokens, width / heads]`.
    fn split_heads(&self, x: &Tensor) -> Tensor {
        x.unflatten(2, [self.heads, -1]).transpose(1, 2)
    }
}
