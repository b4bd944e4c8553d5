//! What the daemon may run an exported graph on.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ort::environment::Environment;
use ort::session::Session;
use tch::Tensor;
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModelExt, IntoRunnable, IntoTValue, tvec,
};

static RUNTIME: LazyLock<Environment> =
    LazyLock::new(|| ort::init_from(library()).unwrap().with_telemetry(false).build().unwrap());

/// The library that `make setup` installs.
fn library() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.onnxruntime/onnxruntime/capi");
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}; run make setup", folder.display()));
    let mut files = entries.map(|entry| entry.unwrap().path());
    let is_library =
        |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("libonnxruntime.so");
    files.find(is_library).unwrap_or_else(|| panic!("no libonnxruntime.so in {}", folder.display()))
}

/// Outputs of a graph, by name.
pub type Outputs = Vec<(String, Tensor)>;

/// Runs a graph: its file, the name of its input, the input.
pub type Run = fn(&[u8], &str, &Tensor) -> Outputs;

/// What the daemon may run a graph on.
pub const ENGINES: [(&str, Run); 2] = [("ONNX Runtime", run_onnxruntime), ("tract", run_tract)];

fn run_onnxruntime(file: &[u8], input: &str, tensor: &Tensor) -> Outputs {
    let mut session = Session::builder(&RUNTIME).unwrap().commit_from_memory(file).unwrap();
    let value = ort::value::Tensor::from_array((tensor.size(), values(tensor))).unwrap();
    let outputs = session.run(ort::inputs![input => value]).unwrap();
    let read = outputs.iter().map(|(name, value)| {
        let (shape, values) = value.try_extract_tensor::<f32>().unwrap();
        (name.to_owned(), Tensor::from_slice(values).view(&shape[..]))
    });
    read.collect()
}

fn run_tract(mut file: &[u8], input: &str, tensor: &Tensor) -> Outputs {
    let shape: Vec<usize> = tensor.size().iter().map(|size| *size as usize).collect();
    // As the daemon loads them: the file's own shapes have a symbolic batch, a plan has a number.
    let onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
    let model = onnx.model_for_read(&mut file).unwrap();
    assert_eq!(model.node(model.inputs[0].node).name, input);
    let name = |outlet: &tract_onnx::prelude::OutletId| {
        model.outlet_label(*outlet).unwrap_or(&model.node(outlet.node).name).to_owned()
    };
    let names: Vec<String> = model.outputs.iter().map(name).collect();
    let fact = InferenceFact::dt_shape(f32::datum_type(), &shape);
    let plan = model.with_input_fact(0, fact).unwrap().into_optimized().unwrap().into_runnable().unwrap();
    let value = tract_onnx::prelude::Tensor::from_shape(&shape, &values(tensor)).unwrap();
    let outputs = plan.run(tvec!(value.into_tvalue())).unwrap();
    let read = outputs.iter().map(|output| {
        let shape: Vec<i64> = output.shape().iter().map(|size| *size as i64).collect();
        let values: Vec<f32> = output.to_plain_array_view::<f32>().unwrap().iter().copied().collect();
        Tensor::from_slice(&values).view(&shape[..])
    });
    names.into_iter().zip(read).collect()
}

pub fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.contiguous().view(-1).try_into().unwrap()
}
