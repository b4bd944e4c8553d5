//! What is measured of a sensor, and where its thresholds lie.

use crate::dropout::{BlockStatistics, FrameStatistics, SensorThresholds, Statistics};

/// Levels below this are none; also what stands for the level of digital silence.
pub(super) const NOTHING_DBFS: f32 = -144.0;

/// A measured quantity. Shares and luma are in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Time since the sample before, milliseconds.
    IntervalMs,
    /// Mean luma.
    Luma,
    /// Share of lit points.
    LitShare,
    /// Standard deviation of the luma of the picture's parts.
    Deviation,
    /// Share of saturated points.
    SaturatedShare,
    /// Difference to the picture before.
    Activity,
    /// Difference to the first picture of a possibly frozen run.
    Difference,
    /// The least that the picture's parts changed by before.
    Noise,
    /// The difference in relation to that noise.
    Collapse,
    /// Level without the constant part, decibels relative to full scale.
    LevelDbfs,
    /// The quietest level before, decibels relative to full scale.
    FloorDbfs,
    /// Largest absolute sample.
    Peak,
    /// Absolute value of the constant part.
    Constant,
    /// Share of clipped samples.
    ClippedShare,
    /// Share of the power that is not mains hum.
    HumResidue,
}

/// Where a threshold lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// At most this counts against the sensor.
    AtMost(f32),
    /// At least this does.
    AtLeast(f32),
}

/// What a quantity was over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub min: f32,
    /// The mean.
    pub mean: f32,
    /// The most.
    pub max: f32,
}

impl Quantity {
    /// Of a camera, in the order in which they are shown.
    pub(super) const VIDEO: [Self; 9] = [
        Self::IntervalMs,
        Self::Luma,
        Self::LitShare,
        Self::Deviation,
        Self::SaturatedShare,
        Self::Activity,
        Self::Difference,
        Self::Noise,
        Self::Collapse,
    ];
    /// Of a microphone.
    pub(super) const AUDIO: [Self; 7] = [
        Self::IntervalMs,
        Self::LevelDbfs,
        Self::FloorDbfs,
        Self::Peak,
        Self::Constant,
        Self::ClippedShare,
        Self::HumResidue,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IntervalMs => "interval_ms",
            Self::Luma => "luma",
            Self::LitShare => "lit_share",
            Self::Deviation => "deviation",
            Self::SaturatedShare => "saturated_share",
            Self::Activity => "activity",
            Self::Difference => "difference",
            Self::Noise => "noise",
            Self::Collapse => "collapse",
            Self::LevelDbfs => "level_dbfs",
            Self::FloorDbfs => "floor_dbfs",
            Self::Peak => "peak",
            Self::Constant => "constant",
            Self::ClippedShare => "clipped_share",
            Self::HumResidue => "hum_residue",
        }
    }

    /// Its threshold; `None` where it has none, or the check is off.
    pub fn limit(self, thresholds: &SensorThresholds) -> Option<Limit> {
        let no_buffers = thresholds.delivery().no_buffers_after_ms;
        match (self, thresholds) {
            (Self::IntervalMs, _) => (no_buffers > 0).then_some(Limit::AtLeast(no_buffers as f32)),
            (Self::LitShare, SensorThresholds::Video(video)) => {
                video.black.as_ref().map(|black| Limit::AtMost(black.lit_share))
            }
            (Self::Deviation, SensorThresholds::Video(video)) => {
                video.black.as_ref().map(|black| Limit::AtMost(black.deviation))
            }
            (Self::SaturatedShare, SensorThresholds::Video(video)) => {
                video.bright.as_ref().map(|bright| Limit::AtLeast(bright.share))
            }
            (Self::Difference, SensorThresholds::Video(video)) => {
                video.frozen.as_ref().map(|frozen| Limit::AtMost(frozen.tolerance))
            }
            (Self::Collapse, SensorThresholds::Video(video)) => {
                video.frozen.as_ref().map(|frozen| Limit::AtMost(frozen.collapse))
            }
            (Self::LevelDbfs, SensorThresholds::Audio(audio)) => {
                audio.silent.as_ref().map(|silent| Limit::AtMost(silent.dead_dbfs))
            }
            (Self::Constant, SensorThresholds::Audio(audio)) => {
                audio.stuck.as_ref().map(|stuck| Limit::AtLeast(stuck.constant))
            }
            (Self::ClippedShare, SensorThresholds::Audio(audio)) => {
                audio.clipped.as_ref().map(|clipped| Limit::AtLeast(clipped.share))
            }
            (Self::HumResidue, SensorThresholds::Audio(audio)) => {
                audio.stuck.as_ref().map(|stuck| Limit::AtMost(stuck.residue))
            }
            _ => None,
        }
    }

    /// Its value in `statistics`; `None` while it is not known, or if it is no quantity of that kind.
    pub(super) fn of(self, statistics: &Statistics) -> Option<f32> {
        match statistics {
            Statistics::Frame(frame) => self.of_frame(frame),
            Statistics::Block(block) => self.of_block(block),
        }
    }

    fn of_frame(self, frame: &FrameStatistics) -> Option<f32> {
        match self {
            Self::Luma => Some(frame.luma_mean),
            Self::LitShare => Some(frame.lit_share),
            Self::Deviation => Some(frame.luma_deviation),
            Self::SaturatedShare => Some(frame.saturated_share),
            Self::Activity => frame.activity,
            Self::Difference => frame.difference,
            Self::Noise => frame.noise,
            Self::Collapse => frame.collapse,
            _ => None,
        }
    }

    fn of_block(self, block: &BlockStatistics) -> Option<f32> {
        match self {
            Self::LevelDbfs => Some(block.ac_dbfs.max(NOTHING_DBFS)),
            Self::FloorDbfs => block.floor_dbfs,
            Self::Peak => Some(block.peak),
            Self::Constant => Some(block.constant.abs()),
            Self::ClippedShare => Some(block.clipped_share),
            Self::HumResidue => block.hum_residue,
            _ => None,
        }
    }
}

/// Gathers a [`Range`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gatherer {
    count: u32,
    sum: f64,
    min: f32,
    max: f32,
}

impl Gatherer {
    pub(super) fn add(&mut self, value: f32) {
        let first = self.count == 0;
        self.min = if first { value } else { self.min.min(value) };
        self.max = if first { value } else { self.max.max(value) };
        self.sum += f64::from(value);
        self.count += 1;
    }

    pub(super) fn range(&self) -> Option<Range> {
        let mean = (self.sum / f64::from(self.count.max(1))) as f32;
        (self.count > 0).then_some(Range { min: self.min, mean, max: self.max })
    }
}
