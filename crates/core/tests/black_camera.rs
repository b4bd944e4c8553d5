//! A black window goes without the camera at once; the camera is lost after its time.

mod common;

use cmpt_core::dropout::{Reason, SensorState};
use cmpt_core::samples::{Frame, Sample};
use common::{Camera, Microphone, Rig, VIDEO, at};

#[test]
fn a_black_window_is_without_the_camera_before_the_camera_is_lost() {
    let mut rig = Rig::avdigits();
    rig.play(3000, Camera::Digits, Microphone::Words);
    rig.play(7000, Camera::Black, Microphone::Words);
    rig.play(10_300, Camera::Digits, Microphone::Words);
    let expected = [
        (5000, SensorState::Lost(Reason::Black)),
        (7000, SensorState::Recovering),
        (7500, SensorState::Healthy),
    ];
    assert_eq!(rig.changes(VIDEO), expected);
    let expected = ["ok", "ok", "ok", "black", "black", "black!", "black!", "ok", "ok", "ok"];
    assert_eq!(rig.verdicts(VIDEO), expected);
}

#[test]
fn a_short_blackout_is_nobody_s_loss() {
    let mut rig = Rig::avdigits();
    rig.play(3200, Camera::Digits, Microphone::Words);
    rig.play(3800, Camera::Black, Microphone::Words);
    rig.play(6300, Camera::Digits, Microphone::Words);
    assert_eq!(rig.changes(VIDEO), []);
    assert_eq!(rig.verdicts(VIDEO), vec!["ok"; 6]);
}

#[test]
fn a_thin_stroke_on_black_is_a_picture() {
    let mut rig = Rig::avdigits();
    for n in 0..100i64 {
        // 2 of 320 columns, 120 of 240 rows: 0.3 % of the picture, moving each second.
        let mut rgb = vec![0; 3 * 320 * 240];
        for row in 60..180 {
            let x = 100 + 2 * (n / 10) as usize;
            rgb[3 * (320 * row + x)..][..6].fill(255);
        }
        rig.pass(100 * n - 1);
        rig.sample(
            at(100 * n),
            VIDEO,
            Sample::Frame(Frame { at: at(100 * n), width: 320, height: 240, rgb }),
        );
    }
    assert_eq!(rig.changes(VIDEO), []);
    assert_eq!(rig.verdicts(VIDEO), vec!["ok"; 9]);
}
