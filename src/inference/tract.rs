//! tract: the embedded engine, which needs no shared library.

use std::collections::BTreeMap;
use std::sync::Arc;

use cmpt_bundle::Tensor;
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, IntoTValue,
    TractResult, TypedRunnableModel, tvec,
};

use super::engine::{Engine, EngineError, Graph, GraphFile};

/// Runs graphs on tract.
pub struct TractEngine {
    graphs: BTreeMap<Graph, LoadedGraph>,
}

struct LoadedGraph {
    model: InferenceModel,
    input_shape: Vec<usize>,
    /// Plans by batch size: tract optimises for the shapes it knows. There are few, because a window
    /// always has the same number of parts.
    plans: BTreeMap<usize, Arc<TypedRunnableModel>>,
}

impl TractEngine {
    /// Loads all `graphs`.
    pub fn open(graphs: &[GraphFile]) -> Result<Self, EngineError> {
        let load = |file: &GraphFile| Ok((file.graph, LoadedGraph::load(file)?));
        Ok(Self { graphs: graphs.iter().map(load).collect::<Result<_, EngineError>>()? })
    }
}

impl Engine for TractEngine {
    fn name(&self) -> &str {
        "tract"
    }

    fn run(&mut self, graph: Graph, input: &Tensor) -> Result<Vec<Tensor>, EngineError> {
        let loaded = self.graphs.get_mut(&graph).expect("every graph of the bundle was loaded");
        loaded.run(input).map_err(|error| EngineError::Run { graph, source: error.into() })
    }
}

impl LoadedGraph {
    fn load(file: &GraphFile) -> Result<Self, EngineError> {
        let failure = |error: tract_onnx::prelude::TractError| EngineError::Load {
            path: file.path.clone(),
            source: error.into(),
        };
        // The file's own shapes have a symbolic batch, which does not unify with that of a plan.
        let onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
        let model = onnx.model_for_path(&file.path).map_err(failure)?;
        let inputs: Vec<_> = model.inputs.iter().map(|outlet| model.node(outlet.node).name.clone()).collect();
        if inputs != [file.input] {
            return Err(EngineError::Signature {
                path: file.path.clone(),
                found: format!("inputs {inputs:?}"),
                expected: format!("inputs {:?}", [file.input]),
            });
        }
        let model = model.with_outputs_by_name(&file.outputs).map_err(failure)?;
        let mut loaded = Self { model, input_shape: file.input_shape.clone(), plans: BTreeMap::new() };
        // What tract cannot run shows when it makes a plan.
        loaded.plan(1).map_err(failure)?;
        Ok(loaded)
    }

    fn run(&mut self, input: &Tensor) -> TractResult<Vec<Tensor>> {
        let plan = self.plan(input.shape[0])?;
        let input = tract_onnx::prelude::Tensor::from_shape(&input.shape, &input.values)?;
        let outputs = plan.run(tvec!(input.into_tvalue()))?;
        outputs
            .iter()
            .map(|output| {
                let values = output.to_plain_array_view::<f32>()?.iter().copied().collect();
                Ok(Tensor { shape: output.shape().to_vec(), values })
            })
            .collect()
    }

    fn plan(&mut self, batch: usize) -> TractResult<Arc<TypedRunnableModel>> {
        if let Some(plan) = self.plans.get(&batch) {
            return Ok(Arc::clone(plan));
        }
        let shape = [&[batch], self.input_shape.as_slice()].concat();
        let model =
            self.model.clone().with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape))?;
        let plan = model.into_optimized()?.into_runnable()?;
        self.plans.insert(batch, Arc::clone(&plan));
        Ok(plan)
    }
}
