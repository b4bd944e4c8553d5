//! Why a sensor is lost.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a sensor is lost, or why a window goes without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No samples arrive.
    NoBuffers,
    /// Too few samples arrive.
    Trickle,
    /// The picture is black.
    Black,
    /// The picture is saturated.
    Bright,
    /// The picture does not change.
    Frozen,
    /// The sound is digitally or nearly silent.
    Silent,
    /// The sound is clipped.
    Clipped,
    /// The sound is a constant, or nothing but mains hum.
    Stuck,
    /// The source reported an error.
    Error,
    /// The source ended.
    Eos,
    /// Timestamps jump back or into the future.
    BadTimestamps,
}

impl Reason {
    /// Every reason, in the order of the declaration.
    pub const ALL: [Self; 11] = [
        Self::NoBuffers,
        Self::Trickle,
        Self::Black,
        Self::Bright,
        Self::Frozen,
        Self::Silent,
        Self::Clipped,
        Self::Stuck,
        Self::Error,
        Self::Eos,
        Self::BadTimestamps,
    ];

    /// Its name in labels and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoBuffers => "no_buffers",
            Self::Trickle => "trickle",
            Self::Black => "black",
            Self::Bright => "bright",
            Self::Frozen => "frozen",
            Self::Silent => "silent",
            Self::Clipped => "clipped",
            Self::Stuck => "stuck",
            Self::Error => "error",
            Self::Eos => "eos",
            Self::BadTimestamps => "bad_timestamps",
        }
    }

    /// Whether a sensor lost by it delivers nothing usable.
    pub(super) const fn is_absence(self) -> bool {
        matches!(self, Self::NoBuffers | Self::BadTimestamps | Self::Error | Self::Eos)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_printed_as_it_is_serialised() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{reason}\""));
        }
    }
}
