//! A source that stops without a word.

mod common;

use cmpt_core::dropout::{
    AudioThresholds, DropoutDetector, Reason, SensorState, SensorThresholds, SoundMeter, StateChange,
    VideoThresholds,
};
use common::{AUDIO, Camera, Microphone, PICTURE, Rig, VIDEO, at};

#[test]
fn a_pulled_camera_is_lost_after_a_second_and_the_other_sensor_is_untouched() {
    let mut rig = Rig::avdigits();
    rig.play(5600, Camera::Digits, Microphone::Words);
    rig.play(10_000, Camera::Pulled, Microphone::Words);
    rig.play(13_200, Camera::Digits, Microphone::Words);
    let expected = [
        // The last frame came at 5500.
        (6500, SensorState::Lost(Reason::NoBuffers)),
        (10_000, SensorState::Recovering),
        (10_500, SensorState::Healthy),
    ];
    assert_eq!(rig.changes(VIDEO), expected);
    assert_eq!(rig.changes(AUDIO), []);
    // Window 5 is covered by more than half; nothing of window 6 is.
    let verdicts = rig.verdicts(VIDEO);
    assert_eq!(
        verdicts[4..11],
        ["ok", "ok", "no_buffers!", "no_buffers!", "no_buffers!", "no_buffers!", "ok"]
    );
    assert_eq!(rig.verdicts(AUDIO), vec!["ok"; 13]);
}

#[test]
fn a_window_lacks_coverage_before_the_sensor_is_lost() {
    let mut rig = Rig::avdigits();
    rig.play(5100, Camera::Digits, Microphone::Words);
    rig.play(8000, Camera::Pulled, Microphone::Words);
    // The sensor was lost at 6000, the end of window 5, and so not yet within it; but it knew by the
    // time the window was due.
    assert_eq!(rig.verdicts(VIDEO)[4..], ["ok", "no_buffers", "no_buffers!"]);
}

#[test]
fn a_sensor_that_never_comes_is_lost_and_every_window_says_so() {
    let mut rig = Rig::avdigits();
    rig.play(5200, Camera::Pulled, Microphone::Pulled);
    for modality in [AUDIO, VIDEO] {
        assert_eq!(rig.changes(modality), [(1000, SensorState::Lost(Reason::NoBuffers))]);
        assert_eq!(rig.verdicts(modality)[1..], vec!["no_buffers!"; 4]);
    }
}

#[test]
fn a_jump_of_the_clock_loses_no_window_and_states_when_the_sensor_was_lost() {
    let mut rig = Rig::avdigits();
    rig.play(3000, Camera::Digits, Microphone::Words);
    // A machine that slept: the next thing that happens is a sample a day later.
    let day_ms = 86_400_000;
    rig.sample(at(day_ms), VIDEO, common::frame(at(day_ms), 90));
    // The window that ends at `day_ms` waits for late samples for another 200 ms.
    assert_eq!(rig.windows.len(), 86_400 - 1);
    let expected = [(3900, SensorState::Lost(Reason::NoBuffers)), (day_ms, SensorState::Recovering)];
    assert_eq!(rig.changes(VIDEO), expected);
    assert_eq!(rig.changes(AUDIO), [(3980, SensorState::Lost(Reason::NoBuffers))]);
    assert_eq!(rig.verdicts(VIDEO)[..5], ["ok", "ok", "ok", "no_buffers!", "no_buffers!"]);
}

fn camera() -> DropoutDetector {
    DropoutDetector::new(SensorThresholds::Video(VideoThresholds::default()), at(0))
}

#[test]
fn a_sample_at_the_very_deadline_is_in_time() {
    let mut detector = camera();
    detector.handle_frame(at(0), &PICTURE);
    assert_eq!(detector.poll_timeout(), Some(at(1000)));
    detector.handle_frame(at(1000), &PICTURE);
    assert_eq!(detector.poll_event(), None);
    detector.advance(at(2000));
    assert_eq!(detector.poll_event(), None, "a sample at 2000 may yet come");
    detector.handle_timeout(at(1999));
    assert_eq!(detector.poll_event(), Some(lost(2000)), "an earlier now counts as the latest");
    assert_eq!(detector.poll_timeout(), None, "nothing more can happen without a sample");
}

#[test]
fn a_late_call_states_the_time_of_the_loss() {
    let mut detector = camera();
    detector.handle_frame(at(7000), &PICTURE);
    let healthy_again: Vec<StateChange> = std::iter::from_fn(|| detector.poll_event()).collect();
    let recovering = StateChange { at: at(7000), state: SensorState::Recovering };
    assert_eq!(healthy_again, [lost(1000), recovering]);
}

#[test]
fn statistics_of_the_wrong_kind_are_no_sign_of_life() {
    let mut microphone = DropoutDetector::new(SensorThresholds::Audio(AudioThresholds::default()), at(0));
    microphone.handle_frame(at(900), &PICTURE);
    let mut camera = camera();
    camera.handle_block(at(900), &SoundMeter::new(&AudioThresholds::default(), 1000).measure(&[0.3, -0.3]));
    for mut detector in [microphone, camera] {
        detector.handle_timeout(at(1000));
        assert_eq!(detector.poll_event(), Some(lost(1000)));
    }
}

fn lost(ms: i64) -> StateChange {
    StateChange { at: at(ms), state: SensorState::Lost(Reason::NoBuffers) }
}
