//! How long a source may take to its first sample.
//!
//! A connection that was accepted and delivers nothing looks like a camera that waits for its next key
//! frame. What tells them apart is how long the source took before; where that misleads, every attempt in
//! vain is given twice the time of the one before, so that no source is started again for ever just
//! before it would have delivered.

use std::time::Duration;

/// No attempt is given longer than this, unless the source asks for it by itself: twice the 10 s that an
/// encoder left to its defaults takes from one key frame to the next, and room for a slow network.
const LONGEST: Duration = Duration::from_secs(30);

/// The patience with one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// With a source that has never delivered.
    first: Duration,
    /// With one that has, at least.
    least: Duration,
    /// How long its starts take; a slow one is forgotten by and by.
    usual: Option<Duration>,
    /// Attempts since it delivered last.
    in_vain: u32,
}

impl Patience {
    /// `first` with a source that has never delivered, `least` or more with one that has.
    pub fn new(first: Duration, least: Duration) -> Self {
        Self { first, least, usual: None, in_vain: 0 }
    }

    /// How long the next start may take.
    pub fn next(&self) -> Duration {
        let once = self.usual.map_or(self.first, |usual| (2 * usual).max(self.least));
        once.saturating_mul(2u32.saturating_pow(self.in_vain)).min(LONGEST.max(once))
    }

    /// A start took this long to its first sample.
    pub fn succeed(&mut self, after: Duration) {
        let fading = self.usual.unwrap_or_default().mul_f64(0.75);
        self.usual = Some(after.max(fading));
        self.in_vain = 0;
    }

    /// A start came to nothing after a wait.
    pub fn fail(&mut self) {
        self.in_vain = self.in_vain.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn patience() -> Patience {
        Patience::new(seconds(6), seconds(2))
    }

    /// Patience of the next starts, all in vain.
    fn in_vain(mut patience: Patience, count: usize) -> Vec<u64> {
        let next = |_| {
            let seconds = patience.next().as_secs();
            patience.fail();
            seconds
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn it_grows_with_every_start_in_vain_up_to_a_bound() {
        assert_eq!(in_vain(patience(), 5), [6, 12, 24, 30, 30]);
        let mut answered = patience();
        answered.succeed(Duration::from_millis(300));
        assert_eq!(in_vain(answered, 7), [2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn whatever_a_camera_needs_up_to_the_bound_it_gets_and_keeps() {
        for needs in (1..30).map(seconds) {
            let mut patience = patience();
            while patience.next() < needs {
                patience.fail();
            }
            patience.succeed(needs);
            assert!(patience.next() >= needs, "{needs:?}");
            assert!(patience.next() <= (2 * needs).max(seconds(2)), "{needs:?}");
        }
    }

    #[test]
    fn one_slow_start_is_forgotten_by_and_by() {
        let mut patience = patience();
        patience.succeed(seconds(8));
        for _ in 0..10 {
            patience.succeed(Duration::from_millis(200));
        }
        assert_eq!(patience.next(), seconds(2));
    }

    #[test]
    fn a_source_that_asks_for_more_than_the_bound_gets_it() {
        assert_eq!(in_vain(Patience::new(seconds(60), seconds(2)), 2), [60, 60]);
    }
}
