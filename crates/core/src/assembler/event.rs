//! What an assembler has to say: due windows and changes of sensors.

use std::sync::Arc;

use crate::dropout::{Reason, SensorState};
use crate::modality::ModalityId;
use crate::time::Timestamp;

/// One piece of model input: encoded once, its tokens averaged over a window's parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Stream time that identifies the part: a window's start for sound, the frame's time for a
    /// picture, so that windows that share a frame share its tokens.
    pub key: Timestamp,
    /// Shape without the batch dimension: [steps, n_mels], or [channels, edge, edge].
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Arc<[f32]>,
}

/// Where a missing modality was found missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The sensor's debounced state is lost.
    Sensor,
    /// The sensor is not lost, but this window lacks signal.
    Window,
}

/// One modality of a due window.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// It is available: parts for its encoder, in time order.
    Available(Vec<Part>),
    /// It is missing.
    Missing {
        /// Why.
        reason: Reason,
        /// Which of the two decisions said so.
        verdict: Verdict,
    },
}

/// A window that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct DueWindow {
    /// Number of the window, counted from 0 without gaps.
    pub seq: u64,
    /// Its start.
    pub start: Timestamp,
    /// Its end, exclusive.
    pub end: Timestamp,
    /// One entry per modality, in manifest order.
    pub inputs: Vec<Input>,
}

/// What an assembler has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A sensor changed its state.
    Sensor {
        /// Which.
        modality: ModalityId,
        /// Its new state.
        state: SensorState,
        /// When it changed.
        at: Timestamp,
    },
    /// A window is due: exactly one event per window, in order.
    Window(DueWindow),
}

/// How many samples of one sensor were dropped, by reason. None of them counts as an arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Came after every window that could hold them was due, or lie before stream time 0.
    pub late: u64,
    /// Lie too far in the future, or over time that was delivered already.
    pub bad_timestamps: u64,
    /// Are of another kind than the sensor's, empty, or have a size that contradicts their bytes.
    pub malformed: u64,
}
