//! The detector as a state machine: what holds whatever a sensor does.

mod common;

use std::time::Duration;

use cmpt_core::dropout::{
    Change, DropoutDetector, FrameStatistics, Reason, SensorState, SensorThresholds, SourceEvent,
    StateChange, VideoThresholds,
};
use cmpt_core::time::Timestamp;
use common::{BLACK, PICTURE, STANDING, at};
use proptest::prelude::*;

const BRIGHT: FrameStatistics = FrameStatistics { luma_mean: 1.0, saturated_share: 1.0, ..STANDING };
/// A frozen picture of a camera whose noise was known.
const COLLAPSED: FrameStatistics =
    FrameStatistics { collapse: Some(0.1), settled: true, change: Some(Change::Moved), ..PICTURE };

#[derive(Clone, Copy, Debug)]
enum Step {
    Frame(FrameStatistics),
    Unusable,
    Source(SourceEvent),
    Nothing,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Frame(PICTURE)),
        1 => Just(Step::Frame(STANDING)),
        1 => Just(Step::Frame(COLLAPSED)),
        1 => Just(Step::Frame(BLACK)),
        1 => Just(Step::Frame(BRIGHT)),
        1 => Just(Step::Unusable),
        1 => Just(Step::Nothing),
        1 => prop_oneof![Just(SourceEvent::Error), Just(SourceEvent::Eos)].prop_map(Step::Source),
    ]
}

/// Steps of what a camera does, each repeated every so many ms for so long.
fn script() -> impl Strategy<Value = Vec<(Step, i64, i64)>> {
    prop::collection::vec((step(), 20i64..400, 0i64..6000), 1..40)
}

fn camera() -> DropoutDetector {
    DropoutDetector::new(SensorThresholds::Video(VideoThresholds::default()), at(0))
}

fn apply(detector: &mut DropoutDetector, now: i64, step: Step) {
    match step {
        Step::Frame(statistics) => detector.handle_frame(at(now), &statistics),
        Step::Unusable => detector.handle_unusable(at(now)),
        Step::Source(event) => detector.handle_source(at(now), event),
        Step::Nothing => detector.advance(at(now)),
    }
}

/// Handles every timeout that is due up to `now`, as an owner must. Returns how many there were.
fn keep_time(detector: &mut DropoutDetector, now: i64) -> usize {
    let due = |detector: &DropoutDetector| detector.poll_timeout().filter(|due| *due <= at(now));
    let mut handled = 0;
    while let Some(due) = due(detector) {
        detector.handle_timeout(due);
        handled += 1;
        assert!(handled < 10, "a timeout that stays due would spin");
    }
    handled
}

fn drain(detector: &mut DropoutDetector) -> Vec<StateChange> {
    std::iter::from_fn(|| detector.poll_event()).collect()
}

/// Plays the script; the detector, the end of the script, and every change.
fn play(script: &[(Step, i64, i64)]) -> (DropoutDetector, i64, Vec<StateChange>) {
    let (mut detector, mut now, mut changes) = (camera(), 0, vec![]);
    for (step, every, length) in script {
        let end = now + length;
        while now < end {
            keep_time(&mut detector, now);
            apply(&mut detector, now, *step);
            changes.extend(drain(&mut detector));
            now += every;
        }
    }
    (detector, now, changes)
}

/// Whether the sensor is lost by `flaw` from its time to trip on, a frame every so many ms.
fn is_lost_by(script: &[(Step, i64, i64)], flaw: (FrameStatistics, Reason), every: i64) -> bool {
    let (mut detector, from, _) = play(script);
    // As many frames a second as it takes not to be a trickle of what came before.
    (from..from + 6000).step_by(every.min(40) as usize).all(|now| {
        keep_time(&mut detector, now);
        detector.handle_frame(at(now), &flaw.0);
        now <= from + 2100 || detector.state() == SensorState::Lost(flaw.1)
    })
}

proptest! {
    #[test]
    fn times_never_go_back_and_states_follow_each_other(script in script()) {
        let (.., changes) = play(&script);
        let mut previous = StateChange { at: at(0), state: SensorState::Healthy };
        for change in changes {
            prop_assert!(change.at >= previous.at);
            prop_assert_ne!(change.state, previous.state);
            match change.state {
                SensorState::Recovering => prop_assert!(matches!(previous.state, SensorState::Lost(_))),
                SensorState::Healthy => {
                    prop_assert_eq!(previous.state, SensorState::Recovering);
                    prop_assert!(change.at.saturating_since(previous.at) >= Duration::from_millis(500));
                }
                SensorState::Lost(_) => {}
            }
            previous = change;
        }
    }

    /// Whatever came before, a flaw that shows for its time is a loss by it, and stays one.
    #[test]
    fn a_sensor_is_not_healthy_while_a_flaw_persists(
        script in script(),
        flaw in prop_oneof![Just((BLACK, Reason::Black)), Just((BRIGHT, Reason::Bright))],
        every in 20i64..200,
    ) {
        prop_assert!(is_lost_by(&script, flaw, every));
    }

    /// How long a source without noise may stand is its habit; one with noise has none.
    #[test]
    fn a_noisy_camera_is_not_healthy_while_it_is_frozen(script in script(), every in 20i64..200) {
        let noisy = |step| match step {
            Step::Frame(frame) => {
                let collapse = Some(frame.difference.unwrap_or(0.0));
                Step::Frame(FrameStatistics { collapse, settled: true, ..frame })
            }
            other => other,
        };
        let script: Vec<_> = script.into_iter().map(|(step, every, length)| (noisy(step), every, length)).collect();
        prop_assert!(is_lost_by(&script, (COLLAPSED, Reason::Frozen), every));
    }

    /// Whatever came before, a good signal is called healthy within the time to recover, the time in
    /// which a fifth of the usual rate has come, and one frame for each of them.
    #[test]
    fn a_sensor_recovers_within_the_stated_time(script in script()) {
        let (mut detector, from, _) = play(&script);
        for now in (from..from + 4000).step_by(20) {
            keep_time(&mut detector, now);
            detector.handle_frame(at(now), &PICTURE);
            if now > from + 500 + 400 + 40 {
                prop_assert_eq!(detector.state(), SensorState::Healthy, "at {}", now - from);
            }
        }
    }

    /// A flaw that shows for more than half its time to trip, again and again, never lets the sensor be healthy
    /// again, so its state does not flap.
    #[test]
    fn what_comes_and_goes_does_not_flap(shown in 1040i64..3000, gap in 20i64..480) {
        let mut detector = camera();
        let mut now = 0;
        while now < 60_000 {
            let flawed = now < 2500 || now % (shown + gap) >= gap;
            keep_time(&mut detector, now);
            detector.handle_frame(at(now), if flawed { &BLACK } else { &PICTURE });
            now += 20;
        }
        let changes = drain(&mut detector);
        prop_assert!(changes.iter().all(|change| change.state != SensorState::Healthy), "{changes:?}");
    }

    #[test]
    fn a_timeout_is_in_the_future_and_changes_nothing_before_it(script in script(), early in 1i64..1000) {
        let (mut detector, now, _) = play(&script);
        keep_time(&mut detector, now);
        drain(&mut detector);
        if let Some(due) = detector.poll_timeout() {
            prop_assert!(due > at(now));
            let before = Timestamp::from_nanos(due.as_nanos() - early).max(at(now));
            detector.handle_timeout(before);
            prop_assert_eq!(detector.poll_event(), None);
            detector.handle_timeout(due);
            let change = detector.poll_event();
            let lost = change.map(|change| (change.at, matches!(change.state, SensorState::Lost(_))));
            prop_assert_eq!(lost, Some((due, true)));
        }
    }
}

#[test]
fn a_camera_that_delivers_a_tenth_of_its_rate_trickles() {
    let mut detector = camera();
    for now in (0..10_000).step_by(40) {
        keep_time(&mut detector, now);
        detector.handle_frame(at(now), &PICTURE);
    }
    for now in (10_000..20_000).step_by(400) {
        keep_time(&mut detector, now);
        detector.handle_frame(at(now), &PICTURE);
    }
    for now in (20_000..22_000).step_by(40) {
        keep_time(&mut detector, now);
        detector.handle_frame(at(now), &PICTURE);
    }
    let changes = drain(&mut detector);
    let states: Vec<_> = changes.iter().map(|change| change.state).collect();
    let expected = [SensorState::Lost(Reason::Trickle), SensorState::Recovering, SensorState::Healthy];
    assert_eq!(states, expected);
    let ms = |change: &StateChange| change.at.as_millis();
    assert!((11_000..12_000).contains(&ms(&changes[0])), "{changes:?}");
    assert!((20_000..21_000).contains(&ms(&changes[2])), "{changes:?}");
}

#[test]
fn checks_that_are_switched_off_say_nothing() {
    let mut thresholds = VideoThresholds { black: None, bright: None, frozen: None, ..Default::default() };
    thresholds.delivery.no_buffers_after_ms = 0;
    thresholds.delivery.bad_timestamps = None;
    thresholds.delivery.trickle = None;
    (thresholds.delivery.error, thresholds.delivery.eos) = (false, false);
    let mut detector = DropoutDetector::new(SensorThresholds::Video(thresholds), at(0));
    let steps = [
        Step::Frame(BLACK),
        Step::Frame(BRIGHT),
        Step::Frame(COLLAPSED),
        Step::Unusable,
        Step::Source(SourceEvent::Error),
        Step::Source(SourceEvent::Eos),
        Step::Nothing,
    ];
    for now in 0..700 {
        apply(&mut detector, 100 * now, steps[now as usize / 100]);
    }
    assert_eq!(detector.poll_timeout(), None);
    assert_eq!(drain(&mut detector), []);
}
