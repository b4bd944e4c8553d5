//! Dropout detection: one debounced state machine per sensor, fed with cheap statistics.
//!
//! [`PictureMeter`] and [`SoundMeter`] measure each sample once and remember what the sensor is like
//! when nothing is wrong: its noise, its quietest moment. [`DropoutDetector`] turns their statistics,
//! and arrivals, into `Healthy -> Lost(reason) -> Recovering -> Healthy`.
//!
//! **What cannot be decided** from the signal, and which way the defaults err. `tests/dropouts` has each of them,
//! and its figures are in `docs/results/dropouts.md`.
//! - A picture that was never noisy and stands: a slide show, a camera that removes its noise and looks at
//!   nothing, or a frozen one. It is called frozen after the time to trip if it had been changing all the time,
//!   after four times its longest stand if it has stood before, after a minute while nobody knows how it moves.
//! - A still scene behind a coder that took its noise away, and the same picture held before that coder: both
//!   change with key frames only. Once the coder's rhythm is known the picture counts as one that has stood.
//! - A noisy camera and then, with a cut, a picture that stands exactly: slides, or a source that came back
//!   frozen. Taken for slides.
//! - A freeze under noise that is added behind the camera at full strength: the same picture as a live
//!   scene in which nothing moves. Not called frozen. With half the noise or less it is.
//! - A camera in motion that stops: if three fifths of its picture moved in every stretch of two seconds
//!   for minutes, and the noise is less than half of that motion, it is called frozen.
//! - A white slide with less ink than one part in fifty, and a flooded sensor: called bright.
//! - A room in which a sound of a minute or more ends, and a microphone that is unplugged: called silent
//!   if the level falls by 20 dB to below -60 dBFS.
//! - A pause in sound that was made digital by a noise gate, and a muted microphone: called silent.

mod arrivals;
mod detector;
mod flaw;
mod grid;
mod noise;
mod picture;
mod reason;
mod sound;
mod stands;
mod statistics;
mod thresholds;

pub use detector::{DropoutDetector, SensorState, SourceEvent, StateChange};
pub use picture::{FrameStatistics, PictureMeter};
pub use reason::Reason;
pub use sound::{BlockStatistics, SoundMeter};
pub use statistics::Statistics;
pub use thresholds::{
    AudioThresholds, BadTimestampsThreshold, BlackThreshold, BrightThreshold, ClippedThreshold,
    DeliveryThresholds, FrozenThreshold, Region, SensorThresholds, SilentThreshold, StuckThreshold,
    TrickleThreshold, VideoThresholds,
};
