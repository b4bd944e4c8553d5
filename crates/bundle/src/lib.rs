//! The model bundle: manifest, digests, golden inputs and outputs; opened by the daemon, written by
//! the trainer.
//!
//! A bundle is a folder, or the same as one `.tar.zst`. [`Bundle::open`] checks all of it, so whoever holds a [`Bundle`] need not
//! check again; [`BundleWriter`] makes a new one appear whole or not at all.
//!
//! **Architecture invariant.** Nothing here knows what runs a graph: an ONNX file is bytes with a
//! digest.

mod archive;
mod bundle;
mod digest;
mod error;
mod golden;
pub mod manifest;
mod path;
#[cfg(feature = "testing")]
pub mod testing;
mod validate;
mod writer;

pub use bundle::Bundle;
pub use error::{BundleError, Problem, Problems};
pub use golden::{Golden, Tensor};
pub use manifest::Manifest;
pub use writer::{BundleWriter, WriteError};

/// Name of the manifest inside a bundle.
pub const MANIFEST: &str = "manifest.json";
