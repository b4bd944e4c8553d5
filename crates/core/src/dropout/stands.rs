//! How long a picture may stand, from how it came to stand and how long others did.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Change, FrameStatistics};
use crate::time::Timestamp;

/// Stands remembered.
const REMEMBERED: usize = 32;
/// Once it is known that a source stands, it may for so many times its longest stand: slides differ.
const TIMES_LONGEST: u32 = 4;
/// For so many times only if it moves all the time else: a camera that swings rests for as long each time.
const TIMES_MOVING: u32 = 2;
/// And for so many once this many long stands are known.
const TIMES_FAMILIAR: u32 = 3;
const FAMILIAR_BY: usize = 8;
/// A source that may stand, as far as anybody knows, may for so many times the time to trip.
const TIMES_UNPROVEN: u32 = 30;
/// By so many cuts, none of which it stood after, a source is known to move on.
const PROVEN_BY: u32 = 3;
/// Over so many refreshes a stand goes on: whoever is refreshed more often is alive.
const MOST_REFRESHES: u32 = 3;

/// The present stand, and the habits.
///
/// An exact repeat is what a frozen camera sends, and what a slide show sends. Three things tell them apart:
///
/// - *How it began.* Whoever shows slides, or a title in a film, shows another picture and leaves it
///   there. What is held is the last picture of a motion.
/// - *What moved before.* Where a part of the picture moves, the rest of it stands all the time, and
///   the whole may when nobody is there. A picture that moves as a whole, or is noisy, does not.
/// - *Habit.* As long as it stood before, it may stand again.
#[derive(Clone, Debug)]
pub(super) struct Stands {
    after: Duration,
    /// Stands that begin with another picture, and those that begin when motion ends.
    cuts: Habit,
    rests: Habit,
    /// What the latest picture did, and whether the noise of its source is known.
    latest: Change,
    noisy: bool,
    begun_by_cut: bool,
    /// Whether a picture has come again since something moved, and how often the stand was refreshed.
    repeated: bool,
    refreshes: u32,
    moved_at: Timestamp,
    /// When it stood or moved last, and was not refreshed.
    plain_at: Timestamp,
    /// Since when a slide has been coming, and a shot of which nothing is known yet.
    slide_since: Option<Timestamp>,
    shot_since: Option<Timestamp>,
    /// How long the latest stand lasted that was longer than the time to trip.
    stood: Duration,
}

/// How long stands of a kind lasted that ended by themselves.
#[derive(Clone, Debug, Default)]
struct Habit {
    count: u32,
    /// Those longer than a quarter of the time to trip.
    long: VecDeque<Duration>,
}

impl Stands {
    /// Of a source that nobody has seen, where `after` is the time to trip.
    pub(super) fn new(after: Duration) -> Self {
        Self {
            after,
            cuts: Habit::default(),
            rests: Habit::default(),
            latest: Change::Cut,
            noisy: false,
            begun_by_cut: true,
            repeated: false,
            refreshes: 0,
            moved_at: Timestamp::ZERO,
            plain_at: Timestamp::ZERO,
            slide_since: None,
            shot_since: None,
            stood: Duration::ZERO,
        }
    }

    /// A picture arrived, `lasted` after the present stand began; whether that goes on. Its length becomes
    /// habit if it does not, and the sensor was `good`.
    pub(super) fn follow(
        &mut self,
        now: Timestamp,
        picture: &FrameStatistics,
        lasted: Duration,
        good: bool,
    ) -> bool {
        let Some(change) = picture.change else { return false };
        let before = std::mem::replace(&mut self.latest, change);
        self.noisy = picture.collapse.is_some();
        match change {
            Change::Stands => {
                // What changes again is no refresh but the end of the stand.
                self.refreshes += u32::from(before == Change::Refreshed && self.repeated);
                (self.repeated, self.plain_at) = (true, now);
                (self.slide_since, self.shot_since) = (None, None);
                return true;
            }
            Change::Refreshed => {
                let brief = now.saturating_since(self.plain_at) <= self.after / 4;
                if picture.whole && brief && self.refreshes < MOST_REFRESHES {
                    return true;
                }
            }
            Change::Moved | Change::Cut => {}
        }
        if lasted >= self.after {
            self.stood = lasted;
        }
        if change == Change::Refreshed {
            if good {
                self.learn(lasted);
            }
            return false;
        }
        self.learn_end(now, change, lasted, good);
        self.begin(now, change, before == Change::Stands && lasted >= self.after / 8);
        false
    }

    /// Something moved, and a stand of so long has ended, if it was one.
    fn learn_end(&mut self, now: Timestamp, change: Change, lasted: Duration, good: bool) {
        if self.refreshes > 0 && !self.begun_by_cut {
            // A freeze ends with a jump, unless nothing moved. Refreshed, it was one of the camera at most.
            if change == Change::Moved {
                self.learn(now.saturating_since(self.moved_at));
            }
        } else if good && self.repeated {
            self.learn(lasted);
        }
    }

    /// A stand begins, with a `step` from the stand before if so.
    fn begin(&mut self, now: Timestamp, change: Change, step: bool) {
        let over = |since: Timestamp| now.saturating_since(since) >= self.after / 2;
        if change == Change::Cut {
            self.shot_since = Some(now);
        } else if self.shot_since.is_some_and(over) {
            self.shot_since = None;
            self.cuts.count = self.cuts.count.saturating_add(1);
        }
        // One slide may fade into the next.
        let slide_since = if step && change == Change::Cut { Some(now) } else { self.slide_since };
        self.slide_since = slide_since.filter(|since| !over(*since));
        self.begun_by_cut = change == Change::Cut || step || self.slide_since.is_some();
        (self.repeated, self.refreshes) = (false, 0);
        (self.moved_at, self.plain_at) = (now, now);
    }

    /// It stood again and again while it recovered: that is a habit.
    pub(super) fn learn_relapse(&mut self) {
        self.learn(self.stood);
    }

    /// How long the present stand may last.
    pub(super) fn allowed(&self, picture: &FrameStatistics) -> Duration {
        let moving = picture.whole || picture.collapse.is_some();
        match self.begun_by_cut {
            true if self.cuts.move_on(self.after) => self.cuts.allowed_moving(self.after),
            true => self.cuts.allowed_standing(self.after),
            false if moving => self.rests.allowed_moving(self.after),
            false => self.rests.allowed_standing(self.after),
        }
    }

    /// Whether the present picture, if it stands, came with a cut.
    pub(super) fn is_begun_by_cut(&self) -> bool {
        self.begun_by_cut
    }

    /// How long a source that stands by habit may stand before it is called frozen again.
    pub(super) fn usual(&self) -> Duration {
        self.habit().longest() * 5 / 4
    }

    fn habit(&self) -> &Habit {
        if self.begun_by_cut { &self.cuts } else { &self.rests }
    }

    fn learn(&mut self, lasted: Duration) {
        if self.noisy && !self.begun_by_cut && self.refreshes == 0 {
            // What is noisy and stands exactly does not rest.
            return;
        }
        let habit = if self.begun_by_cut { &mut self.cuts } else { &mut self.rests };
        habit.count = habit.count.saturating_add(1);
        if lasted > self.after / 4 {
            if habit.long.len() == REMEMBERED {
                habit.long.pop_front();
            }
            habit.long.push_back(lasted);
        }
    }
}

impl Habit {
    /// How long a stand may last of a source that moves on, where `after` is the time to trip.
    fn allowed_moving(&self, after: Duration) -> Duration {
        match self.longest() {
            longest if longest <= near(after) => after,
            longest if self.is_familiar(after) => after.max(TIMES_FAMILIAR * longest),
            longest => after.max(TIMES_MOVING * longest),
        }
    }

    /// The same of a source that stands, as far as anybody knows.
    fn allowed_standing(&self, after: Duration) -> Duration {
        match self.longest() {
            longest if longest > near(after) && self.is_familiar(after) => {
                after.max(TIMES_FAMILIAR * longest)
            }
            longest => (TIMES_UNPROVEN * after).max(TIMES_LONGEST * longest),
        }
    }

    fn is_familiar(&self, after: Duration) -> bool {
        self.near(after).count() >= FAMILIAR_BY
    }

    /// Whether most of them were short.
    fn move_on(&self, after: Duration) -> bool {
        self.count >= PROVEN_BY && 2 * self.near(after).count() < self.count as usize
    }

    /// Those near the time to trip.
    fn near(&self, after: Duration) -> impl Iterator<Item = &Duration> {
        self.long.iter().filter(move |lasted| **lasted > near(after))
    }

    fn longest(&self) -> Duration {
        self.long.iter().max().copied().unwrap_or_default()
    }
}

/// Stands up to this were never near the time to trip, and must not make a freeze late.
fn near(after: Duration) -> Duration {
    after * 3 / 4
}

#[cfg(test)]
mod tests;
