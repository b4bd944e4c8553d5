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
/// available, which is the `blind` outcome. Where no encoder has any proxy, a missing modality adds nothing.
///
/// Shapes: `tokens` has one entry per modality; the result has length `width`.
/// Source: equation 5 of the CMPT paper, extended to any number of modalities by the mean.
pub fn fuse(width: usize, tokens: &[Option<EncoderTokens>]) -> Result<Option<Vec<f32>>, GateError> {
    if available(tokens).is_empty() {
        return Ok(None);
    }
    let without_proxies = tokens.iter().flatten().all(|token| token.proxies.is_empty());
    let mut fused = vec![0.0; width];
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Some(token) => add(&mut fused, ModalityId(index), &token.cls, 1.0)?,
            None if without_proxies => {}
            None => add_proxies(&mut fused, tokens, ModalityId(index))?,
        }
    }
    Ok(Some(fused))
}

/// Adds the mean of the available modalities' proxies for `missing`. A modality without such a proxy
/// has no part in the mean.
fn add_proxies(
    fused: &mut [f32],
    tokens: &[Option<EncoderTokens>],
    missing: ModalityId,
) -> Result<(), GateError> {
    let proxies: Vec<(ModalityId, &[f32])> = tokens
        .iter()
        .enumerate()
        .filter_map(|(index, token)| Some((ModalityId(index), token.as_ref()?.proxy(missing)?)))
        .collect();
    if proxies.is_empty() {
        return Err(GateError::NoProxy { missing: missing.0 });
    }
    let weight = 1.0 / proxies.len() as f32;
    proxies.into_iter().try_for_each(|(owner, proxy)| add(fused, owner, proxy, weight))
}

/// Adds `weight * token`, a token that the encoder of `owner` gave.
fn add(fused: &mut [f32], owner: ModalityId, token: &[f32], weight: f32) -> Result<(), GateError> {
    if token.len() != fused.len() {
        return Err(GateError::Width { modality: owner.0, found: token.len(), expected: fused.len() });
    }
    for (sum, value) in fused.iter_mut().zip(token) {
        *sum += weight * value;
    }
    Ok(())
}

impl EncoderTokens {
    /// The proxy for `missing`, if this encoder has one.
    pub fn proxy(&self, missing: ModalityId) -> Option<&[f32]> {
        self.proxies.iter().find(|(id, _)| *id == missing).map(|(_, proxy)| proxy.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens of width 2: class token (cls, cls), proxies (value, value).
    fn tokens(cls: f32, proxies: &[(usize, f32)]) -> Option<EncoderTokens> {
        let proxies = proxies.iter().map(|(id, value)| (ModalityId(*id), vec![*value; 2])).collect();
        Some(EncoderTokens { cls: vec![cls; 2], proxies })
    }

    fn check(inputs: &[Option<EncoderTokens>], expected: Result<Option<f32>, GateError>) {
        assert_eq!(fuse(2, inputs), expected.map(|fused| fused.map(|value| vec![value; 2])));
    }

    #[test]
    fn everything_available_sums_the_class_tokens() {
        check(&[tokens(1.0, &[(1, 50.0)]), tokens(2.0, &[(0, 70.0)])], Ok(Some(3.0)));
    }

    #[test]
    fn a_missing_modality_is_the_proxy_of_the_available_one() {
        check(&[tokens(1.0, &[(1, 50.0)]), None], Ok(Some(51.0)));
        check(&[None, tokens(2.0, &[(0, 70.0)])], Ok(Some(72.0)));
    }

    #[test]
    fn a_missing_modality_is_the_mean_over_several_available_ones() {
        let (a, b) = (tokens(1.0, &[(1, 50.0), (2, 10.0)]), tokens(2.0, &[(0, 70.0), (2, 30.0)]));
        check(&[a, b, None], Ok(Some(23.0)));
    }

    #[test]
    fn several_missing_modalities_each_get_a_proxy() {
        check(&[None, tokens(1.0, &[(0, 10.0), (2, 20.0), (3, 30.0)]), None, None], Ok(Some(61.0)));
    }

    #[test]
    fn an_encoder_without_the_proxy_has_no_part_in_the_mean() {
        check(&[tokens(1.0, &[]), tokens(2.0, &[(2, 30.0)]), None], Ok(Some(33.0)));
    }

    #[test]
    fn without_any_proxy_what_is_missing_adds_nothing() {
        check(&[tokens(1.0, &[]), None, tokens(2.0, &[])], Ok(Some(3.0)));
    }

    #[test]
    fn nothing_available_fuses_to_nothing() {
        check(&[None, None], Ok(None));
        check(&[], Ok(None));
    }

    #[test]
    fn a_missing_proxy_and_a_wrong_width_are_errors() {
        check(&[tokens(1.0, &[(2, 5.0)]), None, None], Err(GateError::NoProxy { missing: 1 }));
        let narrow = Some(EncoderTokens { cls: vec![1.0], proxies: vec![] });
        check(&[tokens(1.0, &[]), narrow], Err(GateError::Width { modality: 1, found: 1, expected: 2 }));
    }
}
