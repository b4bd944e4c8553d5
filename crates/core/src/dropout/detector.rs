//! `Healthy -> Lost(reason) -> Recovering -> Healthy`, on virtual time.

use serde::{Deserialize, Serialize};

use super::{BlockStatistics, FrameStatistics, SensorThresholds};
use crate::time::Timestamp;

/// Why a sensor is lost, or why a window goes without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No samples arrive.
    NoBuffers,
    /// Too few samples arrive.
    Trickle,
    /// The picture is black.
    Black,
    /// The picture does not change.
    Frozen,
    /// The sound is digitally or nearly silent.
    Silent,
    /// The sound is clipped.
    Clipped,
    /// The source reported an error.
    Error,
    /// The source ended.
    Eos,
    /// Timestamps jump back or into the future.
    BadTimestamps,
}

/// Debounced state of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SensorState {
    /// Delivers signal.
    Healthy,
    /// Does not.
    Lost(Reason),
    /// Delivers signal again, not yet for long enough.
    Recovering,
}

/// What a source says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// It failed; restarts are the supervisor's business.
    Error,
    /// It ended.
    Eos,
}

/// A change of a sensor's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// When.
    pub at: Timestamp,
    /// The new state.
    pub state: SensorState,
}

/// One sensor's dropout detector.
///
/// Call any `handle_*` with a `now` that never goes back, then `poll_event` until `None`, then
/// `poll_timeout` for the time of the next `handle_timeout`.
pub struct DropoutDetector {}

impl DropoutDetector {
    /// A detector that is healthy at `now`, and lost by `no_buffers` if nothing comes.
    pub fn new(thresholds: SensorThresholds, now: Timestamp) -> Self {
        let _ = (thresholds, now);
        todo!()
    }

    /// The present state.
    pub fn state(&self) -> SensorState {
        todo!()
    }

    /// A frame arrived.
    pub fn handle_frame(&mut self, now: Timestamp, statistics: &FrameStatistics) {
        let _ = (now, statistics);
        todo!()
    }

    /// A block of sound arrived.
    pub fn handle_block(&mut self, now: Timestamp, statistics: &BlockStatistics) {
        let _ = (now, statistics);
        todo!()
    }

    /// The source reported something.
    pub fn handle_source(&mut self, now: Timestamp, event: SourceEvent) {
        let _ = (now, event);
        todo!()
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let _ = now;
        todo!()
    }

    /// When `handle_timeout` is next needed.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        todo!()
    }

    /// The next change of state.
    pub fn poll_event(&mut self) -> Option<StateChange> {
        todo!()
    }
}
