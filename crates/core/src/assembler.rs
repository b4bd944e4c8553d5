//! One stream's pure half: samples and source events in, due windows and sensor changes out.

use std::sync::Arc;

use crate::dropout::{Reason, SensorState, SensorThresholds, SourceEvent};
use crate::features::{MelError, MelSpec, PictureError, PictureSpec};
use crate::modality::ModalityId;
use crate::samples::Sample;
use crate::time::Timestamp;
use crate::window::WindowSchedule;

/// What a stream is made of.
#[derive(Clone, Debug)]
pub struct StreamSpec {
    /// When windows are due.
    pub schedule: WindowSchedule,
    /// One sensor per modality, in manifest order.
    pub sensors: Vec<SensorSpec>,
}

/// One sensor of a stream.
#[derive(Clone, Debug)]
pub struct SensorSpec {
    /// Name of the modality.
    pub name: String,
    /// What turns its samples into model input.
    pub front_end: FrontEnd,
    /// Its thresholds.
    pub thresholds: SensorThresholds,
}

/// A modality's front end.
#[derive(Clone, Debug, PartialEq)]
pub enum FrontEnd {
    /// Log-mel steps of sound.
    Mel(MelSpec),
    /// `frames` pictures, evenly spaced over the window.
    Pictures {
        /// What is done to each.
        picture: PictureSpec,
        /// How many a window takes.
        frames: usize,
    },
}

/// Why a stream cannot be assembled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AssemblerError {
    /// The mel front end.
    #[error(transparent)]
    Mel(#[from] MelError),
    /// The picture front end.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// Windows do not start on mel steps.
    #[error("hop of {hop_ms} ms is not a whole number of mel steps of {step_ms} ms")]
    HopOffGrid {
        /// The windows' hop.
        hop_ms: f64,
        /// The mel hop.
        step_ms: f64,
    },
}

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

/// One stream's windows, detectors and front ends.
///
/// Call any `handle_*` with a `now` that never goes back, then `poll_event` until `None`, then
/// `poll_timeout` for the time of the next `handle_timeout`. Memory is bounded by the window
/// length plus lateness, whatever arrives.
pub struct Assembler {}

impl Assembler {
    /// A stream that starts at stream time 0.
    pub fn new(spec: StreamSpec) -> Result<Self, AssemblerError> {
        let _ = spec;
        todo!()
    }

    /// A sample arrived.
    pub fn handle_sample(&mut self, now: Timestamp, modality: ModalityId, sample: Sample) {
        let _ = (now, modality, sample);
        todo!()
    }

    /// The source of a modality reported something.
    pub fn handle_source(&mut self, now: Timestamp, modality: ModalityId, event: SourceEvent) {
        let _ = (now, modality, event);
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

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
}
