//! From logits to calibrated scores.

/// Softmax of `logits / temperature`. Shape: as `logits`; sums to 1.
pub fn softmax(logits: &[f32], temperature: f32) -> Vec<f32> {
    let _ = (logits, temperature);
    todo!()
}

/// Logistic function of `logits / temperature`, for multi-label tasks. Shape: as `logits`.
pub fn sigmoid(logits: &[f32], temperature: f32) -> Vec<f32> {
    let _ = (logits, temperature);
    todo!()
}

/// Indices and values of the `count` largest scores, largest first, ties by index.
pub fn top(scores: &[f32], count: usize) -> Vec<(usize, f32)> {
    let _ = (scores, count);
    todo!()
}
