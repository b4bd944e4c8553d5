//! Samples that come late, early, twice or out of order.

mod common;

use cmpt_core::assembler::{Dropped, Input};
use cmpt_core::dropout::{Reason, SensorState};
use cmpt_core::features::LogMel;
use cmpt_core::samples::{Frame, Sample};
use common::{AUDIO, Camera, Microphone, Rig, VIDEO, at, block, frame, mel, tone};

fn words(from_ms: i64, to_ms: i64) -> Sample {
    block(at(from_ms), (from_ms..to_ms).map(tone).collect())
}

fn values(input: &Input) -> &[f32] {
    match input {
        Input::Available(parts) => &parts[0].values,
        Input::Missing { .. } => panic!("{input:?} is missing"),
    }
}

#[test]
fn a_block_that_is_late_but_in_time_fills_its_gap() {
    let mut rig = Rig::avdigits();
    rig.sample(at(300), AUDIO, words(0, 300));
    rig.sample(at(1000), AUDIO, words(600, 1000));
    rig.sample(at(1199), AUDIO, words(300, 600));
    rig.pass(1200);
    let whole: Vec<f32> = (0..1000).map(tone).collect();
    assert_eq!(values(&rig.windows[0].inputs[0]), LogMel::new(&mel()).unwrap().features(&whole));
    assert_eq!(rig.assembler.dropped(AUDIO), Dropped::default());
}

#[test]
fn a_sample_is_late_once_its_window_is_due() {
    let mut rig = Rig::avdigits();
    rig.play(1100, Camera::Digits, Microphone::Words);
    rig.sample(at(1200), VIDEO, frame(at(999), 77)); // due at this very time, emitted or not
    rig.sample(at(1200), AUDIO, words(900, 1000));
    assert_eq!(rig.assembler.dropped(VIDEO), Dropped { late: 1, ..Dropped::default() });
    assert_eq!(rig.assembler.dropped(AUDIO), Dropped { late: 1, ..Dropped::default() });
    assert_eq!(rig.windows.len(), 1);
}

#[test]
fn the_late_part_of_a_block_is_cut_off() {
    let mut rig = Rig::avdigits();
    rig.sample(at(1200), AUDIO, words(400, 1500));
    rig.sample(at(1600), AUDIO, words(1500, 2000));
    rig.pass(2200);
    let second: Vec<f32> = (1000..2000).map(tone).collect();
    assert_eq!(rig.verdicts(AUDIO)[0], "no_buffers");
    assert_eq!(values(&rig.windows[1].inputs[0]), LogMel::new(&mel()).unwrap().features(&second));
}

#[test]
fn samples_from_before_the_stream_belong_to_no_window() {
    let mut rig = Rig::avdigits();
    rig.sample(at(-500), VIDEO, frame(at(-500), 77));
    rig.sample(at(-500), AUDIO, words(-600, -500));
    assert_eq!(rig.assembler.dropped(VIDEO).late, 1);
    assert_eq!(rig.assembler.dropped(AUDIO).late, 1);
    rig.play(1200, Camera::Digits, Microphone::Words);
    assert_eq!((rig.verdicts(VIDEO), rig.verdicts(AUDIO)), (vec!["ok".into()], vec!["ok".into()]));
}

#[test]
fn timestamps_in_the_future_or_over_delivered_time_are_refused() {
    let mut rig = Rig::avdigits();
    rig.play(500, Camera::Digits, Microphone::Words);
    // A window's length and a second ahead is still believed.
    rig.sample(at(500), AUDIO, words(2480, 2500));
    rig.sample(at(500), AUDIO, words(2480, 2501));
    rig.sample(at(500), AUDIO, words(i64::MAX / 2_000_000, i64::MAX / 2_000_000 + 9));
    rig.sample(at(500), AUDIO, words(300, 400));
    assert_eq!(rig.assembler.dropped(AUDIO), Dropped { bad_timestamps: 3, ..Dropped::default() });
    rig.sample(at(500), VIDEO, frame(at(2501), 9));
    rig.sample(at(500), VIDEO, frame(at(400), 9));
    assert_eq!(rig.assembler.dropped(VIDEO), Dropped { bad_timestamps: 2, ..Dropped::default() });
}

#[test]
fn a_sensor_of_bad_timestamps_is_lost_by_them() {
    let mut rig = Rig::avdigits();
    rig.play(2000, Camera::Digits, Microphone::Words);
    for now in (2000..4000).step_by(100) {
        rig.pass(now - 1);
        rig.sample(at(now), VIDEO, frame(at(now + 3_600_000), 60));
    }
    assert_eq!(rig.changes(VIDEO), [(2900, SensorState::Lost(Reason::BadTimestamps))]);
    assert_eq!(rig.verdicts(VIDEO)[2], "bad_timestamps!");
}

#[test]
fn malformed_samples_are_counted_and_no_sign_of_life() {
    let mut rig = Rig::avdigits();
    let picture =
        |width, height, bytes| Sample::Frame(Frame { at: at(0), width, height, rgb: vec![0; bytes] });
    for sample in [picture(2, 2, 11), picture(0, 0, 0), picture(u32::MAX, u32::MAX, 3), words(0, 20)] {
        rig.sample(at(0), VIDEO, sample);
    }
    for sample in [words(0, 0), frame(at(0), 9)] {
        rig.sample(at(0), AUDIO, sample);
    }
    assert_eq!(rig.assembler.dropped(VIDEO), Dropped { malformed: 4, ..Dropped::default() });
    assert_eq!(rig.assembler.dropped(AUDIO), Dropped { malformed: 2, ..Dropped::default() });
    rig.pass(1000);
    assert_eq!(rig.changes(VIDEO), [(1000, SensorState::Lost(Reason::NoBuffers))]);
}
