//! The golden replay: an engine is used only if it reproduces what the trainer saw.

use cmpt_bundle::Tensor;
use cmpt_core::gate;
use cmpt_core::modality::ModalityId;

use super::engine::{Engine, EngineError, Graph};
use super::worker::tokens_of_row;
use crate::model::Model;

/// Runs every graph on its golden input, and every pattern from end to end.
///
/// Errors: [`EngineError::Golden`] for the first tensor that is further off than the manifest allows.
pub fn replay(model: &Model, engine: &mut dyn Engine) -> Result<(), EngineError> {
    let (manifest, golden) = (model.manifest(), model.golden());
    let mut encoded = Vec::new();
    for (index, modality) in manifest.modalities.iter().enumerate() {
        let name = &modality.name;
        let features = golden.features(name).expect(OPENED);
        let outputs = engine.run(Graph::Encoder(ModalityId(index)), features)?;
        compare(model, engine, &format!("{name}.cls"), &outputs[0], golden.cls(name).expect(OPENED))?;
        for (other, proxy) in modality.proxies.iter().zip(&outputs[1..]) {
            let expected = golden.proxy(name, other).expect(OPENED);
            compare(model, engine, &format!("{name}.proxy_{other}"), proxy, expected)?;
        }
        encoded.push(outputs);
    }
    for pattern in &manifest.patterns {
        let available = manifest.available(pattern);
        let expected = golden.token(pattern).expect(OPENED);
        let mut token = Tensor { shape: expected.shape.clone(), values: Vec::new() };
        for row in 0..expected.shape[0] {
            let tokens: Vec<_> = (encoded.iter().enumerate())
                .map(|(index, outputs)| {
                    let id = ModalityId(index);
                    available.contains(id).then(|| tokens_of_row(outputs, row, model.proxies(id)))
                })
                .collect();
            let fused =
                gate::fuse(manifest.width, &tokens).expect("the manifest has every proxy at one width");
            token.values.extend(fused.expect("a pattern has a modality"));
        }
        compare(model, engine, &format!("{}.token", pattern.key()), &token, expected)?;
        let logits = engine.run(Graph::Fusion, &token)?;
        let expected = golden.logits(pattern).expect(OPENED);
        compare(model, engine, &format!("{}.logits", pattern.key()), &logits[0], expected)?;
    }
    Ok(())
}

const OPENED: &str = "an opened bundle has every golden tensor";

fn compare(
    model: &Model,
    engine: &dyn Engine,
    tensor: &str,
    found: &Tensor,
    expected: &Tensor,
) -> Result<(), EngineError> {
    let tolerance = model.manifest().golden.tolerance;
    let difference = largest_difference(found, expected);
    // Written so that a NaN fails.
    if difference <= tolerance {
        return Ok(());
    }
    Err(EngineError::Golden {
        tensor: tensor.to_owned(),
        engine: engine.name().to_owned(),
        difference,
        tolerance,
    })
}

/// Infinite where shapes differ; NaN where a value is.
fn largest_difference(found: &Tensor, expected: &Tensor) -> f32 {
    if found.shape != expected.shape {
        return f32::INFINITY;
    }
    let differences = found.values.iter().zip(&expected.values).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |largest, d| if d.is_nan() || d > largest { d } else { largest })
}
