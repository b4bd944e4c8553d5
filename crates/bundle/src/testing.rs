//! Tiny bundles that are sound in every respect and need no training.
//!
//! Every encoder is linear: it cuts the last axis of its input (mel bins of sound, columns of a picture)
//! into as many bands as there are labels, and entry `c` of its class token and of its proxies is the
//! mean of band `c` less the mean of the whole. So the label is the band that carries the most, and
//! every path through the gate agrees. With [`manifest`], sound of low pitch or a picture that is
//! bright on the left is `low`; high pitch or bright on the right is `high`.

use std::path::Path;

use cmpt_core::features::{MelSpec, PictureSpec};
use cmpt_core::gate::{self, EncoderTokens};
use cmpt_core::modality::{Kind, ModalityId, ModalitySet};
use cmpt_onnx::{Graph, GraphError, Shape};

use crate::manifest::{
    FORMAT_VERSION, FrontEnd, Manifest, Metric, Modality, Pattern, Provenance, Task, Window,
};
use crate::{Bundle, BundleWriter, Golden, Tensor, WriteError, manifest};

/// Logits per unit of token, so that scores are decisive.
const GAIN: f32 = 10.0;
/// Samples in the golden file.
const BATCH: usize = 2;

/// Why a tiny bundle cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TestBundleError {
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The manifest asks for what cannot be built, such as a last axis of 0.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// A manifest with sound and video, windows of one second, labels `low` and `high`. Its patterns
/// differ in temperature and quality, so that a test sees which one was used.
pub fn manifest() -> Manifest {
    let mel = MelSpec {
        sample_rate_hz: 16_000,
        window_samples: 400,
        hop_samples: 160,
        fft_samples: 512,
        n_mels: 16,
        low_hz: 20.0,
        high_hz: 4000.0,
        steps: 98,
        mean: -4.27,
        divisor: 9.14,
        range_db: None,
    };
    let picture = PictureSpec { edge: 8, mean: vec![0.5], std: vec![0.5] };
    let modality = |name: &str, kind, front_end, other: &str, frames| Modality {
        name: name.to_owned(),
        kind,
        front_end,
        encoder: format!("{name}.onnx"),
        width: 4,
        proxies: vec![other.to_owned()],
        frames,
    };
    let pattern = |available: &[&str], temperature, value| Pattern {
        available: available.iter().map(|&name| name.to_owned()).collect(),
        temperature,
        metric: Metric { name: "accuracy".to_owned(), value, samples: 100 },
        per_class: vec![value, value],
        calibration_error: Some(0.01),
    };
    Manifest {
        format_version: FORMAT_VERSION,
        name: "tiny".to_owned(),
        version: "1".to_owned(),
        task: Task::Multiclass,
        labels: vec!["low".to_owned(), "high".to_owned()],
        window: Window { length_ms: 1000, hop_ms: 1000 },
        modalities: vec![
            modality("audio", Kind::Audio, FrontEnd::LogMel(mel), "video", 1),
            modality("video", Kind::Video, FrontEnd::Picture(picture), "audio", 3),
        ],
        fusion: "fusion.onnx".to_owned(),
        width: 4,
        patterns: vec![
            pattern(&["audio", "video"], 1.0, 0.99),
            pattern(&["audio"], 1.5, 0.9),
            pattern(&["video"], 2.0, 0.95),
        ],
        files: Vec::new(),
        golden: manifest::Golden { file: "golden.safetensors".to_owned(), tolerance: 1e-4 },
        provenance: Provenance {
            code: "test".to_owned(),
            data: "none".to_owned(),
            seed: 0,
            created: "2026-01-01T00:00:00Z".to_owned(),
            details: Default::default(),
        },
    }
}

/// Writes [`manifest`]'s bundle at `destination`.
pub fn write_tiny(destination: impl AsRef<Path>) -> Result<Bundle, TestBundleError> {
    write(destination, manifest())
}

/// Writes a bundle of linear encoders for any manifest whose fusion width is at least the number of
/// labels; `files` is filled in.
pub fn write(destination: impl AsRef<Path>, manifest: Manifest) -> Result<Bundle, TestBundleError> {
    let mut writer = BundleWriter::create(destination.as_ref())?;
    for modality in &manifest.modalities {
        writer.add(&modality.encoder, &encoder(modality, &manifest)?.to_bytes())?;
    }
    writer.add(&manifest.fusion, &fusion(&manifest)?.to_bytes())?;
    writer.add("README.md", b"# tiny\nLinear encoders without training, for tests.\n")?;
    let golden = golden(&manifest);
    Ok(writer.finish(manifest, &golden)?)
}

/// Weights of a linear encoder. Shape: [values of one part, width], row-major.
fn encoder_weights(modality: &Modality, manifest: &Manifest) -> Vec<f32> {
    let shape = modality.part_shape();
    let (values, last) = (shape.iter().product::<usize>(), *shape.last().unwrap_or(&1));
    let classes = manifest.labels.len();
    let mut weights = vec![0.0; values * manifest.width];
    for value in 0..values {
        let row = &mut weights[value * manifest.width..][..classes];
        row.fill(-1.0 / values as f32);
        row[value % last * classes / last] += classes as f32 / values as f32;
    }
    weights
}

/// Weights of the fusion. Shape: [width, classes], row-major.
fn fusion_weights(manifest: &Manifest) -> Vec<f32> {
    let classes = manifest.labels.len();
    let entry = |at: usize| if at / classes == at % classes { GAIN } else { 0.0 };
    (0..manifest.width * classes).map(entry).collect()
}

fn encoder(modality: &Modality, manifest: &Manifest) -> Result<Graph, GraphError> {
    let shape = modality.part_shape();
    let values = shape.iter().product();
    let mut graph = Graph::new(&modality.name);
    let features = graph.input("features", Shape::batched(&shape));
    let flat = graph.reshape(features, Shape::batched(&[values]))?;
    let weights =
        graph.constant("weights", [values, manifest.width], &encoder_weights(modality, manifest))?;
    let token = graph.matmul(flat, weights)?;
    graph.output("cls", token)?;
    for other in &modality.proxies {
        graph.output(&format!("proxy_{other}"), token)?;
    }
    Ok(graph)
}

fn fusion(manifest: &Manifest) -> Result<Graph, GraphError> {
    let mut graph = Graph::new("fusion");
    let token = graph.input("token", Shape::batched(&[manifest.width]));
    let sizes = [manifest.width, manifest.labels.len()];
    let weights = graph.constant("weights", sizes, &fusion_weights(manifest))?;
    let logits = graph.matmul(token, weights)?;
    graph.output("logits", logits)?;
    Ok(graph)
}

fn golden(manifest: &Manifest) -> Golden {
    let mut golden = Golden::new();
    let mut noise = noise();
    let mut tokens = Vec::new();
    for modality in &manifest.modalities {
        let shape = [&[BATCH], &modality.part_shape()[..]].concat();
        let features: Vec<f32> = noise.by_ref().take(shape.iter().product()).collect();
        let token = linear(&features, &encoder_weights(modality, manifest), manifest.width);
        golden.insert_features(&modality.name, Tensor { shape, values: features });
        golden.insert_cls(&modality.name, token.clone());
        for other in &modality.proxies {
            golden.insert_proxy(&modality.name, other, token.clone());
        }
        tokens.push(token);
    }
    for pattern in &manifest.patterns {
        let available = manifest.available(pattern);
        let fused: Vec<f32> = (0..BATCH).flat_map(|row| fuse(manifest, &tokens, available, row)).collect();
        golden.insert_logits(pattern, linear(&fused, &fusion_weights(manifest), manifest.labels.len()));
        golden.insert_token(pattern, Tensor { shape: vec![BATCH, manifest.width], values: fused });
    }
    golden
}

fn fuse(manifest: &Manifest, tokens: &[Tensor], available: ModalitySet, row: usize) -> Vec<f32> {
    let tokens: Vec<Option<EncoderTokens>> = (0..tokens.len())
        .map(|id| {
            let cls = tokens[id].row(row).to_vec();
            let proxies = manifest.modalities[id].proxies.iter();
            let proxies =
                proxies.filter_map(|other| Some((manifest.modality(other)?, cls.clone()))).collect();
            available.contains(ModalityId(id)).then_some(EncoderTokens { cls, proxies })
        })
        .collect();
    gate::fuse(manifest.width, &tokens).ok().flatten().unwrap_or_default()
}

/// `inputs` [BATCH, n] times `weights` [n, width].
fn linear(inputs: &[f32], weights: &[f32], width: usize) -> Tensor {
    let n = weights.len() / width;
    let dot = |row: &[f32], column: usize| -> f32 {
        let products = row.iter().zip(weights.iter().skip(column).step_by(width));
        products.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>() as f32
    };
    let values = inputs.chunks(n).flat_map(|row| (0..width).map(|c| dot(row, c)).collect::<Vec<_>>());
    Tensor { shape: vec![BATCH, width], values: values.collect() }
}

/// Numbers in [-1, 1), always the same. Source: the generator of Numerical Recipes, chapter 7.1.
fn noise() -> impl Iterator<Item = f32> {
    let step = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(Some(1), step).map(|state: u32| (f64::from(state) / 2f64.powi(31) - 1.0) as f32)
}
