//! Hysteresis: what comes and goes is not healthy.

mod common;

use cmpt_core::dropout::{
    DropoutDetector, FrameStatistics, Reason, SensorState, SensorThresholds, StateChange, VideoThresholds,
};
use common::{BLACK, PICTURE, REFRESHED, STANDING, at};
use proptest::prelude::*;

/// Drives a camera of 10 frames a second for a minute: `shows` says what it shows at a time, in
/// milliseconds. Returns its changes.
fn check(shows: impl Fn(i64) -> Option<FrameStatistics>) -> Vec<(i64, SensorState)> {
    let mut detector = DropoutDetector::new(SensorThresholds::Video(VideoThresholds::default()), at(0));
    for now in (0..60_000).step_by(10) {
        detector.advance(at(now));
        if let Some(statistics) = shows(now).filter(|_| now % 100 == 0) {
            detector.handle_frame(at(now), &statistics);
        }
        if detector.poll_timeout().is_some_and(|due| due <= at(now)) {
            detector.handle_timeout(at(now));
        }
    }
    std::iter::from_fn(|| detector.poll_event()).map(|change| (change.at.as_millis(), change.state)).collect()
}

#[test]
fn buffers_that_come_and_go_are_never_healthy_again() {
    // 300 ms of frames, then a stall of 1200 ms.
    let changes = check(|now| (now % 1500 < 300).then_some(PICTURE));
    assert_eq!(
        changes[..4],
        [
            (1200, SensorState::Lost(Reason::NoBuffers)),
            (1500, SensorState::Recovering),
            (2700, SensorState::Lost(Reason::NoBuffers)),
            (3000, SensorState::Recovering),
        ]
    );
    assert!(changes.iter().all(|change| change.1 != SensorState::Healthy));
}

#[test]
fn a_pause_of_the_network_after_a_fault_is_none() {
    // Covered until 5000; the network holds back what comes from 5200 to 6000.
    let changes = check(|now| match now {
        2000..5000 => Some(BLACK),
        5200..6000 => None,
        _ => Some(PICTURE),
    });
    let expected = [
        (4000, SensorState::Lost(Reason::Black)),
        (5000, SensorState::Recovering),
        // Half a second from the end of the pause on.
        (6500, SensorState::Healthy),
    ];
    assert_eq!(changes, expected);
}

#[test]
fn pauses_of_more_than_half_the_time_keep_a_fast_sensor_from_being_healthy() {
    // A stall, then 300 ms of frames and a pause of 800 ms, again and again.
    let changes = check(|now| match now {
        ..20_000 => Some(PICTURE),
        20_000..22_000 => None,
        _ => (now % 1100 < 300).then_some(PICTURE),
    });
    let lost = changes.iter().find(|change| change.1 == SensorState::Lost(Reason::NoBuffers));
    assert_eq!(lost, Some(&(20_900, SensorState::Lost(Reason::NoBuffers))));
    assert!(changes.iter().all(|change| change.1 != SensorState::Healthy), "{changes:?}");
}

#[test]
fn a_sensor_as_slow_as_a_pause_recovers() {
    // A picture every 800 ms.
    let changes = check(|now| (now % 800 == 0 && !(20_000..25_000).contains(&now)).then_some(PICTURE));
    let expected = [
        (20_200, SensorState::Lost(Reason::NoBuffers)),
        (25_600, SensorState::Recovering),
        (26_400, SensorState::Healthy),
    ];
    assert_eq!(changes, expected);
}

#[test]
fn a_pause_right_after_a_trickle_is_no_trickle() {
    // A picture every 700 ms for five seconds, then all of them but for a pause.
    let changes = check(|now| match now {
        20_000..25_000 => (now % 700 == 0).then_some(PICTURE),
        25_300..26_000 => None,
        _ => Some(PICTURE),
    });
    let states: Vec<_> = changes.iter().map(|change| change.1).collect();
    let expected = [SensorState::Lost(Reason::Trickle), SensorState::Recovering, SensorState::Healthy];
    assert_eq!(states, expected, "{changes:?}");
}

#[test]
fn flashes_in_the_dark_are_never_healthy() {
    // One lit frame every 1500 ms.
    let changes = check(|now| Some(if now > 3000 && now % 1500 == 0 { PICTURE } else { BLACK }));
    assert_eq!(changes[0], (2000, SensorState::Lost(Reason::Black)));
    assert!(changes.len() > 10 && changes.iter().all(|change| change.1 != SensorState::Healthy));
}

#[test]
fn a_camera_that_swings_and_then_rests_behind_a_coder_is_called_frozen_once_and_then_believed() {
    // From three seconds on only key frames change, for ever. Three of them are no sign of life.
    let changes = check(|now| {
        Some(if now < 3000 {
            PICTURE
        } else if now % 1000 == 0 {
            REFRESHED
        } else {
            STANDING
        })
    });
    let expected = [
        (4900, SensorState::Lost(Reason::Frozen)),
        (7000, SensorState::Recovering),
        (8000, SensorState::Healthy),
    ];
    assert_eq!(changes, expected);
}

#[test]
fn after_a_stall_a_standing_picture_is_good_enough() {
    let changes = check(|now| match now {
        ..10_000 => Some(PICTURE),
        10_000..15_000 => None,
        _ => Some(if now % 1000 == 0 { PICTURE } else { STANDING }),
    });
    assert_eq!(
        changes,
        [
            (10_900, SensorState::Lost(Reason::NoBuffers)),
            (15_000, SensorState::Recovering),
            (15_500, SensorState::Healthy),
        ]
    );
}

#[test]
fn after_a_stall_a_black_picture_is_not_and_becomes_the_reason() {
    let changes = check(|now| match now {
        ..10_000 => Some(PICTURE),
        10_000..15_000 => None,
        _ => Some(BLACK),
    });
    let expected =
        [(10_900, SensorState::Lost(Reason::NoBuffers)), (17_000, SensorState::Lost(Reason::Black))];
    assert_eq!(changes, expected);
}

fn shown() -> impl Strategy<Value = Option<FrameStatistics>> {
    prop_oneof![Just(None), Just(Some(PICTURE)), Just(Some(STANDING)), Just(Some(BLACK))]
}

proptest! {
    #[test]
    fn changes_alternate_sensibly(script in prop::collection::vec((shown(), 0i64..30), 1..60)) {
        let ends = script.iter().scan(0, |end, (_, tenths)| { *end += 100 * tenths; Some(*end) });
        let ends: Vec<i64> = ends.collect();
        let changes = check(|now| script.get(ends.partition_point(|end| *end <= now)).and_then(|s| s.0));
        let mut previous = StateChange { at: at(0), state: SensorState::Healthy };
        for (ms, state) in changes {
            prop_assert!(at(ms) >= previous.at, "times never go back");
            prop_assert_ne!(state, previous.state, "only changes are reported");
            prop_assert_eq!(
                state == SensorState::Healthy,
                previous.state == SensorState::Recovering && state == SensorState::Healthy,
                "healthy only after recovering"
            );
            if state == SensorState::Healthy {
                prop_assert!(at(ms).saturating_since(previous.at).as_millis() >= 500, "and not too soon");
            }
            if state == SensorState::Recovering {
                prop_assert!(matches!(previous.state, SensorState::Lost(_)), "recovering only from a loss");
            }
            previous = StateChange { at: at(ms), state };
        }
    }
}
