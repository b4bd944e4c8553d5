//! What an engine is, and why it fails.

use std::error::Error;
use std::path::PathBuf;

use cmpt_bundle::Tensor;
use cmpt_core::modality::ModalityId;

/// Something that runs the graphs of a bundle.
pub trait Engine {
    /// Its name, for people: such as `onnxruntime cpu`.
    fn name(&self) -> &str;

    /// Runs `graph` on `input`; the outputs come in the order of [`GraphFile::outputs`].
    ///
    /// Shapes: `input` is [batch, ...] as the graph wants it, each output [batch, ...].
    fn run(&mut self, graph: Graph, input: &Tensor) -> Result<Vec<Tensor>, EngineError>;
}

/// A graph of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Graph {
    /// The encoder of a modality.
    Encoder(ModalityId),
    /// What makes logits of a fused token.
    Fusion,
}

/// A graph and the file that holds it.
#[derive(Clone, Debug)]
pub struct GraphFile {
    /// Which.
    pub graph: Graph,
    /// Its ONNX file.
    pub path: PathBuf,
    /// Name of its input.
    pub input: &'static str,
    /// Shape of its input without the batch dimension.
    pub input_shape: Vec<usize>,
    /// Names of its outputs, in the order in which they are returned.
    pub outputs: Vec<String>,
}

/// Why an engine cannot be had, or does not do its work.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The build lacks the engine.
    #[error("use engine {engine}: this build has none (cargo feature `{feature}`)")]
    NotBuilt {
        /// The engine.
        engine: &'static str,
        /// What would add it.
        feature: &'static str,
    },
    /// There is no usable ONNX Runtime library.
    #[error("load ONNX Runtime, looked in:\n  {}", tried.join("\n  "))]
    Library {
        /// Each place, and what was wrong there.
        tried: Vec<String>,
    },
    /// CUDA is wanted and cannot be used.
    #[error("use CUDA: {lacks} ({message})")]
    Cuda {
        /// What lacks: a build with CUDA, a library, or the driver.
        lacks: String,
        /// What ONNX Runtime says.
        message: String,
    },
    /// A graph cannot be loaded.
    #[error("load graph {}: {source}", path.display())]
    Load {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A graph has other inputs or outputs than the manifest says.
    #[error("use graph {}: it has {found}, expected {expected}", path.display())]
    Signature {
        /// Its file.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What the manifest says.
        expected: String,
    },
    /// A graph cannot be run.
    #[error("run {graph:?}: {source}")]
    Run {
        /// Which.
        graph: Graph,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The engine does not reproduce the golden outputs.
    #[error(
        "reproduce golden tensor `{tensor}` on {engine}: largest difference {difference:e}, tolerance {tolerance:e}"
    )]
    Golden {
        /// The tensor.
        tensor: String,
        /// The engine.
        engine: String,
        /// Largest absolute difference.
        difference: f32,
        /// What the manifest allows.
        tolerance: f32,
    },
}
