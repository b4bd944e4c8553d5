//! Dropout detection: one debounced state machine per sensor, fed with cheap statistics.

mod detector;
mod statistics;
mod thresholds;

pub use detector::{DropoutDetector, Reason, SensorState, SourceEvent, StateChange};
pub use statistics::{BlockStatistics, FrameStatistics, ReferencePicture};
pub use thresholds::{
    AudioThresholds, BlackThreshold, FrozenThreshold, SensorThresholds, SilentThreshold, VideoThresholds,
};
