//! The inference thread: owns the engine, turns the parts of due windows into logits.
//!
//! Requests come through a channel of [`QUEUE`] windows; who finds it full waits. Windows that wait
//! at the same time, of one stream or of several, go through the engine as one batch. A part that the
//! window before had is not encoded again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use cmpt_bundle::Tensor;
use cmpt_core::assembler::Part;
use cmpt_core::gate::{self, EncoderTokens, GateError};
use cmpt_core::modality::{ModalityId, ModalitySet};
use cmpt_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::engine::{Engine, EngineError, Graph};
use super::golden;
use crate::model::Model;

/// Windows that may wait for the thread.
pub const QUEUE: usize = 16;
/// Most windows in one batch; bounds the memory of one run.
const BATCH_WINDOWS: usize = 16;
/// Most parts that an encoder is given at once, for the same reason.
const BATCH_PARTS: usize = 64;

/// The inference thread; ends when it and every handle are dropped.
pub struct Worker {
    handle: InferenceHandle,
    engine: String,
    thread: JoinHandle<()>,
}

/// Where windows are handed in.
#[derive(Clone)]
pub struct InferenceHandle(mpsc::Sender<Request>);

/// What is known of a window after inference.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// One logit a class.
    pub logits: Vec<f32>,
    /// The modalities it was computed from.
    pub available: ModalitySet,
}

/// Why a window has no logits.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WorkerError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] Arc<EngineError>),
    /// The gate refused the tokens.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The thread is gone, which is a defect.
    #[error("reach the inference thread: it has ended")]
    Gone,
}

/// One window's available parts.
struct Request {
    stream: usize,
    /// One entry per modality.
    parts: Vec<Option<Vec<Part>>>,
    reply: oneshot::Sender<Result<Inference, WorkerError>>,
}

impl Worker {
    /// Starts the thread, opens the engine on it and replays the golden tensors. Returns when the
    /// engine has passed.
    pub async fn start(
        model: Arc<Model>,
        open: impl FnOnce() -> Result<Box<dyn Engine>, EngineError> + Send + 'static,
    ) -> Result<Self, EngineError> {
        let (requests, inbox) = mpsc::channel(QUEUE);
        let (ready, opened) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("inference".to_owned())
            .spawn(move || match open_and_check(&model, open) {
                Ok(engine) => {
                    // Whoever started the thread may have given up; then the inbox is closed too.
                    let _ = ready.send(Ok(engine.name().to_owned()));
                    Inferer { model, engine, tokens: BTreeMap::new() }.run(inbox);
                }
                Err(error) => drop(ready.send(Err(error))),
            })
            .expect("a thread can be started");
        match opened.await.expect("the thread says whether it is ready") {
            Ok(engine) => Ok(Self { handle: InferenceHandle(requests), engine, thread }),
            Err(error) => {
                thread.join().expect("the inference thread does not panic");
                Err(error)
            }
        }
    }

    /// A handle for a pipeline.
    pub fn handle(&self) -> InferenceHandle {
        self.handle.clone()
    }

    /// Name of the engine.
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// Waits until the thread has ended. Every handle must have been dropped.
    pub async fn join(self) {
        let Self { handle, thread, .. } = self;
        drop(handle);
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        joined.expect("joining does not panic").expect("the inference thread does not panic");
    }
}

impl InferenceHandle {
    /// Logits of one window of `stream`. Windows of a stream must come in order.
    ///
    /// Shapes: `parts` has one entry per modality, `None` where it is missing; one at least is there.
    pub async fn infer(
        &self,
        stream: usize,
        parts: Vec<Option<Vec<Part>>>,
    ) -> Result<Inference, WorkerError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Request { stream, parts, reply }).await.map_err(|_| WorkerError::Gone)?;
        answer.await.map_err(|_| WorkerError::Gone)?
    }

    /// How many windows wait in the queue.
    pub fn waiting(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }
}

fn open_and_check(
    model: &Model,
    open: impl FnOnce() -> Result<Box<dyn Engine>, EngineError>,
) -> Result<Box<dyn Engine>, EngineError> {
    let mut engine = open()?;
    golden::replay(model, engine.as_mut())?;
    Ok(engine)
}

/// Tokens of one part: the encoder's outputs, one after another.
type Tokens = Arc<[f32]>;

/// The state of the thread.
struct Inferer {
    model: Arc<Model>,
    engine: Box<dyn Engine>,
    /// Tokens by stream, modality and part; what the latest window of a stream no longer reaches is
    /// dropped.
    tokens: BTreeMap<(usize, ModalityId), BTreeMap<Timestamp, Tokens>>,
}

impl Inferer {
    fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        while let Some(first) = inbox.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_WINDOWS
                && let Ok(next) = inbox.try_recv()
            {
                batch.push(next);
            }
            let outcomes = self.infer(&batch);
            match outcomes {
                Ok(outcomes) => {
                    for (request, outcome) in batch.into_iter().zip(outcomes) {
                        // A pipeline that is gone needs no answer.
                        let _ = request.reply.send(Ok(outcome));
                    }
                }
                Err(error) => {
                    for request in batch {
                        let _ = request.reply.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    fn infer(&mut self, batch: &[Request]) -> Result<Vec<Inference>, WorkerError> {
        let modalities = self.model.manifest().modalities.len();
        for modality in (0..modalities).map(ModalityId) {
            self.encode(modality, batch)?;
        }
        let width = self.model.manifest().width;
        let mut fused = Tensor { shape: vec![batch.len(), width], values: Vec::new() };
        let mut available = Vec::new();
        for request in batch {
            let tokens: Vec<_> =
                (0..modalities).map(ModalityId).map(|modality| self.averaged(modality, request)).collect();
            available.push(gate::available(&tokens));
            let token = gate::fuse(width, &tokens)?;
            fused.values.extend(token.expect("a window without a modality is not sent for inference"));
        }
        self.forget(batch);
        let started = Instant::now();
        let logits = self.engine.run(Graph::Fusion, &fused).map_err(Arc::new)?;
        metrics::histogram!("cmpt_stage_seconds", "stage" => "fusion").record(started.elapsed());
        let rows = available.into_iter().enumerate();
        Ok(rows
            .map(|(row, available)| Inference { logits: logits[0].row(row).to_vec(), available })
            .collect())
    }

    /// Encodes the parts of `modality` whose tokens are not known, in batches.
    fn encode(&mut self, modality: ModalityId, batch: &[Request]) -> Result<(), WorkerError> {
        let mut unknown = BTreeMap::new();
        for request in batch {
            let known = self.tokens.entry((request.stream, modality)).or_default();
            for part in request.parts[modality.0].iter().flatten() {
                if !known.contains_key(&part.key) {
                    unknown.insert((request.stream, part.key), part);
                }
            }
        }
        let unknown: Vec<_> = unknown.into_iter().collect();
        for chunk in unknown.chunks(BATCH_PARTS) {
            let started = Instant::now();
            let input = batched(chunk.iter().map(|(_, part)| *part));
            let outputs = self.engine.run(Graph::Encoder(modality), &input).map_err(Arc::new)?;
            let name = self.model.name(modality).to_owned();
            metrics::histogram!("cmpt_stage_seconds", "stage" => "encoder", "modality" => name)
                .record(started.elapsed());
            for (row, ((stream, key), _)) in chunk.iter().enumerate() {
                let tokens: Tokens = outputs.iter().flat_map(|output| output.row(row)).copied().collect();
                self.tokens.entry((*stream, modality)).or_default().insert(*key, tokens);
            }
        }
        Ok(())
    }

    /// Tokens of `modality`, averaged over the window's parts; `None` if it is missing.
    fn averaged(&self, modality: ModalityId, request: &Request) -> Option<EncoderTokens> {
        let parts = request.parts[modality.0].as_ref().filter(|parts| !parts.is_empty())?;
        let known = &self.tokens[&(request.stream, modality)];
        let mut mean = vec![0.0; known[&parts[0].key].len()];
        for part in parts {
            for (sum, value) in mean.iter_mut().zip(known[&part.key].iter()) {
                *sum += value / parts.len() as f32;
            }
        }
        let mut tokens = mean.chunks_exact(self.model.manifest().width).map(<[f32]>::to_vec);
        let cls = tokens.next().expect("the first output is the class token");
        Some(EncoderTokens {
            cls,
            proxies: self.model.proxies(modality).iter().copied().zip(tokens).collect(),
        })
    }

    /// Drops the tokens that lie before the latest window of each stream.
    fn forget(&mut self, batch: &[Request]) {
        for request in batch {
            for (index, parts) in request.parts.iter().enumerate() {
                let Some(first) = parts.as_ref().and_then(|parts| parts.first()) else { continue };
                if let Some(known) = self.tokens.get_mut(&(request.stream, ModalityId(index))) {
                    known.retain(|key, _| *key >= first.key);
                }
            }
        }
    }
}

/// Parts as one tensor. Shape: [parts, ...].
fn batched<'a>(parts: impl ExactSizeIterator<Item = &'a Part>) -> Tensor {
    let mut tensor = Tensor { shape: vec![parts.len()], values: Vec::new() };
    for part in parts {
        tensor.shape.truncate(1);
        tensor.shape.extend(&part.shape);
        tensor.values.extend_from_slice(&part.values);
    }
    tensor
}

/// Mean tokens of all rows of an encoder's outputs, which are the parts of one window.
pub fn average(outputs: &[Tensor], proxies: &[ModalityId]) -> EncoderTokens {
    let mean = |output: &Tensor| {
        let (parts, width) = (output.shape[0], output.values.len() / output.shape[0]);
        (0..width)
            .map(|at| output.values.iter().skip(at).step_by(width).sum::<f32>() / parts as f32)
            .collect()
    };
    let others = outputs[1..].iter().map(mean);
    EncoderTokens { cls: mean(&outputs[0]), proxies: proxies.iter().copied().zip(others).collect() }
}

/// Tokens of one row of an encoder's outputs: the class token, then a proxy for each of `proxies`.
pub(super) fn tokens_of_row(outputs: &[Tensor], row: usize, proxies: &[ModalityId]) -> EncoderTokens {
    let others = outputs[1..].iter().map(|output| output.row(row).to_vec());
    EncoderTokens {
        cls: outputs[0].row(row).to_vec(),
        proxies: proxies.iter().copied().zip(others).collect(),
    }
}
