//! How well proxies predict what they stand for.

use cmpt_core::modality::ModalityId;
use tch::{Kind, Tensor};

use super::evaluate::{EvaluateError, Evaluation, each_batch, names};
use crate::method::gate::proxy;
use crate::method::model::Model;

/// Least mean squared error that counts: a proxy that is always right weighs much, but not everything.
const LEAST_ERROR: f64 = 1e-9;

/// The precision of each proxy, `[modalities, modalities]`: the inverse of the mean squared error between the
/// proxy that encoder `row` carries for modality `column` and that modality's class token, over the samples
/// that have both. On the diagonal 1.
///
/// As weights of proxies: the linear combination of estimates with the least error, if their errors do
/// not depend on each other.
pub fn proxy_precision(model: &Model, evaluation: Evaluation<'_>) -> Result<Tensor, EvaluateError> {
    let count = model.spec().modalities.len();
    let pairs: Vec<(usize, usize)> =
        (0..count).flat_map(|a| (0..count).map(move |b| (a, b))).filter(|(a, b)| a != b).collect();
    // Sums of errors and of samples.
    let mut sums = vec![(0.0, 0.0); pairs.len()];
    each_batch(model, evaluation, |inputs, tokens| {
        for ((a, b), (errors, samples)) in pairs.iter().zip(&mut sums) {
            let both = inputs.present.select(1, *a as i64) * inputs.present.select(1, *b as i64);
            let error = (proxy(tokens, *a, *b) - &tokens[*b].cls).square().mean_dim(1, false, Kind::Double);
            *errors += (error * &both).sum(None).double_value(&[]);
            *samples += both.sum(None).double_value(&[]);
        }
    })?;
    let precision = Tensor::ones([count as i64, count as i64], (Kind::Float, model.device()));
    for ((a, b), (errors, samples)) in pairs.into_iter().zip(sums) {
        if samples == 0.0 {
            let available = vec![names(model, [a, b].map(ModalityId).into_iter().collect())];
            return Err(EvaluateError::Empty { split: evaluation.split, available });
        }
        let value = 1.0 / (errors / samples).max(LEAST_ERROR);
        let _ = precision.get(a as i64).get(b as i64).fill_(value);
    }
    Ok(precision)
}
