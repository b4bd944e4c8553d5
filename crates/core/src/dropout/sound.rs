//! Statistics of sound, computed once per block.

use std::time::Duration;

use super::{AudioThresholds, ClippedThreshold, SilentThreshold, StuckThreshold};

/// Level of what is not there, in decibels relative to full scale: below any converter's own noise.
const NOTHING_DBFS: f32 = -144.0;
/// Mains frequencies, Hz.
const MAINS_HZ: [f64; 2] = [50.0, 60.0];
/// No sine within the limits has more power than this below them, dB; what a coder rounds off of a clipped wave
/// has.
const BELOW_LIMIT_DB: f32 = 2.0;
/// Hum is the same after one period and after three: a bass at 49 Hz differs from 50 Hz only after three, one
/// at 116.7 Hz only after one, and a mains frequency is held to a few parts in a thousand.
const HUM_PERIODS: [f64; 2] = [1.0, 3.0];
/// What a lossy coder leaves beside a constant lies at least so far below it, dB.
const BESIDE_CONSTANT_DB: f32 = 60.0;
/// And if the constant is new, at least so far: at 32 kbit/s, frames of AAC differ in their constants.
const BESIDE_NEW_CONSTANT_DB: f32 = 12.0;
/// How fast the usual constant follows that of a block, a second.
const OFFSET_PER_SECOND: f32 = 0.1;
/// Hum has its power below this frequency, Hz; a test tone that happens to fit a mains period has not.
const HUM_BELOW_HZ: f64 = 400.0;
/// Time that a microphone must have been heard before its noise floor is believed.
const FLOOR_KNOWN_AFTER: Duration = Duration::from_secs(60);
/// How fast the floor follows a source that gets louder or, beyond a collapse, quieter, dB a second:
/// fifteen minutes of music do not hide the room behind it.
const FLOOR_DB_PER_SECOND: f32 = 0.02;

/// Statistics of one block of sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockStatistics {
    /// Root mean square relative to full scale, in decibels; `f32::NEG_INFINITY` for digital silence.
    pub rms_dbfs: f32,
    /// The same of what is left without the constant part.
    pub ac_dbfs: f32,
    /// The constant part, in [-1, 1].
    pub constant: f32,
    /// The constant part that this microphone usually has; `None` before the first block.
    pub offset: Option<f32>,
    /// Largest absolute sample.
    pub peak: f32,
    /// Share of samples at or above the clipped threshold's `level`, over a mains period at least.
    pub clipped_share: f32,
    /// Share of the power that a period of 50 or 60 Hz does not explain, if the rest lies where hum
    /// does; `None` where it does not, and while there is less sound than a period.
    pub hum_residue: Option<f32>,
    /// The quietest that this microphone has been, in decibels relative to full scale, slowly
    /// forgotten; `None` before the first block.
    pub floor_dbfs: Option<f32>,
    /// Whether the microphone was heard for long enough to believe the floor.
    pub floor_known: bool,
}

/// Measures the sound of one microphone.
#[derive(Clone, Debug)]
pub struct SoundMeter {
    thresholds: AudioThresholds,
    rate_hz: f64,
    /// The latest samples, at least some mains periods and the present block.
    recent: Vec<f32>,
    floor_dbfs: Option<f32>,
    offset: Option<f32>,
    heard: Duration,
}

impl BlockStatistics {
    /// Whether there is no signal.
    pub fn is_silent(&self, threshold: &SilentThreshold) -> bool {
        let collapsed =
            self.floor_known && self.floor_dbfs.is_some_and(|floor| self.ac_dbfs < floor - threshold.drop_db);
        self.ac_dbfs < threshold.dead_dbfs || self.ac_dbfs < threshold.below_dbfs && collapsed
    }

    /// Whether the sound is clipped.
    pub fn is_clipped(&self, threshold: &ClippedThreshold) -> bool {
        let limit_dbfs = 20.0 * threshold.level.log10();
        self.clipped_share >= threshold.share || self.ac_dbfs >= limit_dbfs - BELOW_LIMIT_DB
    }

    /// Whether the sound is a constant or nothing but hum.
    pub fn is_stuck(&self, threshold: &StuckThreshold) -> bool {
        let level_dbfs = 20.0 * self.constant.abs().log10();
        let new =
            self.offset.is_some_and(|offset| (self.constant - offset).abs() >= self.constant.abs() / 2.0);
        let beside_db = if new { BESIDE_NEW_CONSTANT_DB } else { BESIDE_CONSTANT_DB };
        let nothing_dbfs = threshold.dead_dbfs.max(level_dbfs - beside_db);
        let constant = self.constant.abs() >= threshold.constant && self.ac_dbfs < nothing_dbfs;
        let louder = self.floor_dbfs.is_some_and(|floor| self.ac_dbfs >= floor + threshold.rise_db);
        constant || louder && self.hum_residue.is_some_and(|residue| residue <= threshold.residue)
    }
}

impl SoundMeter {
    /// For sound of `rate_hz` samples a second.
    pub fn new(thresholds: &AudioThresholds, rate_hz: u32) -> Self {
        let (thresholds, rate_hz) = (thresholds.clone(), f64::from(rate_hz.max(1)));
        Self {
            thresholds,
            rate_hz,
            recent: Vec::new(),
            floor_dbfs: None,
            offset: None,
            heard: Duration::ZERO,
        }
    }

    /// Statistics of `samples`, which follow those of the previous call. A sample that is not finite
    /// counts as 0; no samples are silence.
    pub fn measure(&mut self, samples: &[f32]) -> BlockStatistics {
        let clip_level = self.thresholds.clipped.as_ref().map_or(f32::INFINITY, |clipped| clipped.level);
        let (mut power, mut peak) = (0.0f64, 0.0f32);
        for sample in samples.iter().copied().map(finite) {
            power += f64::from(sample) * f64::from(sample);
            peak = peak.max(sample.abs());
        }
        let count = samples.len().max(1) as f64;
        let power = power / count;
        let hum_residue = self.hum_residue(samples);
        let stretch = self.stretch(samples.len());
        let clipped = stretch.iter().filter(|sample| sample.abs() >= clip_level).count();
        let (constant, ac_power) = if stretch.is_empty() { (0.0, power) } else { mean_and_variance(stretch) };
        let clipped_share = clipped as f32 / stretch.len().max(1) as f32;
        let mut statistics = BlockStatistics {
            rms_dbfs: decibels(power),
            ac_dbfs: decibels(ac_power),
            constant: constant as f32,
            offset: self.offset,
            peak,
            clipped_share,
            hum_residue,
            floor_dbfs: self.floor_dbfs,
            floor_known: self.heard >= FLOOR_KNOWN_AFTER,
        };
        self.follow(&statistics, Duration::from_secs_f64(samples.len() as f64 / self.rate_hz));
        statistics.floor_dbfs = self.floor_dbfs;
        statistics
    }

    /// Lets the floor follow a block of the given length, unless it is suspicious.
    fn follow(&mut self, block: &BlockStatistics, length: Duration) {
        let silent = self.thresholds.silent.as_ref().is_some_and(|silent| block.is_silent(silent));
        let stuck = self.thresholds.stuck.as_ref().is_some_and(|stuck| block.is_stuck(stuck));
        let dead = block.ac_dbfs < SilentThreshold::default().dead_dbfs;
        if stuck || dead {
            return;
        }
        self.heard = self.heard.saturating_add(length);
        let share = (OFFSET_PER_SECOND * length.as_secs_f32()).min(1.0);
        let offset = self.offset.unwrap_or(block.constant);
        self.offset = Some(offset + share * (block.constant - offset));
        let level = block.ac_dbfs.max(NOTHING_DBFS);
        let step = FLOOR_DB_PER_SECOND * length.as_secs_f32();
        self.floor_dbfs = Some(match self.floor_dbfs {
            None => level,
            Some(floor) if silent => (floor - step).max(level),
            Some(floor) => (floor + step).min(level),
        });
    }

    /// The latest `count` samples, or a mains period if that is more: a block of one sample is constant,
    /// or clipped, by itself. Empty before a period was heard.
    fn stretch(&self, count: usize) -> &[f32] {
        let count = count.max((self.rate_hz / MAINS_HZ[0]) as usize).max(1);
        self.recent.len().checked_sub(count).map_or(&[], |from| &self.recent[from..])
    }

    /// Power of the difference to some mains periods earlier, as a share of twice the power: 0 for
    /// hum with all its harmonics, about 1 for anything else.
    fn hum_residue(&mut self, samples: &[f32]) -> Option<f32> {
        let lags = MAINS_HZ.map(|hz| HUM_PERIODS.map(|periods| periods * self.rate_hz / hz));
        let longest = lags.iter().flatten().map(|lag| lag.ceil() as usize).max().unwrap_or(0) + 1;
        let kept = self.recent.len().min(longest);
        self.recent.drain(..self.recent.len() - kept);
        self.recent.extend(samples.iter().copied().map(finite));
        let (power, steepness) = self.power_and_steepness(kept)?;
        // The mean square frequency follows from the power of the first difference.
        let frequency = (steepness / power).sqrt() * self.rate_hz / std::f64::consts::TAU;
        if frequency > HUM_BELOW_HZ {
            return None;
        }
        let residues = lags.iter().filter_map(|[one, three]| {
            Some(self.residue(kept, *one, power)?.max(self.residue(kept, *three, power)?))
        });
        residues
            .fold(None, |least: Option<f64>, residue| Some(least.map_or(residue, |l| l.min(residue))))
            .map(|residue| residue as f32)
    }

    /// Summed squares of the samples from `from` on, without their mean, and of their differences.
    fn power_and_steepness(&self, from: usize) -> Option<(f64, f64)> {
        let samples = self.recent.get(from..).filter(|samples| samples.len() > 1)?;
        let mean = samples.iter().map(|sample| f64::from(*sample)).sum::<f64>() / samples.len() as f64;
        let power: f64 = samples.iter().map(|sample| (f64::from(*sample) - mean).powi(2)).sum();
        let steepness: f64 = samples.windows(2).map(|pair| f64::from(pair[1] - pair[0]).powi(2)).sum();
        (power > 0.0).then_some((power, steepness))
    }

    /// Residue at a lag that need not be whole: the earlier sample is interpolated.
    fn residue(&self, from: usize, lag: f64, power: f64) -> Option<f64> {
        let (whole, part) = (lag.floor() as usize, lag.fract() as f32);
        let from = from.max(whole + 1);
        let samples = self.recent.get(from..).filter(|samples| !samples.is_empty())?;
        let earlier =
            self.recent[from - whole - 1..].windows(2).map(|pair| part * pair[0] + (1.0 - part) * pair[1]);
        let left: f64 = samples.iter().zip(earlier).map(|(now, then)| f64::from(now - then).powi(2)).sum();
        Some(left / (2.0 * power))
    }
}

fn mean_and_variance(samples: &[f32]) -> (f64, f64) {
    let count = samples.len() as f64;
    let mean = samples.iter().map(|sample| f64::from(*sample)).sum::<f64>() / count;
    let squares: f64 = samples.iter().map(|sample| (f64::from(*sample) - mean).powi(2)).sum();
    (mean, squares / count)
}

fn finite(sample: f32) -> f32 {
    if sample.is_finite() { sample } else { 0.0 }
}

/// `f32::NEG_INFINITY` for no power.
fn decibels(power: f64) -> f32 {
    (10.0 * power.log10()) as f32
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    const RATE_HZ: u32 = 16_000;

    /// Plays blocks of 20 ms from `from_s` to `to_s`; the statistics of the last.
    fn play(meter: &mut SoundMeter, from_s: f64, to_s: f64, signal: impl Fn(f64) -> f64) -> BlockStatistics {
        let sample = |n: usize| signal(n as f64 / f64::from(RATE_HZ)) as f32;
        let position = |s: f64| (s * f64::from(RATE_HZ)) as usize;
        let samples: Vec<f32> = (position(from_s)..position(to_s)).map(sample).collect();
        samples.chunks(320).map(|block| meter.measure(block)).last().unwrap()
    }

    fn meter() -> SoundMeter {
        SoundMeter::new(&AudioThresholds::default(), RATE_HZ)
    }

    fn noise(t: f64, dbfs: f64) -> f64 {
        let mut hash = ((t * 16_000.0).round() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash ^= hash >> 29;
        hash = hash.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((hash >> 11) as f64 / (1u64 << 53) as f64 - 0.5) * 12f64.sqrt() * 10f64.powf(dbfs / 20.0)
    }

    #[test]
    fn a_block_has_levels_and_a_peak() {
        let square = meter().measure(&[0.1, -0.1, 0.1, -0.1]);
        assert!((square.rms_dbfs + 20.0).abs() < 1e-4 && (square.ac_dbfs + 20.0).abs() < 1e-4, "{square:?}");
        assert_eq!((square.peak, square.clipped_share), (0.1, 0.0));
        for samples in [&[0.0; 16][..], &[], &[f32::NAN, f32::INFINITY]] {
            let silence = meter().measure(samples);
            assert_eq!((silence.rms_dbfs, silence.peak), (f32::NEG_INFINITY, 0.0));
            assert!(silence.is_silent(&SilentThreshold::default()));
        }
        let clipped = meter().measure(&[1.0, -1.0, 0.5, 0.5].repeat(80));
        assert_eq!(clipped.clipped_share, 0.5);
    }

    #[test]
    fn a_quiet_room_is_not_silent_and_a_dead_microphone_is() {
        let silent = SilentThreshold::default();
        let mut room = meter();
        assert!(!play(&mut room, 0.0, 1.0, |t| noise(t, -72.0)).is_silent(&silent));
        assert!(play(&mut room, 1.0, 2.0, |t| noise(t, -90.0)).is_silent(&silent));
    }

    #[test]
    fn a_microphone_that_falls_far_below_its_own_floor_is_silent() {
        let silent = SilentThreshold::default();
        let mut office = meter();
        assert!(!play(&mut office, 0.0, 30.0, |t| noise(t, -48.0)).is_silent(&silent));
        assert!(!play(&mut office.clone(), 30.0, 31.0, |t| noise(t, -72.0)).is_silent(&silent), "too early");
        play(&mut office, 30.0, 61.0, |t| noise(t, -48.0));
        assert!(play(&mut office.clone(), 61.0, 64.0, |t| noise(t, -72.0)).is_silent(&silent));
        assert!(!play(&mut office, 61.0, 64.0, |t| noise(t, -64.0)).is_silent(&silent), "ventilation off");
    }

    #[test]
    fn hum_alone_is_stuck_and_a_tone_or_a_humming_room_is_not() {
        let stuck = StuckThreshold::default();
        for hz in [50.0, 60.0] {
            let hum = move |t: f64| {
                0.1 * (TAU * hz * t).sin() + 0.03 * (TAU * 3.0 * hz * t + 1.0).sin() + noise(t, -60.0)
            };
            let mut cable = meter();
            play(&mut cable, 0.0, 3.0, |t| noise(t, -55.0));
            assert!(play(&mut cable, 3.0, 4.0, hum).is_stuck(&stuck), "{hz}");
            assert!(!play(&mut meter(), 0.0, 4.0, hum).is_stuck(&stuck), "it hummed from the start");
        }
        for hz in [440.0, 1000.0, 98.0, 49.0, 51.9, 61.7, 116.5] {
            let mut tone = meter();
            play(&mut tone, 0.0, 3.0, |t| noise(t, -55.0));
            assert!(!play(&mut tone, 3.0, 4.0, |t| 0.1 * (TAU * hz * t).sin()).is_stuck(&stuck), "{hz}");
        }
    }

    #[test]
    fn a_single_sample_is_no_constant() {
        let stuck = StuckThreshold::default();
        let mut meter = meter();
        for n in 0..2000 {
            let sample = 0.1 * (TAU * 440.0 * f64::from(n) / f64::from(RATE_HZ)).sin();
            assert!(!meter.measure(&[sample as f32]).is_stuck(&stuck), "{n}");
        }
    }

    #[test]
    fn a_clipped_wave_whose_corners_a_coder_rounded_off_is_clipped_and_a_full_scale_sine_is_not() {
        let clipped = ClippedThreshold::default();
        let wave = |t: f64| (TAU * 200.0 * t).sin();
        assert!(!play(&mut meter(), 0.0, 1.0, |t| 0.98 * wave(t)).is_clipped(&clipped));
        // The first partials of a square wave lose their tips to the filter bank: the peak is below the level.
        let rounded = |t: f64| 0.98 * (8.0 * wave(t)).tanh();
        let statistics = play(&mut meter(), 0.0, 1.0, rounded);
        assert!(statistics.clipped_share == 0.0 && statistics.is_clipped(&clipped), "{statistics:?}");
    }

    #[test]
    fn a_constant_is_stuck_unless_there_is_sound_on_it() {
        let stuck = StuckThreshold::default();
        assert!(play(&mut meter(), 0.0, 1.0, |_| 0.25).is_stuck(&stuck));
        assert!(!play(&mut meter(), 0.0, 1.0, |t| 0.25 + noise(t, -70.0)).is_stuck(&stuck));
        assert!(!play(&mut meter(), 0.0, 1.0, |_| 0.0).is_stuck(&stuck), "that is silence");
        let wobbling = |t: f64| 0.1 + 0.02 * (TAU * 15.6 * t).sin() + noise(t, -50.0);
        assert!(!play(&mut meter(), 0.0, 1.0, wobbling).is_stuck(&stuck), "its offset, for all one knows");
        let mut coded = meter();
        play(&mut coded, 0.0, 3.0, |t| noise(t, -55.0));
        for blocks in 0..100 {
            let now = 3.02 + 0.02 * f64::from(blocks);
            assert!(
                play(&mut coded, now, now + 0.02, wobbling).is_stuck(&stuck),
                "{now}: frames of AAC differ"
            );
        }
        let coded = |t| 0.43 + noise(t, -77.0);
        assert!(play(&mut meter(), 0.0, 1.0, coded).is_stuck(&stuck), "what a coder leaves is no sound");
    }
}
