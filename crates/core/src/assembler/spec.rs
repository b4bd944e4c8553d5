//! What a stream is made of, and what is wrong with that.

use crate::dropout::SensorThresholds;
use crate::features::{MelError, MelSpec, PictureError, PictureSpec};
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
    /// Its thresholds: a camera's for pictures, a microphone's for sound.
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
    /// The schedule never ends a window, or never begins the next.
    #[error("window {field} is 0 ms, expected more")]
    EmptySchedule {
        /// `length` or `hop`.
        field: &'static str,
    },
    /// Windows do not start on mel steps.
    #[error("hop of {hop_ms} ms is not a whole number of mel steps of {step_ms} ms")]
    HopOffGrid {
        /// The windows' hop.
        hop_ms: f64,
        /// The mel hop.
        step_ms: f64,
    },
    /// A window is too short for a single mel step.
    #[error("window of {length_ms} ms is shorter than one mel step's {step_ms} ms")]
    WindowTooShort {
        /// The windows' length.
        length_ms: f64,
        /// What one mel step looks at.
        step_ms: f64,
    },
    /// A video without pictures.
    #[error("sensor `{name}` has 0 frames per window, expected at least 1")]
    NoFrames {
        /// The sensor.
        name: String,
    },
    /// Thresholds of the wrong kind.
    #[error("sensor `{name}` has thresholds of another kind than its front end")]
    ThresholdsMismatch {
        /// The sensor.
        name: String,
    },
}
