//! A picture that stands too long is frozen; one that may stand is not.

mod common;

use cmpt_core::dropout::{Reason, SensorState};
use common::{Camera, FRAME_MS, Microphone, Rig, VIDEO, at, frame};

#[test]
fn a_picture_may_stand_for_a_second() {
    let mut rig = Rig::avdigits();
    rig.play(20_000, Camera::Digits, Microphone::Words);
    assert_eq!(rig.changes(VIDEO), []);
    assert_eq!(rig.verdicts(VIDEO), vec!["ok"; 19]);
}

#[test]
fn it_is_lost_two_seconds_after_the_last_change_and_back_with_the_second_one() {
    let mut rig = Rig::avdigits();
    rig.play(4000, Camera::Digits, Microphone::Words);
    rig.play(8000, Camera::Frozen, Microphone::Words);
    rig.play(12_000, Camera::Digits, Microphone::Words);
    let expected = [
        // The last digit came at 3000 and has stood since.
        (5000, SensorState::Lost(Reason::Frozen)),
        // A changed picture starts recovery; standing does not end it, the next change does.
        (8000, SensorState::Recovering),
        (9000, SensorState::Healthy),
    ];
    assert_eq!(rig.changes(VIDEO), expected);
    // The change at 5000 is not yet the business of the window that ends there.
    let expected = ["ok", "ok", "ok", "ok", "ok", "frozen!", "frozen!", "frozen!", "ok", "ok", "ok"];
    assert_eq!(rig.verdicts(VIDEO), expected);
}

#[test]
fn one_changed_picture_does_not_make_it_healthy() {
    let mut rig = Rig::avdigits();
    rig.play(4000, Camera::Digits, Microphone::Words);
    rig.play(8000, Camera::Frozen, Microphone::Words);
    rig.play(8100, Camera::Digits, Microphone::Words);
    rig.play(12_000, Camera::Frozen, Microphone::Words);
    let relapse = [
        (5000, SensorState::Lost(Reason::Frozen)),
        (8000, SensorState::Recovering),
        // A quarter longer than its longest stand, and not two seconds, because it was recovering.
        (9300, SensorState::Lost(Reason::Frozen)),
    ];
    assert_eq!(rig.changes(VIDEO), relapse);
}

#[test]
fn it_says_so_when_it_then_stops_altogether() {
    let mut rig = Rig::avdigits();
    rig.play(4000, Camera::Digits, Microphone::Words);
    rig.play(6000, Camera::Frozen, Microphone::Words);
    rig.play(9000, Camera::Pulled, Microphone::Words);
    let expected = [
        (5000, SensorState::Lost(Reason::Frozen)),
        (6000 - FRAME_MS + 1000, SensorState::Lost(Reason::NoBuffers)),
    ];
    assert_eq!(rig.changes(VIDEO), expected);
}

#[test]
fn a_slow_camera_is_not_frozen_between_two_pictures() {
    let mut rig = Rig::avdigits();
    // One picture every 900 ms, each another one.
    for n in 0..20 {
        rig.pass(900 * n - 1);
        rig.sample(at(900 * n), VIDEO, frame(at(900 * n), 50 + n as u8));
    }
    assert_eq!(rig.changes(VIDEO), []);
    // Each picture reaches over to the next as soon as two have shown how far apart they come.
    assert_eq!(rig.verdicts(VIDEO), vec!["ok"; rig.windows.len()]);
}

#[test]
fn a_source_that_stands_by_habit_is_called_frozen_three_times_and_then_believed() {
    let mut rig = Rig::avdigits();
    // It moves for three seconds; from then on a coder shows something new with its key frames alone.
    for n in 0..600 {
        let luma = if n < 30 { n } else { 30 + n / 40 };
        rig.pass(100 * n - 1);
        rig.sample(at(100 * n), VIDEO, frame(at(100 * n), 50 + luma as u8));
    }
    let losses: Vec<_> = rig.changes(VIDEO).into_iter().filter(|(_, state)| is_frozen(*state)).collect();
    assert_eq!(losses.len(), 3, "{losses:?}");
    assert!(matches!(rig.changes(VIDEO).last(), Some((_, SensorState::Healthy))));
}

fn is_frozen(state: SensorState) -> bool {
    state == SensorState::Lost(Reason::Frozen)
}
