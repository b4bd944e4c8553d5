//! A stream's clock: where its time 0 lies on the monotonic clock and on the calendar.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cmpt_core::time::Timestamp;

/// Relates stream time, the monotonic clock and unix time for one run of a stream.
///
/// Both clocks are read once, at the start. A later step of the wall clock moves nothing.
#[derive(Clone, Copy, Debug)]
pub struct StreamClock {
    base: Instant,
    lead: Duration,
    unix_zero: Duration,
}

impl StreamClock {
    /// Stream time 0 is now.
    pub fn start() -> Self {
        Self::aligned(Duration::ZERO)
    }

    /// Stream time 0 is the first whole `hop` of unix time that has not passed, or now if `hop` is zero.
    pub fn aligned(hop: Duration) -> Self {
        let base = Instant::now();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("the calendar is past 1970");
        let lead = lead_to_whole(unix, hop);
        Self { base, lead, unix_zero: unix + lead }
    }

    /// Stream time now; negative before stream time 0.
    pub fn now(&self) -> Timestamp {
        self.at(self.base.elapsed())
    }

    /// Stream time of what is `running` after the base time.
    pub fn at(&self, running: Duration) -> Timestamp {
        Timestamp::ZERO + running - self.lead
    }

    /// Base time of every pipeline of the stream: when the clock was started, at or before stream
    /// time 0, because running times cannot be negative.
    pub fn base(&self) -> Instant {
        self.base
    }

    /// The monotonic clock at stream time `at`; the base time for what lies before it.
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.base + at.saturating_since(Timestamp::ZERO - self.lead)
    }

    /// Unix time of `at` in milliseconds, rounded towards the past.
    pub fn unix_ms(&self, at: Timestamp) -> i64 {
        (Timestamp::from_nanos(at.as_nanos()) + self.unix_zero).as_millis()
    }
}

/// Time from `unix` to the next whole `hop`.
fn lead_to_whole(unix: Duration, hop: Duration) -> Duration {
    let Some(past) = unix.as_nanos().checked_rem(hop.as_nanos()) else { return Duration::ZERO };
    let rest = if past == 0 { 0 } else { hop.as_nanos() - past };
    Duration::from_nanos(u64::try_from(rest).expect("a rest of a hop fits a hop"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lead_reaches_the_next_whole_hop() {
        for (unix_ms, hop_ms, lead_ms) in
            [(10_000, 1000, 0), (10_001, 1000, 999), (10_999, 1000, 1), (10_300, 500, 200), (10_300, 0, 0)]
        {
            let lead = lead_to_whole(Duration::from_millis(unix_ms), Duration::from_millis(hop_ms));
            assert_eq!(lead, Duration::from_millis(lead_ms), "{unix_ms} ms, hop {hop_ms} ms");
        }
    }

    #[test]
    fn an_aligned_clock_has_its_zero_on_a_whole_hop() {
        let clock = StreamClock::aligned(Duration::from_millis(1000));
        assert_eq!(clock.unix_ms(Timestamp::ZERO) % 1000, 0);
        assert!(clock.at(Duration::ZERO) <= Timestamp::ZERO);
    }

    #[test]
    fn stream_time_and_the_monotonic_clock_agree() {
        let clock = StreamClock::aligned(Duration::from_millis(1000));
        let running = Duration::from_millis(2500);
        assert_eq!(clock.instant(clock.at(running)), clock.base() + running);
        assert_eq!(clock.instant(clock.at(Duration::ZERO) - running), clock.base());
    }
}
