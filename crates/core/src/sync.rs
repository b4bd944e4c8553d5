//! The offset between sound and picture, measured on events that both show: flashes with beeps, claps.
//!
//! An *onset* is where a signal rises out of its quiet: the luma of a picture, the level of a block. Each
//! onset of the picture has the nearest one of the sound as its partner, and the median of the differences
//! is the offset: robust against a flash that nobody heard and a noise that nobody saw.

use std::time::Duration;

use crate::samples::{AudioBlock, Frame};
use crate::time::Timestamp;

/// Length of the pieces of sound whose level is looked at: what the offset is exact to, on the side of
/// the sound. On the other side it is the frame.
const PIECE: Duration = Duration::from_millis(2);
/// A rise counts when it covers this share of the range that the signal has had in all.
const RISE: f32 = 0.5;
/// It must then fall below this share before it can rise again.
const FALL: f32 = 0.3;
/// With less of a range (mean luma in [0, 1], peak in [0, 1]) there is nothing to be seen or heard.
const LEAST_RANGE: f32 = 0.05;
/// Onsets closer than this to the last one belong to it: a beep that swells, a picture that flickers.
const REFRACTORY: Duration = Duration::from_millis(250);
/// Fewer pairs prove nothing.
const LEAST_PAIRS: usize = 3;

/// The offset between sound and picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AvOffset {
    /// Median of sound minus picture, in milliseconds: positive when the sound comes later.
    pub audio_after_video_ms: f64,
    /// Half of the differences lie no further from the median than this, in milliseconds.
    pub spread_ms: f64,
    /// Pairs that it rests on.
    pub pairs: usize,
}

/// Why an offset cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// No event was seen or heard often enough.
    #[error("find events: {flashes} flashes and {beeps} beeps, expected at least {LEAST_PAIRS} of both")]
    TooFew {
        /// Onsets of luma.
        flashes: usize,
        /// Onsets of level.
        beeps: usize,
    },
    /// The differences do not agree.
    #[error(
        "agree on an offset: half of {pairs} pairs of flash and beep differ by more than {spread_ms} ms from the median"
    )]
    Disagreement {
        /// Pairs found.
        pairs: usize,
        /// Median of the absolute differences to the median.
        spread_ms: u32,
    },
}

/// Pairs may scatter by this around their median, in milliseconds: two frames at 25 a second.
const MOST_SPREAD_MS: f64 = 80.0;

/// Collects what is seen and heard. Memory grows with the length of what is measured: 4 bytes a frame and
/// per `PIECE`.
#[derive(Clone, Debug, Default)]
pub struct SyncMeter {
    luma: Vec<(Timestamp, f32)>,
    level: Vec<(Timestamp, f32)>,
}

impl SyncMeter {
    /// A picture of the camera.
    pub fn handle_frame(&mut self, frame: &Frame) {
        let sum: u64 = frame.rgb.iter().map(|byte| u64::from(*byte)).sum();
        let mean = sum as f64 / frame.rgb.len().max(1) as f64 / 255.0;
        self.luma.push((frame.at, mean as f32));
    }

    /// A block of the microphone, at `rate_hz`.
    pub fn handle_block(&mut self, block: &AudioBlock, rate_hz: u32) {
        let piece =
            usize::try_from(PIECE.as_nanos() * u128::from(rate_hz) / 1_000_000_000).unwrap_or(1).max(1);
        for (index, samples) in block.samples.chunks(piece).enumerate() {
            let nanos = (index * piece) as u128 * 1_000_000_000 / u128::from(rate_hz.max(1));
            let after = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            let peak = samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
            self.level.push((block.at + after, peak));
        }
    }

    /// Takes over what another meter has seen and heard of the same events.
    pub fn absorb(&mut self, other: Self) {
        self.luma.extend(other.luma);
        self.level.extend(other.level);
    }

    /// The offset. Errors: too few events, or events that do not agree.
    pub fn offset(&self) -> Result<AvOffset, SyncError> {
        let (flashes, beeps) = (onsets(&self.luma), onsets(&self.level));
        if flashes.len() < LEAST_PAIRS || beeps.len() < LEAST_PAIRS {
            return Err(SyncError::TooFew { flashes: flashes.len(), beeps: beeps.len() });
        }
        let mut differences: Vec<f64> = flashes.iter().filter_map(|flash| nearest(&beeps, *flash)).collect();
        let median = median(&mut differences);
        let mut scatter: Vec<f64> =
            differences.iter().map(|difference| (difference - median).abs()).collect();
        let spread = self::median(&mut scatter);
        if spread > MOST_SPREAD_MS {
            return Err(SyncError::Disagreement { pairs: differences.len(), spread_ms: spread as u32 });
        }
        Ok(AvOffset { audio_after_video_ms: median, spread_ms: spread, pairs: differences.len() })
    }
}

/// Where `signal` rises.
fn onsets(signal: &[(Timestamp, f32)]) -> Vec<Timestamp> {
    let least = signal.iter().map(|(_, value)| *value).fold(f32::INFINITY, f32::min);
    let most = signal.iter().map(|(_, value)| *value).fold(f32::NEG_INFINITY, f32::max);
    let range = most - least;
    // Written so that an empty signal, whose range is not finite, has none.
    if !(range.is_finite() && range >= LEAST_RANGE) {
        return Vec::new();
    }
    let mut onsets: Vec<Timestamp> = Vec::new();
    // A signal that begins high has not risen.
    let mut armed = false;
    for (at, value) in signal {
        let height = (value - least) / range;
        if height < FALL {
            armed = true;
        } else if armed && height >= RISE {
            armed = false;
            if onsets.last().is_none_or(|last| at.saturating_since(*last) >= REFRACTORY) {
                onsets.push(*at);
            }
        }
    }
    onsets
}

/// From `at` to the nearest of `others`, in milliseconds.
fn nearest(others: &[Timestamp], at: Timestamp) -> Option<f64> {
    let difference = |other: &Timestamp| (other.as_nanos() - at.as_nanos()) as f64 / 1e6;
    others.iter().map(difference).min_by(|a, b| a.abs().total_cmp(&b.abs()))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE_HZ: u32 = 16_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    /// Flashes and beeps of 100 ms at these times, in ten seconds of dark and faint noise.
    fn meter(flashes_ms: &[i64], beeps_ms: &[i64]) -> SyncMeter {
        let mut meter = SyncMeter::default();
        let during = |events: &[i64], ms: i64| events.iter().any(|event| (*event..event + 100).contains(&ms));
        for ms in (0..10_000).step_by(40) {
            let luma = if during(flashes_ms, ms) { 230 } else { 20 };
            meter.handle_frame(&Frame { at: at(ms), width: 2, height: 2, rgb: vec![luma; 12] });
        }
        for block in 0..500 {
            let sample = |n: i64| {
                let ms = 20 * block + n / 16;
                let wave = (n as f32 * 0.7).sin();
                if during(beeps_ms, ms) { 0.5 * wave } else { 0.01 * wave }
            };
            meter.handle_block(
                &AudioBlock { at: at(20 * block), samples: (0..320).map(sample).collect() },
                RATE_HZ,
            );
        }
        meter
    }

    #[test]
    fn a_known_offset_is_measured_to_a_piece() {
        // The first beep not at 0: a signal that begins high has not risen.
        let flashes = [2000, 5000, 8000];
        for offset_ms in [-1000, -200, -40, 0, 40, 200, 1000] {
            let beeps = flashes.map(|flash| flash + offset_ms);
            let offset = meter(&flashes, &beeps).offset().unwrap();
            let error = offset.audio_after_video_ms - offset_ms as f64;
            assert!(error.abs() <= 3.0, "{} for {offset_ms}", offset.audio_after_video_ms);
            assert_eq!(offset.pairs, 3);
        }
    }

    #[test]
    fn a_flash_that_nobody_heard_and_a_noise_that_nobody_saw_change_nothing() {
        let offset =
            meter(&[1000, 3000, 5000, 7000, 9000], &[1040, 3040, 5040, 6000, 9040]).offset().unwrap();
        assert!((offset.audio_after_video_ms - 40.0).abs() <= 3.0, "{offset:?}");
    }

    #[test]
    fn what_cannot_be_told_is_not() {
        let few = meter(&[1000, 4000], &[1000, 4000, 7000]).offset();
        assert_eq!(few, Err(SyncError::TooFew { flashes: 2, beeps: 3 }));
        assert_eq!(SyncMeter::default().offset(), Err(SyncError::TooFew { flashes: 0, beeps: 0 }));
        let unrelated = meter(&[1000, 3000, 5000, 7000], &[1300, 2500, 5900, 6300]).offset();
        assert!(matches!(unrelated, Err(SyncError::Disagreement { pairs: 4, .. })), "{unrelated:?}");
    }

    #[test]
    fn a_picture_that_is_bright_from_the_first_has_not_risen() {
        let signal: Vec<_> =
            [1.0, 1.0, 0.0, 0.0, 1.0].into_iter().zip(0..).map(|(v, n)| (at(500 * n), v)).collect();
        assert_eq!(onsets(&signal), [at(2000)]);
    }
}
