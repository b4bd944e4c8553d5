//! Sound on the sample grid, and mel steps of it, each computed once.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use super::sensor::{Limits, Rejection};
use super::{AssemblerError, Part};
use crate::dropout::{AudioThresholds, BlockStatistics, Reason, SoundMeter};
use crate::features::{LogMel, MelSpec};
use crate::samples::AudioBlock;
use crate::time::Timestamp;
use crate::window::{Span, WindowSchedule};

/// A block whose timestamp is off the end of the previous block by up to this much continues it:
/// timestamps jitter, samples do not. A clock that drifts is followed in jumps of this size, each a
/// gap or an overlap; real losses are at least a network packet of 20 ms.
const JITTER: Duration = Duration::from_millis(20);

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// One microphone's samples of the present windows.
///
/// Blocks are placed by their timestamps; time that no block covers stays a gap, which the mel front
/// end reads as zeros and which does not count as covered. Mel steps lie on a grid of `hop_samples`
/// from stream time 0. A step is computed when the first window that holds it is due: by then late
/// blocks have filled what they can, and later ones are refused.
pub(super) struct SoundTimeline {
    mel: LogMel,
    thresholds: AudioThresholds,
    meter: SoundMeter,
    /// Disjoint, in order of time.
    segments: VecDeque<Segment>,
    /// End of the block that arrived last.
    cursor: Option<i64>,
    /// Energies of consecutive steps, row-major.
    energies: Vec<f32>,
    /// Number of the first of them, counted from stream time 0.
    first_step: i64,
    /// Samples of one step.
    scratch: Vec<f32>,
}

/// Consecutive samples; positions are counted from stream time 0.
struct Segment {
    start: i64,
    samples: Vec<f32>,
}

impl Segment {
    fn end(&self) -> i64 {
        self.start + self.samples.len() as i64
    }

    /// The samples within `range`.
    fn within(&self, range: &Range<i64>) -> &[f32] {
        let clip = |position: i64| (position.clamp(self.start, self.end()) - self.start) as usize;
        &self.samples[clip(range.start)..clip(range.end)]
    }
}

impl SoundTimeline {
    pub(super) fn new(
        spec: &MelSpec,
        thresholds: AudioThresholds,
        schedule: &WindowSchedule,
    ) -> Result<Self, AssemblerError> {
        let mel = LogMel::new(spec)?;
        let millis = |samples: usize| 1e3 * samples as f64 / f64::from(spec.sample_rate_hz);
        let per_second = |span: Duration| span.as_nanos() as i128 * i128::from(spec.sample_rate_hz);
        if per_second(schedule.hop) % (spec.hop_samples as i128 * NANOS_PER_SECOND) != 0 {
            return Err(AssemblerError::HopOffGrid {
                hop_ms: 1e3 * schedule.hop.as_secs_f64(),
                step_ms: millis(spec.hop_samples),
            });
        }
        if per_second(schedule.length) < spec.window_samples as i128 * NANOS_PER_SECOND {
            return Err(AssemblerError::WindowTooShort {
                length_ms: 1e3 * schedule.length.as_secs_f64(),
                step_ms: millis(spec.window_samples),
            });
        }
        Ok(Self {
            scratch: vec![0.0; spec.window_samples],
            mel,
            meter: SoundMeter::new(&thresholds, spec.sample_rate_hz),
            thresholds,
            segments: VecDeque::new(),
            cursor: None,
            energies: Vec::new(),
            first_step: 0,
        })
    }

    /// Places a block; what it delivers over again, or for settled time, is trimmed off.
    pub(super) fn push(&mut self, block: AudioBlock, limits: Limits) -> Result<BlockStatistics, Rejection> {
        let mut samples = block.samples;
        if samples.is_empty() {
            return Err(Rejection::Malformed);
        }
        let start = self.place(block.at);
        let end = start + samples.len() as i64;
        if end > self.position(limits.horizon) {
            return Err(Rejection::BadTimestamps);
        }
        self.cursor = Some(end);
        let usable = start.max(self.position(limits.settled))..end;
        if usable.is_empty() {
            return Err(Rejection::Late);
        }
        let statistics = self.meter.measure(&samples);
        for sample in samples.iter_mut().filter(|sample| !sample.is_finite()) {
            *sample = 0.0;
        }
        samples.drain(..(usable.start - start) as usize);
        if self.insert(Segment { start: usable.start, samples }) {
            Ok(statistics)
        } else {
            Err(Rejection::BadTimestamps)
        }
    }

    /// End of the latest sample.
    pub(super) fn end(&self) -> Option<Timestamp> {
        let end = i128::from(self.segments.back()?.end());
        let nanos = end * NANOS_PER_SECOND / i128::from(self.mel.spec().sample_rate_hz);
        Some(Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX)))
    }

    /// The window's mel steps: one part of shape [steps, n_mels]; or why there is none.
    pub(super) fn parts(&mut self, window: Span) -> Result<Vec<Part>, Reason> {
        let extent = self.position(window.start)..self.position(window.end);
        let covered: usize = self.segments.iter().map(|segment| segment.within(&extent).len()).sum();
        let coverage = covered as f32 / (extent.end - extent.start) as f32;
        if covered == 0 || coverage < self.thresholds.delivery.min_coverage {
            return Err(Reason::NoBuffers);
        }
        if self.is_silent(&extent) {
            return Err(Reason::Silent);
        }
        let steps = self.compute_steps(&extent);
        let spec = self.mel.spec();
        let shape = vec![spec.steps, spec.n_mels];
        let values = self.mel.model_input(&self.energies[..steps * spec.n_mels]).into();
        Ok(vec![Part { key: window.start, shape, values }])
    }

    /// Forgets samples and steps before `start`, the start of the next window.
    pub(super) fn discard_before(&mut self, start: Timestamp) {
        let start = self.position(start);
        while self.segments.pop_front_if(|segment| segment.end() <= start).is_some() {}
        let first_step = start / self.mel.spec().hop_samples as i64;
        let stale = usize::try_from(first_step - self.first_step).unwrap_or(0);
        let stale = stale.saturating_mul(self.mel.spec().n_mels).min(self.energies.len());
        self.energies.drain(..stale);
        self.first_step = first_step;
    }

    /// Throughout: not one sample as loud as the level that is silent whatever came before. (A mean
    /// would call a short word in a long window silent; a quiet room is a signal.)
    fn is_silent(&self, extent: &Range<i64>) -> bool {
        let Some(threshold) = &self.thresholds.silent else { return false };
        let audible = 10f32.powf(threshold.dead_dbfs / 20.0);
        let mut samples = self.segments.iter().flat_map(|segment| segment.within(extent));
        !samples.any(|sample| sample.abs() >= audible)
    }

    /// Makes `energies` begin with the steps that lie in `extent`; how many they are.
    fn compute_steps(&mut self, extent: &Range<i64>) -> usize {
        let spec = self.mel.spec();
        let (window, hop, n_mels) = (spec.window_samples, spec.hop_samples, spec.n_mels);
        let first = extent.start / hop as i64;
        debug_assert_eq!(first, self.first_step, "windows are taken in order and begin on steps");
        let room = (extent.end - extent.start) as usize;
        let steps = room.checked_sub(window).map_or(0, |rest| 1 + rest / hop).min(spec.steps);
        let mut done = self.energies.len() / n_mels;
        self.energies.resize(self.energies.len().max(steps * n_mels), 0.0);
        while done < steps {
            let start = (first + done as i64) * hop as i64;
            gather(&self.segments, start, &mut self.scratch);
            self.mel.step(&self.scratch, &mut self.energies[done * n_mels..][..n_mels]);
            done += 1;
        }
        steps
    }

    /// Adds the parts of `segment` that no other covers; whether there are any.
    fn insert(&mut self, segment: Segment) -> bool {
        if self.segments.back().is_none_or(|last| last.end() <= segment.start) {
            self.segments.push_back(segment);
            return true;
        }
        let mut gaps = Vec::new();
        let mut from = segment.start;
        for other in self.segments.iter().filter(|other| other.end() > segment.start) {
            gaps.push(from..other.start.min(segment.end()));
            from = other.end();
        }
        gaps.push(from..segment.end());
        gaps.retain(|gap| !gap.is_empty());
        for gap in &gaps {
            let index = self.segments.partition_point(|other| other.start < gap.start);
            self.segments.insert(index, Segment { start: gap.start, samples: segment.within(gap).to_vec() });
        }
        !gaps.is_empty()
    }

    /// Where a block stamped `at` begins.
    fn place(&self, at: Timestamp) -> i64 {
        let stamped = self.position(at);
        let jitter =
            (JITTER.as_nanos() as i128 * i128::from(self.mel.spec().sample_rate_hz)) / NANOS_PER_SECOND;
        match self.cursor {
            Some(cursor) if i128::from(stamped.abs_diff(cursor)) <= jitter => cursor,
            _ => stamped,
        }
    }

    /// The sample position nearest to `at`.
    fn position(&self, at: Timestamp) -> i64 {
        let samples = i128::from(at.as_nanos()) * i128::from(self.mel.spec().sample_rate_hz);
        let nearest = (samples + NANOS_PER_SECOND / 2).div_euclid(NANOS_PER_SECOND);
        // Rates are below 1 GHz, so this only guards the arithmetic on what a source may stamp.
        nearest.clamp(i128::from(i64::MIN / 4), i128::from(i64::MAX / 4)) as i64
    }
}

/// Fills `samples` from position `start` on, gaps with zeros.
fn gather(segments: &VecDeque<Segment>, start: i64, samples: &mut [f32]) {
    let range = start..start + samples.len() as i64;
    samples.fill(0.0);
    let first = segments.partition_point(|segment| segment.end() <= range.start);
    for segment in segments.range(first..).take_while(|segment| segment.start < range.end) {
        let found = segment.within(&range);
        let offset = (segment.start.max(range.start) - range.start) as usize;
        samples[offset..][..found.len()].copy_from_slice(found);
    }
}
