//! What a source says of itself counts at once, but not for what it delivered before.

mod common;

use cmpt_core::dropout::{Reason, SensorState, SourceEvent};
use common::{AUDIO, Camera, Microphone, Rig, VIDEO};

#[test]
fn windows_before_the_end_of_a_file_are_unaffected() {
    let mut rig = Rig::avdigits();
    rig.play(4980, Camera::Digits, Microphone::Words);
    // The last frame came at 4900 and stands until 5000, but the end is known before that; the last
    // block comes together with the end.
    rig.source(4980, VIDEO, SourceEvent::Eos);
    rig.play(5000, Camera::Pulled, Microphone::Words);
    rig.pass(4999);
    rig.sample(common::at(5000), AUDIO, common::block(common::at(4980), vec![0.0; 20]));
    rig.source(5000, AUDIO, SourceEvent::Eos);
    rig.pass(7200);
    assert_eq!(rig.changes(VIDEO), [(4980, SensorState::Lost(Reason::Eos))]);
    assert_eq!(rig.changes(AUDIO), [(5000, SensorState::Lost(Reason::Eos))]);
    for modality in [AUDIO, VIDEO] {
        assert_eq!(rig.verdicts(modality), ["ok", "ok", "ok", "ok", "ok", "eos!", "eos!"]);
    }
}

#[test]
fn a_failed_source_is_lost_at_once_and_recovers_when_it_delivers_again() {
    let mut rig = Rig::avdigits();
    rig.play(3500, Camera::Digits, Microphone::Words);
    rig.source(3500, VIDEO, SourceEvent::Error);
    rig.play(5000, Camera::Pulled, Microphone::Words);
    rig.source(5000, VIDEO, SourceEvent::Error); // a restart that failed is no news
    rig.play(6000, Camera::Pulled, Microphone::Words);
    rig.play(8200, Camera::Digits, Microphone::Words);
    let expected = [
        (3500, SensorState::Lost(Reason::Error)),
        (6000, SensorState::Recovering),
        (6500, SensorState::Healthy),
    ];
    assert_eq!(rig.changes(VIDEO), expected);
    assert_eq!(rig.verdicts(VIDEO), ["ok", "ok", "ok", "error!", "error!", "error!", "ok", "ok"]);
    assert_eq!(rig.changes(AUDIO), []);
}

#[test]
fn a_window_without_samples_gives_the_source_s_own_reason() {
    let mut rig = Rig::avdigits();
    rig.play(3100, Camera::Digits, Microphone::Words);
    rig.play(4050, Camera::Pulled, Microphone::Words);
    rig.source(4050, VIDEO, SourceEvent::Error);
    rig.play(4200, Camera::Pulled, Microphone::Words);
    // At the end of window 3 nothing was known, when it was due the error was.
    assert_eq!(rig.verdicts(VIDEO), ["ok", "ok", "ok", "error"]);
}
