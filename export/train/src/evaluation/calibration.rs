//! Calibration: a temperature per availability pattern, and the error that is left.

use cmpt_bundle::manifest::Task;
use tch::{Kind, Tensor};

use crate::method::task::task_loss;

/// Bins of the expected calibration error, as usual in the literature.
const BINS: i64 = 15;
/// The temperature is looked for between these; outside, scores would be all alike or all certain.
const TEMPERATURES: [f64; 2] = [0.05, 20.0];
/// Golden-section steps: enough for six digits of the temperature.
const STEPS: usize = 40;

/// The temperature that makes `logits / temperature` most likely, had one more sample been wrong: where
/// all are right, as on easy validation data, the likeliest temperature alone would make every score 1.
///
/// Shapes: `logits` `[samples, classes]`, `targets` `[samples]` or `[samples, classes]`.
/// Source: Guo et al., "On Calibration of Modern Neural Networks", section 4.2.
pub fn fit_temperature(task: Task, logits: &Tensor, targets: &Tensor) -> f64 {
    // Rule of succession, as in Platt scaling.
    let smoothing = 1.0 / (targets.size()[0] as f64 + 2.0);
    let loss = |log_temperature: f64| {
        let scaled = logits.to_kind(Kind::Double) / log_temperature.exp();
        task_loss(task, &scaled, targets, smoothing).double_value(&[])
    };
    // The loss is convex in 1 / temperature, hence has one valley in its logarithm.
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let [mut low, mut high] = TEMPERATURES.map(f64::ln);
    let (mut left, mut right) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_left, mut at_right) = (loss(left), loss(right));
    for _ in 0..STEPS {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - golden * (high - low);
            at_left = loss(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + golden * (high - low);
            at_right = loss(right);
        }
    }
    ((low + high) / 2.0).exp()
}

/// Expected calibration error: the mean distance between a score and how often it is right, over
/// 15 equal bins of the top score. Where samples have any number of labels, of every label's score.
///
/// Shapes: `scores` `[samples, classes]`, `targets` `[samples]` or `[samples, classes]`.
pub fn expected_calibration_error(task: Task, scores: &Tensor, targets: &Tensor) -> f64 {
    let scores = scores.to_kind(Kind::Double);
    let (confidence, right) = match task {
        Task::Multiclass => {
            let (confidence, predicted) = scores.max_dim(1, false);
            (confidence, predicted.eq_tensor(targets).to_kind(Kind::Double))
        }
        Task::Multilabel => (scores.view(-1), targets.to_kind(Kind::Double).view(-1)),
    };
    let bin = (&confidence * BINS as f64).floor().clamp(0.0, (BINS - 1) as f64).to_kind(Kind::Int64);
    // |sum of confidence - number right| per bin is its distance times its samples.
    let gap =
        Tensor::zeros([BINS], (Kind::Double, scores.device())).index_add(0, &bin, &(&confidence - right));
    gap.abs().sum(None).double_value(&[]) / confidence.numel().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes, 4000 samples with a logit of `margin` for the first; `wrong` of every four are of
    /// the second.
    fn samples(margin: f32, wrong: usize) -> (Tensor, Tensor) {
        let logits = Tensor::from_slice(&[margin, 0.0]).view([1, 2]).repeat([4000, 1]);
        let targets: Vec<i64> = (0..4000).map(|i| i64::from(i % 4 < wrong)).collect();
        (logits, Tensor::from_slice(&targets))
    }

    #[test]
    fn temperature_makes_scores_as_sure_as_they_are_right() {
        let (logits, targets) = samples(6.0, 1);
        let temperature = fit_temperature(Task::Multiclass, &logits, &targets);
        // 75 % right is a logit of ln 3.
        assert!((temperature - 6.0 / 3f64.ln()).abs() < 5e-3, "{temperature}");
        let scores = (&logits / temperature).softmax(1, Kind::Float);
        assert!(expected_calibration_error(Task::Multiclass, &scores, &targets) < 1e-3);
        let raw = expected_calibration_error(Task::Multiclass, &logits.softmax(1, Kind::Float), &targets);
        assert!((raw - (1.0 / (1.0 + (-6f64).exp()) - 0.75)).abs() < 1e-5, "{raw}");
    }

    #[test]
    fn scores_stay_below_1_where_all_are_right() {
        let (logits, targets) = samples(6.0, 0);
        let temperature = fit_temperature(Task::Multiclass, &logits, &targets);
        let score = (&logits / temperature).softmax(1, Kind::Double).double_value(&[0, 0]);
        // Half a sample in 4002 is of the other class.
        assert!((score - (1.0 - 0.5 / 4002.0)).abs() < 1e-5, "{score}");
    }

    #[test]
    fn bins_do_not_cancel_each_other() {
        // One sample sure and wrong, one unsure and right: 0.98 and 0.4 apart, not 0.29.
        let scores = Tensor::from_slice(&[0.98f32, 0.02, 0.6, 0.4]).view([2, 2]);
        let error = expected_calibration_error(Task::Multiclass, &scores, &Tensor::from_slice(&[1i64, 0]));
        assert!((error - (0.98 + 0.4) / 2.0).abs() < 1e-6, "{error}");
    }

    #[test]
    fn every_label_is_calibrated_where_samples_have_many() {
        // Each sample is said to have both labels; a quarter lack each.
        let logits = Tensor::full([4000, 2], 6.0, (Kind::Float, tch::Device::Cpu));
        let has: Vec<f32> = (0..8000).map(|i| f32::from(u8::from(i / 2 % 4 != i % 2))).collect();
        let targets = Tensor::from_slice(&has).view([4000, 2]);
        let temperature = fit_temperature(Task::Multilabel, &logits, &targets);
        assert!((temperature - 6.0 / 3f64.ln()).abs() < 5e-3, "{temperature}");
        let error = |scores: Tensor| expected_calibration_error(Task::Multilabel, &scores, &targets);
        assert!(error((&logits / temperature).sigmoid()) < 1e-3);
        assert!((error(logits.sigmoid()) - (1.0 / (1.0 + (-6f64).exp()) - 0.75)).abs() < 1e-5);
    }
}
