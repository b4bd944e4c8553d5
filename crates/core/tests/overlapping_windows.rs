//! Windows that overlap share what they hold.

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use cmpt_core::assembler::{Assembler, AssemblerError, FrontEnd, Input, Part};
use common::{AUDIO, Camera, Microphone, Rig, VIDEO, schedule, stream};

fn parts(input: &Input) -> &[Part] {
    match input {
        Input::Available(parts) => parts,
        Input::Missing { .. } => panic!("{input:?} is missing"),
    }
}

#[test]
fn a_picture_becomes_model_input_once() {
    let mut rig = Rig::new(stream(schedule(1000, 250, 200)));
    rig.play(6000, Camera::Digits, Microphone::Words);
    assert_eq!(rig.windows.len(), 1 + (6000 - 1200) / 250);
    let mut seen = HashMap::new();
    let mut shared = 0;
    for window in &rig.windows {
        for part in parts(&window.inputs[VIDEO.0]) {
            let first = seen.entry(part.key).or_insert_with(|| part.values.clone());
            shared += usize::from(!Arc::ptr_eq(first, &part.values));
        }
    }
    assert_eq!(shared, 0, "the same picture was computed again");
    assert!(seen.len() < 3 * rig.windows.len(), "windows share pictures");
}

#[test]
fn parts_are_keyed_by_window_for_sound_and_by_picture_for_video() {
    let mut rig = Rig::new(stream(schedule(1000, 250, 200)));
    rig.play(2000, Camera::Digits, Microphone::Words);
    let window = &rig.windows[2];
    let key = |part: &Part| part.key.as_millis();
    let sound = parts(&window.inputs[AUDIO.0]);
    assert_eq!(sound.iter().map(key).collect::<Vec<_>>(), [500]);
    assert_eq!(sound[0].shape, [98, 4]);
    // The middles of thirds are 667, 1000 and 1333.
    let pictures = parts(&window.inputs[VIDEO.0]);
    assert_eq!(pictures.iter().map(key).collect::<Vec<_>>(), [600, 1000, 1300]);
    assert_eq!(pictures[0].shape, [1, 4, 4]);
}

#[test]
fn a_schedule_that_does_not_fit_the_front_ends_is_refused() {
    let error = |length_ms, hop_ms| Assembler::new(stream(schedule(length_ms, hop_ms, 0))).err();
    assert_eq!(error(1000, 15), Some(AssemblerError::HopOffGrid { hop_ms: 15.0, step_ms: 10.0 }));
    assert_eq!(error(24, 10), Some(AssemblerError::WindowTooShort { length_ms: 24.0, step_ms: 25.0 }));
    assert_eq!(error(0, 10), Some(AssemblerError::EmptySchedule { field: "length" }));
    assert_eq!(error(1000, 0), Some(AssemblerError::EmptySchedule { field: "hop" }));
    assert_eq!(error(1003, 10), None, "a length need not be on the grid");
}

#[test]
fn a_sensor_that_contradicts_itself_is_refused() {
    let mut swapped = stream(schedule(1000, 1000, 0));
    swapped.sensors[1].thresholds = swapped.sensors[0].thresholds.clone();
    let name = "video".to_owned();
    assert_eq!(
        Assembler::new(swapped).err(),
        Some(AssemblerError::ThresholdsMismatch { name: name.clone() })
    );
    let mut empty = stream(schedule(1000, 1000, 0));
    if let FrontEnd::Pictures { frames, .. } = &mut empty.sensors[1].front_end {
        *frames = 0;
    }
    assert_eq!(Assembler::new(empty).err(), Some(AssemblerError::NoFrames { name }));
}
