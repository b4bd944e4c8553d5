//! What logits mean: the loss they are trained by and the scores they give.

use cmpt_bundle::manifest::Task;
use tch::{Kind, Reduction, Tensor};

/// The task loss, [].
///
/// Shapes: `logits` `[batch, classes]`; `targets` `[batch]` classes, or `[batch, classes]` of 1 and 0 where
/// a sample has any number of labels. `smoothing` is the part of a target that is spread evenly over
/// what it could have been: all classes, or both answers to each label.
pub fn task_loss(task: Task, logits: &Tensor, targets: &Tensor, smoothing: f64) -> Tensor {
    let none = None::<&Tensor>;
    match task {
        Task::Multiclass => logits.cross_entropy_loss(targets, none, Reduction::Mean, -100, smoothing),
        Task::Multilabel => {
            let smoothed = targets * (1.0 - smoothing) + smoothing / 2.0;
            logits.binary_cross_entropy_with_logits(&smoothed, none, none, Reduction::Mean)
        }
    }
}

/// Probabilities of `logits / temperature`, `[batch, classes]`, as the daemon computes them.
pub fn scores(task: Task, logits: &Tensor, temperature: f64) -> Tensor {
    let scaled = logits / temperature;
    match task {
        Task::Multiclass => scaled.softmax(1, Kind::Float),
        Task::Multilabel => scaled.sigmoid(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_a_loss_each() {
        // Logits of ln 3 are scores of 0.75.
        let logits = Tensor::from_slice(&[3f64.ln(), 3f64.ln()]).view([1, 2]);
        let targets = Tensor::from_slice(&[1f64, 0.0]).view([1, 2]);
        let loss = |smoothing| task_loss(Task::Multilabel, &logits, &targets, smoothing).double_value(&[]);
        assert!((loss(0.0) + (0.75f64.ln() + 0.25f64.ln()) / 2.0).abs() < 1e-12);
        // Half of each target spread: both answers are as likely as each other.
        assert!((loss(1.0) + (0.75f64.ln() + 0.25f64.ln()) / 2.0).abs() < 1e-12);
        let right = Tensor::from_slice(&[1f64, 1.0]).view([1, 2]);
        let loss = task_loss(Task::Multilabel, &logits, &right, 0.2).double_value(&[]);
        assert!((loss + 0.9 * 0.75f64.ln() + 0.1 * 0.25f64.ln()).abs() < 1e-12, "{loss}");
    }

    #[test]
    fn classes_share_one_and_labels_do_not() {
        let logits = Tensor::from_slice(&[0f32, 0.0]).view([1, 2]);
        let half = Tensor::from_slice(&[0.5f32, 0.5]).view([1, 2]);
        assert_eq!(scores(Task::Multiclass, &logits, 2.0), half);
        assert_eq!(scores(Task::Multilabel, &logits, 2.0), half);
        let sure = Tensor::from_slice(&[3f32.ln() * 2.0, 3f32.ln() * 2.0]).view([1, 2]);
        assert_eq!(scores(Task::Multiclass, &sure, 2.0), half);
        let found = scores(Task::Multilabel, &sure, 2.0).double_value(&[0, 1]);
        assert!((found - 0.75).abs() < 1e-6, "{found}");
    }
}
