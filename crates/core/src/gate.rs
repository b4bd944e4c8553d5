//! The gate: class tokens of the modalities that are there, proxies for those that are not.

use crate::modality::{ModalityId, ModalitySet};

/// What the encoder of one available modality gave. All tokens have the fusion width.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderTokens {
    /// The modality's own class token.
    pub cls: Vec<f32>,
    /// Its proxy for each other modality, by the missing modality's id.
    pub proxies: Vec<(ModalityId, Vec<f32>)>,
}

/// Why tokens could not be fused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// A token's length is not the fusion width.
    #[error("token of modality {modality} has length {found}, expected {expected}")]
    Width {
        /// The modality whose token it is.
        modality: usize,
        /// Its length.
        found: usize,
        /// The fusion width.
        expected: usize,
    },
    /// No available modality has a proxy for a missing one.
    #[error("no available modality has a proxy for missing modality {missing}")]
    NoProxy {
        /// The missing modality.
        missing: usize,
    },
}

/// Available set A of `tokens`, one entry per modality in manifest order.
pub fn available(tokens: &[Option<EncoderTokens>]) -> ModalitySet {
    tokens.iter().enumerate().filter(|(_, t)| t.is_some()).map(|(i, _)| ModalityId(i)).collect()
}

/// The fused token: the sum over all modalities of the class token where the modality is available,
/// else of the mean of the available modalities' proxies for it. `None` when no modality is
/// available, which is the `blind` outcome.
///
/// Shapes: `tokens` has one entry per modality; the result has length `width`.
/// Source: equation 5 of the CMPT paper, extended to any number of modalities by the mean.
pub fn fuse(width: usize, tokens: &[Option<EncoderTokens>]) -> Result<Option<Vec<f32>>, GateError> {
    let _ = (width, tokens);
    todo!()
}
