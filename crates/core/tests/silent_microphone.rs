//! Silence is a microphone's loss only if it outlasts the pauses of speech.

mod common;

use cmpt_core::assembler::StreamSpec;
use cmpt_core::dropout::{AudioThresholds, Reason, SensorState};
use common::{AUDIO, Camera, Microphone, Rig, at, audio_sensor, block, schedule};

#[test]
fn pauses_between_words_are_not_silence() {
    let mut rig = Rig::avdigits();
    rig.play(20_200, Camera::Digits, Microphone::Words);
    assert_eq!(rig.changes(AUDIO), []);
    assert_eq!(rig.verdicts(AUDIO), vec!["ok"; 20]);
}

#[test]
fn a_silent_window_is_without_the_microphone_before_the_microphone_is_lost() {
    let mut rig = Rig::avdigits();
    rig.play(3000, Camera::Digits, Microphone::Words);
    rig.play(7000, Camera::Digits, Microphone::Silent);
    rig.play(10_200, Camera::Digits, Microphone::Words);
    let expected = [
        // The first silent block, from 2700 on, arrived at 2720.
        (4720, SensorState::Lost(Reason::Silent)),
        (7320, SensorState::Recovering),
        // Half a second later the microphone is between two words: the next one decides.
        (8320, SensorState::Healthy),
    ];
    assert_eq!(rig.changes(AUDIO), expected);
    let expected = ["ok", "ok", "ok", "silent", "silent!", "silent!", "silent!", "ok", "ok", "ok"];
    assert_eq!(rig.verdicts(AUDIO), expected);
}

#[test]
fn a_single_click_does_not_make_it_healthy() {
    let mut rig = Rig::avdigits();
    rig.play(3000, Camera::Digits, Microphone::Silent);
    rig.play(3330, Camera::Digits, Microphone::Words);
    rig.play(6000, Camera::Digits, Microphone::Silent);
    let states: Vec<SensorState> = rig.changes(AUDIO).into_iter().map(|change| change.1).collect();
    assert_eq!(
        states,
        [SensorState::Lost(Reason::Silent), SensorState::Recovering, SensorState::Lost(Reason::Silent)]
    );
}

#[test]
fn without_the_check_silence_is_a_signal() {
    let thresholds = AudioThresholds { silent: None, ..AudioThresholds::default() };
    let spec = StreamSpec { schedule: schedule(1000, 1000, 200), sensors: vec![audio_sensor(thresholds)] };
    let mut rig = Rig::new(spec);
    for n in 0..60 {
        rig.pass(100 * n - 1);
        rig.sample(at(100 * n), AUDIO, block(at(100 * n), vec![0.0; 100]));
    }
    assert_eq!(rig.changes(AUDIO), []);
    assert_eq!(rig.verdicts(AUDIO), vec!["ok"; 5]);
}
