//! Which engine: the configured one, or the best that can be had.

use tracing::warn;

use super::engine::{Engine, EngineError, GraphFile};
use crate::config::{Device, EngineSettings};

/// An engine for `graphs`, as `settings` say.
///
/// [`Device::Auto`] takes CUDA, else the CPU, else tract, each step down with a warning. Errors: the
/// engine that is wanted cannot be had, or with `Auto` none can; then the error is that of the last
/// engine but tract, because a build without tract is no mistake.
pub fn open(settings: &EngineSettings, graphs: &[GraphFile]) -> Result<Box<dyn Engine>, EngineError> {
    match settings.device {
        Device::Cuda => onnxruntime(settings, true, graphs),
        Device::Cpu => onnxruntime(settings, false, graphs),
        Device::Tract => tract(graphs),
        Device::Auto => best(settings, graphs),
    }
}

fn best(settings: &EngineSettings, graphs: &[GraphFile]) -> Result<Box<dyn Engine>, EngineError> {
    let error = match onnxruntime(settings, true, graphs) {
        Err(EngineError::Cuda { lacks, .. }) => {
            warn!(%lacks, "CUDA is not usable, the CPU is used");
            match onnxruntime(settings, false, graphs) {
                Ok(engine) => return Ok(engine),
                Err(error) => error,
            }
        }
        Err(error) => error,
        Ok(engine) => return Ok(engine),
    };
    // A graph that does not load is a fault of the bundle, which another engine would only hide.
    if !matches!(error, EngineError::Library { .. } | EngineError::NotBuilt { .. }) {
        return Err(error);
    }
    match tract(graphs) {
        Err(EngineError::NotBuilt { .. }) => Err(error),
        Ok(engine) => {
            warn!(%error, "ONNX Runtime is not usable, tract is used");
            Ok(engine)
        }
        Err(error) => Err(error),
    }
}

#[cfg(feature = "ort")]
fn onnxruntime(
    settings: &EngineSettings,
    cuda: bool,
    graphs: &[GraphFile],
) -> Result<Box<dyn Engine>, EngineError> {
    let engine = super::ort::OrtEngine::open(settings, cuda, graphs)?;
    Ok(Box::new(engine))
}

#[cfg(not(feature = "ort"))]
fn onnxruntime(_: &EngineSettings, _: bool, _: &[GraphFile]) -> Result<Box<dyn Engine>, EngineError> {
    Err(EngineError::NotBuilt { engine: "onnxruntime", feature: "ort" })
}

#[cfg(feature = "tract")]
fn tract(graphs: &[GraphFile]) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(super::tract::TractEngine::open(graphs)?))
}

#[cfg(not(feature = "tract"))]
fn tract(_: &[GraphFile]) -> Result<Box<dyn Engine>, EngineError> {
    Err(EngineError::NotBuilt { engine: "tract", feature: "tract" })
}
