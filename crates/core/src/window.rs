//! The schedule of windows: window k is `[k*hop, k*hop + length)`, due at its end + lateness.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::time::Timestamp;

/// When windows start, end and are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSchedule {
    /// Length of a window; positive.
    pub length: Duration,
    /// Distance between the starts of two windows; positive.
    pub hop: Duration,
    /// How long after its end a window waits for late samples.
    pub lateness: Duration,
}

/// A window's extent in stream time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First instant of the window.
    pub start: Timestamp,
    /// First instant after it.
    pub end: Timestamp,
}

impl Span {
    /// Whether `at` lies in the window; its end does not.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// The middle of the `index`-th of `count` equal slots of the window.
    pub fn slot_middle(&self, index: usize, count: usize) -> Timestamp {
        let length = self.end.saturating_since(self.start).as_nanos();
        let offset = length * (2 * index as u128 + 1) / (2 * count as u128);
        self.start + Duration::from_nanos(u64::try_from(offset).unwrap_or(u64::MAX))
    }
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

    /// Extent of window `seq`.
    pub fn span(&self, seq: u64) -> Span {
        Span { start: self.start(seq), end: self.end(seq) }
    }

    /// When window `seq` is emitted, whatever has arrived.
    pub fn due(&self, seq: u64) -> Timestamp {
        self.end(seq) + self.lateness
    }

    /// The time before which nothing can change any more at `now`: the end of the last window that
    /// is due, or stream time 0.
    pub fn settled(&self, now: Timestamp) -> Timestamp {
        let since_first = i128::from(now.as_nanos()) - i128::from(self.due(0).as_nanos());
        match u64::try_from(since_first) {
            Ok(nanos) => self.end(nanos / self.hop_nanos()),
            Err(_) => Timestamp::ZERO,
        }
    }

    /// The windows that contain `at`: a range of `seq`, empty before stream time 0 and between
    /// windows whose hop exceeds their length.
    pub fn holding(&self, at: Timestamp) -> RangeInclusive<u64> {
        let Ok(at) = u64::try_from(at.as_nanos()) else {
            return RangeInclusive::new(1, 0);
        };
        let length = u64::try_from(self.length.as_nanos()).unwrap_or(u64::MAX);
        // The first window whose end is past `at`; `>` because the end is exclusive.
        let first = at.checked_sub(length).map_or(0, |past| past / self.hop_nanos() + 1);
        first..=at / self.hop_nanos()
    }

    fn hop_nanos(&self) -> u64 {
        u64::try_from(self.hop.as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(length_ms: u64, hop_ms: u64) -> WindowSchedule {
        WindowSchedule {
            length: Duration::from_millis(length_ms),
            hop: Duration::from_millis(hop_ms),
            lateness: Duration::from_millis(200),
        }
    }

    #[test]
    fn time_settles_when_the_window_that_holds_it_is_due() {
        let schedule = schedule(1000, 250);
        let settled = |ms| schedule.settled(Timestamp::from_millis(ms)).as_millis();
        assert_eq!(settled(-50), 0);
        assert_eq!(settled(1199), 0);
        assert_eq!(settled(1200), 1000);
        assert_eq!(settled(1449), 1000);
        assert_eq!(settled(1450), 1250);
    }

    #[test]
    fn windows_holding_a_time_contain_it_and_their_neighbours_do_not() {
        for (length, hop) in [(1000, 1000), (1000, 250), (300, 1000), (1000, 300)] {
            let schedule = schedule(length, hop);
            for ms in 0..5000 {
                let at = Timestamp::from_millis(ms);
                let expected: Vec<u64> = (0..30).filter(|seq| schedule.span(*seq).contains(at)).collect();
                assert_eq!(schedule.holding(at).collect::<Vec<_>>(), expected, "{length} {hop} {ms}");
            }
        }
        assert!(schedule(1000, 1000).holding(Timestamp::from_millis(-1)).is_empty());
    }

    #[test]
    fn slots_are_centred() {
        let span = schedule(1200, 1000).span(1);
        let middles: Vec<i64> = (0..3).map(|i| span.slot_middle(i, 3).as_millis()).collect();
        assert_eq!(middles, [1200, 1600, 2000]);
    }
}
