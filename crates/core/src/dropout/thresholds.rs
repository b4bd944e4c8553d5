//! Thresholds and hysteresis, with documented defaults. Durations end in `_ms`.

use serde::{Deserialize, Serialize};

/// Thresholds of one sensor.
#[derive(Clone, Debug, PartialEq)]
pub enum SensorThresholds {
    /// A camera.
    Video(VideoThresholds),
    /// A microphone.
    Audio(AudioThresholds),
}

/// Thresholds of a camera. A `None` switches a check off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VideoThresholds {
    /// No frame for this long: `no_buffers`. Default 1000.
    pub no_buffers_after_ms: u64,
    /// Signal must be good for this long to be healthy again. Default 500.
    pub recover_after_ms: u64,
    /// Least share of a window that frames must cover. Default 0.5.
    pub min_coverage: f32,
    /// Black picture.
    pub black: Option<BlackThreshold>,
    /// Frozen picture.
    pub frozen: Option<FrozenThreshold>,
}

/// Thresholds of a microphone. A `None` switches a check off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AudioThresholds {
    /// No block for this long: `no_buffers`. Default 1000.
    pub no_buffers_after_ms: u64,
    /// Signal must be good for this long to be healthy again. Default 500.
    pub recover_after_ms: u64,
    /// Least share of a window that samples must cover. Default 0.5.
    pub min_coverage: f32,
    /// Silence.
    pub silent: Option<SilentThreshold>,
}

/// When a picture counts as black.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlackThreshold {
    /// Time to trip. Default 2000.
    pub after_ms: u64,
    /// A pixel is dark up to this luma, in [0, 1]. Default 0.10.
    pub luma: f32,
    /// Black when the share of lit pixels is at most this. Default 0.002.
    pub lit_share: f32,
}

/// When a picture counts as frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrozenThreshold {
    /// Time to trip. Default 2000.
    pub after_ms: u64,
    /// Frozen while the mean absolute luma difference to the first frozen frame is at most this.
    /// Default 0.001.
    pub tolerance: f32,
}

/// When sound counts as silent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SilentThreshold {
    /// Time to trip. Default 2000.
    pub after_ms: u64,
    /// Silent below this level. Default -60.
    pub below_dbfs: f32,
}

impl Default for VideoThresholds {
    fn default() -> Self {
        Self {
            no_buffers_after_ms: 1000,
            recover_after_ms: 500,
            min_coverage: 0.5,
            black: Some(BlackThreshold::default()),
            frozen: Some(FrozenThreshold::default()),
        }
    }
}

impl Default for AudioThresholds {
    fn default() -> Self {
        Self {
            no_buffers_after_ms: 1000,
            recover_after_ms: 500,
            min_coverage: 0.5,
            silent: Some(SilentThreshold::default()),
        }
    }
}

impl Default for BlackThreshold {
    fn default() -> Self {
        Self { after_ms: 2000, luma: 0.10, lit_share: 0.002 }
    }
}

impl Default for FrozenThreshold {
    fn default() -> Self {
        Self { after_ms: 2000, tolerance: 0.001 }
    }
}

impl Default for SilentThreshold {
    fn default() -> Self {
        Self { after_ms: 2000, below_dbfs: -60.0 }
    }
}
