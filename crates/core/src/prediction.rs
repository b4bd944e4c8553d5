//! From logits to calibrated scores.

/// Softmax of `logits / temperature`. Shape: as `logits`; sums to 1.
///
/// Never NaN: a NaN logit scores 0 like negative infinity, positive infinities share everything
/// equally, and where no logit is above negative infinity the scores are uniform.
///
/// Panics: if `temperature` is not positive.
pub fn softmax(logits: &[f32], temperature: f32) -> Vec<f32> {
    assert!(temperature > 0.0, "temperature is {temperature}, expected more than 0");
    // `f32::max` ignores NaN.
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: f32| match logit {
        logit if logit == max => 1.0, // also where infinity minus itself would be NaN
        logit if logit.is_nan() || max == f32::INFINITY => 0.0,
        logit => f64::from((logit - max) / temperature).exp(),
    };
    let weights: Vec<f64> = logits.iter().map(|logit| weight(*logit)).collect();
    let sum: f64 = weights.iter().sum();
    if sum == 0.0 {
        return vec![1.0 / logits.len() as f32; logits.len()]; // all NaN
    }
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

/// Logistic function of `logits / temperature`, for multi-label tasks. Shape: as `logits`.
///
/// Never NaN: a NaN logit scores 0.
///
/// Panics: if `temperature` is not positive.
pub fn sigmoid(logits: &[f32], temperature: f32) -> Vec<f32> {
    assert!(temperature > 0.0, "temperature is {temperature}, expected more than 0");
    let score = |logit: f32| match logit / temperature {
        x if x.is_nan() => 0.0,
        // A large `exp(-x)` is infinite and its inverse 0, which is the limit.
        x => 1.0 / (1.0 + (-x).exp()),
    };
    logits.iter().map(|logit| score(*logit)).collect()
}

/// Indices and values of the `count` largest scores, largest first, ties by index; all of them where
/// there are fewer. A NaN score ranks with negative infinity.
pub fn top(scores: &[f32], count: usize) -> Vec<(usize, f32)> {
    let rank = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
    let mut ranked: Vec<(usize, f32)> = scores.iter().copied().enumerate().collect();
    // A stable sort, so ties stay in the order of their indices. Adding 0.0 makes -0.0 tie with 0.0.
    ranked.sort_by(|a, b| (rank(b.1) + 0.0).total_cmp(&(rank(a.1) + 0.0)));
    ranked.truncate(count);
    ranked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_softmax(logits: &[f32], temperature: f32, expected: &[f32]) {
        let scores = softmax(logits, temperature);
        assert_eq!(scores.len(), expected.len());
        for (score, expected) in scores.iter().zip(expected) {
            assert!((score - expected).abs() < 1e-6, "{logits:?} / {temperature}: {scores:?}");
        }
    }

    #[test]
    fn softmax_is_stable_and_never_nan() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        check_softmax(&[], 1.0, &[]);
        check_softmax(&[0.0, 2f32.ln()], 1.0, &[1.0 / 3.0, 2.0 / 3.0]);
        check_softmax(&[0.0, 2.0 * 2f32.ln()], 2.0, &[1.0 / 3.0, 2.0 / 3.0]);
        check_softmax(&[1e30, 1e30, -1e30], 1.0, &[0.5, 0.5, 0.0]);
        check_softmax(&[nan, 1.0, 1.0], 1.0, &[0.0, 0.5, 0.5]);
        check_softmax(&[inf, 0.0, inf, nan], 1.0, &[0.5, 0.0, 0.5, 0.0]);
        check_softmax(&[-inf, 0.0], 1.0, &[0.0, 1.0]);
        check_softmax(&[-inf, -inf], 1.0, &[0.5, 0.5]);
        check_softmax(&[nan, nan], 1.0, &[0.5, 0.5]);
    }

    #[test]
    fn sigmoid_is_stable_and_never_nan() {
        let scores = sigmoid(&[0.0, 1e30, -1e30, f32::NAN, f32::NEG_INFINITY, f32::INFINITY], 2.0);
        assert_eq!(scores, [0.5, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert!((sigmoid(&[2.0 * 3f32.ln()], 2.0)[0] - 0.75).abs() < 1e-6);
    }

    #[test]
    fn top_ranks_ties_by_index_and_nan_last() {
        assert_eq!(top(&[0.1, 0.5, 0.5, 0.2], 3), [(1, 0.5), (2, 0.5), (3, 0.2)]);
        assert_eq!(top(&[-0.0, 0.0], 2), [(0, -0.0), (1, 0.0)]);
        assert_eq!(top(&[f32::NAN, 0.1], 5).iter().map(|(i, _)| *i).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(top(&[], 3), []);
    }

    proptest! {
        #[test]
        fn softmax_sums_to_one(logits in prop::collection::vec(prop::num::f32::ANY, 1..20), t in 0.01f32..10.0) {
            let scores = softmax(&logits, t);
            prop_assert!(scores.iter().all(|s| (0.0..=1.0).contains(s)), "{scores:?}");
            prop_assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{scores:?}");
        }
    }
}
