//! The network of a [`ModelSpec`]: encoders, width projections, head.

use tch::{Device, Tensor};

use super::spec::{ModelSpec, Role, Tune};
use crate::encoder::Mode;
use crate::encoder::transformer::{Encoder, Tokens};
use crate::weights::{self, Tensors};

/// A multimodal model with its weights.
pub struct Model {
    spec: ModelSpec,
    device: Device,
    weights: Tensors,
    encoders: Vec<Encoder>,
    projections: Vec<Option<Tensor>>,
}

impl Model {
    /// A model with fresh weights from libtorch's generator. What learns requires gradients.
    pub fn new(spec: &ModelSpec, device: Device) -> Self {
        let parameters = spec.parameters().into_iter().map(|entry| {
            let tensor = weights::init(&entry.parameter, device);
            (entry.parameter.name, tensor.set_requires_grad(spec.learns(entry.role)))
        });
        let weights: Tensors = parameters.collect();
        let lora = match &spec.tune {
            Tune::Lora(lora) => Some(lora),
            Tune::Full => None,
        };
        let encoders = spec.modalities.iter().enumerate().map(|(index, modality)| {
            let name = &modality.info.name;
            let weight = |parameter: &str| weights[&format!("{name}.{parameter}")].shallow_clone();
            Encoder::new(&modality.encoder, &spec.proxies(index), lora, &weight)
        });
        let projection =
            |name: &str| weights.get(&format!("{name}.projection.weight")).map(Tensor::shallow_clone);
        Self {
            spec: spec.clone(),
            device,
            encoders: encoders.collect(),
            projections: spec.modalities.iter().map(|modality| projection(&modality.info.name)).collect(),
            weights,
        }
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

    /// Tokens of one modality in the fusion width.
    ///
    /// Shapes: `features` `[batch, ..input shape]`; tokens `[batch, width]`.
    pub fn encode(&self, index: usize, features: &Tensor, mode: Mode) -> Tokens {
        let tokens = self.encoders[index].forward(features, mode);
        let Some(weight) = &self.projections[index] else { return tokens };
        let project = |token: &Tensor| token.linear(weight, None::<&Tensor>);
        Tokens { cls: project(&tokens.cls), proxies: tokens.proxies.iter().map(project).collect() }
    }

    /// Logits `[batch, classes]` of fused tokens `[batch, width]` (equation 6).
    pub fn classify(&self, fused: &Tensor) -> Tensor {
        fused.linear(&self.weights["head.weight"], Some(&self.weights["head.bias"]))
    }
}
