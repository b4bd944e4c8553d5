//! What the inference thread runs on its engine: nothing twice, and in one batch what is due together.

use std::sync::mpsc as gate;
use std::sync::{Arc, Mutex};

use super::support::{AUDIO, LinearEngine, VIDEO, tiny_model};
use cmpt::inference::{Engine, EngineError, Graph, Worker};
use cmpt::model::Model;
use cmpt_bundle::Tensor;
use cmpt_core::assembler::Part;
use cmpt_core::modality::ModalityId;
use cmpt_core::time::Timestamp;

/// Graphs that were run, and their batch sizes.
type Runs = Arc<Mutex<Vec<(Graph, usize)>>>;

/// Notes what the engine is asked to run.
struct Recorder {
    engine: LinearEngine,
    runs: Runs,
}

impl Engine for Recorder {
    fn name(&self) -> &str {
        "recorder"
    }

    fn run(&mut self, graph: Graph, input: &Tensor) -> Result<Vec<Tensor>, EngineError> {
        self.runs.lock().unwrap().push((graph, input.shape[0]));
        self.engine.run(graph, input)
    }
}

/// A worker that waits for a permit before each run, and what it ran after the golden replay.
async fn start(model: &Arc<Model>) -> (Worker, gate::Sender<()>, Runs) {
    let (permits, waiting) = gate::channel();
    let (runs, for_engine, of_engine) = (Runs::default(), Arc::clone(model), Arc::clone(model));
    let recorded = Arc::clone(&runs);
    let open = move || -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(Recorder { engine: LinearEngine::gated(for_engine, waiting), runs: recorded }))
    };
    let worker = Worker::start(of_engine, open).await.unwrap();
    runs.lock().unwrap().clear();
    (worker, permits, runs)
}

/// Parts of `modality` at these times, each with values of its own.
fn parts(model: &Model, modality: ModalityId, at_ms: &[i64]) -> Option<Vec<Part>> {
    let shape = model.golden().features(model.name(modality)).unwrap().shape[1..].to_vec();
    let length: usize = shape.iter().product();
    let part = |at: &i64| {
        let values: Vec<f32> = (0..length).map(|n| (*at as f32 / 100.0 + n as f32).sin()).collect();
        Part { key: Timestamp::from_millis(*at), shape: shape.clone(), values: values.into() }
    };
    Some(at_ms.iter().map(part).collect())
}

#[tokio::test]
async fn a_picture_that_two_windows_share_is_encoded_once() {
    let (_folder, model) = tiny_model();
    let (worker, permits, runs) = start(&model).await;
    drop(permits); // it never waits
    let window = |at_ms: &[i64]| vec![None, parts(&model, VIDEO, at_ms)];
    let infer = async |at_ms: &[i64]| worker.handle().infer(0, window(at_ms)).await.unwrap();

    infer(&[0, 400, 800]).await;
    let overlapping = infer(&[400, 800, 1200]).await;
    let encoder = Graph::Encoder(VIDEO);
    let expected = [(encoder, 3), (Graph::Fusion, 1), (encoder, 1), (Graph::Fusion, 1)];
    assert_eq!(*runs.lock().unwrap(), expected);

    // Reuse changes nothing: another stream that sees only the second window gets the same.
    let alone = worker.handle().infer(1, window(&[400, 800, 1200])).await.unwrap();
    assert_eq!(overlapping, alone);
    // A window that slid on forgets what it left: the first picture would be encoded again.
    infer(&[0]).await;
    assert_eq!(runs.lock().unwrap().last_chunk::<2>().unwrap(), &[(encoder, 1), (Graph::Fusion, 1)]);
    worker.join().await;
}

#[tokio::test]
async fn windows_of_several_streams_that_wait_together_go_as_one_batch() {
    let (_folder, model) = tiny_model();
    let (worker, permits, runs) = start(&model).await;
    let window = |stream: usize| {
        let at_ms = [1000 * stream as i64];
        vec![parts(&model, AUDIO, &at_ms), parts(&model, VIDEO, &at_ms)]
    };
    let infer = |stream: usize| {
        let (handle, window) = (worker.handle(), window(stream));
        tokio::spawn(async move { handle.infer(stream, window).await.unwrap() })
    };
    // The engine is held in the first window's first run until the others wait in the queue.
    let first = infer(0);
    while runs.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let others = [infer(1), infer(2), infer(3)];
    while worker.handle().waiting() < others.len() {
        tokio::task::yield_now().await;
    }
    drop(permits);

    first.await.unwrap();
    let mut together = Vec::new();
    for other in others {
        together.push(other.await.unwrap());
    }
    let round = |windows| {
        [(Graph::Encoder(AUDIO), windows), (Graph::Encoder(VIDEO), windows), (Graph::Fusion, windows)]
    };
    assert_eq!(*runs.lock().unwrap(), [round(1), round(3)].concat());

    // And each gets its own: what it would have got alone.
    for (index, together) in together.iter().enumerate() {
        let alone = worker.handle().infer(10 + index, window(index + 1)).await.unwrap();
        assert_eq!(*together, alone, "stream {}", index + 1);
    }
    worker.join().await;
}
