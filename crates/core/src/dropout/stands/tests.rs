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

    /// One that has moved for three seconds.
    fn moving(whole: bool) -> Self {
        let mut watched = Self::new(whole);
        watched.show(30, Change::Moved);
        watched
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
            goes_on = self.stands.follow(Timestamp::from_millis(self.now_ms), &picture, lasted, self.good);
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
    let mut camera = Watched::moving(false);
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
    // A title may stand for twice as long as the longest before.
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
        let mut camera = Watched::moving(whole);
        for refreshes in 0..4 {
            camera.show(9, Change::Stands);
            assert_eq!(camera.show(1, Change::Refreshed), whole && refreshes < 3, "{whole} {refreshes}");
        }
    }
}

#[test]
fn pictures_that_are_refined_for_long_do_not_stand() {
    let mut camera = Watched::moving(true);
    camera.show(5, Change::Refreshed);
    assert!(!camera.show(1, Change::Refreshed), "a coder refines for less than half a second");
}

#[test]
fn a_rest_that_was_refreshed_and_ends_in_motion_becomes_habit() {
    for (end, allowed) in [(Change::Moved, Duration::from_secs(15)), (Change::Cut, AFTER)] {
        let mut swinging = Watched::moving(true);
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
    let mut camera = Watched::moving(true);
    camera.noisy = true;
    camera.show(18, Change::Stands);
    // Noise is spread as evenly as what a coder changes.
    camera.show(1, Change::Refreshed);
    camera.show(30, Change::Moved);
    assert_eq!(camera.allowed(), AFTER);
}
