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
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(2);
    const FRAME_MS: i64 = 100;

    /// A camera at ten pictures a second, watched by a detector that trusts it.
    struct Watched {
        stands: Stands,
        now_ms: i64,
        since_ms: i64,
        whole: bool,
        noisy: bool,
        good: bool,
    }

    impl Watched {
        fn new(whole: bool) -> Self {
            let stands = Stands::new(AFTER);
            Self { stands, now_ms: 0, since_ms: 0, whole, noisy: false, good: true }
        }

        fn picture(&self, change: Change) -> FrameStatistics {
            FrameStatistics {
                luma_mean: 0.5,
                luma_deviation: 0.2,
                usual_deviation: Some(0.2),
                lit_share: 0.5,
                saturated_share: 0.0,
                activity: None,
                difference: None,
                change: Some(change),
                whole: self.whole,
                collapse: self.noisy.then_some(1.0),
                settled: self.noisy,
                noise: None,
            }
        }

        /// So many pictures; whether the last one belongs to a stand.
        fn show(&mut self, count: u32, change: Change) -> bool {
            let mut goes_on = false;
            for _ in 0..count {
                self.now_ms += FRAME_MS;
                let lasted = Duration::from_millis((self.now_ms - self.since_ms) as u64);
                let picture = self.picture(change);
                goes_on =
                    self.stands.follow(Timestamp::from_millis(self.now_ms), &picture, lasted, self.good);
                if !goes_on {
                    self.since_ms = self.now_ms;
                }
            }
            goes_on
        }

        fn allowed(&self) -> Duration {
            self.stands.allowed(&self.picture(Change::Stands))
        }
    }

    const UNPROVEN: Duration = Duration::from_secs(60);

    #[test]
    fn a_picture_that_moved_as_a_whole_may_not_stand() {
        let mut camera = Watched::new(true);
        assert_eq!(camera.allowed(), UNPROVEN, "nobody has seen it move");
        camera.show(30, Change::Moved);
        camera.show(1, Change::Stands);
        assert_eq!(camera.allowed(), AFTER);
    }

    #[test]
    fn a_scene_may_stand_in_which_somebody_moved_unless_it_is_noisy() {
        let mut camera = Watched::new(false);
        camera.show(30, Change::Moved);
        camera.show(1, Change::Stands);
        assert_eq!(camera.allowed(), UNPROVEN);
        camera.noisy = true;
        assert_eq!(camera.allowed(), AFTER);
    }

    #[test]
    fn a_slide_may_stand_and_a_shot_of_a_film_may_not() {
        let mut slides = Watched::new(false);
        for _ in 0..6 {
            slides.show(1, Change::Cut);
            slides.show(40, Change::Stands);
        }
        assert_eq!(slides.allowed(), UNPROVEN);
        let mut film = Watched::new(true);
        for shots in 0..4 {
            film.show(1, Change::Cut);
            assert_eq!(film.allowed(), if shots < 3 { UNPROVEN } else { AFTER }, "{shots}");
            film.show(30, Change::Moved);
        }
        // A title stands for as long as half of them may.
        film.show(1, Change::Cut);
        film.show(17, Change::Stands);
        film.show(1, Change::Cut);
        assert_eq!(film.allowed(), Duration::from_millis(3600));
        film.show(20, Change::Moved);
        assert_eq!(film.allowed(), AFTER, "what is held does not begin with a cut");
    }

    #[test]
    fn a_slide_may_fade_in() {
        let mut slides = Watched::new(true);
        for _ in 0..5 {
            slides.show(5, Change::Cut);
            slides.show(4, Change::Moved);
            slides.show(40, Change::Stands);
        }
        assert_eq!(slides.allowed(), UNPROVEN);
    }

    #[test]
    fn digits_step_from_one_to_the_next_however_much_that_changes() {
        let mut digits = Watched::new(false);
        for change in [Change::Cut, Change::Moved].repeat(4) {
            digits.show(9, Change::Stands);
            digits.show(1, change);
        }
        assert_eq!(digits.allowed(), AFTER);
        assert_eq!(digits.stands.usual(), Duration::from_millis(1250));
    }

    #[test]
    fn every_picture_twice_is_no_stand() {
        let mut camera = Watched::new(false);
        for _ in 0..30 {
            camera.show(1, Change::Moved);
            camera.show(1, Change::Stands);
        }
        assert_eq!(camera.allowed(), UNPROVEN, "somebody moves in a scene that stands");
    }

    #[test]
    fn a_stand_goes_on_over_three_refreshes_if_the_picture_had_moved_as_a_whole() {
        for whole in [true, false] {
            let mut camera = Watched::new(whole);
            camera.show(30, Change::Moved);
            for refreshes in 0..4 {
                camera.show(9, Change::Stands);
                assert_eq!(camera.show(1, Change::Refreshed), whole && refreshes < 3, "{whole} {refreshes}");
            }
        }
    }

    #[test]
    fn pictures_that_are_refined_for_long_do_not_stand() {
        let mut camera = Watched::new(true);
        camera.show(30, Change::Moved);
        camera.show(5, Change::Refreshed);
        assert!(!camera.show(1, Change::Refreshed), "a coder refines for less than half a second");
    }

    #[test]
    fn a_rest_that_was_refreshed_and_ends_in_motion_becomes_habit() {
        for (end, allowed) in [(Change::Moved, Duration::from_secs(15)), (Change::Cut, AFTER)] {
            let mut swinging = Watched::new(true);
            swinging.show(30, Change::Moved);
            swinging.good = false;
            swinging.show(40, Change::Stands);
            swinging.show(1, Change::Refreshed);
            swinging.show(33, Change::Stands);
            swinging.show(1, end);
            swinging.show(30, Change::Moved);
            assert_eq!(swinging.allowed(), allowed, "{end:?}");
        }
    }

    #[test]
    fn a_short_freeze_of_a_noisy_camera_is_no_habit() {
        let mut camera = Watched::new(true);
        camera.noisy = true;
        camera.show(30, Change::Moved);
        camera.show(18, Change::Stands);
        // Noise is spread as evenly as what a coder changes.
        camera.show(1, Change::Refreshed);
        camera.show(30, Change::Moved);
        assert_eq!(camera.allowed(), AFTER);
    }
}
