//! What the daemon's tests share: a tiny model, an engine that needs no library, a clock of their own.

use std::sync::mpsc as gate;
use std::sync::{Arc, Mutex};

use cmpt::clock::Clock;
use cmpt::inference::{Engine, EngineError, Graph};
use cmpt::model::Model;
use cmpt_bundle::{Tensor, testing};
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::{AudioBlock, Frame, Sample};
use cmpt_core::time::Timestamp;
use futures_util::future::BoxFuture;
use tempfile::TempDir;
use tokio::sync::watch;

pub const AUDIO: ModalityId = ModalityId(0);
pub const VIDEO: ModalityId = ModalityId(1);
/// Unix time of stream time 0.
pub const UNIX_ZERO_MS: i64 = 1_000_000;
const RATE_HZ: i64 = 16_000;
/// Length of a block of sound, and time between two pictures.
pub const TICK_MS: i64 = 100;

/// The bundle that `cmpt_bundle::testing` describes: low or high sound, left or right light.
pub fn tiny_model() -> (TempDir, Arc<Model>) {
    let folder = tempfile::tempdir().unwrap();
    testing::write_tiny(folder.path().join("tiny")).unwrap();
    let model = Model::open(&folder.path().join("tiny")).unwrap();
    (folder, Arc::new(model))
}

/// Runs the graphs of the tiny bundle without any library. That it does so rightly is what the golden
/// replay shows, which it has to pass like any engine.
pub struct LinearEngine {
    model: Arc<Model>,
    /// Waits for one permit per run once the golden replay is over; `None` never waits.
    gate: Option<gate::Receiver<()>>,
    golden_runs: usize,
}

impl LinearEngine {
    pub fn new(model: Arc<Model>) -> Self {
        Self { model, gate: None, golden_runs: 0 }
    }

    /// One that waits for a permit before each run, after the golden replay. It goes on for good when
    /// the other end of the gate is dropped.
    pub fn gated(model: Arc<Model>, gate: gate::Receiver<()>) -> Self {
        let manifest = model.manifest();
        let golden_runs = manifest.modalities.len() + manifest.patterns.len();
        Self { model, gate: Some(gate), golden_runs }
    }
}

impl Engine for LinearEngine {
    fn name(&self) -> &str {
        "linear"
    }

    fn run(&mut self, graph: Graph, input: &Tensor) -> Result<Vec<Tensor>, EngineError> {
        match (&self.gate, self.golden_runs) {
            (Some(gate), 0) => drop(gate.recv()),
            (_, runs) => self.golden_runs = runs.saturating_sub(1),
        }
        let manifest = self.model.manifest();
        let (batch, classes) = (input.shape[0], manifest.labels.len());
        let row_length = input.values.len() / batch;
        let rows = input.values.chunks(row_length);
        Ok(match graph {
            Graph::Encoder(_) => {
                let last = *input.shape.last().unwrap();
                let token = |row: &[f32]| -> Vec<f32> {
                    let mean = row.iter().sum::<f32>() / row_length as f32;
                    let band = |class: usize| {
                        let of_band =
                            row.iter().enumerate().filter(|(at, _)| at % last * classes / last == class);
                        of_band.map(|(_, value)| value).sum::<f32>() * classes as f32 / row_length as f32
                            - mean
                    };
                    (0..manifest.width).map(|at| if at < classes { band(at) } else { 0.0 }).collect()
                };
                let tokens =
                    Tensor { shape: vec![batch, manifest.width], values: rows.flat_map(token).collect() };
                vec![tokens; manifest.modalities.len()]
            }
            Graph::Fusion => {
                let logits =
                    |row: &[f32]| -> Vec<f32> { row[..classes].iter().map(|value| 10.0 * value).collect() };
                vec![Tensor { shape: vec![batch, classes], values: rows.flat_map(logits).collect() }]
            }
        })
    }
}

/// A clock that a test moves.
#[derive(Clone)]
pub struct ManualClock {
    now: Arc<watch::Sender<Timestamp>>,
}

impl ManualClock {
    pub fn new() -> Self {
        Self { now: Arc::new(watch::channel(Timestamp::ZERO).0) }
    }

    pub fn set(&self, now: Timestamp) {
        self.now.send_replace(now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn unix_ms(&self, at: Timestamp) -> i64 {
        UNIX_ZERO_MS + at.as_millis()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            now.wait_for(|now| *now >= at).await.expect("the clock outlives its sleepers");
        })
    }
}

/// A block of low or high sound that starts at `at_ms`.
pub fn sound(at_ms: i64, high: bool) -> Sample {
    let hz = if high { 3000.0 } else { 200.0 };
    let first = at_ms * RATE_HZ / 1000;
    let sample = |n: i64| (n as f64 / RATE_HZ as f64 * hz * std::f64::consts::TAU).sin() as f32 * 0.5;
    let samples = (first..first + TICK_MS * RATE_HZ / 1000).map(sample).collect();
    Sample::Audio(AudioBlock { at: Timestamp::from_millis(at_ms), samples })
}

/// A picture with light on the left (low) or on the right (high), which is never the same twice.
pub fn picture(at_ms: i64, high: bool) -> Sample {
    const EDGE: u32 = 16;
    let flicker = u8::try_from(at_ms / TICK_MS % 2).unwrap() * 40;
    let pixel = |n: u32| if (n % EDGE >= EDGE / 2) == high { 200 + flicker } else { 20 };
    let rgb = (0..EDGE * EDGE).flat_map(|n| [pixel(n); 3]).collect();
    Sample::Frame(Frame { at: Timestamp::from_millis(at_ms), width: EDGE, height: EDGE, rgb })
}

/// What a publisher would have received.
#[derive(Clone, Default)]
pub struct Received(pub Arc<Mutex<Vec<cmpt::publish::Message>>>);

impl Received {
    pub fn labels(&self) -> Vec<cmpt::publish::Label> {
        let messages = self.0.lock().unwrap();
        let labels = messages.iter().filter_map(|message| match message {
            cmpt::publish::Message::Label(label) => Some((**label).clone()),
            _ => None,
        });
        labels.collect()
    }

    pub fn sensors(&self) -> Vec<(String, &'static str, i64)> {
        let messages = self.0.lock().unwrap();
        let sensors = messages.iter().filter_map(|message| match message {
            cmpt::publish::Message::Sensor { modality, sensor, .. } => {
                Some((modality.clone(), sensor.state, sensor.since_ms - UNIX_ZERO_MS))
            }
            _ => None,
        });
        sensors.collect()
    }
}
