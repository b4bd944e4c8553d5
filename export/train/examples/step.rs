//! The training step of the paper's full model, to be timed: the other side of `benches/peft_step.py`.
//!
//! CLIP ViT-B/16 beside AST base, frozen, with random weights, proxies and adapters of rank 1. Speaks with
//! `benches/compare.py`: says what it is in a line of JSON, then for each line on stdin makes one step and prints
//! its seconds, its loss and the process's peak memory as a line of JSON.
//!
//! `cargo run --release -p cmpt-train --example step -- [--device cuda] [--precision bf16] [--threads N]
//! [--batch N] [--frames N] [--depth N]`

use std::io::{self, BufRead, Write};
use std::time::Instant;

use clap::Parser;
use cmpt_train::encoder::Mode;
use cmpt_train::encoder::transformer::Tokens;
use cmpt_train::method::alignment::{AlignmentTarget, alignment_loss};
use cmpt_train::method::gate::fuse;
use cmpt_train::method::model::Model;
use cmpt_train::method::precision::Precision;
use cmpt_train::method::recipe::Recipe;
use cmpt_train::training::adamw::AdamW;
use cmpt_train::training::device::DeviceChoice;
use cmpt_train::weights::dimensions;
use serde_json::json;
use tch::{Kind, Tensor};

/// Lambda of equation 7.
const ALIGNMENT_WEIGHT: f64 = 0.2;

/// Time training steps of the paper's full model
#[derive(Parser)]
struct Args {
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
    /// What the encoders compute in
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,
    /// Threads of libtorch [default: one per core]
    #[arg(long)]
    threads: Option<i32>,
    /// Samples of a step
    #[arg(long, default_value_t = 4)]
    batch: i64,
    /// Pictures of a sample
    #[arg(long, default_value_t = 3)]
    frames: i64,
    /// Blocks of each encoder
    #[arg(long, default_value_t = 12)]
    depth: usize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(threads) = args.threads {
        tch::set_num_threads(threads);
    }
    tch::manual_seed(7);
    let mut spec = Recipe::KineticsSounds.model()?;
    spec.modalities.iter_mut().for_each(|modality| modality.encoder.depth = args.depth);
    let device = args.device.open()?;
    let model = Model::new(&spec, device).with_precision(args.precision);
    let mut optimizer = AdamW::new(model.learnable(), 0.02, None);
    // Sound has one part, pictures have several.
    let parts = [None, Some(args.frames)];
    let features: Vec<Tensor> = spec
        .modalities
        .iter()
        .zip(parts)
        .map(|(modality, parts)| {
            let mut shape = vec![args.batch];
            shape.extend(parts);
            shape.extend(dimensions(&modality.encoder.input_shape()));
            Tensor::randn(&shape[..], (Kind::Float, device))
        })
        .collect();
    let classes = Tensor::arange(args.batch, (Kind::Int64, device));
    let present = Tensor::ones([args.batch, 2], (Kind::Float, device));
    let learnable: usize = model.learnable().values().map(Tensor::numel).sum();
    say(&json!({
        "name": concat!("cmpt-train ", env!("CARGO_PKG_VERSION")),
        "threads": tch::get_num_threads(),
        "learnable": learnable,
    }))?;
    for (step, line) in io::stdin().lock().lines().enumerate() {
        line?;
        let start = Instant::now();
        let tokens: Vec<Tokens> = features
            .iter()
            .enumerate()
            .map(|(index, features)| model.encode(index, features, Mode::Train))
            .collect();
        let task = model.classify(&fuse(&tokens, &present)).cross_entropy_for_logits(&classes);
        let alignment = alignment_loss(&tokens, &present, &present, AlignmentTarget::Moves);
        let loss = task + alignment * ALIGNMENT_WEIGHT;
        loss.backward();
        optimizer.step(step, 1e-4);
        let loss = loss.double_value(&[]);
        let seconds = start.elapsed().as_secs_f64();
        say(&json!({ "seconds": seconds, "loss": loss, "peak_bytes": peak_bytes()? }))?;
    }
    Ok(())
}

fn say(line: &serde_json::Value) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Most memory of the CPU's that this process ever held, of `/proc/self/status`.
fn peak_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).map(str::parse::<u64>);
    Ok(kilobytes.ok_or_else(|| anyhow::anyhow!("no VmHWM in /proc/self/status"))?? * 1024)
}
