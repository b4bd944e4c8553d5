//! Modality dropout: which modalities the gate is told are there, in training.
//!
//! It happens at the gate, after encoding, so that alignment still sees complete samples.

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

/// How often patterns are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Drawing {
    /// One pattern for each batch, as in the paper.
    #[default]
    Batch,
    /// One pattern for each sample.
    Sample,
    /// Nothing is drawn: the loss is its own expectation over all patterns. Encoding is what costs,
    /// so this buys less noise for next to nothing.
    Every,
}

/// An availability pattern and its share in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatternRate {
    /// For each modality whether it is there; at least one is.
    pub available: Vec<bool>,
    /// Share, relative to the others'.
    pub rate: f64,
}

/// Availability to train on, with weights that sum to 1. Drawn from libtorch's generator.
///
/// Shapes: `present` `[batch, modalities]`, 1 or 0, at least one 1 in each row; so is each result.
pub fn modality_dropout(present: &Tensor, rates: &[PatternRate], drawing: Drawing) -> Vec<(f64, Tensor)> {
    let device = present.device();
    let batch = present.size()[0];
    let total: f64 = rates.iter().map(|pattern| pattern.rate).sum();
    let draw = |count| {
        let shares: Vec<f32> = rates.iter().map(|pattern| pattern.rate as f32).collect();
        let drawn = Tensor::from_slice(&shares).multinomial(count, true);
        let table: Vec<f32> = rates.iter().flat_map(row).collect();
        let table = Tensor::from_slice(&table).view([rates.len() as i64, -1]);
        restrict(present, &table.index_select(0, &drawn).to_device(device))
    };
    match drawing {
        Drawing::Batch => vec![(1.0, draw(1))],
        Drawing::Sample => vec![(1.0, draw(batch))],
        Drawing::Every => {
            let weighted = rates.iter().filter(|pattern| pattern.rate > 0.0);
            weighted
                .map(|pattern| (pattern.rate / total, restrict(present, &pattern_row(pattern, device))))
                .collect()
        }
    }
}

/// What is both present and in the pattern; all that is present where that would be nothing.
fn restrict(present: &Tensor, pattern: &Tensor) -> Tensor {
    let left = present * pattern;
    let none = left.sum_dim_intlist(1i64, true, None).eq(0.0);
    present.where_self(&none, &left)
}

fn pattern_row(pattern: &PatternRate, device: Device) -> Tensor {
    Tensor::from_slice(&row(pattern)).view([1, -1]).to_device(device)
}

fn row(pattern: &PatternRate) -> Vec<f32> {
    pattern.available.iter().map(|available| f32::from(u8::from(*available))).collect()
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn rates() -> Vec<PatternRate> {
        [(true, true, 2.0), (true, false, 1.0), (false, true, 1.0)]
            .map(|(a, b, rate)| PatternRate { available: vec![a, b], rate })
            .into()
    }

    fn present(rows: &[[f32; 2]]) -> Tensor {
        Tensor::from_slice(&rows.concat()).view([-1, 2])
    }

    #[test]
    fn every_pattern_comes_with_its_share() {
        let all = modality_dropout(&present(&[[1.0, 1.0]]), &rates(), Drawing::Every);
        let expected =
            [(0.5, present(&[[1.0, 1.0]])), (0.25, present(&[[1.0, 0.0]])), (0.25, present(&[[0.0, 1.0]]))];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_batch_shares_one_pattern_and_samples_differ() {
        let complete = Tensor::ones([400, 2], (Kind::Float, Device::Cpu));
        let [(weight, batch)] = &modality_dropout(&complete, &rates(), Drawing::Batch)[..] else {
            panic!("one drawing expected")
        };
        assert_eq!((*weight, batch), (1.0, &batch.get(0).unsqueeze(0).expand([400, 2], false).contiguous()));
        let samples = &modality_dropout(&complete, &rates(), Drawing::Sample)[0].1;
        // Three of four samples have each modality; 400 draws lie within 5 standard deviations.
        for share in Vec::<f64>::try_from(samples.mean_dim(0i64, false, Kind::Double)).unwrap() {
            assert!((0.64..0.86).contains(&share), "{share}");
        }
    }

    #[test]
    fn nothing_is_dropped_that_would_leave_a_sample_blind() {
        let present = present(&[[1.0, 0.0], [1.0, 1.0]]);
        let only_second = [PatternRate { available: vec![false, true], rate: 1.0 }];
        let [(_, left)] = &modality_dropout(&present, &only_second, Drawing::Every)[..] else {
            panic!("one pattern expected")
        };
        assert_eq!(*left, Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0]).view([2, 2]));
    }
}
