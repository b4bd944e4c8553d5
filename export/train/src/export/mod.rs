//! From a checkpoint to a bundle: graphs with adapters merged, golden tensors, manifest, model card.

pub mod bundle;
mod card;
mod error;
mod golden;
pub mod graph;
mod tensor;

pub use error::ExportError;
