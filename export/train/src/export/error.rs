//! Why a model cannot be exported.

use cmpt_bundle::WriteError;
use cmpt_onnx::GraphError;
use tch::TchError;

/// Why a model cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A graph's shapes do not fit, so the weights are not those of the model's description.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// libtorch refused a tensor.
    #[error("read tensor")]
    Torch(#[from] TchError),
    /// The bundle cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}
