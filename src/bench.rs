//! `cmptd bench`: what a window costs, stage by stage and path by path; with media, what it costs to
//! watch it live.

use std::io::Write;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use cmpt_bundle::Tensor;
use cmpt_core::assembler::FrontEnd;
use cmpt_core::features::{LogMel, PictureFrontEnd};
use cmpt_core::gate;
use cmpt_core::modality::{ModalityId, ModalitySet};
use serde::Serialize;

use crate::cli::BenchArgs;
use crate::config::{Device, EngineSettings};
use crate::cost::Cost;
use crate::failure::Failure;
use crate::inference::{self, Engine, EngineError, Graph, average};
use crate::model::Model;

/// Size of the pictures that the front end is given.
const PICTURE: (u32, u32) = (320, 240);
/// Runs before measuring, for caches and lazy allocations.
const WARM_UP: u32 = 10;

/// The report.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    version: String,
    engine: String,
    threads: usize,
    windows: u32,
    stages: Vec<Stage>,
    paths: Vec<Path>,
}

/// One stage of a window.
#[derive(Debug, Serialize)]
struct Stage {
    stage: &'static str,
    modality: Option<String>,
    #[serde(rename = "ms")]
    latency: Summary,
}

/// A whole window, from samples to logits.
#[derive(Debug, Serialize)]
struct Path {
    available: Vec<String>,
    #[serde(rename = "ms")]
    latency: Summary,
    windows_per_second: f64,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Summary {
    best: f64,
    mean: f64,
    p50: f64,
    p95: f64,
    p99: f64,
}

/// Runs the command.
pub fn run(args: &BenchArgs) -> Result<(), Failure> {
    let model = Model::open(&args.bundle)?;
    if let Some(media) = &args.media {
        return print(&Cost::measure(&model, media, args.span)?);
    }
    let device = Device::from_name(&args.device).ok_or_else(|| {
        Failure::Usage(format!("use device `{}`: expected auto, cuda, cpu or tract", args.device))
    })?;
    let threads = NonZeroUsize::new(args.threads.into()).expect("the command line says at least 1");
    let settings = EngineSettings { device, library: args.library.clone(), threads };
    let engine = inference::open(&settings, &model.graphs())?;
    let mut bench = Bench::new(&model, engine);
    let stages = bench.stages(args.windows)?;
    let paths = bench.paths(args.windows)?;
    let manifest = model.manifest();
    let report = Report {
        model: manifest.name.clone(),
        version: manifest.version.clone(),
        engine: bench.engine.name().to_owned(),
        threads: threads.get(),
        windows: args.windows,
        stages,
        paths,
    };
    print(&report)
}

fn print(report: &impl Serialize) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, report).map_err(std::io::Error::from)?;
    Ok(writeln!(stdout)?)
}

struct Bench<'a> {
    model: &'a Model,
    engine: Box<dyn Engine>,
    sensors: Vec<Sensor>,
}

/// A modality's front end and a window of its input.
enum Sensor {
    Sound { front_end: Box<LogMel>, samples: Vec<f32> },
    Pictures { front_end: Box<PictureFrontEnd>, rgb: Vec<u8>, frames: usize },
}

impl Sensor {
    fn stage(&self) -> &'static str {
        match self {
            Self::Sound { .. } => "mel",
            Self::Pictures { .. } => "picture",
        }
    }

    /// Features of one window. Shape: [parts, ...], flat.
    fn features(&mut self) -> Vec<f32> {
        match self {
            Self::Sound { front_end, samples } => front_end.features(samples),
            Self::Pictures { front_end, rgb, frames } => {
                let mut features = Vec::new();
                for _ in 0..*frames {
                    let picture = front_end.features(rgb, PICTURE.0, PICTURE.1);
                    features.extend(picture.expect("the picture has the size it says"));
                }
                features
            }
        }
    }
}

impl<'a> Bench<'a> {
    fn new(model: &'a Model, engine: Box<dyn Engine>) -> Self {
        let sensor = |id| match model.front_end(id) {
            FrontEnd::Mel(spec) => {
                let samples = model.window().as_secs_f64() * f64::from(spec.sample_rate_hz);
                // A tone with some structure; silence would take shortcuts.
                let samples = (0..samples as usize).map(|n| (n as f32 * 0.05).sin() * 0.3).collect();
                let front_end = Box::new(LogMel::new(&spec).expect("an opened bundle has sound front ends"));
                Sensor::Sound { front_end, samples }
            }
            FrontEnd::Pictures { picture, frames } => {
                let pixels = 3 * PICTURE.0 * PICTURE.1;
                let rgb = (0..pixels).map(|n| (n * 31 % 251) as u8).collect();
                let front_end =
                    Box::new(PictureFrontEnd::new(&picture).expect("an opened bundle has sound front ends"));
                Sensor::Pictures { front_end, rgb, frames }
            }
        };
        let sensors = (0..model.manifest().modalities.len()).map(ModalityId).map(sensor).collect();
        Self { model, engine, sensors }
    }

    fn stages(&mut self, runs: u32) -> Result<Vec<Stage>, EngineError> {
        let mut stages = Vec::new();
        for index in 0..self.sensors.len() {
            let id = ModalityId(index);
            let modality = Some(self.model.name(id).to_owned());
            let sensor = &mut self.sensors[index];
            let stage = sensor.stage();
            let latency = measure(runs, || {
                std::hint::black_box(sensor.features());
                Ok(())
            })?;
            stages.push(Stage { stage, modality: modality.clone(), latency });
            let input = self.input(id);
            let latency = measure(runs, || self.engine.run(Graph::Encoder(id), &input).map(drop))?;
            stages.push(Stage { stage: "encoder", modality, latency });
        }
        let width = self.model.manifest().width;
        let token = Tensor { shape: vec![1, width], values: vec![0.1; width] };
        let latency = measure(runs, || self.engine.run(Graph::Fusion, &token).map(drop))?;
        stages.push(Stage { stage: "fusion", modality: None, latency });
        Ok(stages)
    }

    fn paths(&mut self, runs: u32) -> Result<Vec<Path>, EngineError> {
        let patterns: Vec<_> = ModalitySet::patterns(self.sensors.len()).collect();
        let mut paths = Vec::new();
        for available in patterns {
            let latency = measure(runs, || self.window(available))?;
            paths.push(Path {
                available: available.iter().map(|id| self.model.name(id).to_owned()).collect(),
                latency,
                windows_per_second: (1e3 / latency.mean).round(),
            });
        }
        Ok(paths)
    }

    /// Input of an encoder for one window.
    fn input(&mut self, id: ModalityId) -> Tensor {
        let modality = &self.model.manifest().modalities[id.0];
        let shape = [&[modality.frames][..], &modality.part_shape()].concat();
        Tensor { shape, values: self.sensors[id.0].features() }
    }

    /// One window from samples to logits.
    fn window(&mut self, available: ModalitySet) -> Result<(), EngineError> {
        let manifest = self.model.manifest();
        let mut tokens = vec![None; self.sensors.len()];
        for id in available.iter() {
            let input = self.input(id);
            let outputs = self.engine.run(Graph::Encoder(id), &input)?;
            tokens[id.0] = Some(average(&outputs, self.model.proxies(id)));
        }
        let fused = gate::fuse(manifest.width, &tokens).expect("an opened bundle has every proxy");
        let values = fused.expect("a pattern has a modality");
        self.engine.run(Graph::Fusion, &Tensor { shape: vec![1, manifest.width], values }).map(drop)
    }
}

fn measure(runs: u32, mut run: impl FnMut() -> Result<(), EngineError>) -> Result<Summary, EngineError> {
    for _ in 0..WARM_UP {
        run()?;
    }
    let mut latencies = Vec::new();
    for _ in 0..runs {
        let started = Instant::now();
        run()?;
        latencies.push(started.elapsed());
    }
    Ok(Summary::of(latencies))
}

impl Summary {
    /// Of at least one latency.
    fn of(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let ms = |latency: Duration| (latency.as_secs_f64() * 1e6).round() / 1e3;
        let quantile = |q: f64| ms(latencies[((latencies.len() - 1) as f64 * q).round() as usize]);
        let count = u32::try_from(latencies.len()).expect("as many as the command line says");
        Self {
            best: ms(latencies[0]),
            mean: ms(latencies.iter().sum::<Duration>() / count),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_latencies_that_were_measured() {
        let summary = Summary::of((1..=101).rev().map(Duration::from_millis).collect());
        let Summary { best, mean, p50, p95, p99 } = summary;
        assert_eq!([best, mean, p50, p95, p99], [1.0, 51.0, 51.0, 96.0, 100.0]);
    }
}
