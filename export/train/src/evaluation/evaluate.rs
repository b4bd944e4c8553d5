//! Predictions and figures of a model for every availability pattern.

use cmpt_bundle::manifest::{Metric, Pattern, Task};
use cmpt_core::modality::{ModalityId, ModalitySet};
use tch::{Kind, Tensor, no_grad};

use super::calibration::{expected_calibration_error, fit_temperature};
use super::f1::F1;
use crate::data::batch::{BatchRequest, Dataset, Split};
use crate::data::error::DataError;
use crate::encoder::Mode;
use crate::method::gate::fuse;
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
    /// No sample has all modalities of a pattern.
    #[error("evaluate on {split:?}: no sample has {available:?}")]
    Empty {
        /// The split.
        split: Split,
        /// The pattern.
        available: Vec<String>,
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

/// Predictions for each of `patterns`. Each sample is encoded once.
pub fn predict(
    model: &Model,
    evaluation: Evaluation<'_>,
    patterns: &[ModalitySet],
) -> Result<Vec<Predictions>, EvaluateError> {
    let Evaluation { dataset, split, batch_size } = evaluation;
    let columns = Columns::find(model.spec(), dataset)?;
    let mut parts: Vec<(Vec<Tensor>, Vec<Tensor>)> = patterns.iter().map(|_| Default::default()).collect();
    let request = BatchRequest { split, batch_size, seed: 0, epoch: 0, skip: 0 };
    for batch in dataset.batches(request)? {
        let inputs = columns.inputs(&batch?, model.device())?;
        let _guard = tch::no_grad_guard();
        let tokens: Vec<_> = inputs
            .features
            .iter()
            .enumerate()
            .map(|(index, features)| model.encode(index, features, Mode::Infer))
            .collect();
        for (pattern, (logits, targets)) in patterns.iter().zip(&mut parts) {
            let mask = mask(*pattern, &inputs);
            let complete = (&inputs.present * &mask).eq_tensor(&mask).all_dim(1, false);
            let all = model.classify(&fuse(&tokens, &mask.expand_as(&inputs.present)));
            logits.push(all.index(&[Some(&complete)]));
            targets.push(inputs.targets.index(&[Some(&complete)]));
        }
    }
    let collected = patterns.iter().zip(parts).map(|(available, (logits, targets))| {
        if targets.iter().all(|part| part.numel() == 0) {
            return Err(EvaluateError::Empty { split, available: names(model, *available) });
        }
        Ok(Predictions {
            available: *available,
            logits: Tensor::cat(&logits, 0),
            targets: Tensor::cat(&targets, 0),
        })
    });
    collected.collect()
}

/// A pattern as a row `[1, modalities]` of 1 and 0.
fn mask(pattern: ModalitySet, inputs: &Inputs) -> Tensor {
    let count = inputs.features.len();
    let row: Vec<f32> = (0..count).map(|id| f32::from(u8::from(pattern.contains(ModalityId(id))))).collect();
    Tensor::from_slice(&row).view([1, -1]).to_device(inputs.present.device())
}

/// Figures of one pattern at `temperature`: accuracy, or the macro F1 where samples have any number of
/// labels.
pub fn measure(model: &Model, predictions: &Predictions, temperature: f64) -> Pattern {
    no_grad(|| {
        let Predictions { available, logits, targets } = predictions;
        let ModelSpec { task, labels, .. } = model.spec();
        let scores = task::scores(*task, logits, temperature);
        let (name, value, per_class) = match task {
            Task::Multiclass => {
                ("accuracy", accuracy(logits, targets), recalls(logits, targets, labels.len()))
            }
            Task::Multilabel => {
                let f1 = F1::of(logits, targets);
                ("f1_macro", f1.r#macro, f1.per_label)
            }
        };
        Pattern {
            available: names(model, *available),
            temperature: temperature as f32,
            metric: Metric { name: name.into(), value: value as f32, samples: targets.size()[0] as usize },
            per_class: per_class.into_iter().map(|value| value as f32).collect(),
            calibration_error: Some(expected_calibration_error(*task, &scores, targets) as f32),
        }
    })
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
    let temperature =
        no_grad(|| fit_temperature(model.spec().task, &predictions.logits, &predictions.targets));
    measure(model, predictions, temperature)
}

/// The mean of the metric over patterns, which chooses the epoch.
pub fn mean_metric(patterns: &[Pattern]) -> f64 {
    patterns.iter().map(|pattern| f64::from(pattern.metric.value)).sum::<f64>() / patterns.len() as f64
}

/// The share of samples whose largest logit is the target's; 0 without samples.
fn accuracy(logits: &Tensor, targets: &Tensor) -> f64 {
    if targets.numel() == 0 {
        return 0.0;
    }
    logits.argmax(1, false).eq_tensor(targets).to_kind(Kind::Double).mean(None).double_value(&[])
}

fn names(model: &Model, available: ModalitySet) -> Vec<String> {
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
