//! What the mel front end sees does not depend on how the sound was cut into blocks.

mod common;

use cmpt_core::assembler::{Input, StreamSpec};
use cmpt_core::dropout::AudioThresholds;
use cmpt_core::features::LogMel;
use cmpt_core::time::Timestamp;
use common::{AUDIO, RATE_HZ, Rig, at, audio_sensor, block, mel, schedule, tone};
use proptest::prelude::*;

/// A block arrives when it is full: windows have to wait for the longest.
const LATENESS_MS: u64 = 700;

/// Windows of `length_ms` every `hop_ms` over `samples`, cut into blocks of the given sizes in turn.
fn features(samples: &[f32], sizes: &[usize], length_ms: u64, hop_ms: u64) -> Vec<Option<Vec<f32>>> {
    let thresholds = AudioThresholds { silent: None, ..AudioThresholds::default() };
    let sensors = vec![audio_sensor(thresholds)];
    let mut rig = Rig::new(StreamSpec { schedule: schedule(length_ms, hop_ms, LATENESS_MS), sensors });
    let mut position = 0;
    for size in sizes.iter().cycle() {
        let end = samples.len().min(position + size);
        let stamp = Timestamp::from_nanos((position * 1_000_000_000 / RATE_HZ) as i64);
        let now = Timestamp::from_nanos((end * 1_000_000_000 / RATE_HZ) as i64);
        rig.sample(now, AUDIO, block(stamp, samples[position..end].to_vec()));
        position = end;
        if position == samples.len() {
            break;
        }
    }
    rig.pass((samples.len() * 1000 / RATE_HZ) as i64 + LATENESS_MS as i64);
    rig.windows.iter().map(|window| values(&window.inputs[0])).collect()
}

fn values(input: &Input) -> Option<Vec<f32>> {
    match input {
        Input::Available(parts) => Some(parts[0].values.to_vec()),
        Input::Missing { .. } => None,
    }
}

/// Features of one window after the given blocks, [from, to) in milliseconds.
fn after_blocks(blocks: &[(i64, i64)]) -> Option<Vec<f32>> {
    let mut rig = Rig::avdigits();
    for (stamp, to) in blocks {
        rig.sample(at(*to), AUDIO, block(at(*stamp), (*stamp..*to).map(tone).collect()));
    }
    rig.pass(1200);
    values(&rig.windows[0].inputs[0])
}

/// Features of a second that sounds where `sounds` says.
fn expected(sounds: impl Fn(i64) -> bool) -> Option<Vec<f32>> {
    let samples: Vec<f32> = (0..1000).map(|n| if sounds(n) { tone(n) } else { 0.0 }).collect();
    Some(LogMel::new(&mel()).expect("the spec is sound").features(&samples))
}

#[test]
fn a_gap_stays_where_it_is_and_reads_as_zeros() {
    assert_eq!(after_blocks(&[(0, 300), (500, 1000)]), expected(|n| !(300..500).contains(&n)));
}

#[test]
fn a_window_covered_by_half_is_enough_and_by_less_is_not() {
    assert_eq!(after_blocks(&[(0, 500)]), expected(|n| n < 500));
    assert_eq!(after_blocks(&[(0, 499)]), None);
}

#[test]
fn an_overlap_is_delivered_once() {
    assert_eq!(after_blocks(&[(0, 600), (400, 1000)]), expected(|_| true));
    assert_eq!(after_blocks(&[(300, 400), (600, 700), (0, 1000)]), expected(|_| true));
}

#[test]
fn jitter_of_timestamps_does_not_move_samples() {
    let mut rig = Rig::avdigits();
    for (n, jitter) in [0, 15, -20, 20, -7].into_iter().enumerate() {
        let from = 200 * n as i64;
        let samples = (from..from + 200).map(tone).collect();
        rig.sample(at(from + 200), AUDIO, block(at(from + jitter), samples));
    }
    rig.pass(1200);
    assert_eq!(values(&rig.windows[0].inputs[0]), expected(|_| true));
}

#[test]
fn samples_that_are_no_numbers_read_as_zeros() {
    let mut rig = Rig::avdigits();
    let broken = (0..1000).map(|n| match n {
        200 => f32::NAN,
        300 => f32::INFINITY,
        n => tone(n),
    });
    rig.sample(at(1000), AUDIO, block(at(0), broken.collect()));
    rig.pass(1200);
    assert_eq!(values(&rig.windows[0].inputs[0]), expected(|n| n != 200 && n != 300));
}

/// A number in [-1, 1] that looks random: one round of a multiplicative hash.
fn noise(n: u32) -> f32 {
    let mixed = (n ^ n >> 15).wrapping_mul(0x2c1b_3c6d);
    (mixed ^ mixed >> 12) as f32 / u32::MAX as f32 * 2.0 - 1.0
}

proptest! {
    #[test]
    fn features_do_not_depend_on_block_sizes(
        seed in any::<u32>(),
        count in 2500u32..4000,
        sizes in prop::collection::vec(1usize..700, 1..8),
        (length_ms, hop_ms) in prop_oneof![Just((1000, 1000)), Just((1000, 250)), Just((333, 500)), Just((700, 10))],
    ) {
        let samples: Vec<f32> = (0..count).map(|n| noise(seed.wrapping_add(n))).collect();
        let found = features(&samples, &sizes, length_ms, hop_ms);
        let mut mel = LogMel::new(&mel()).unwrap();
        for (seq, found) in found.iter().enumerate() {
            // At 1 kHz a sample is a millisecond.
            let start = seq * hop_ms as usize;
            let window = &samples[start..samples.len().min(start + length_ms as usize)];
            if window.len() == length_ms as usize {
                prop_assert_eq!(found.as_ref(), Some(&mel.features(window)), "window {}", seq);
            }
        }
    }
}
