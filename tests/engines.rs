//! Real engines, and what they are held to before they are used.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use cmpt::config::{Device, EngineSettings};
use cmpt::inference::{EngineError, Worker, open};
use cmpt::model::Model;
use cmpt_bundle::testing;
use cmpt_core::assembler::Part;
use cmpt_core::modality::{ModalityId, ModalitySet};
use cmpt_core::time::Timestamp;

async fn start(folder: &Path, device: Device) -> (Arc<Model>, Result<Worker, EngineError>) {
    let model = Arc::new(Model::open(folder).unwrap());
    let settings = EngineSettings { device, library: None, threads: NonZeroUsize::MIN };
    let graphs = model.graphs();
    let worker = Worker::start(Arc::clone(&model), move || open(&settings, &graphs)).await;
    (model, worker)
}

/// The first sample of the golden input of a modality, as a window of one part.
fn golden_part(model: &Model, id: ModalityId) -> Vec<Part> {
    let features = model.golden().features(model.name(id)).unwrap();
    vec![Part { key: Timestamp::ZERO, shape: features.shape[1..].to_vec(), values: features.row(0).into() }]
}

/// Logits of every pattern through the worker are those of the golden file.
async fn check(device: Device, name: &str) {
    let folder = tempfile::tempdir().unwrap();
    testing::write_tiny(folder.path().join("tiny")).unwrap();
    let (model, worker) = start(&folder.path().join("tiny"), device).await;
    let worker = worker.unwrap();
    assert_eq!(worker.engine(), name);
    for (stream, available) in ModalitySet::patterns(2).enumerate() {
        let parts = (0..2).map(ModalityId).map(|id| available.contains(id).then(|| golden_part(&model, id)));
        let inference = worker.handle().infer(stream, parts.collect()).await.unwrap();
        assert_eq!(inference.available, available);
        let expected = model.golden().logits(model.pattern(available).unwrap()).unwrap();
        for (logit, expected) in inference.logits.iter().zip(expected.row(0)) {
            assert!((logit - expected).abs() <= model.manifest().golden.tolerance, "{logit}, not {expected}");
        }
    }
    worker.join().await;
}

/// A bundle whose tolerance no engine can meet is refused with the figures.
async fn check_refusal(device: Device) {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = testing::manifest();
    manifest.golden.tolerance = 1e-30;
    testing::write(folder.path().join("strict"), manifest).unwrap();
    let (_, worker) = start(&folder.path().join("strict"), device).await;
    let error = worker.err().unwrap().to_string();
    assert!(error.starts_with("reproduce golden tensor `audio.cls` on "), "{error}");
    assert!(error.ends_with("tolerance 1e-30"), "{error}");
}

#[tokio::test]
async fn onnx_runtime_reproduces_the_golden_outputs() {
    check(Device::Cpu, "onnxruntime cpu").await;
    check_refusal(Device::Cpu).await;
}

#[cfg(feature = "tract")]
#[tokio::test]
async fn tract_reproduces_the_golden_outputs() {
    check(Device::Tract, "tract").await;
    check_refusal(Device::Tract).await;
}
