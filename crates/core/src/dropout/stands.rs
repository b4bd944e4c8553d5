//! How long the picture of a source without noise may stand, from how long it stood before.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Timestamp;

/// Stands remembered.
const REMEMBERED: usize = 32;
/// A source that has stood before may stand for so many times its longest stand: slides differ.
const TIMES_LONGEST: u32 = 4;
/// For so many times only, once this many long stands are known: titles in a film.
const TIMES_FAMILIAR: u32 = 2;
const FAMILIAR_BY: usize = 4;
/// A source of which it is not known how it moves may stand for so many times the time to trip.
const TIMES_UNPROVEN: u32 = 30;
/// How a source moves is known by so many changes: a coder that starts makes one or two of a still picture.
const PROVEN_BY: u32 = 3;

/// The stands that ended by themselves. An exact repeat is what a frozen camera without noise sends,
/// and what a slide show sends: only the habit tells them apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Stands {
    seen_since: Option<Timestamp>,
    changes: u32,
    /// Those longer than a quarter of the time to trip.
    long: VecDeque<Duration>,
}

impl Stands {
    /// A picture arrived.
    pub(super) fn see(&mut self, now: Timestamp) {
        self.seen_since.get_or_insert(now);
    }

    /// A picture that stood for `lasted` has changed by itself.
    pub(super) fn learn(&mut self, lasted: Duration, after: Duration) {
        self.changes = self.changes.saturating_add(1);
        if lasted > after / 4 {
            if self.long.len() == REMEMBERED {
                self.long.pop_front();
            }
            self.long.push_back(lasted);
        }
    }

    /// How long a picture that has stood since `since` may stand, where `after` is the time to trip of a
    /// source that moves.
    pub(super) fn allowed(&self, after: Duration, since: Timestamp) -> Duration {
        let longest = self.longest();
        // Shorter stands were never near the time to trip, and must not make a freeze late.
        let near = after * 3 / 4;
        if longest > near {
            let familiar = self.long.iter().filter(|lasted| **lasted > near).count() >= FAMILIAR_BY;
            return after.max(if familiar { TIMES_FAMILIAR } else { TIMES_LONGEST } * longest);
        }
        let moved_for = self.seen_since.map_or(Duration::ZERO, |seen| since.saturating_since(seen));
        if self.changes >= PROVEN_BY && moved_for >= after { after } else { TIMES_UNPROVEN * after }
    }

    /// How long a source that stands by habit may stand before it is called frozen again.
    pub(super) fn usual(&self) -> Duration {
        self.longest() * 5 / 4
    }

    fn longest(&self) -> Duration {
        self.long.iter().max().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(2);

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_source_may_stand_as_is_its_habit() {
        let seconds = Duration::from_secs;
        let mut stands = Stands::default();
        stands.see(at(0));
        assert_eq!(stands.allowed(AFTER, at(0)), seconds(60));
        for lasted in [1000, 1100, 1200] {
            stands.learn(Duration::from_millis(lasted), AFTER);
        }
        assert_eq!(stands.allowed(AFTER, at(3300)), seconds(2), "digits that change about every second");
        assert_eq!(stands.usual(), Duration::from_millis(1500));
        stands.learn(seconds(8), AFTER);
        stands.learn(seconds(5), AFTER);
        assert_eq!(stands.allowed(AFTER, at(20_000)), seconds(32), "slides");
        stands.learn(seconds(6), AFTER);
        stands.learn(seconds(4), AFTER);
        assert_eq!(stands.allowed(AFTER, at(30_000)), seconds(16), "four of them are familiar");
    }

    #[test]
    fn a_coder_that_starts_does_not_prove_that_a_source_moves() {
        let mut stands = Stands::default();
        stands.see(at(0));
        for _ in 0..4 {
            stands.learn(Duration::from_millis(100), AFTER);
        }
        assert_eq!(stands.allowed(AFTER, at(400)), Duration::from_secs(60));
        assert_eq!(stands.allowed(AFTER, at(2000)), AFTER, "it moved for as long as it takes to trip");
    }
}
