//! Dropout detection: one debounced state machine per sensor, fed with cheap statistics.
//!
//! [`PictureMeter`] and [`SoundMeter`] measure each sample once and remember what the sensor is like
//! when nothing is wrong: its noise, its quietest moment. [`DropoutDetector`] turns their statistics,
//! and arrivals, into `Healthy -> Lost(reason) -> Recovering -> Healthy`.
//!
//! **What cannot be decided** from the signal, and which way the defaults err. `tests/dropouts` has each of them,
//! and its figures are in `docs/results/dropouts.md`.
//! - A picture that came with a cut and stands: a slide, a title, or a source that came back frozen. It is called
//!   frozen after twice its longest stand if most pictures that came with a cut soon moved on, after a minute or
//!   four times its longest stand if not.
//! - A scene without noise in which somebody moved, and which stands: nobody is there, or the camera is
//!   frozen. It is called frozen after a minute, or four times its longest stand.
//! - A camera that swings and rests, behind a coder that took its noise away: called frozen in its first rest,
//!   and then not before twice as long. The coder is known by its key frames; without one, each rest is called frozen.
//! - A still scene behind such a coder, and the same picture held before it: both change with key frames only, and
//!   are called frozen only if the picture moved as a whole before, and until the fourth key frame.
//! - A noisy camera that was held in its first eight seconds: the noise of before is not known.
//! - A freeze under noise that is added behind the camera at full strength: the same picture as a live
//!   scene in which nothing moves. Not called frozen. With half the noise or less it is.
//! - A camera in motion that stops: if three fifths of its picture moved in every stretch of two seconds
//!   for minutes, and the noise is less than half of that motion, it is called frozen.
//! - A white slide with less ink than one part in fifty, and a flooded sensor: called bright.
//! - A room in which a sound of a minute or more ends, and a microphone that is unplugged: called silent
//!   if the level falls by 20 dB to below -60 dBFS.
//! - A pause in sound that was made digital by a noise gate, and a muted microphone: called silent.

mod arrivals;
mod change;
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

pub use change::Change;
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
