//! Golden tensors, computed by the network itself with its adapters unmerged.

use cmpt_bundle::manifest::Pattern;
use cmpt_bundle::{Golden, Tensor as Plain};
use tch::{Kind, Tensor};

use super::error::ExportError;
use super::tensor::plain;
use crate::encoder::Mode;
use crate::encoder::spec::{Embedding, WordEmbedding};
use crate::encoder::transformer::Tokens;
use crate::method::gate::fuse;
use crate::method::model::Model;

/// Samples in the golden file: more than one, so that a mixed-up batch shows.
pub(super) const BATCH: usize = 2;

/// Inputs and expected outputs for every graph and every pattern.
///
/// Inputs are normal noise, as normalised features are, always the same and not from libtorch's
/// generator, whose state is the caller's.
pub(super) fn golden(model: &Model, patterns: &[Pattern]) -> Result<Golden, ExportError> {
    let _guard = tch::no_grad_guard();
    let mut noise = noise();
    let mut golden = Golden::new();
    let mut tokens = Vec::new();
    for (index, modality) in model.spec().modalities.iter().enumerate() {
        let name = &modality.info.name;
        let shape = [&[BATCH], &modality.encoder.input_shape()[..]].concat();
        let mut values: Vec<f32> = noise.by_ref().take(shape.iter().product()).collect();
        if let Embedding::Words(words) = &modality.encoder.embedding {
            read_as_texts(&mut values, words);
        }
        let dimensions: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
        let features = Tensor::from_slice(&values).view(&dimensions[..]).to_device(model.device());
        golden.insert_features(name, Plain { shape, values });
        let read = model.encode(index, &features, Mode::Infer);
        golden.insert_cls(name, plain(&read.cls)?);
        for (other, proxy) in model.spec().proxies(index).into_iter().zip(&read.proxies) {
            golden.insert_proxy(name, other, plain(proxy)?);
        }
        tokens.push(read);
    }
    for pattern in patterns {
        let token = gated(model, &tokens, pattern);
        golden.insert_logits(pattern, plain(&model.classify(&token))?);
        golden.insert_token(pattern, plain(&token)?);
    }
    Ok(golden)
}

/// Makes the numbers of words out of noise. The first text is as long as can be; of each further one more is
/// padding.
fn read_as_texts(values: &mut [f32], words: &WordEmbedding) {
    for (sample, text) in values.chunks_exact_mut(words.tokens).enumerate() {
        let (read, rest) = text.split_at_mut(words.tokens - sample * words.tokens / BATCH);
        let word = |noise: f32| (noise.abs() * 1000.0).floor() % words.vocabulary as f32;
        read.iter_mut().for_each(|value| *value = word(*value));
        rest.fill(words.padding as f32);
    }
}

fn gated(model: &Model, tokens: &[Tokens], pattern: &Pattern) -> Tensor {
    let names = model.spec().modalities.iter().map(|modality| &modality.info.name);
    let row: Vec<f32> = names.map(|name| f32::from(u8::from(pattern.available.contains(name)))).collect();
    let available = Tensor::from_slice(&row).view([1, -1]).expand([BATCH as i64, -1], false);
    fuse(tokens, &available.to_kind(Kind::Float).to_device(model.device()))
}

/// Normal noise. Source: a linear congruential generator (Numerical Recipes, chapter 7.1), through the
/// sum of twelve uniform numbers less six, whose variance is one.
fn noise() -> impl Iterator<Item = f32> {
    let mut state = 1u32;
    let mut uniform = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / 2f32.powi(32)
    };
    std::iter::repeat_with(move || (0..12).map(|_| uniform()).sum::<f32>() - 6.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_texts_end_with_padding() {
        let words = WordEmbedding { vocabulary: 50, positions: 8, types: 2, tokens: 5, padding: 49 };
        let mut values = [0.0105, -0.06, 1.2, 0.0, -0.001, 0.003, 0.003, 0.003, 0.003, 0.003];
        read_as_texts(&mut values, &words);
        assert_eq!(values, [10.0, 10.0, 0.0, 0.0, 1.0, 3.0, 3.0, 3.0, 49.0, 49.0]);
    }

    #[test]
    fn noise_is_normal_and_always_the_same() {
        let values: Vec<f32> = noise().take(10_000).collect();
        let mean = values.iter().sum::<f32>() / 1e4;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 1e4;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        assert!(noise().take(100).eq(values.into_iter().take(100)));
    }
}
