//! Seeds out of numbers.

use super::batch::BatchRequest;

/// One seed out of several numbers: neighbouring numbers give unrelated seeds.
///
/// Source: the finalizer of SplitMix64 (Steele et al. 2014).
pub fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |state: u64, part| {
        let mixed = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// Seed of one sample of a request.
pub fn of_sample(request: &BatchRequest, index: usize) -> u64 {
    mix(&[request.seed, request.split as u64, request.epoch as u64, index as u64])
}
