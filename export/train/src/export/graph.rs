//! ONNX graphs of a model: the same walk over [`EncoderSpec`] that the network makes, emitting nodes.
//!
//! What differs from [`crate::encoder::transformer`] is exact, and there to be cheaper: adapters are
//! merged into the weights they adapt, and class tokens, proxies and positions are one constant.

use cmpt_onnx::{Dim, Graph, GraphError, Shape, Value};
use tch::{Kind, Tensor};

use super::error::ExportError;
use super::tensor::plain;
use crate::encoder::spec::{
    ATTENTION_LINEARS, Activation, Embedding, EncoderSpec, Layout, Norm, PatchEmbedding, WordEmbedding,
    layer_prefix,
};
use crate::method::model::Model;
use crate::method::spec::{Lora, Tune};

/// Slope of the sigmoid in the quick GELU.
const QUICK_GELU: f32 = 1.702;

/// What a score loses where nothing is to be attended to: e to its negative is 0 in f32, and f16 holds it.
const UNATTENDED: f32 = 1e4;

/// The encoder of modality `index`: input `features` [batch, ..], outputs `cls` and one
/// `proxy_<other>` for each other modality, all [batch, fusion width].
pub fn encoder(model: &Model, index: usize) -> Result<Graph, ExportError> {
    let modality = &model.spec().modalities[index];
    let name = &modality.info.name;
    let weight = |parameter: &str| model.weights()[&format!("{name}.{parameter}")].shallow_clone();
    let lora = match model.spec().tune {
        Tune::Lora(lora) => Some(lora),
        Tune::Full => None,
    };
    let others = model.spec().proxies(index);
    let mut emitter =
        Emitter { graph: Graph::new(name), spec: &modality.encoder, lora, weight: &weight, mask: None };

    let mut tokens = emitter.forward(&others)?;
    if modality.encoder.width != model.spec().width {
        tokens = emitter.project("projection", tokens)?;
    }
    let classes = others.len()..others.len() + modality.encoder.class_tokens;
    let mut reads = vec![("cls".to_owned(), classes)];
    reads.extend(others.iter().enumerate().map(|(i, other)| (format!("proxy_{other}"), i..i + 1)));
    let mut graph = emitter.graph;
    for (output, range) in reads {
        let read = graph.slice(tokens, 1, range)?;
        let token = graph.mean(read, 1)?;
        graph.output(&output, token)?;
    }
    Ok(graph)
}

/// The head: input `token` [batch, fusion width], output `logits` [batch, classes].
pub fn fusion(model: &Model) -> Result<Graph, ExportError> {
    let (width, weights) = (model.spec().width, model.weights());
    let mut graph = Graph::new("fusion");
    let token = graph.input("token", Shape::batched(&[width]));
    let weight = constant(&mut graph, "head.weight", &weights["head.weight"].tr())?;
    let bias = constant(&mut graph, "head.bias", &weights["head.bias"])?;
    let product = graph.matmul(token, weight)?;
    let logits = graph.add(product, bias)?;
    graph.output("logits", logits)?;
    Ok(graph)
}

fn constant(graph: &mut Graph, name: &str, tensor: &Tensor) -> Result<Value, ExportError> {
    let tensor = plain(tensor)?;
    Ok(graph.constant(name, &tensor.shape, &tensor.values)?)
}

struct Emitter<'a> {
    graph: Graph,
    spec: &'a EncoderSpec,
    lora: Option<Lora>,
    /// Tensor of a parameter, by its name relative to the encoder.
    weight: &'a dyn Fn(&str) -> Tensor,
    /// What is added to the scores of attention, [batch, 1, 1, tokens], where not all is attended to.
    mask: Option<Value>,
}

impl Emitter<'_> {
    /// The tokens that are read, after the final norm: [batch, proxies + class tokens, width].
    fn forward(&mut self, others: &[&str]) -> Result<Value, ExportError> {
        let read = others.len() + self.spec.class_tokens;
        let mut x = self.embed(others)?;
        if self.spec.embedding_norm {
            x = self.norm("embeddings.norm", x)?;
        }
        for layer in 0..self.spec.depth {
            let last = layer + 1 == self.spec.depth;
            let tokens = others.len() + self.spec.positions();
            x = self.block(layer, x, if last { read } else { tokens })?;
        }
        match self.spec.norm {
            Norm::Before => self.norm("layernorm", x),
            Norm::After => Ok(x),
        }
    }

    /// Tokens [batch, proxies + positions, width].
    fn embed(&mut self, others: &[&str]) -> Result<Value, ExportError> {
        let features = self.graph.input("features", Shape::batched(&self.spec.input_shape()));
        // Zeros in front make room; one sum then places everything that is the same for all samples.
        let (tokens, placed) = match &self.spec.embedding {
            Embedding::Patches(patches) => {
                let tokens = self.patches(patches, features)?;
                let room = others.len() + self.spec.class_tokens;
                (self.graph.pad_front(tokens, 1, room)?, self.placed(others))
            }
            Embedding::Words(words) => {
                self.mask = Some(self.mask(words, features, others.len())?);
                let table = self.parameter("embeddings.word_embeddings.weight")?;
                let tokens = self.graph.lookup(table, features)?;
                (self.graph.pad_front(tokens, 1, others.len())?, self.placed_words(words, others))
            }
        };
        let placed = self.constant("embeddings", &placed)?;
        Ok(self.graph.add(tokens, placed)?)
    }

    /// 0 where a token is attended to, much less where it is padding: [batch, 1, 1, proxies + words].
    fn mask(&mut self, words: &WordEmbedding, ids: Value, proxies: usize) -> Result<Value, ExportError> {
        let distance = self.graph.shift(ids, -(words.padding as f32))?;
        let distance = self.graph.abs(distance);
        let attended = self.graph.at_most(distance, 1.0)?;
        let less = self.graph.shift(attended, -1.0)?;
        let less = self.graph.scale(less, UNATTENDED)?;
        let less = self.graph.reshape(less, Shape::batched(&[1, 1, words.tokens]))?;
        Ok(self.graph.pad_front(less, 3, proxies)?)
    }

    /// Proxies, then the position and the segment of every word: [1, all tokens, width].
    fn placed_words(&self, words: &WordEmbedding, others: &[&str]) -> Tensor {
        let positions = (self.weight)("embeddings.position_embeddings.weight");
        let types = (self.weight)("embeddings.token_type_embeddings.weight");
        let places = positions.narrow(0, 0, words.tokens as i64) + types.get(0);
        self.after_proxies(others, places.unsqueeze(0))
    }

    /// Proxies, then `tokens` [1, tokens, width].
    fn after_proxies(&self, others: &[&str], tokens: Tensor) -> Tensor {
        let proxies = others.iter().map(|other| (self.weight)(&format!("proxy.{other}")).view([1, 1, -1]));
        Tensor::cat(&proxies.chain([tokens]).collect::<Vec<_>>(), 1)
    }

    /// Proxies, then class tokens and zeros with their positions: [1, all tokens, width].
    fn placed(&self, others: &[&str]) -> Tensor {
        let mut classes = (self.weight)("embeddings.cls_token");
        if self.spec.class_tokens == 2 {
            classes = Tensor::cat(&[classes, (self.weight)("embeddings.distillation_token")], 1);
        }
        let positions = (self.weight)("embeddings.position_embeddings");
        let patches = positions.size()[1] - classes.size()[1];
        self.after_proxies(others, classes.constant_pad_nd([0, 0, 0, patches]) + positions)
    }

    /// Patch tokens [batch, rows * columns, width].
    fn patches(&mut self, patches: &PatchEmbedding, features: Value) -> Result<Value, ExportError> {
        let image = match patches.layout {
            Layout::Picture => features,
            Layout::Spectrogram => {
                let image = self.graph.transpose(features, &[0, 2, 1])?;
                self.graph.reshape(image, Shape::batched(&[1, patches.height, patches.width]))?
            }
        };
        let projection = "embeddings.patch_embeddings.projection";
        let kernel = self.parameter(&format!("{projection}.weight"))?;
        let bias = match patches.bias {
            true => Some(self.parameter(&format!("{projection}.bias"))?),
            false => None,
        };
        let maps = self.graph.conv(image, kernel, bias, patches.stride)?;
        let [rows, columns] = patches.grid();
        let maps = self.graph.reshape(maps, Shape::batched(&[self.spec.width, rows * columns]))?;
        Ok(self.graph.transpose(maps, &[0, 2, 1])?)
    }

    /// The first `read` tokens after a block: [batch, tokens, width] gives [batch, read, width].
    fn block(&mut self, layer: usize, x: Value, read: usize) -> Result<Value, ExportError> {
        let prefix = layer_prefix(layer);
        let norms = ["layernorm_before", "layernorm_after"].map(|name| format!("{prefix}.{name}"));
        match self.spec.norm {
            Norm::Before => {
                let normed = self.norm(&norms[0], x)?;
                let mixed = self.attention(&prefix, normed, read)?;
                let x = self.first(x, read)?;
                let x = self.graph.add(x, mixed)?;
                let normed = self.norm(&norms[1], x)?;
                let hidden = self.transform(&prefix, normed)?;
                Ok(self.graph.add(x, hidden)?)
            }
            Norm::After => {
                let mixed = self.attention(&prefix, x, read)?;
                let x = self.first(x, read)?;
                let x = self.graph.add(x, mixed)?;
                let x = self.norm(&norms[0], x)?;
                let hidden = self.transform(&prefix, x)?;
                let x = self.graph.add(x, hidden)?;
                self.norm(&norms[1], x)
            }
        }
    }

    /// The hidden layer and its way back.
    fn transform(&mut self, prefix: &str, x: Value) -> Result<Value, ExportError> {
        let hidden = self.linear(&format!("{prefix}.intermediate.dense"), x)?;
        let hidden = match self.spec.activation {
            Activation::Gelu => self.graph.gelu(hidden),
            Activation::QuickGelu => {
                let scaled = self.graph.scale(hidden, QUICK_GELU)?;
                let gate = self.graph.sigmoid(scaled);
                self.graph.mul(hidden, gate)?
            }
        };
        self.linear(&format!("{prefix}.output.dense"), hidden)
    }

    /// Multi-head attention of the first `read` tokens to all of them.
    fn attention(&mut self, prefix: &str, x: Value, read: usize) -> Result<Value, ExportError> {
        let [query, key, value, output] = ATTENTION_LINEARS.map(|name| format!("{prefix}.{name}"));
        let asking = self.first(x, read)?;
        let (query, key, value) =
            (self.adapted(&query, asking)?, self.adapted(&key, x)?, self.adapted(&value, x)?);
        let head_width = self.spec.width / self.spec.heads;
        let query = self.graph.scale(query, 1.0 / (head_width as f32).sqrt())?;
        // [batch, heads, tokens, head width], the key's last two dimensions swapped.
        let query = self.split_heads(query, [0, 2, 1, 3])?;
        let key = self.split_heads(key, [0, 2, 3, 1])?;
        let value = self.split_heads(value, [0, 2, 1, 3])?;
        let mut scores = self.graph.matmul(query, key)?;
        if let Some(mask) = self.mask {
            scores = self.graph.add(scores, mask)?;
        }
        let shares = self.graph.softmax(scores);
        let mixed = self.graph.matmul(shares, value)?;
        let mixed = self.graph.transpose(mixed, &[0, 2, 1, 3])?;
        let mixed = self.graph.reshape(mixed, Shape::batched(&[read, self.spec.width]))?;
        self.adapted(&output, mixed)
    }

    fn split_heads(&mut self, x: Value, permutation: [usize; 4]) -> Result<Value, GraphError> {
        let tokens = self.tokens(x);
        let (heads, width) = (self.spec.heads, self.spec.width);
        let split = self.graph.reshape(x, Shape::batched(&[tokens, heads, width / heads]))?;
        self.graph.transpose(split, &permutation)
    }

    /// The first `read` of the tokens in [batch, tokens, width].
    fn first(&mut self, x: Value, read: usize) -> Result<Value, GraphError> {
        if read == self.tokens(x) { Ok(x) } else { self.graph.slice(x, 1, 0..read) }
    }

    fn tokens(&self, x: Value) -> usize {
        match self.graph.shape(x).0[..] {
            [_, Dim::Fixed(tokens), ..] => tokens,
            _ => unreachable!("the batch is the only dimension that is not known"),
        }
    }

    fn norm(&mut self, prefix: &str, x: Value) -> Result<Value, ExportError> {
        let weight = self.parameter(&format!("{prefix}.weight"))?;
        let bias = self.parameter(&format!("{prefix}.bias"))?;
        Ok(self.graph.layer_norm(x, weight, bias, self.spec.layer_norm_eps as f32)?)
    }

    /// A linear layer that is never adapted.
    fn linear(&mut self, prefix: &str, x: Value) -> Result<Value, ExportError> {
        let product = self.project(prefix, x)?;
        self.bias(prefix, product)
    }

    /// A linear layer with its adapter, where there is one, merged: `W' = W + alpha / rank * B A`.
    fn adapted(&mut self, prefix: &str, x: Value) -> Result<Value, ExportError> {
        let Some(lora) = self.lora else { return self.linear(prefix, x) };
        let exact = |name: &str| (self.weight)(&format!("{prefix}.{name}")).to_kind(Kind::Double);
        let change = exact("lora_b").matmul(&exact("lora_a")) * (lora.alpha / lora.rank as f64);
        let merged = self.constant(&format!("{prefix}.weight"), &(exact("weight") + change).tr())?;
        let product = self.graph.matmul(x, merged)?;
        self.bias(prefix, product)
    }

    /// `x Wᵀ`.
    fn project(&mut self, prefix: &str, x: Value) -> Result<Value, ExportError> {
        let name = format!("{prefix}.weight");
        let weight = self.constant(&name, &(self.weight)(&name).tr())?;
        Ok(self.graph.matmul(x, weight)?)
    }

    fn bias(&mut self, prefix: &str, x: Value) -> Result<Value, ExportError> {
        let bias = self.parameter(&format!("{prefix}.bias"))?;
        Ok(self.graph.add(x, bias)?)
    }

    fn parameter(&mut self, name: &str) -> Result<Value, ExportError> {
        self.constant(name, &(self.weight)(name))
    }

    fn constant(&mut self, name: &str, tensor: &Tensor) -> Result<Value, ExportError> {
        constant(&mut self.graph, name, tensor)
    }
}
