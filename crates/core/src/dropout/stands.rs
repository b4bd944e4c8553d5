//! How long the picture of a source without noise may stand, from how long it stood before.

use std::collections::VecDeque;
use std::time::Duration;

/// Stands remembered.
const REMEMBERED: usize = 32;
/// A source that has stood before may stand for so many times its longest stand: slides differ.
const TIMES_LONGEST: u32 = 4;
/// A source that has never changed may stand for so many times the time to trip.
const TIMES_UNPROVEN: u32 = 30;

/// The stands that ended by themselves. An exact repeat is what a frozen camera without noise sends,
/// and what a slide show sends: only the habit tells them apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Stands {
    changed: bool,
    /// Those longer than three quarters of the time to trip: shorter ones were never near it, and must
    /// not make a freeze late.
    long: VecDeque<Duration>,
}

impl Stands {
    /// A picture that stood for `lasted` has changed while nothing was wrong.
    pub(super) fn learn(&mut self, lasted: Duration, after: Duration) {
        self.changed = true;
        if lasted > after * 3 / 4 {
            if self.long.len() == REMEMBERED {
                self.long.pop_front();
            }
            self.long.push_back(lasted);
        }
    }

    /// How long the picture may stand, where `after` is the time to trip of a source that moves.
    pub(super) fn allowed(&self, after: Duration) -> Duration {
        match self.long.iter().max() {
            Some(longest) => after.max(TIMES_LONGEST * *longest),
            None if self.changed => after,
            None => TIMES_UNPROVEN * after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_stand_as_is_its_habit() {
        let seconds = Duration::from_secs;
        let mut stands = Stands::default();
        assert_eq!(stands.allowed(seconds(2)), seconds(60));
        for lasted in [1000, 1100, 1200] {
            stands.learn(Duration::from_millis(lasted), seconds(2));
        }
        assert_eq!(stands.allowed(seconds(2)), seconds(2), "digits that change about every second");
        stands.learn(seconds(8), seconds(2));
        stands.learn(seconds(5), seconds(2));
        assert_eq!(stands.allowed(seconds(2)), seconds(32), "slides");
    }
}
