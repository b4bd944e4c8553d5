//! Which pictures a window takes, whatever the camera's rate.

mod common;

use cmpt_core::assembler::{FrontEnd, Input, StreamSpec};
use cmpt_core::dropout::{DeliveryThresholds, VideoThresholds};
use cmpt_core::features::{PictureFrontEnd, PictureSpec};
use cmpt_core::time::Timestamp;
use cmpt_core::window::{Span, WindowSchedule};
use common::{Rig, VIDEO, at, frame, schedule, video_sensor};
use proptest::prelude::*;

/// The pictures at `times` in milliseconds that each window takes.
fn taken(schedule: WindowSchedule, frames: usize, times: &[i64], until_ms: i64) -> Vec<Vec<(i64, f32)>> {
    let delivery =
        DeliveryThresholds { min_coverage: 0.0, no_buffers_after_ms: 0, trickle: None, ..Default::default() };
    let mut sensor = video_sensor(VideoThresholds { delivery, ..Default::default() });
    if let FrontEnd::Pictures { frames: slots, .. } = &mut sensor.front_end {
        *slots = frames;
    }
    let mut rig = Rig::new(StreamSpec { schedule, sensors: vec![sensor] });
    for time in times {
        rig.pass(*time);
        rig.sample(at(*time), cmpt_core::modality::ModalityId(0), frame(at(*time), luma(*time)));
    }
    rig.pass(until_ms);
    let pictures = |input: &Input| match input {
        Input::Available(parts) => parts.iter().map(|part| (part.key.as_millis(), part.values[0])).collect(),
        Input::Missing { .. } => vec![],
    };
    rig.windows.iter().map(|window| pictures(&window.inputs[0])).collect()
}

/// A luma that tells the pictures apart.
fn luma(time: i64) -> u8 {
    40 + (time % 211) as u8
}

/// The rule, said plainly: for each instant the latest picture of the window at or before it, or else
/// the window's first.
fn rule(window: Span, frames: usize, times: &[i64]) -> Vec<i64> {
    let within: Vec<i64> = times.iter().copied().filter(|time| window.contains(at(*time))).collect();
    let instants = (0..frames).map(|slot| {
        let length = window.end.saturating_since(window.start);
        window.start + length.mul_f64((slot as f64 + 0.5) / frames as f64)
    });
    let pick = |instant: Timestamp| {
        within.iter().rev().find(|time| at(**time) <= instant).or(within.first()).copied()
    };
    instants.filter_map(pick).collect()
}

#[test]
fn an_avdigits_window_takes_the_pictures_at_100_500_and_800() {
    let times: Vec<i64> = (0..20).map(|n| 100 * n).collect();
    let taken = taken(schedule(1000, 1000, 200), 3, &times, 2200);
    let keys: Vec<Vec<i64>> = taken.iter().map(|window| window.iter().map(|part| part.0).collect()).collect();
    assert_eq!(keys, [[100, 500, 800], [1100, 1500, 1800]]);
}

#[test]
fn a_single_picture_fills_every_slot() {
    let taken = taken(schedule(1000, 1000, 200), 3, &[900], 1200);
    assert_eq!(taken[0].iter().map(|part| part.0).collect::<Vec<_>>(), [900; 3]);
}

#[test]
fn pictures_cover_twice_their_interval() {
    // Coverage asked for, pictures taken or not, for pictures of the second window.
    for (times, expected) in [
        (vec![0, 250, 500, 750, 1000], "ok"),               // covers until 1500
        (vec![0, 240, 480, 720, 960], "no_buffers"),        // and lies before the window
        (vec![0, 100, 200, 300, 1200], "no_buffers"),       // 200 ms
        (vec![0, 100, 200, 300, 1200, 1500], "no_buffers"), // 400 ms
        (vec![0, 100, 200, 300, 1200, 1400, 1600], "ok"),   // 600 ms
        (vec![0, 900, 1800], "ok"),                         // 900 reaches over to 1800
    ] {
        let delivery = DeliveryThresholds { no_buffers_after_ms: 60_000, ..Default::default() };
        let mut rig = Rig::new(StreamSpec {
            schedule: schedule(1000, 1000, 200),
            sensors: vec![
                common::audio_sensor(Default::default()),
                video_sensor(VideoThresholds { delivery, ..Default::default() }),
            ],
        });
        for time in &times {
            rig.pass(*time);
            rig.sample(at(*time), VIDEO, frame(at(*time), luma(*time)));
        }
        rig.pass(2200);
        assert_eq!(rig.verdicts(VIDEO)[1], expected, "{times:?}");
    }
}

proptest! {
    #[test]
    fn pictures_are_taken_by_the_rule(
        steps in prop::collection::vec(1i64..900, 1..40),
        frames in 1usize..6,
        length_ms in 100u64..1500,
        hop_ms in 100u64..1500,
        lateness_ms in 0u64..500,
    ) {
        let schedule = schedule(length_ms, hop_ms, lateness_ms);
        let times: Vec<i64> = steps.iter().scan(-1, |time, step| { *time += step; Some(*time) }).collect();
        let until = times.last().unwrap() + 4000;
        let taken = taken(schedule, frames, &times, until);
        let picture = PictureSpec { edge: 4, mean: vec![0.0], std: vec![1.0] };
        let mut front_end = PictureFrontEnd::new(&picture).unwrap();
        for (seq, taken) in taken.iter().enumerate() {
            let expected = rule(schedule.span(seq as u64), frames, &times);
            prop_assert_eq!(taken.iter().map(|part| part.0).collect::<Vec<_>>(), expected, "window {}", seq);
            for (time, value) in taken {
                let features = front_end.features(&[luma(*time); 3 * 8 * 6], 8, 6).unwrap();
                prop_assert_eq!(*value, features[0], "the picture of {} ms", time);
            }
        }
    }
}
