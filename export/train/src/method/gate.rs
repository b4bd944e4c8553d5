//! Gate and additive fusion, for any number of modalities.

use tch::Tensor;

use crate::encoder::transformer::Tokens;

/// The fused token of each sample: the sum over all modalities of the class token where the modality
/// is available, else of the mean of the available modalities' proxies for it.
///
/// Shapes: `tokens` has one entry per modality; `available` `[batch, modalities]`, 1 or 0, at least one
/// 1 in each row; result `[batch, width]`.
/// Without proxies, what is missing adds nothing.
/// Source: equation 5 of the paper, extended to any number of modalities by the mean.
pub fn fuse(tokens: &[Tokens], available: &Tensor) -> Tensor {
    let count = tokens.len() as i64;
    fuse_weighted(tokens, available, &Tensor::ones([count, count], (available.kind(), available.device())))
}

/// As [`fuse`], with weighted means of proxies.
///
/// Shapes: `weights` `[modalities, modalities]`: what the proxy that encoder `row` carries for modality
/// `column` weighs, relative to the others' that are available. They are positive.
pub fn fuse_weighted(tokens: &[Tokens], available: &Tensor, weights: &Tensor) -> Tensor {
    let without_proxies = tokens.iter().all(|tokens| tokens.proxies.is_empty());
    let column = |modality: usize| available.narrow(1, modality as i64, 1);
    let token = |missing: usize| {
        let here = column(missing);
        let own = &tokens[missing].cls * &here;
        if without_proxies {
            return own;
        }
        let others = || (0..tokens.len()).filter(|other| *other != missing);
        let share = |other: usize| column(other) * weights.get(other as i64).get(missing as i64);
        let proxies = others().map(|other| proxy(tokens, other, missing) * share(other));
        let sum = proxies.reduce(|sum, next| sum + next).expect("there is another modality");
        let total = others().map(share).reduce(|sum, next| sum + next).expect("there is another modality");
        // Where nothing else is available the modality itself is, and there is no mean.
        own + sum * (here.ones_like() - &here) / total.masked_fill(&total.eq(0.0), 1.0)
    };
    (0..tokens.len()).map(token).reduce(|sum, next| sum + next).expect("a model has a modality")
}

/// The proxy that encoder `from` carries for modality `to`. Shape `[batch, width]`.
pub fn proxy(tokens: &[Tokens], from: usize, to: usize) -> &Tensor {
    // Proxies are in the order of the modalities, without the encoder's own.
    &tokens[from].proxies[if to < from { to } else { to - 1 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).view([1, -1])
    }

    fn tokens(cls: &[f32], proxies: &[&[f32]]) -> Tokens {
        Tokens { cls: row(cls), proxies: proxies.iter().map(|proxy| row(proxy)).collect() }
    }

    #[test]
    fn two_modalities_follow_equation_5() {
        let both = [tokens(&[1.0, 2.0], &[&[10.0, 20.0]]), tokens(&[3.0, 4.0], &[&[30.0, 40.0]])];
        assert_eq!(fuse(&both, &row(&[1.0, 1.0])), row(&[4.0, 6.0]));
        assert_eq!(fuse(&both, &row(&[1.0, 0.0])), row(&[11.0, 22.0]));
        assert_eq!(fuse(&both, &row(&[0.0, 1.0])), row(&[33.0, 44.0]));
    }

    #[test]
    fn one_modality_is_its_class_token() {
        assert_eq!(fuse(&[tokens(&[5.0], &[])], &row(&[1.0])), row(&[5.0]));
    }

    #[test]
    fn without_proxies_what_is_missing_adds_nothing() {
        let both = [tokens(&[5.0], &[]), tokens(&[2.0], &[])];
        assert_eq!(fuse(&both, &row(&[1.0, 1.0])), row(&[7.0]));
        assert_eq!(fuse(&both, &row(&[0.0, 1.0])), row(&[2.0]));
    }

    #[test]
    fn three_modalities_average_the_proxies_that_are_there() {
        // Proxies of encoder 0 are for 1 and 2, of 1 for 0 and 2, of 2 for 0 and 1.
        let all = [
            tokens(&[1.0], &[&[10.0], &[100.0]]),
            tokens(&[2.0], &[&[20.0], &[200.0]]),
            tokens(&[3.0], &[&[30.0], &[300.0]]),
        ];
        assert_eq!(fuse(&all, &row(&[1.0, 1.0, 1.0])), row(&[6.0]));
        assert_eq!(fuse(&all, &row(&[1.0, 1.0, 0.0])), row(&[1.0 + 2.0 + (100.0 + 200.0) / 2.0]));
        assert_eq!(fuse(&all, &row(&[0.0, 1.0, 1.0])), row(&[(20.0 + 30.0) / 2.0 + 2.0 + 3.0]));
        assert_eq!(fuse(&all, &row(&[0.0, 1.0, 0.0])), row(&[20.0 + 2.0 + 200.0]));
    }

    #[test]
    fn proxies_may_have_weights() {
        let all = [
            tokens(&[1.0], &[&[10.0], &[100.0]]),
            tokens(&[2.0], &[&[20.0], &[200.0]]),
            tokens(&[3.0], &[&[30.0], &[300.0]]),
        ];
        // Of the proxies for the last modality, the second encoder's weighs three times the first's.
        let weights = Tensor::from_slice(&[1.0f32, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0]).view([3, 3]);
        let fused = |available: &[f32]| fuse_weighted(&all, &row(available), &weights);
        assert_eq!(fused(&[1.0, 1.0, 0.0]), row(&[1.0 + 2.0 + (100.0 + 3.0 * 200.0) / 4.0]));
        // One that is alone has all the weight, and what is there needs none.
        assert_eq!(fused(&[0.0, 1.0, 0.0]), row(&[20.0 + 2.0 + 200.0]));
        assert_eq!(fused(&[1.0, 1.0, 1.0]), row(&[6.0]));
    }

    #[test]
    fn samples_of_a_batch_have_their_own_gates() {
        let cls = |a: f32, b: f32| Tensor::from_slice(&[a, b]).view([2, 1]);
        let both = [
            Tokens { cls: cls(1.0, 2.0), proxies: vec![cls(10.0, 20.0)] },
            Tokens { cls: cls(3.0, 4.0), proxies: vec![cls(30.0, 40.0)] },
        ];
        let available = Tensor::from_slice(&[1.0f32, 0.0, 1.0, 1.0]).view([2, 2]);
        assert_eq!(fuse(&both, &available), cls(11.0, 6.0));
    }
}
