//! Waiting longer after every failure, but never for long.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Exponential back-off from half a second to half a minute, with jitter.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// How long to wait after one more failure: between half and all of a time that doubles, so that
    /// many who failed together do not come back together.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }

    /// It worked: the next failure is a first one.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_start_again_after_success() {
        let mut backoff = Backoff::default();
        for most_ms in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let wait = backoff.next_wait();
            let most = Duration::from_millis(most_ms);
            assert!(most / 2 <= wait && wait <= most, "{wait:?} for {most:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= FIRST);
    }
}
