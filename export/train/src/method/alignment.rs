//! Alignment loss: proxies learn to be the class tokens they stand for.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::gate::proxy;
use crate::encoder::transformer::Tokens;

/// Whether the alignment loss also moves the class token it aims at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum AlignmentTarget {
    /// Gradients flow to proxy and class token, as equation 4 stands.
    #[default]
    Moves,
    /// Stop-gradient on the class token.
    Fixed,
}

/// The sum over ordered pairs (a, b) of modalities of the mean squared error between encoder a's
/// proxy for b and encoder b's class token, averaged over the samples that have both.
///
/// Shapes: `tokens` has one entry per modality; `present` `[batch, modalities]`, 1 or 0; result [].
/// `whole` `[samples, modalities]` is `present` of all samples that the average is over: of this batch, or of
/// several, whose losses then add up.
/// Source: equation 4 of the paper, which has two modalities and hence two pairs.
pub fn alignment_loss(
    tokens: &[Tokens],
    present: &Tensor,
    whole: &Tensor,
    target: AlignmentTarget,
) -> Tensor {
    // A model without proxies has nothing to align.
    let pairs = (0..tokens.len())
        .filter(|a| !tokens[*a].proxies.is_empty())
        .flat_map(|a| (0..tokens.len()).map(move |b| (a, b)));
    let losses = pairs.filter(|(a, b)| a != b).map(|(a, b)| {
        let complete = |present: &Tensor| present.select(1, a as i64) * present.select(1, b as i64);
        let both = complete(present);
        let aim = match target {
            AlignmentTarget::Moves => tokens[b].cls.shallow_clone(),
            AlignmentTarget::Fixed => tokens[b].cls.detach(),
        };
        let error = (proxy(tokens, a, b) - aim).square().mean_dim(1, false, None);
        (error * both).sum(None) / complete(whole).sum(None).clamp_min(1.0)
    });
    losses
        .reduce(|sum, next| sum + next)
        .unwrap_or_else(|| Tensor::zeros([], (Kind::Float, present.device())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32], width: i64) -> Tensor {
        Tensor::from_slice(values).view([-1, width])
    }

    fn value(loss: &Tensor) -> f64 {
        loss.double_value(&[])
    }

    #[test]
    fn only_samples_with_both_modalities_count() {
        let both = [
            Tokens {
                cls: tensor(&[1.0, 1.0, 50.0, 50.0], 2),
                proxies: vec![tensor(&[2.0, 4.0, 9.0, 9.0], 2)],
            },
            Tokens {
                cls: tensor(&[2.0, 2.0, 70.0, 70.0], 2),
                proxies: vec![tensor(&[1.0, 4.0, 9.0, 9.0], 2)],
            },
        ];
        // First sample: (0 + 4) / 2 for the first pair, (0 + 9) / 2 for the second.
        let first_only = tensor(&[1.0, 1.0, 1.0, 0.0], 2);
        assert_eq!(value(&alignment_loss(&both, &first_only, &first_only, AlignmentTarget::Moves)), 6.5);
        let none = tensor(&[0.0, 1.0, 1.0, 0.0], 2);
        assert_eq!(value(&alignment_loss(&both, &none, &none, AlignmentTarget::Moves)), 0.0);
    }

    #[test]
    fn three_modalities_have_six_pairs() {
        let token = || Tokens { cls: tensor(&[1.0], 1), proxies: vec![tensor(&[3.0], 1), tensor(&[3.0], 1)] };
        let all = [token(), token(), token()];
        let loss = |present: &[f32]| {
            let present = tensor(present, 3);
            value(&alignment_loss(&all, &present, &present, AlignmentTarget::Moves))
        };
        assert_eq!(loss(&[1.0; 3]), 24.0);
        // Without the third modality, two pairs remain.
        assert_eq!(loss(&[1.0, 1.0, 0.0]), 8.0);
    }

    #[test]
    fn fixed_target_gets_no_gradient() {
        let gradient = |target| {
            let cls = tensor(&[1.0], 1).set_requires_grad(true);
            let both = [
                Tokens { cls: cls.shallow_clone(), proxies: vec![tensor(&[0.0], 1)] },
                Tokens { cls: tensor(&[0.0], 1), proxies: vec![tensor(&[3.0], 1).set_requires_grad(true)] },
            ];
            let present = tensor(&[1.0, 1.0], 2);
            alignment_loss(&both, &present, &present, target).backward();
            cls.grad()
        };
        assert!(gradient(AlignmentTarget::Moves).defined());
        assert!(!gradient(AlignmentTarget::Fixed).defined());
    }
}
