//! The network of a [`ModelSpec`]: encoders, width projections, head.

use std::cell::OnceCell;

use tch::{Device, Kind, Tensor};

use super::precision::Precision;
use super::spec::{ModelSpec, Role, Tune};
use crate::encoder::Mode;
use crate::encoder::spec::Embedding;
use crate::encoder::transformer::{Encoder, Tokens};
use crate::weights::{self, Tensors};

/// A multimodal model with its weights.
pub struct Model {
    spec: ModelSpec,
    device: Device,
    precision: Precision,
    weights: Tensors,
    encoders: Vec<Encoder>,
    /// Frozen weights in less than 32 bits, once something was encoded in less.
    frozen: OnceCell<Tensors>,
}

impl Model {
    /// A model with fresh weights from libtorch's generator. What learns requires gradients.
    pub fn new(spec: &ModelSpec, device: Device) -> Self {
        let parameters = spec.parameters().into_iter().map(|entry| {
            let tensor = weights::init(&entry.parameter, device);
            (entry.parameter.name, tensor.set_requires_grad(spec.learns(entry.role)))
        });
        let weights: Tensors = parameters.collect();
        let encoders = (0..spec.modalities.len())
            .map(|index| encoder(spec, index, &|name| weights[name].shallow_clone()))
            .collect();
        let (precision, frozen) = (Precision::F32, OnceCell::new());
        Self { spec: spec.clone(), device, precision, weights, encoders, frozen }
    }

    /// The same model with encoders that compute in `precision`.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// What the model is.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// All weights by their name in a checkpoint.
    pub fn weights(&self) -> &Tensors {
        &self.weights
    }

    /// The weights that learn.
    pub fn learnable(&self) -> Tensors {
        let learn = self.weights.iter().filter(|(_, tensor)| tensor.requires_grad());
        learn.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    }

    /// The encoder's own weights of one modality, by their name relative to the encoder.
    pub fn encoder_weights(&self, index: usize) -> Tensors {
        let prefix = format!("{}.", self.spec.modalities[index].info.name);
        let own = self.spec.parameters().into_iter().filter(|entry| entry.role == Role::Encoder);
        own.filter_map(|entry| {
            let tensor = self.weights[&entry.parameter.name].shallow_clone();
            Some((entry.parameter.name.strip_prefix(&prefix)?.to_owned(), tensor))
        })
        .collect()
    }

    /// Tokens of one modality in the fusion width; where samples have several parts, such as the frames of
    /// a video, the means over them.
    ///
    /// Shapes: `features` `[batch, ..input shape]` or `[batch, parts, ..input shape]`; tokens `[batch, width]`.
    pub fn encode(&self, index: usize, features: &Tensor, mode: Mode) -> Tokens {
        let input = self.spec.modalities[index].encoder.input_shape().len();
        if features.dim() == input + 1 {
            return self.encode_parts(index, features, mode);
        }
        let parts = features.size()[1];
        let mean = |token: &Tensor| token.unflatten(0, [-1, parts]).mean_dim(1, false, None);
        self.encode_parts(index, &features.flatten(0, 1), mode).map(mean)
    }

    /// As [`Model::encode`], of `features` `[batch, ..input shape]`.
    fn encode_parts(&self, index: usize, features: &Tensor, mode: Mode) -> Tokens {
        let tokens = match self.precision {
            Precision::F32 => self.encoders[index].forward(features, mode),
            Precision::Bf16 => self.encode_in(Kind::BFloat16, index, features, mode),
        };
        let name = &self.spec.modalities[index].info.name;
        let Some(weight) = self.weights.get(&format!("{name}.projection.weight")) else { return tokens };
        tokens.map(|token| token.linear(weight, None::<&Tensor>))
    }

    /// Tokens in f32, computed in `kind`: what learns is cast anew each time, through which gradients
    /// flow back.
    fn encode_in(&self, kind: Kind, index: usize, features: &Tensor, mode: Mode) -> Tokens {
        let frozen = self.frozen.get_or_init(|| {
            let frozen = self.weights.iter().filter(|(_, weight)| !weight.requires_grad());
            frozen.map(|(name, weight)| (name.clone(), weight.to_kind(kind))).collect()
        });
        let weight = |name: &str| match frozen.get(name) {
            Some(weight) => weight.shallow_clone(),
            None => self.weights[name].to_kind(kind),
        };
        let features = match self.spec.modalities[index].encoder.embedding {
            Embedding::Patches(_) => features.to_kind(kind),
            // Numbers of words, which have more digits.
            Embedding::Words(_) => features.shallow_clone(),
        };
        let tokens = encoder(&self.spec, index, &weight).forward(&features, mode);
        tokens.map(|token| token.to_kind(Kind::Float))
    }

    /// Logits `[batch, classes]` of fused tokens `[batch, width]` (equation 6).
    pub fn classify(&self, fused: &Tensor) -> Tensor {
        fused.linear(&self.weights["head.weight"], Some(&self.weights["head.bias"]))
    }
}

/// The encoder of one modality on the weights that `weight` gives by their name in a checkpoint.
fn encoder(spec: &ModelSpec, index: usize, weight: &dyn Fn(&str) -> Tensor) -> Encoder {
    let modality = &spec.modalities[index];
    let lora = match &spec.tune {
        Tune::Lora(lora) => Some(lora),
        Tune::Full => None,
    };
    let own = |parameter: &str| weight(&format!("{}.{parameter}", modality.info.name));
    Encoder::new(&modality.encoder, &spec.proxies(index), lora, &own)
}

impl Tokens {
    /// `change` of each token.
    pub fn map(&self, change: impl Fn(&Tensor) -> Tensor) -> Self {
        Self { cls: change(&self.cls), proxies: self.proxies.iter().map(change).collect() }
    }
}

#[cfg(test)]
mod tests {
    use cmpt_bundle::manifest::{FrontEnd, Task};
    use cmpt_core::features::PictureSpec;
    use cmpt_core::modality::Kind as Signal;

    use super::super::spec::{Lora, Missing, ModalitySpec};
    use super::*;
    use crate::data::batch::ModalityInfo;
    use crate::encoder::spec::{EncoderSpec, Size};

    fn model() -> Model {
        tch::manual_seed(3);
        let modality = |name: &str, width| ModalitySpec {
            info: ModalityInfo {
                name: name.into(),
                kind: Signal::Image,
                front_end: FrontEnd::Picture(PictureSpec { edge: 8, mean: vec![0.0], std: vec![1.0] }),
                frames: 1,
            },
            encoder: EncoderSpec::vit(Size { width, depth: 2, heads: 2, mlp: 64 }, 1, 8, 4),
        };
        let spec = ModelSpec {
            task: Task::Multiclass,
            labels: vec!["a".into(), "b".into()],
            modalities: vec![modality("left", 32), modality("right", 16)],
            width: 32,
            tune: Tune::Lora(Lora { p_dropout: 0.0, ..Lora::default() }),
            missing: Missing::Proxies,
        };
        Model::new(&spec, Device::Cpu)
    }

    fn close(left: &Tensor, right: &Tensor, tolerance: f64) {
        let difference = (left - right).abs().max().double_value(&[]);
        assert!(difference <= tolerance, "{difference}");
    }

    #[test]
    fn several_parts_give_the_mean_of_their_tokens() {
        let model = model();
        let frames = Tensor::randn([2, 3, 1, 8, 8], (Kind::Float, Device::Cpu));
        for index in 0..2 {
            let whole = model.encode(index, &frames, Mode::Infer);
            let each: Vec<Tokens> =
                (0..3).map(|frame| model.encode(index, &frames.select(1, frame), Mode::Infer)).collect();
            let mean = |token: &dyn Fn(&Tokens) -> Tensor| {
                Tensor::stack(&each.iter().map(token).collect::<Vec<_>>(), 0).mean_dim(0i64, false, None)
            };
            close(&whole.cls, &mean(&|tokens| tokens.cls.shallow_clone()), 1e-5);
            close(&whole.proxies[0], &mean(&|tokens| tokens.proxies[0].shallow_clone()), 1e-5);
        }
    }

    #[test]
    fn bfloat16_encodes_nearly_the_same_and_its_gradients_reach_the_weights() {
        // One model, not two of one seed: other tests draw from the same generator.
        let model = model();
        let features = Tensor::randn([4, 1, 8, 8], (Kind::Float, Device::Cpu));
        let full = [0, 1].map(|index| model.encode(index, &features, Mode::Infer));
        let half = model.with_precision(Precision::Bf16);
        for (index, full) in full.iter().enumerate() {
            let half = half.encode(index, &features, Mode::Infer);
            assert_eq!(half.cls.kind(), Kind::Float);
            let scale = full.cls.abs().max().double_value(&[]);
            close(&full.cls, &half.cls, 0.05 * scale);
            assert!(!full.cls.equal(&half.cls), "nothing was rounded");
        }
        let tokens = half.encode(0, &features, Mode::Train);
        (tokens.cls.square().sum(None) + tokens.proxies[0].sum(None)).backward();
        let gradient = half.weights()["left.proxy.right"].grad();
        assert_eq!(gradient.kind(), Kind::Float);
        assert!(gradient.abs().max().double_value(&[]) > 0.0);
    }
}
