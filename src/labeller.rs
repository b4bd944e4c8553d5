//! From logits to a label. Pure.

use std::sync::Arc;

use cmpt_bundle::manifest::Task;
use cmpt_core::assembler::{DueWindow, Input, Part, Verdict};
use cmpt_core::dropout::Reason;
use cmpt_core::modality::{ModalityId, ModalitySet};
use cmpt_core::prediction;
use cmpt_core::time::Timestamp;

use crate::inference::Inference;
use crate::model::Model;
use crate::publish::payload::{Expected, Label, MissingBy, ModelId, Outcome, Path, SCHEMA, Score, rounded};

/// How many classes a label names.
const TOP: usize = 5;

/// Makes the labels of one stream.
#[derive(Clone)]
pub struct Labeller {
    node: String,
    stream: String,
    boot_id: String,
    model: Arc<Model>,
}

/// What stays of a window while its parts are at the engine.
#[derive(Clone, Debug)]
pub struct Facts {
    seq: u64,
    /// Start of the window.
    pub start: Timestamp,
    /// End of the window, exclusive.
    pub end: Timestamp,
    missing: Vec<(ModalityId, Reason, Verdict)>,
}

/// Unix times of a window and of its label, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Start of the window.
    pub start_ms: i64,
    /// End of the window.
    pub end_ms: i64,
    /// When the label is published.
    pub published_ms: i64,
}

impl Labeller {
    /// For stream `stream` of node `node` in its run `boot_id`.
    pub fn new(node: &str, stream: &str, boot_id: &str, model: Arc<Model>) -> Self {
        Self { node: node.to_owned(), stream: stream.to_owned(), boot_id: boot_id.to_owned(), model }
    }

    /// Id of the stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The label of a window, or its blind outcome without an `inference`.
    pub fn label(&self, facts: &Facts, inference: Option<&Inference>, times: Times) -> Label {
        let available = inference.map_or(ModalitySet::empty(), |inference| inference.available);
        let pattern = self.model.pattern(available);
        let temperature = pattern.map_or(1.0, |pattern| pattern.temperature);
        let top = inference.map_or(Vec::new(), |inference| self.top(&inference.logits, temperature));
        let best = top.first();
        let name = |id: ModalityId| self.model.name(id).to_owned();
        let missing_by = |verdict: &Verdict| match verdict {
            Verdict::Sensor => MissingBy::Sensor,
            Verdict::Window => MissingBy::Window,
        };
        Label {
            schema: SCHEMA,
            node: self.node.clone(),
            stream: self.stream.clone(),
            boot_id: self.boot_id.clone(),
            seq: facts.seq,
            outcome: if inference.is_some() { Outcome::Label } else { Outcome::Blind },
            label: best.map(|best| best.label.clone()),
            score: best.map(|best| best.score),
            path: self.path(available),
            available: available.iter().map(name).collect(),
            missing: facts.missing.iter().map(|(id, reason, _)| (name(*id), *reason)).collect(),
            missing_by: facts
                .missing
                .iter()
                .map(|(id, _, verdict)| (name(*id), missing_by(verdict)))
                .collect(),
            // A pattern that was measured on nothing is worth nobody knows what, not 0.
            expected: pattern.filter(|pattern| pattern.metric.samples > 0).map(|pattern| Expected {
                metric: pattern.metric.name.clone(),
                value: rounded(pattern.metric.value),
            }),
            window_start_ms: times.start_ms,
            window_end_ms: times.end_ms,
            published_ms: times.published_ms,
            latency_ms: times.published_ms - times.end_ms,
            model: model_id(&self.model),
            top,
        }
    }

    fn path(&self, available: ModalitySet) -> Path {
        match available.len() {
            0 => Path::Blind,
            count if count == self.model.manifest().modalities.len() => Path::Full,
            _ => Path::Proxy,
        }
    }

    fn top(&self, logits: &[f32], temperature: f32) -> Vec<Score> {
        let manifest = self.model.manifest();
        let scores = match manifest.task {
            Task::Multiclass => prediction::softmax(logits, temperature),
            Task::Multilabel => prediction::sigmoid(logits, temperature),
        };
        let top = prediction::top(&scores, TOP).into_iter();
        top.map(|(class, score)| Score { label: manifest.labels[class].clone(), score: rounded(score) })
            .collect()
    }
}

/// Name, version and digest of `model`.
pub fn model_id(model: &Model) -> ModelId {
    let manifest = model.manifest();
    ModelId {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        sha256: model.digest().to_owned(),
    }
}

/// One modality's parts, `None` where it is missing.
pub type Parts = Vec<Option<Vec<Part>>>;

/// Takes a due window apart: what the label says of it, and what the engine needs; `None` if that is
/// nothing.
pub fn split(window: DueWindow) -> (Facts, Option<Parts>) {
    let mut missing = Vec::new();
    let parts: Parts = (window.inputs.into_iter().enumerate())
        .map(|(index, input)| match input {
            Input::Available(parts) => Some(parts),
            Input::Missing { reason, verdict } => {
                missing.push((ModalityId(index), reason, verdict));
                None
            }
        })
        .collect();
    let facts = Facts { seq: window.seq, start: window.start, end: window.end, missing };
    let seeing = parts.iter().any(Option::is_some);
    (facts, seeing.then_some(parts))
}
