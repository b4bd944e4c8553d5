//! The state machine of one stream.

use std::collections::VecDeque;
use std::time::Duration;

use super::sensor::{Limits, Sensor};
use super::{AssemblerError, Dropped, DueWindow, Event, StreamSpec};
use crate::dropout::{SensorState, SourceEvent, Statistics};
use crate::modality::ModalityId;
use crate::samples::Sample;
use crate::time::Timestamp;
use crate::window::WindowSchedule;

/// How far ahead of now, beyond one window's length, a sample may end. Sources that share a clock are
/// ahead by no more than a demuxer's interleaving; the bound is what keeps memory finite when a
/// timestamp is broken.
const LEAD: Duration = Duration::from_secs(1);

/// One stream's windows, detectors and front ends.
///
/// Call any `handle_*` with a `now` that never goes back (an earlier one counts as the latest), then
/// `poll_event` until `None`, then `poll_timeout` for the time of the next `handle_timeout`. Memory is
/// bounded by what two window lengths, lateness and a second hold, whatever arrives.
///
/// `now` is the driver's stream time: about a sample's own time in live use, the media's time in a
/// replay. A sample belongs to windows by its own timestamp, and to the dropout detectors by the `now`
/// it arrives at. It is dropped, and counted, if it
/// - comes too late: it lies before the end of a window that is due at `now`. So that what a window
///   was made of never depends on which windows overlap it;
/// - has a bad timestamp: it ends later than a window's length and a second from `now`, or lies where
///   this sensor delivered already;
/// - is malformed.
///
/// A dropped sample does not count as an arrival: a sensor whose samples all come too late or have bad
/// timestamps gets lost by `bad_timestamps`.
pub struct Assembler {
    schedule: WindowSchedule,
    sensors: Vec<Sensor>,
    now: Timestamp,
    next_seq: u64,
    /// Changes of sensors not yet polled, in order of time.
    changes: VecDeque<Change>,
}

struct Change {
    at: Timestamp,
    modality: ModalityId,
    state: SensorState,
}

impl Assembler {
    /// A stream that starts at stream time 0.
    pub fn new(spec: StreamSpec) -> Result<Self, AssemblerError> {
        let schedule = spec.schedule;
        for (field, span) in [("length", schedule.length), ("hop", schedule.hop)] {
            if span.is_zero() {
                return Err(AssemblerError::EmptySchedule { field });
            }
        }
        let sensors = spec.sensors.into_iter().map(|sensor| Sensor::new(sensor, &schedule));
        Ok(Self {
            schedule,
            sensors: sensors.collect::<Result<_, _>>()?,
            now: Timestamp::ZERO,
            next_seq: 0,
            changes: VecDeque::new(),
        })
    }

    /// A sample arrived. Returns what was measured of it, `None` if it was dropped. Panics: if the stream
    /// has no such modality.
    pub fn handle_sample(
        &mut self,
        now: Timestamp,
        modality: ModalityId,
        sample: Sample,
    ) -> Option<Statistics> {
        self.advance(now);
        let limits = Limits {
            settled: self.schedule.settled(self.now),
            horizon: self.now + self.schedule.length + LEAD,
        };
        let statistics = self.sensors[modality.0].handle_sample(self.now, limits, sample);
        self.collect_changes();
        statistics
    }

    /// The source of a modality reported something. Panics: if the stream has no such modality.
    pub fn handle_source(&mut self, now: Timestamp, modality: ModalityId, event: SourceEvent) {
        self.advance(now);
        self.sensors[modality.0].handle_source(self.now, event);
        self.collect_changes();
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        for sensor in &mut self.sensors {
            sensor.handle_timeout(self.now);
        }
        self.collect_changes();
    }

    /// When `handle_timeout` is next needed: the next window is due, or a sensor's time is up.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let sensors = self.sensors.iter().filter_map(Sensor::poll_timeout);
        sensors.chain([self.schedule.due(self.next_seq)]).min()
    }

    /// The next event, in order of time; at the same time sensors come before the window. Windows are
    /// made here, one a call, so that a jump of `now` over many of them costs no memory.
    pub fn poll_event(&mut self) -> Option<Event> {
        let due = self.schedule.due(self.next_seq);
        let window_is_due = due <= self.now;
        match self.changes.pop_front_if(|change| !window_is_due || change.at <= due) {
            Some(Change { at, modality, state }) => Some(Event::Sensor { modality, state, at }),
            None => window_is_due.then(|| Event::Window(self.next_window(due))),
        }
    }

    /// How many samples of a modality were dropped so far. Panics: if the stream has no such modality.
    pub fn dropped(&self, modality: ModalityId) -> Dropped {
        self.sensors[modality.0].dropped
    }

    fn next_window(&mut self, due: Timestamp) -> DueWindow {
        let seq = self.next_seq;
        self.next_seq += 1;
        let (window, next) = (self.schedule.span(seq), self.schedule.span(self.next_seq));
        let inputs = self.sensors.iter_mut().map(|sensor| sensor.input(window, due)).collect();
        for sensor in &mut self.sensors {
            sensor.discard_before(next);
        }
        DueWindow { seq, start: window.start, end: window.end, inputs }
    }

    /// Lets every sensor see that time passed up to, but not including, `now`.
    fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        for sensor in &mut self.sensors {
            sensor.advance(self.now);
        }
        self.collect_changes();
    }

    fn collect_changes(&mut self) {
        for (index, sensor) in self.sensors.iter_mut().enumerate() {
            while let Some(change) = sensor.poll_event() {
                let place = self.changes.partition_point(|earlier| earlier.at <= change.at);
                let change = Change { at: change.at, modality: ModalityId(index), state: change.state };
                self.changes.insert(place, change);
            }
        }
    }
}
