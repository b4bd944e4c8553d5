//! Waiting longer after every failure, but never for long.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);

/// Exponential back-off from a quarter of a second to half a minute, with jitter.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    rng: fastrand::Rng,
}

impl Default for Backoff {
    /// Another jitter in every run.
    fn default() -> Self {
        Self::new(fastrand::u64(..))
    }
}

impl Backoff {
    /// Equal seeds wait equally long. Give every source a seed of its own.
    pub fn new(seed: u64) -> Self {
        Self { next: FIRST, rng: fastrand::Rng::with_seed(seed) }
    }

    /// How long to wait after one more failure: between half and all of a time that doubles up to half
    /// a minute, so that many who failed together do not come back together.
    pub fn next_wait(&mut self) -> Duration {
        self.next_wait_within(LONGEST)
    }

    /// The same with another longest wait.
    pub fn next_wait_within(&mut self, most: Duration) -> Duration {
        let wait = self.next.min(most).mul_f64(0.5 + self.rng.f64() / 2.0);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }

    /// It worked: the next failure is a first one.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits one after the other, in milliseconds.
    fn waits(seed: u64, most: Duration, count: usize) -> Vec<u128> {
        let mut backoff = Backoff::new(seed);
        (0..count).map(|_| backoff.next_wait_within(most).as_millis()).collect()
    }

    #[test]
    fn waits_double_up_to_half_a_minute_and_start_again_after_success() {
        let mut backoff = Backoff::new(7);
        for most_ms in [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let wait = backoff.next_wait();
            let most = Duration::from_millis(most_ms);
            assert!(most / 2 <= wait && wait <= most, "{wait:?} for {most:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= FIRST);
    }

    #[test]
    fn no_wait_is_longer_than_the_cap_however_often_it_fails() {
        let cap = Duration::from_secs(1);
        assert!(waits(3, cap, 10_000).into_iter().skip(2).all(|ms| (500..=1000).contains(&ms)));
    }

    #[test]
    fn the_seed_alone_decides_the_jitter() {
        assert_eq!(waits(1, LONGEST, 8), waits(1, LONGEST, 8));
        assert_ne!(waits(1, LONGEST, 8), waits(2, LONGEST, 8));
    }
}
