//! The schedule of windows: window k is `[k*hop, k*hop + length)`, due at its end + lateness.

use std::time::Duration;

use crate::time::Timestamp;

/// When windows start, end and are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSchedule {
    /// Length of a window.
    pub length: Duration,
    /// Distance between the starts of two windows; positive.
    pub hop: Duration,
    /// How long after its end a window waits for late samples.
    pub lateness: Duration,
}

impl WindowSchedule {
    /// Start of window `seq`.
    pub fn start(&self, seq: u64) -> Timestamp {
        let nanos = self.hop.as_nanos().saturating_mul(u128::from(seq));
        Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// End of window `seq`, exclusive.
    pub fn end(&self, seq: u64) -> Timestamp {
        self.start(seq) + self.length
    }

    /// When window `seq` is emitted, whatever has arrived.
    pub fn due(&self, seq: u64) -> Timestamp {
        self.end(seq) + self.lateness
    }
}
