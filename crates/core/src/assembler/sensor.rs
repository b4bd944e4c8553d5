//! One sensor of a stream: its detector, its timeline, and the judgement of its windows.

use super::history::StateHistory;
use super::pictures::PictureTimeline;
use super::sound::SoundTimeline;
use super::{AssemblerError, Dropped, FrontEnd, Input, SensorSpec, Verdict};
use crate::dropout::{
    DropoutDetector, Reason, SensorState, SensorThresholds, SourceEvent, StateChange, Statistics,
};
use crate::samples::Sample;
use crate::time::Timestamp;
use crate::window::{Span, WindowSchedule};

/// What a sample's timestamp may be at present.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Nothing before this can change any more.
    pub(super) settled: Timestamp,
    /// Nothing after this is believed.
    pub(super) horizon: Timestamp,
}

/// Why a sample was dropped.
#[derive(Clone, Copy)]
pub(super) enum Rejection {
    Late,
    BadTimestamps,
    Malformed,
}

pub(super) struct Sensor {
    detector: DropoutDetector,
    history: StateHistory,
    timeline: Timeline,
    pub(super) dropped: Dropped,
}

enum Timeline {
    Sound(Box<SoundTimeline>),
    Pictures(Box<PictureTimeline>),
}

impl Sensor {
    pub(super) fn new(spec: SensorSpec, schedule: &WindowSchedule) -> Result<Self, AssemblerError> {
        let detector = DropoutDetector::new(spec.thresholds.clone(), Timestamp::ZERO);
        let timeline = match (spec.front_end, spec.thresholds) {
            (FrontEnd::Mel(mel), SensorThresholds::Audio(thresholds)) => {
                Timeline::Sound(Box::new(SoundTimeline::new(&mel, thresholds, schedule)?))
            }
            (FrontEnd::Pictures { frames: 0, .. }, _) => {
                return Err(AssemblerError::NoFrames { name: spec.name });
            }
            (FrontEnd::Pictures { picture, frames }, SensorThresholds::Video(thresholds)) => {
                Timeline::Pictures(Box::new(PictureTimeline::new(&picture, frames, thresholds, schedule)?))
            }
            _ => return Err(AssemblerError::ThresholdsMismatch { name: spec.name }),
        };
        Ok(Self { detector, history: StateHistory::new(), timeline, dropped: Dropped::default() })
    }

    /// Returns what was measured of the sample, `None` if it was dropped.
    pub(super) fn handle_sample(
        &mut self,
        now: Timestamp,
        limits: Limits,
        sample: Sample,
    ) -> Option<Statistics> {
        let accepted = match (&mut self.timeline, sample) {
            (Timeline::Sound(sound), Sample::Audio(block)) => sound.push(block, limits).map(|statistics| {
                self.detector.handle_block(now, &statistics);
                Statistics::Block(statistics)
            }),
            (Timeline::Pictures(pictures), Sample::Frame(frame)) => {
                pictures.push(frame, limits).map(|statistics| {
                    self.detector.handle_frame(now, &statistics);
                    Statistics::Frame(statistics)
                })
            }
            _ => Err(Rejection::Malformed),
        };
        match accepted {
            Ok(statistics) => return Some(statistics),
            Err(Rejection::Late) => {
                self.dropped.late += 1;
                self.detector.handle_unusable(now);
            }
            Err(Rejection::BadTimestamps) => {
                self.dropped.bad_timestamps += 1;
                self.detector.handle_unusable(now);
            }
            Err(Rejection::Malformed) => self.dropped.malformed += 1,
        }
        None
    }

    pub(super) fn handle_source(&mut self, now: Timestamp, event: SourceEvent) {
        self.detector.handle_source(now, event);
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        self.detector.handle_timeout(now);
    }

    pub(super) fn advance(&mut self, now: Timestamp) {
        self.detector.advance(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.detector.poll_timeout()
    }

    /// The next change of state, recorded for the windows to come.
    pub(super) fn poll_event(&mut self) -> Option<StateChange> {
        let change = self.detector.poll_event()?;
        let at = match change.state {
            // What a source delivered before its end is good: windows lose it where its data ends.
            SensorState::Lost(Reason::Eos) => self.data_end().map_or(change.at, |end| end.max(change.at)),
            _ => change.at,
        };
        self.history.push(StateChange { at, ..change });
        Some(change)
    }

    /// The window's model input, or why it goes without this sensor. Windows come in order, each once.
    ///
    /// Judged by the state as of the window's end, not as of now; then by the window's own samples.
    pub(super) fn input(&mut self, window: Span, due: Timestamp) -> Input {
        if let SensorState::Lost(reason) = self.history.before(window.end) {
            return Input::Missing { reason, verdict: Verdict::Sensor };
        }
        let parts = match &mut self.timeline {
            Timeline::Sound(sound) => sound.parts(window),
            Timeline::Pictures(pictures) => pictures.parts(window),
        };
        match (parts, self.history.before(due)) {
            (Ok(parts), _) => Input::Available(parts),
            // By now the sensor may know better why nothing came.
            (Err(Reason::NoBuffers), SensorState::Lost(reason)) => {
                Input::Missing { reason, verdict: Verdict::Window }
            }
            (Err(reason), _) => Input::Missing { reason, verdict: Verdict::Window },
        }
    }

    /// Forgets what no window that ends after `next.end` or at it needs.
    pub(super) fn discard_before(&mut self, next: Span) {
        self.history.discard_before(next.end);
        match &mut self.timeline {
            Timeline::Sound(sound) => sound.discard_before(next.start),
            Timeline::Pictures(pictures) => pictures.discard_before(next.start),
        }
    }

    fn data_end(&self) -> Option<Timestamp> {
        match &self.timeline {
            Timeline::Sound(sound) => sound.end(),
            Timeline::Pictures(pictures) => pictures.end(),
        }
    }
}
