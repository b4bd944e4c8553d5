//! The network of an [`EncoderSpec`].

use tch::{Kind, Tensor};

use super::Mode;
use super::embedder::{Embedded, Embedder};
use super::linear::{Adapter, Linear};
use super::spec::{Activation, EncoderSpec, Norm, layer_prefix};
use crate::method::spec::Lora;

/// Slope of the sigmoid in the quick GELU.
const QUICK_GELU: f64 = 1.702;

/// An encoder. It borrows its weights: whoever owns them decides what learns.
pub struct Encoder {
    spec: EncoderSpec,
    embedder: Embedder,
    proxies: Vec<Tensor>,
    embedding_norm: Option<LayerNorm>,
    blocks: Vec<Block>,
    final_norm: Option<LayerNorm>,
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
        let norm = |name| LayerNorm::new(spec, name, weight);
        Self {
            spec: spec.clone(),
            embedder: Embedder::new(spec, weight),
            proxies: others.iter().map(|other| weight(&format!("proxy.{other}"))).collect(),
            embedding_norm: spec.embedding_norm.then(|| norm("embeddings.norm")),
            blocks: (0..spec.depth).map(|layer| Block::new(spec, layer, lora, weight)).collect(),
            final_norm: (spec.norm == Norm::Before).then(|| norm("layernorm")),
        }
    }

    /// Shapes: `features` `[batch, ..input shape]`; tokens `[batch, width]`.
    pub fn forward(&self, features: &Tensor, mode: Mode) -> Tokens {
        let proxies = self.proxies.len() as i64;
        let class_tokens = self.spec.class_tokens as i64;
        let x = self.tokens(features, Some(proxies + class_tokens), mode);
        Tokens {
            cls: x.narrow(1, proxies, class_tokens).mean_dim(1, false, None),
            proxies: x.narrow(1, 0, proxies).unbind(1),
        }
    }

    /// The first `read` tokens, or all, as they leave the last block and the final norm:
    /// `[batch, tokens, width]`.
    pub fn tokens(&self, features: &Tensor, read: Option<i64>, mode: Mode) -> Tensor {
        let (mut x, attended) = self.embed(features);
        if let Some(norm) = &self.embedding_norm {
            x = norm.forward(&x);
        }
        let read = read.unwrap_or(x.size()[1]);
        let (last, earlier) = self.blocks.split_last().expect("a valid encoder has a block");
        for block in earlier {
            x = block.forward(&x, x.size()[1], attended.as_ref(), mode);
        }
        x = last.forward(&x, read, attended.as_ref(), mode);
        if let Some(norm) = &self.final_norm {
            x = norm.forward(&x);
        }
        x
    }

    /// All tokens [batch, tokens, width], and which are attended to, [batch, 1, 1, tokens].
    fn embed(&self, features: &Tensor) -> (Tensor, Option<Tensor>) {
        let Embedded { tokens, attended } = self.embedder.forward(features);
        let (batch, count) = (features.size()[0], self.proxies.len() as i64);
        let mask = |attended: Tensor| {
            let proxies = Tensor::ones([batch, count], (Kind::Bool, attended.device()));
            Tensor::cat(&[proxies, attended], 1).unsqueeze(1).unsqueeze(1)
        };
        let attended = attended.map(mask);
        if self.proxies.is_empty() {
            return (tokens, attended);
        }
        let width = self.spec.width as i64;
        let proxies = Tensor::stack(&self.proxies, 0).unsqueeze(0).expand([batch, -1, width], false);
        (Tensor::cat(&[proxies, tokens], 1), attended)
    }
}

/// `x sigmoid(1.702 x)`, by way of `silu(1.702 x) / 1.702`: two passes over a large tensor are in place,
/// and one gradient stands for three. Takes a tensor that no gradient is computed from.
fn quick_gelu(mut x: Tensor) -> Tensor {
    x.g_mul_scalar_(QUICK_GELU).silu().g_mul_scalar_(1.0 / QUICK_GELU)
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
    norm: Norm,
    /// In the order of the forward pass.
    norms: [LayerNorm; 2],
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
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
            norm: spec.norm,
            norms: ["layernorm_before", "layernorm_after"]
                .map(|name| LayerNorm::new(spec, &format!("{prefix}.{name}"), weight)),
            query: linear("attention.attention.query", lora),
            key: linear("attention.attention.key", lora),
            value: linear("attention.attention.value", lora),
            output: linear("attention.output.dense", lora),
            expand: linear("intermediate.dense", None),
            contract: linear("output.dense", None),
        }
    }

    /// The first `read` tokens after this block. All tokens are attended to; the others' own outputs
    /// are not computed, which saves most of the last block.
    ///
    /// Shapes: `x` `[batch, tokens, width]` gives `[batch, read, width]`; `attended`
    /// `[batch, 1, 1, tokens]` of booleans, all where it is `None`.
    fn forward(&self, x: &Tensor, read: i64, attended: Option<&Tensor>, mode: Mode) -> Tensor {
        let kept = x.narrow(1, 0, read);
        let [first, second] = &self.norms;
        match self.norm {
            Norm::Before => {
                let x = kept + self.attend(&first.forward(x), read, attended, mode);
                &x + self.transform(&second.forward(&x), mode)
            }
            Norm::After => {
                let x = first.forward(&(kept + self.attend(x, read, attended, mode)));
                second.forward(&(&x + self.transform(&x, mode)))
            }
        }
    }

    /// Multi-head attention of the first `read` tokens to all that are attended to.
    fn attend(&self, x: &Tensor, read: i64, attended: Option<&Tensor>, mode: Mode) -> Tensor {
        let query = self.split_heads(&self.query.forward(&x.narrow(1, 0, read), mode));
        let key = self.split_heads(&self.key.forward(x, mode));
        let value = self.split_heads(&self.value.forward(x, mode));
        let mixed =
            Tensor::scaled_dot_product_attention(&query, &key, &value, attended, 0.0, false, None, false);
        self.output.forward(&mixed.transpose(1, 2).flatten(2, 3), mode)
    }

    /// The hidden layer and its way back.
    fn transform(&self, x: &Tensor, mode: Mode) -> Tensor {
        let hidden = self.expand.forward(x, mode);
        let hidden = match self.activation {
            Activation::Gelu => hidden.gelu("none"),
            Activation::QuickGelu => quick_gelu(hidden),
        };
        self.contract.forward(&hidden, mode)
    }

    /// `[batch, tokens, width]` to `[batch, heads, tokens, width / heads]`.
    fn split_heads(&self, x: &Tensor) -> Tensor {
        x.unflatten(2, [self.heads, -1]).transpose(1, 2)
    }
}
