//! Measures what training costs: milliseconds a sample of each avdigits encoder, forward and backward.
//!
//! `cargo run --release -p cmpt-train --example throughput [WIDTH DEPTH HEADS BATCH]`

use std::time::Instant;

use cmpt_train::encoder::Mode;
use cmpt_train::encoder::spec::{EncoderSpec, Size};
use cmpt_train::encoder::transformer::Encoder;
use cmpt_train::method::spec::Lora;
use cmpt_train::training::adamw::AdamW;
use cmpt_train::weights::{self, Tensors, dimensions};
use tch::{Device, Kind, Tensor};

const WARMUP: usize = 3;
const STEPS: usize = 12;

fn main() {
    let arguments: Vec<usize> =
        std::env::args().skip(1).map(|argument| argument.parse().expect("a whole number")).collect();
    let get = |index: usize, default| arguments.get(index).copied().unwrap_or(default);
    let (width, depth, heads, batch) = (get(0, 192), get(1, 4), get(2, 3), get(3, 64));
    let size = Size { width, depth, heads, mlp: 4 * width };
    let encoders = [
        ("vit 28x28/4", EncoderSpec::vit(size, 1, 28, 4)),
        ("ast 98x64/16 stride 10", EncoderSpec::ast(size, 98, 64, 16, 10)),
        ("ast 98x64/16 stride 16", EncoderSpec::ast(size, 98, 64, 16, 16)),
    ];
    for (name, spec) in &encoders {
        for lora in [None, Some(Lora { rank: 8, ..Lora::default() })] {
            let ms = measure(spec, lora.as_ref(), batch);
            let tune = if lora.is_some() { "lora" } else { "full" };
            println!("{name} {tune}: {ms:.3} ms a sample, {} tokens", spec.positions() + 1);
        }
    }
}

/// Milliseconds a sample of a training step.
fn measure(spec: &EncoderSpec, lora: Option<&Lora>, batch: usize) -> f64 {
    let mut parameters = spec.parameters();
    parameters.extend(lora.iter().flat_map(|lora| spec.lora_parameters(lora.rank)));
    let weights: Tensors = parameters
        .iter()
        .map(|parameter| {
            let learns = lora.is_none() || parameter.name.contains("lora");
            (parameter.name.clone(), weights::init(parameter, Device::Cpu).set_requires_grad(learns))
        })
        .collect();
    let learnable: Tensors = weights
        .iter()
        .filter(|(_, weight)| weight.requires_grad())
        .map(|(name, weight)| (name.clone(), weight.shallow_clone()))
        .collect();
    let proxy = Tensor::zeros([spec.width as i64], (Kind::Float, Device::Cpu));
    let weight = |name: &str| weights.get(name).unwrap_or(&proxy).shallow_clone();
    let encoder = Encoder::new(spec, &["other"], lora, &weight);
    let mut optimizer = AdamW::new(learnable, 0.02, None);
    let shape = [&[batch as i64], &dimensions(&spec.input_shape())[..]].concat();
    let features = Tensor::randn(&shape[..], (Kind::Float, Device::Cpu));
    let mut start = Instant::now();
    for step in 0..WARMUP + STEPS {
        if step == WARMUP {
            start = Instant::now();
        }
        let tokens = encoder.forward(&features, Mode::Train);
        (tokens.cls.square().sum(None) + tokens.proxies[0].square().sum(None)).backward();
        optimizer.step(step, 1e-4);
    }
    start.elapsed().as_secs_f64() * 1e3 / (STEPS * batch) as f64
}
