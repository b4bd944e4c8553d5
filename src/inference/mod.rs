//! Inference: graphs run on an engine, on a thread of their own.
//!
//! An [`Engine`] runs one graph on one batch. The [`worker`] owns an engine and turns the parts of
//! due windows into logits: encoders of the available modalities only, the gate, the fusion graph.
//!
//! **Architecture invariant.** No engine knows of windows or sensors, and nothing outside its module
//! knows of ONNX Runtime or tract.

pub mod engine;
mod factory;
mod golden;
#[cfg(feature = "ort")]
mod ort;
#[cfg(feature = "tract")]
mod tract;
pub mod worker;

pub use engine::{Engine, EngineError, Graph};
pub use factory::open;
pub use worker::{Inference, InferenceHandle, Worker, WorkerError, average};
