//! What is done to a sensor, and which reason a detector should give.

use cmpt_core::dropout::{DeliveryThresholds, Reason};
use serde::{Deserialize, Serialize};

/// A fault of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Time of the first sample that it touches, on the clip's clock.
    pub from_ms: u64,
    /// Time of the first sample after it.
    pub to_ms: u64,
    /// What is done.
    pub effect: Effect,
}

/// What is done to a sensor's content, or to its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The last picture stays, under fresh noise that is added behind the camera, or in exact repeats.
    Held {
        /// Standard deviation of that noise as a share of the camera's own in the dark.
        noise: f32,
    },
    /// A covered lens, or a dead sensor.
    Covered {
        /// Luma of the picture.
        luma: u8,
        /// Standard deviation of its noise.
        noise: f32,
    },
    /// Light floods the sensor.
    Blinded {
        /// Share of the rows that are not saturated.
        ink: f32,
    },
    /// Nothing but the converter's noise; `f32::NEG_INFINITY` for digital silence.
    Muted {
        /// Level of the noise relative to full scale.
        dbfs: f32,
    },
    /// Amplified far beyond full scale.
    Overdriven {
        /// RMS that every block would have, relative to full scale.
        gain: f32,
    },
    /// A constant.
    Constant {
        /// Its value.
        value: f32,
    },
    /// A loose cable: hum with harmonics instead of the signal.
    Hum {
        /// Mains frequency.
        hz: f32,
        /// Level.
        dbfs: f32,
    },
    /// Nothing arrives.
    Stalled,
    /// One sample in so many arrives.
    Sparse {
        /// Which.
        every: u64,
    },
    /// Timestamps are off by so much.
    Misstamped {
        /// Negative: they lie in the past.
        shift_ms: i64,
    },
    /// The source reports an error, and nothing arrives until it is back.
    Failed,
    /// The source reports its end, and nothing arrives until it is back.
    Ended,
}

impl Effect {
    /// The reason to give for it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Held { .. } => Reason::Frozen,
            Self::Covered { .. } => Reason::Black,
            Self::Blinded { .. } => Reason::Bright,
            Self::Muted { .. } => Reason::Silent,
            Self::Overdriven { .. } => Reason::Clipped,
            Self::Constant { .. } | Self::Hum { .. } => Reason::Stuck,
            Self::Stalled => Reason::NoBuffers,
            Self::Sparse { .. } => Reason::Trickle,
            Self::Misstamped { .. } => Reason::BadTimestamps,
            Self::Failed => Reason::Error,
            Self::Ended => Reason::Eos,
        }
    }

    /// Its name in the truth: the reason, and which form of it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Held { noise } if *noise == 0.0 => "held",
            Self::Held { .. } => "held_under_noise",
            Self::Covered { .. } => "covered",
            Self::Blinded { .. } => "blinded",
            Self::Muted { dbfs } if dbfs.is_infinite() => "digital_silence",
            Self::Muted { .. } => "converter_noise",
            Self::Overdriven { .. } => "overdriven",
            Self::Constant { .. } => "constant",
            Self::Hum { .. } => "hum",
            Self::Stalled => "stalled",
            Self::Sparse { .. } => "sparse",
            Self::Misstamped { shift_ms } if *shift_ms < 0 => "past",
            Self::Misstamped { .. } => "future",
            Self::Failed => "failed",
            Self::Ended => "ended",
        }
    }

    /// Whether it changes how samples arrive, and not what they contain.
    pub fn is_of_delivery(&self) -> bool {
        matches!(
            self.reason(),
            Reason::NoBuffers | Reason::Trickle | Reason::BadTimestamps | Reason::Error | Reason::Eos
        )
    }
}

impl Fault {
    /// Whether the sample of this time is touched.
    pub fn touches(&self, at_ms: u64) -> bool {
        (self.from_ms..self.to_ms).contains(&at_ms)
    }
}

/// How long a fault must last to be a dropout: our default time to trip, and nothing for what a source
/// reports itself.
pub fn time_to_trip_ms(reason: Reason) -> u64 {
    match reason {
        Reason::NoBuffers | Reason::BadTimestamps => DeliveryThresholds::default().no_buffers_after_ms,
        Reason::Error | Reason::Eos => 0,
        _ => 2000,
    }
}
