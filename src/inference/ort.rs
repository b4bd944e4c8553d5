//! ONNX Runtime, loaded when the daemon starts, on the CPU or on CUDA.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cmpt_bundle::Tensor;
use ort::environment::Environment;
use ort::ep::CUDA;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::TensorRef;

use super::engine::{Engine, EngineError, Graph, GraphFile};
use crate::config::EngineSettings;

/// What was loaded: ONNX Runtime allows one environment in a process, for all of its life.
static LOADED: Mutex<Option<Environment>> = Mutex::new(None);

/// File name of the library, as it stands beside the binary and as the loader knows it.
const LIBRARY: &str = "libonnxruntime.so";

/// Runs graphs on ONNX Runtime.
pub struct OrtEngine {
    name: String,
    graphs: BTreeMap<Graph, LoadedGraph>,
}

struct LoadedGraph {
    session: Session,
    input: &'static str,
    outputs: Vec<String>,
}

impl OrtEngine {
    /// Loads the library and all `graphs`. With `cuda`, anything that keeps CUDA from being used is
    /// [`EngineError::Cuda`]; it never falls back to the CPU.
    pub fn open(settings: &EngineSettings, cuda: bool, graphs: &[GraphFile]) -> Result<Self, EngineError> {
        let environment = load_library(settings.library.as_deref())?;
        let threads = settings.threads.get();
        let mut loaded = BTreeMap::new();
        for file in graphs {
            let builder = builder(&environment, threads, cuda).map_err(|error| failure(error, cuda, file))?;
            loaded.insert(file.graph, LoadedGraph::load(builder, cuda, file)?);
        }
        let name = format!("onnxruntime {}", if cuda { "cuda" } else { "cpu" });
        Ok(Self { name, graphs: loaded })
    }
}

impl Engine for OrtEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, graph: Graph, input: &Tensor) -> Result<Vec<Tensor>, EngineError> {
        let loaded = self.graphs.get_mut(&graph).expect("every graph of the bundle was loaded");
        loaded.run(input).map_err(|error| EngineError::Run { graph, source: Box::new(error) })
    }
}

impl LoadedGraph {
    fn load(mut builder: SessionBuilder, cuda: bool, file: &GraphFile) -> Result<Self, EngineError> {
        let session = builder.commit_from_file(&file.path).map_err(|error| failure(error, cuda, file))?;
        let names = |outlets: &[ort::value::Outlet]| -> Vec<String> {
            outlets.iter().map(|outlet| outlet.name().to_owned()).collect()
        };
        let (inputs, outputs) = (names(session.inputs()), names(session.outputs()));
        if inputs != [file.input] || !file.outputs.iter().all(|name| outputs.contains(name)) {
            return Err(EngineError::Signature {
                path: file.path.clone(),
                found: format!("inputs {inputs:?} and outputs {outputs:?}"),
                expected: format!("inputs {:?} and outputs {:?}", [file.input], file.outputs),
            });
        }
        Ok(Self { session, input: file.input, outputs: file.outputs.clone() })
    }

    fn run(&mut self, input: &Tensor) -> ort::Result<Vec<Tensor>> {
        let view = TensorRef::from_array_view((input.shape.as_slice(), input.values.as_slice()))?;
        let outputs = self.session.run(ort::inputs![self.input => view])?;
        self.outputs
            .iter()
            .map(|name| {
                let (shape, values) = outputs[name.as_str()].try_extract_tensor::<f32>()?;
                let shape = shape.iter().map(|n| usize::try_from(*n).expect("a shape is not negative"));
                Ok(Tensor { shape: shape.collect(), values: values.to_vec() })
            })
            .collect()
    }
}

fn builder(environment: &Environment, threads: usize, cuda: bool) -> ort::Result<SessionBuilder> {
    // Spinning would burn a core between two windows to save microseconds.
    let mut builder = Session::builder(environment)?
        .with_intra_threads(threads)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?;
    if cuda {
        // Without this ONNX Runtime falls back to the CPU and says nothing.
        builder = builder.with_execution_providers([CUDA::default().build().error_on_failure()])?;
    }
    Ok(builder)
}

fn failure(error: ort::Error, cuda: bool, file: &GraphFile) -> EngineError {
    let message = error.to_string();
    match cuda.then(|| lacking(&message)).flatten() {
        Some(lacks) => EngineError::Cuda { lacks, message },
        None => EngineError::Load { path: file.path.clone(), source: Box::new(error) },
    }
}

/// What a failure of CUDA says is lacking; `None` if the failure is about something else.
fn lacking(message: &str) -> Option<String> {
    let library = message.split(|c: char| c.is_whitespace() || c == ':' || c == '"' || c == '\'');
    let library = library.map(|word| word.rsplit('/').next().unwrap_or(word));
    let mut library = library.filter(|word| word.starts_with("lib") && word.contains(".so"));
    // The provider's own library is named first, the one it could not find last.
    match library.next_back() {
        _ if message.contains("not enabled in this build") => {
            Some("the ONNX Runtime library is built without CUDA".to_owned())
        }
        Some(name) if name.starts_with("libcuda.so") => {
            Some(format!("no NVIDIA driver, {name} is not found"))
        }
        Some(name) => Some(format!("library {name} cannot be loaded")),
        None if message.contains("CUDA") => Some("the driver or the device refuses".to_owned()),
        None => None,
    }
}

/// Loads ONNX Runtime from `library`, or else from beside the binary, or else from where the loader
/// finds it. What was loaded once is used ever after.
fn load_library(library: Option<&Path>) -> Result<Environment, EngineError> {
    let mut loaded = LOADED.lock().expect("nothing panics while the library is loaded");
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let mut tried = Vec::new();
    for path in candidates(library) {
        // Only a bare name is left to the loader's search path.
        if path.is_absolute() && !path.exists() {
            tried.push(format!("{}: no such file", path.display()));
            continue;
        }
        match environment(&path) {
            Ok(environment) => return Ok(loaded.insert(environment).clone()),
            Err(error) => tried.push(format!("{}: {error}", path.display())),
        }
    }
    Err(EngineError::Library { tried })
}

fn environment(library: &Path) -> Result<Environment, Box<dyn Error>> {
    let environment = ort::init_from(library)?.with_telemetry(false).with_name("cmptd").build()?;
    // By default it tells all it does, which is then thrown away message by message.
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

fn candidates(library: Option<&Path>) -> Vec<PathBuf> {
    if let Some(library) = library {
        return vec![std::path::absolute(library).unwrap_or_else(|_| library.to_owned())];
    }
    let binary = std::env::current_exe().ok();
    let beside = binary.as_deref().and_then(Path::parent).map(|folder| folder.join(LIBRARY));
    beside.into_iter().chain([PathBuf::from(LIBRARY)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_cuda_from_working_is_named() {
        for (message, lacks) in [
            (
                "CUDA execution provider is not enabled in this build.",
                Some("the ONNX Runtime library is built without CUDA"),
            ),
            (
                "Failed to load library /opt/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file",
                Some("library libcublasLt.so.13 cannot be loaded"),
            ),
            (
                "Failed to load /opt/libonnxruntime_providers_cuda.so: libcuda.so.1: cannot open shared object file",
                Some("no NVIDIA driver, libcuda.so.1 is not found"),
            ),
            (
                "CUDA failure 100: no CUDA-capable device is detected",
                Some("the driver or the device refuses"),
            ),
            ("Load model from x.onnx failed: Protobuf parsing failed.", None),
        ] {
            assert_eq!(lacking(message).as_deref(), lacks, "{message}");
        }
    }

    #[test]
    fn a_library_that_is_not_there_is_named_with_its_absolute_path() {
        let error = load_library(Some(Path::new("nowhere/libonnxruntime.so"))).err().unwrap().to_string();
        let path = std::path::absolute("nowhere/libonnxruntime.so").unwrap();
        assert_eq!(error, format!("load ONNX Runtime, looked in:\n  {}: no such file", path.display()));
    }
}
