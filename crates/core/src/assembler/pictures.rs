//! Pictures in order of time, and which of them a window takes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::sensor::{Limits, Rejection};
use super::{AssemblerError, Part};
use crate::dropout::{FrameStatistics, PictureMeter, Reason, VideoThresholds};
use crate::features::{PictureFrontEnd, PictureSpec};
use crate::samples::Frame;
use crate::time::Timestamp;
use crate::window::{Span, WindowSchedule};

/// A picture stands for at least this long, whatever the frame rate: single frames may be missing.
const LEAST_REACH: Duration = Duration::from_millis(200);
/// Of so many intervals the median is the typical one: enough to outvote a few stalls, few enough to
/// follow a camera that changes its rate.
const INTERVALS: usize = 9;

/// One camera's pictures of the present windows.
///
/// A window's time is divided into as many equal slots as it takes pictures; each slot takes the
/// latest picture of the window at or before the slot's middle, or else the first one after it. A
/// picture covers the time until the next one, but no more than twice the typical interval (and at
/// least 200 ms). Only pictures that a window will take keep their pixels, and each is turned into
/// model input once.
pub(super) struct PictureTimeline {
    front_end: PictureFrontEnd,
    slots: usize,
    thresholds: VideoThresholds,
    schedule: WindowSchedule,
    meter: PictureMeter,
    /// In order of time; the last one before the next window is kept, because it may reach into it.
    pictures: VecDeque<Picture>,
    /// The latest intervals between pictures.
    intervals: VecDeque<Duration>,
}

struct Picture {
    at: Timestamp,
    black: bool,
    content: Content,
}

enum Content {
    Pixels(Frame),
    Features(Arc<[f32]>),
    /// No window takes it.
    Dropped,
}

impl PictureTimeline {
    pub(super) fn new(
        spec: &PictureSpec,
        slots: usize,
        thresholds: VideoThresholds,
        schedule: &WindowSchedule,
    ) -> Result<Self, AssemblerError> {
        Ok(Self {
            front_end: PictureFrontEnd::new(spec)?,
            slots,
            meter: PictureMeter::new(&thresholds),
            thresholds,
            schedule: *schedule,
            pictures: VecDeque::new(),
            intervals: VecDeque::new(),
        })
    }

    /// Appends a picture. One that is not later than the previous one is refused.
    pub(super) fn push(&mut self, frame: Frame, limits: Limits) -> Result<FrameStatistics, Rejection> {
        let bytes = 3 * u128::from(frame.width) * u128::from(frame.height);
        if bytes == 0 || frame.rgb.len() as u128 != bytes {
            return Err(Rejection::Malformed);
        }
        if frame.at < limits.settled {
            return Err(Rejection::Late);
        }
        let previous = self.pictures.back().map(|picture| picture.at);
        if frame.at > limits.horizon || previous.is_some_and(|previous| frame.at <= previous) {
            return Err(Rejection::BadTimestamps);
        }
        let statistics = self.meter.measure(&frame);
        if let Some(previous) = previous {
            self.note_interval(frame.at.saturating_since(previous));
            self.drop_untaken(frame.at);
        }
        self.pictures.push_back(Picture {
            at: frame.at,
            black: self.thresholds.black.as_ref().is_some_and(|black| statistics.is_black(black)),
            content: Content::Pixels(frame),
        });
        Ok(statistics)
    }

    /// Until when the latest picture stands.
    pub(super) fn end(&self) -> Option<Timestamp> {
        Some(self.pictures.back()?.at + self.typical_interval().unwrap_or_default())
    }

    /// The pictures the window takes: `slots` parts of shape [channels, edge, edge] in order of time,
    /// some of them equal where pictures are fewer than slots; or why there are none.
    pub(super) fn parts(&mut self, window: Span) -> Result<Vec<Part>, Reason> {
        if self.coverage(window) < self.thresholds.delivery.min_coverage {
            return Err(Reason::NoBuffers);
        }
        let taken = self.take(window).ok_or(Reason::NoBuffers)?;
        if taken.iter().all(|index| self.pictures[*index].black) {
            return Err(Reason::Black);
        }
        Ok(taken.into_iter().map(|index| self.part(index)).collect())
    }

    /// Forgets pictures that neither lie in nor reach into windows from `start` on.
    pub(super) fn discard_before(&mut self, start: Timestamp) {
        while self.pictures.get(1).is_some_and(|second| second.at <= start) {
            self.pictures.pop_front();
        }
    }

    /// Share of the window that pictures cover.
    fn coverage(&self, window: Span) -> f32 {
        let reach = self.typical_interval().map_or(LEAST_REACH, |typical| LEAST_REACH.max(2 * typical));
        let next = self.pictures.iter().skip(1).map(|picture| picture.at).chain([window.end]);
        let covered: Duration = self
            .pictures
            .iter()
            .zip(next)
            .map(|(picture, next)| {
                let until = next.min(picture.at + reach).min(window.end);
                until.saturating_since(picture.at.max(window.start))
            })
            .sum();
        covered.as_secs_f32() / window.end.saturating_since(window.start).as_secs_f32()
    }

    /// Index of the picture that each slot takes; `None` if no picture lies in the window.
    fn take(&self, window: Span) -> Option<Vec<usize>> {
        let first = self.pictures.partition_point(|picture| picture.at < window.start);
        let end = self.pictures.partition_point(|picture| picture.at < window.end);
        if first == end {
            return None;
        }
        let latest_at = |instant| self.pictures.partition_point(|picture| picture.at <= instant);
        let slots = (0..self.slots).map(|slot| window.slot_middle(slot, self.slots));
        Some(slots.map(|instant| latest_at(instant).max(first + 1) - 1).collect())
    }

    fn part(&mut self, index: usize) -> Part {
        let picture = &mut self.pictures[index];
        if let Content::Pixels(frame) = &picture.content {
            let features = self.front_end.features(&frame.rgb, frame.width, frame.height);
            picture.content = Content::Features(features.expect("size was checked on arrival").into());
        }
        let Content::Features(values) = &picture.content else {
            unreachable!("a picture that a window takes keeps its pixels");
        };
        let spec = self.front_end.spec();
        let shape = vec![spec.mean.len(), spec.edge, spec.edge];
        Part { key: picture.at, shape, values: values.clone() }
    }

    /// Drops the pixels of the latest picture, now that `next` follows it, if no window takes it.
    fn drop_untaken(&mut self, next: Timestamp) {
        let before = self.pictures.iter().rev().nth(1).map(|picture| picture.at);
        let (schedule, slots) = (self.schedule, self.slots);
        let Some(latest) = self.pictures.back_mut() else { return };
        let taken = |window: Span| {
            let first = before.is_none_or(|before| before < window.start);
            (0..slots).map(|slot| window.slot_middle(slot, slots)).any(|instant| {
                // The latest at the instant, or the window's first where all come after the instant.
                instant < next && (latest.at <= instant || first)
            })
        };
        if !schedule.holding(latest.at).map(|seq| schedule.span(seq)).any(taken) {
            latest.content = Content::Dropped;
        }
    }

    fn note_interval(&mut self, interval: Duration) {
        if self.intervals.len() == INTERVALS {
            self.intervals.pop_front();
        }
        self.intervals.push_back(interval);
    }

    /// Median of the latest intervals.
    fn typical_interval(&self) -> Option<Duration> {
        let mut sorted = [Duration::ZERO; INTERVALS];
        let sorted = &mut sorted[..self.intervals.len()];
        sorted.iter_mut().zip(&self.intervals).for_each(|(slot, interval)| *slot = *interval);
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(length_ms: u64, hop_ms: u64) -> PictureTimeline {
        let spec = PictureSpec { edge: 2, mean: vec![0.0], std: vec![1.0] };
        let schedule = WindowSchedule {
            length: Duration::from_millis(length_ms),
            hop: Duration::from_millis(hop_ms),
            lateness: Duration::ZERO,
        };
        PictureTimeline::new(&spec, 3, VideoThresholds::default(), &schedule).unwrap()
    }

    /// Ten seconds at 30 frames a second; how many pictures then keep their pixels.
    fn pixels_kept(mut timeline: PictureTimeline) -> usize {
        let limits = Limits { settled: Timestamp::ZERO, horizon: Timestamp::from_millis(10_000) };
        for n in 0..300 {
            let at = Timestamp::from_millis(n * 1000 / 30);
            let frame = Frame { at, width: 2, height: 2, rgb: vec![n as u8; 12] };
            assert!(timeline.push(frame, limits).is_ok());
        }
        timeline.pictures.iter().filter(|picture| matches!(picture.content, Content::Pixels(_))).count()
    }

    #[test]
    fn only_pictures_that_a_window_takes_keep_their_pixels() {
        // Three of each of ten windows; the latest, whose successor is unknown; and each window's first
        // while it could have been the only one.
        assert_eq!(pixels_kept(timeline(1000, 1000)), 30 + 1);
        assert_eq!(pixels_kept(timeline(10_000, 10_000)), 3 + 1);
        // Windows that start a third apart take the same pictures.
        assert!(pixels_kept(timeline(900, 300)) <= 36);
    }

    #[test]
    fn pictures_are_forgotten_once_no_window_needs_them() {
        let mut timeline = timeline(1000, 1000);
        let limits = Limits { settled: Timestamp::ZERO, horizon: Timestamp::from_millis(10_000) };
        for ms in [0, 400, 900, 1400] {
            let frame = Frame { at: Timestamp::from_millis(ms), width: 2, height: 2, rgb: vec![9; 12] };
            assert!(timeline.push(frame, limits).is_ok());
        }
        timeline.discard_before(Timestamp::from_millis(1000));
        let kept: Vec<i64> = timeline.pictures.iter().map(|picture| picture.at.as_millis()).collect();
        assert_eq!(kept, [900, 1400], "the one before the window reaches into it");
    }
}
