//! Predictions and figures of a model for every availability pattern.

use cmpt_bundle::manifest::{Metric, Pattern, Task};
use cmpt_core::modality::{ModalityId, ModalitySet};
use serde::Serialize;
use tch::{Kind, Tensor, no_grad};

use super::calibration::{expected_calibration_error, fit_temperature};
use super::f1::F1;
use crate::data::batch::{BatchRequest, Dataset, Split};
use crate::data::error::DataError;
use crate::encoder::Mode;
use crate::encoder::transformer::Tokens;
use crate::method::gate::{fuse, fuse_weighted};
use crate::method::model::Model;
use crate::method::spec::ModelSpec;
use crate::method::task;
use crate::training::inputs::{Columns, Inputs, InputsError};

/// Why a model could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The data does not fit the model.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// No sample has what any of the patterns takes.
    #[error("evaluate on {split:?}: no sample has all of {available:?}")]
    Empty {
        /// The split.
        split: Split,
        /// The patterns.
        available: Vec<Vec<String>>,
    },
}

/// What to evaluate on.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    /// Data.
    pub dataset: &'a dyn Dataset,
    /// Split of it.
    pub split: Split,
    /// Samples in a batch.
    pub batch_size: usize,
}

/// Logits of one pattern, over the samples that have all its modalities.
#[derive(Debug)]
pub struct Predictions {
    /// The available modalities.
    pub available: ModalitySet,
    /// `[samples, classes]`.
    pub logits: Tensor,
    /// `[samples]` classes, or `[samples, classes]` of 1 and 0.
    pub targets: Tensor,
}

/// Logits of all samples, each from the modalities that it has.
#[derive(Debug)]
pub struct PresentPredictions {
    /// For each sample the available modalities.
    pub available: Vec<ModalitySet>,
    /// `[samples, classes]`.
    pub logits: Tensor,
    /// `[samples]` classes, or `[samples, classes]` of 1 and 0.
    pub targets: Tensor,
}

/// How good predictions are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Accuracy, or the macro F1 where samples have any number of labels.
    pub metric: Metric,
    /// The same per class.
    pub per_class: Vec<f32>,
    /// Expected calibration error.
    pub calibration_error: f32,
}

/// Predictions for each of `patterns`, of which some may have no samples. Each sample is encoded once.
pub fn predict(
    model: &Model,
    evaluation: Evaluation<'_>,
    patterns: &[ModalitySet],
) -> Result<Vec<Predictions>, EvaluateError> {
    predict_by(model, evaluation, patterns, &fuse)
}

/// As [`predict`], with proxies of these `weights`, as [`fuse_weighted`] takes them.
pub fn predict_weighted(
    model: &Model,
    evaluation: Evaluation<'_>,
    patterns: &[ModalitySet],
    weights: &Tensor,
) -> Result<Vec<Predictions>, EvaluateError> {
    let gate = |tokens: &[Tokens], available: &Tensor| fuse_weighted(tokens, available, weights);
    predict_by(model, evaluation, patterns, &gate)
}

/// As [`predict`], with `gate` to fuse tokens.
fn predict_by(
    model: &Model,
    evaluation: Evaluation<'_>,
    patterns: &[ModalitySet],
    gate: &dyn Fn(&[Tokens], &Tensor) -> Tensor,
) -> Result<Vec<Predictions>, EvaluateError> {
    let mut parts: Vec<(Vec<Tensor>, Vec<Tensor>)> = patterns.iter().map(|_| Default::default()).collect();
    each_batch(model, evaluation, |inputs, tokens| {
        for (pattern, (logits, targets)) in patterns.iter().zip(&mut parts) {
            let mask = mask(*pattern, inputs);
            let complete = (&inputs.present * &mask).eq_tensor(&mask).all_dim(1, false);
            let all = model.classify(&gate(tokens, &mask.expand_as(&inputs.present)));
            logits.push(all.index(&[Some(&complete)]));
            targets.push(inputs.targets.index(&[Some(&complete)]));
        }
    })?;
    if parts.iter().all(|(_, targets)| targets.iter().all(|part| part.numel() == 0)) {
        let available = patterns.iter().map(|pattern| names(model, *pattern)).collect();
        return Err(EvaluateError::Empty { split: evaluation.split, available });
    }
    let collected = patterns.iter().zip(parts).map(|(available, (logits, targets))| Predictions {
        available: *available,
        logits: Tensor::cat(&logits, 0),
        targets: Tensor::cat(&targets, 0),
    });
    Ok(collected.collect())
}

/// Predictions for every sample of a split from the modalities that it has: what is missing in inference is
/// what the data lack.
pub fn predict_present(
    model: &Model,
    evaluation: Evaluation<'_>,
) -> Result<PresentPredictions, EvaluateError> {
    let (mut logits, mut targets, mut available) = (Vec::new(), Vec::new(), Vec::new());
    each_batch(model, evaluation, |inputs, tokens| {
        logits.push(model.classify(&fuse(tokens, &inputs.present)));
        targets.push(inputs.targets.shallow_clone());
        let flags: Vec<f64> = inputs.present.view(-1).try_into().expect("a row of numbers");
        let row = |row: &[f64]| -> ModalitySet {
            (0..row.len()).filter(|id| row[*id] > 0.0).map(ModalityId).collect()
        };
        available.extend(flags.chunks(inputs.features.len()).map(row));
    })?;
    if available.is_empty() {
        let any = model.spec().modalities.iter().map(|modality| vec![modality.info.name.clone()]);
        return Err(EvaluateError::Empty { split: evaluation.split, available: any.collect() });
    }
    Ok(PresentPredictions { available, logits: Tensor::cat(&logits, 0), targets: Tensor::cat(&targets, 0) })
}

/// Encodes a split, and hands each batch and its tokens to `take`.
pub(super) fn each_batch(
    model: &Model,
    evaluation: Evaluation<'_>,
    mut take: impl FnMut(&Inputs, &[Tokens]),
) -> Result<(), EvaluateError> {
    let Evaluation { dataset, split, batch_size } = evaluation;
    let columns = Columns::find(model.spec(), dataset)?;
    let request = BatchRequest { split, batch_size, seed: 0, epoch: 0, skip: 0 };
    for batch in dataset.batches(request)? {
        let inputs = columns.inputs(&batch?, model.device())?;
        let _guard = tch::no_grad_guard();
        take(&inputs, &inputs.encode(model, Mode::Infer));
    }
    Ok(())
}

/// A pattern as a row `[1, modalities]` of 1 and 0.
fn mask(pattern: ModalitySet, inputs: &Inputs) -> Tensor {
    let count = inputs.features.len();
    let row: Vec<f32> = (0..count).map(|id| f32::from(u8::from(pattern.contains(ModalityId(id))))).collect();
    Tensor::from_slice(&row).view([1, -1]).to_device(inputs.present.device())
}

/// Figures of one pattern at `temperature`.
pub fn measure(model: &Model, predictions: &Predictions, temperature: f64) -> Pattern {
    let Predictions { available, logits, targets } = predictions;
    if targets.numel() == 0 {
        return unmeasured(model.spec(), *available);
    }
    let scores = no_grad(|| task::scores(model.spec().task, logits, temperature));
    let Figures { metric, per_class, calibration_error } =
        figures(model.spec().task, logits, &scores, targets);
    Pattern {
        available: names(model, *available),
        temperature: temperature as f32,
        metric,
        per_class,
        calibration_error: Some(calibration_error),
    }
}

/// The entry of a pattern that nobody measured: on no samples.
pub fn unmeasured(spec: &ModelSpec, available: ModalitySet) -> Pattern {
    Pattern {
        available: available.iter().map(|id| spec.modalities[id.0].info.name.clone()).collect(),
        temperature: 1.0,
        metric: Metric { name: "unmeasured".to_owned(), value: 0.0, samples: 0 },
        per_class: vec![0.0; spec.labels.len()],
        calibration_error: None,
    }
}

/// Figures over all samples as they are, each at the temperature of its pattern in `calibrated`, or 1.
pub fn measure_present(model: &Model, predictions: &PresentPredictions, calibrated: &[Pattern]) -> Figures {
    let PresentPredictions { available, logits, targets } = predictions;
    let temperature = |available: &ModalitySet| {
        let names = names(model, *available);
        calibrated
            .iter()
            .find(|pattern| pattern.available == names)
            .map_or(1.0, |pattern| pattern.temperature)
    };
    let temperatures: Vec<f32> = available.iter().map(temperature).collect();
    let temperatures = Tensor::from_slice(&temperatures).view([-1, 1]).to_device(logits.device());
    let scores = no_grad(|| task::scores(model.spec().task, &(logits / temperatures), 1.0));
    figures(model.spec().task, logits, &scores, targets)
}

/// Figures of `logits` `[samples, classes]` whose `scores` are calibrated.
pub fn figures(task: Task, logits: &Tensor, scores: &Tensor, targets: &Tensor) -> Figures {
    let (name, value, per_class) = no_grad(|| match task {
        Task::Multiclass => {
            ("accuracy", accuracy(logits, targets), recalls(logits, targets, logits.size()[1] as usize))
        }
        Task::Multilabel => {
            let f1 = F1::of(logits, targets);
            ("f1_macro", f1.r#macro, f1.per_label)
        }
    });
    let error = expected_calibration_error(task, scores, targets);
    Figures {
        metric: Metric { name: name.into(), value: value as f32, samples: targets.size()[0] as usize },
        per_class: per_class.into_iter().map(|value| value as f32).collect(),
        calibration_error: error as f32,
    }
}

/// The accuracy over the samples of each class; 0 without samples.
fn recalls(logits: &Tensor, targets: &Tensor, classes: usize) -> Vec<f64> {
    let recall = |class: usize| {
        let own = targets.eq(class as i64);
        accuracy(&logits.index(&[Some(&own)]), &targets.index(&[Some(&own)]))
    };
    (0..classes).map(recall).collect()
}

/// How often each class was taken for each: `[target][largest logit]`. Samples have one class each.
pub fn confusion(predictions: &Predictions) -> Vec<Vec<usize>> {
    let classes = predictions.logits.size()[1];
    let cells = &predictions.targets * classes + predictions.logits.argmax(1, false);
    let counts = cells.bincount(None::<&Tensor>, classes * classes);
    let counts: Vec<i64> = counts.try_into().expect("counts are one row of integers");
    counts.chunks(classes as usize).map(|row| row.iter().map(|count| *count as usize).collect()).collect()
}

/// Figures of one pattern at the temperature that fits the same predictions best.
pub fn calibrate(model: &Model, predictions: &Predictions) -> Pattern {
    let Predictions { available, logits, targets } = predictions;
    if targets.numel() == 0 {
        return unmeasured(model.spec(), *available);
    }
    let temperature = no_grad(|| fit_temperature(model.spec().task, logits, targets));
    measure(model, predictions, temperature)
}

/// The mean of the metric over the patterns that were measured.
pub fn mean_metric(patterns: &[Pattern]) -> f64 {
    let measured = patterns.iter().filter(|pattern| pattern.metric.samples > 0);
    let values: Vec<f64> = measured.map(|pattern| f64::from(pattern.metric.value)).collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The share of samples whose largest logit is the target's; 0 without samples.
fn accuracy(logits: &Tensor, targets: &Tensor) -> f64 {
    if targets.numel() == 0 {
        return 0.0;
    }
    logits.argmax(1, false).eq_tensor(targets).to_kind(Kind::Double).mean(None).double_value(&[])
}

pub(super) fn names(model: &Model, available: ModalitySet) -> Vec<String> {
    available.iter().map(|id| model.spec().modalities[id.0].info.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confusion_counts_targets_by_rows_and_answers_by_columns() {
        let logits =
            Tensor::from_slice2(&[[1.0f32, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 2.0], [0.0, 3.0, 0.0]]);
        let targets = Tensor::from_slice(&[0i64, 0, 2, 1]);
        let predictions =
            Predictions { available: ModalitySet::patterns(1).next().unwrap(), logits, targets };
        assert_eq!(confusion(&predictions), [[1, 0, 1], [0, 1, 0], [0, 0, 1]]);
    }
}
