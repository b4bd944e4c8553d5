//! F1 of samples with any number of labels.

use serde::Serialize;
use tch::{Kind, Tensor};

/// F1 scores at a score of 0.5, in [0, 1].
///
/// Source: as scikit-learn's `f1_score` computes them, 0 where there is neither a right nor a wrong answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct F1 {
    /// Over all answers together.
    pub micro: f64,
    /// The mean over labels: what the paper reports first, and what chooses the epoch.
    pub r#macro: f64,
    /// The mean over labels by how many samples have them.
    pub weighted: f64,
    /// The mean over samples.
    pub samples: f64,
    /// Of each label.
    pub per_label: Vec<f64>,
}

impl F1 {
    /// Scores of `logits` `[samples, labels]` against `targets` of the same shape, 1 or 0.
    pub fn of(logits: &Tensor, targets: &Tensor) -> Self {
        let said = logits.gt(0.0).to_kind(Kind::Double);
        let targets = targets.to_kind(Kind::Double);
        let right = &said * &targets;
        // 2 TP / (2 TP + FP + FN): the denominator is what was said plus what is true.
        let scores = |dim: Option<i64>| -> Vec<f64> {
            let sum = |tensor: &Tensor| match dim {
                Some(dim) => tensor.sum_dim_intlist(dim, false, None),
                None => tensor.sum(None).view([1]),
            };
            let answers: Tensor = sum(&said) + sum(&targets);
            let scores: Tensor = sum(&right) * 2.0 / answers.clamp_min(1.0);
            scores.try_into().expect("scores are one row of numbers")
        };
        let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        let support: Vec<f64> =
            targets.sum_dim_intlist(0i64, false, None).try_into().expect("sums are one row of numbers");
        let per_label = scores(Some(0));
        let weighted: f64 = per_label.iter().zip(&support).map(|(score, count)| score * count).sum();
        Self {
            micro: scores(None)[0],
            r#macro: mean(&per_label),
            weighted: weighted / support.iter().sum::<f64>().max(1.0),
            samples: mean(&scores(Some(1))),
            per_label,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_scikit_learn() {
        let said = [[1.0f32, -1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, -1.0]];
        let truth = [[1.0f32, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]];
        let found = F1::of(&Tensor::from_slice2(&said), &Tensor::from_slice2(&truth));
        // Label 0: 1 right, 1 wrong, 1 forgotten; label 1: all right; label 2: nobody has it nor says it.
        assert_eq!(found.per_label, [0.5, 1.0, 0.0]);
        assert_eq!((found.r#macro, found.weighted), (0.5, 0.75));
        // 3 right of 4 said and 4 true.
        assert_eq!(found.micro, 6.0 / 8.0);
        assert!((found.samples - (1.0 + 2.0 / 3.0 + 2.0 / 3.0 + 0.0) / 4.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_to_score_scores_nothing() {
        let empty = Tensor::zeros([0, 2], (Kind::Float, tch::Device::Cpu));
        let found = F1::of(&empty, &empty);
        assert_eq!((found.micro, found.r#macro, found.samples), (0.0, 0.0, 0.0));
    }
}
