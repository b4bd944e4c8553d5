//! What a survey proposes ends the false alarms that it saw, and leaves a sensor without any alone.

use cmpt_core::dropout::{
    AudioThresholds, DropoutDetector, PictureMeter, Reason, SensorState, SensorThresholds, SoundMeter,
    Statistics, VideoThresholds,
};
use cmpt_core::samples::Frame;
use cmpt_core::survey::{Limit, Proposal, Quantity, SensorSurvey};
use cmpt_core::time::Timestamp;

const RATE_HZ: u32 = 16_000;

/// A survey beside a detector.
struct Bench {
    detector: DropoutDetector,
    survey: SensorSurvey,
    lost: Vec<Reason>,
}

impl Bench {
    fn new(thresholds: &SensorThresholds) -> Self {
        Self {
            detector: DropoutDetector::new(thresholds.clone(), Timestamp::ZERO),
            survey: SensorSurvey::new(thresholds.clone()),
            lost: Vec::new(),
        }
    }

    fn feed(&mut self, at_ms: i64, statistics: Statistics) {
        let now = Timestamp::from_millis(at_ms);
        match &statistics {
            Statistics::Frame(frame) => self.detector.handle_frame(now, frame),
            Statistics::Block(block) => self.detector.handle_block(now, block),
        }
        while let Some(change) = self.detector.poll_event() {
            self.survey.handle_state(change);
            if let SensorState::Lost(reason) = change.state {
                self.lost.push(reason);
            }
        }
        self.survey.handle_sample(now, &statistics);
    }
}

/// Watches a camera that shows `luma(time in ms, x, y)` at the given times.
fn watch(
    thresholds: &VideoThresholds,
    times: impl IntoIterator<Item = i64>,
    luma: impl Fn(i64, u32, u32) -> u8,
) -> (Vec<Reason>, Proposal) {
    let mut meter = PictureMeter::new(thresholds);
    let mut bench = Bench::new(&SensorThresholds::Video(thresholds.clone()));
    for at_ms in times {
        let pixels = (0..60).flat_map(|y| (0..80).map(move |x| (x, y)));
        let rgb = pixels.flat_map(|(x, y)| [luma(at_ms, x, y); 3]).collect();
        let frame = Frame { at: Timestamp::from_millis(at_ms), width: 80, height: 60, rgb };
        bench.feed(at_ms, Statistics::Frame(meter.measure(&frame)));
    }
    (bench.lost, bench.survey.proposal())
}

/// Listens to a microphone for `seconds`; `sample(time in s)`.
fn listen(
    thresholds: &AudioThresholds,
    seconds: i64,
    sample: impl Fn(f64) -> f64,
) -> (Vec<Reason>, Proposal) {
    let mut meter = SoundMeter::new(thresholds, RATE_HZ);
    let mut bench = Bench::new(&SensorThresholds::Audio(thresholds.clone()));
    let block = i64::from(RATE_HZ) / 10;
    for n in 0..10 * seconds {
        let samples = (n * block..(n + 1) * block).map(|at| sample(at as f64 / f64::from(RATE_HZ)) as f32);
        let samples: Vec<f32> = samples.collect();
        bench.feed(100 * n, Statistics::Block(meter.measure(&samples)));
    }
    (bench.lost, bench.survey.proposal())
}

/// White noise in [-1, 1], always the same at the same time.
fn noise(seed: u64) -> f64 {
    let mut hash = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    f64::from((hash >> 40) as u32) / f64::from(1u32 << 23) - 1.0
}

fn pixel_noise(at_ms: i64, x: u32, y: u32) -> f64 {
    noise((at_ms as u64) << 20 | u64::from(x) << 10 | u64::from(y))
}

/// White noise of `dbfs`.
fn hiss(t: f64, dbfs: f64) -> f64 {
    3f64.sqrt() * 10f64.powf(dbfs / 20.0) * noise((t * f64::from(RATE_HZ)).round() as u64)
}

/// Asserts that a camera's scene gave a false alarm, that the proposal changes `key`, and ends it.
#[track_caller]
fn ends_false_alarms_of_pictures(
    (reason, key): (Reason, &str),
    times: &[i64],
    luma: impl Fn(i64, u32, u32) -> u8,
) -> VideoThresholds {
    let (lost, proposal) = watch(&VideoThresholds::default(), times.iter().copied(), &luma);
    assert!(lost.contains(&reason), "{lost:?}");
    assert!(proposal.changes.iter().all(|change| change.key == key), "{proposal:?}");
    let SensorThresholds::Video(proposed) = proposal.thresholds else { panic!("a camera's") };
    let (lost, again) = watch(&proposed, times.iter().copied(), &luma);
    assert_eq!(lost, [], "{proposed:?}");
    assert_eq!(again.changes, [], "what was proposed needs no change");
    proposed
}

#[track_caller]
fn ends_false_alarms_of_sound(
    (reason, key): (Reason, &str),
    seconds: i64,
    sample: impl Fn(f64) -> f64,
) -> AudioThresholds {
    let (lost, proposal) = listen(&AudioThresholds::default(), seconds, &sample);
    assert!(lost.contains(&reason), "{lost:?}");
    assert!(proposal.changes.iter().all(|change| change.key == key), "{proposal:?}");
    let SensorThresholds::Audio(proposed) = proposal.thresholds else { panic!("a microphone's") };
    let (lost, again) = listen(&proposed, seconds, &sample);
    assert_eq!(lost, [], "{proposed:?}");
    assert_eq!(again.changes, [], "what was proposed needs no change");
    proposed
}

fn ten_a_second(seconds: i64) -> Vec<i64> {
    (0..10 * seconds).map(|n| 100 * n).collect()
}

#[test]
fn a_dark_picture_with_some_structure_is_not_black() {
    let proposed = ends_false_alarms_of_pictures((Reason::Black, "black"), &ten_a_second(20), |at, x, y| {
        (12.0 + f64::from(x / 40) + pixel_noise(at, x, y)) as u8
    });
    // It still is where there is none.
    let covered = |at, x, y| (14.0 + pixel_noise(at, x, y)) as u8;
    assert!(watch(&proposed, ten_a_second(20), covered).0.contains(&Reason::Black));
}

#[test]
fn snow_is_not_a_saturated_sensor() {
    ends_false_alarms_of_pictures((Reason::Bright, "bright"), &ten_a_second(20), |at, x, y| {
        if y < 1 && x < 32 { 128 + ((i64::from(x) * 7 + at / 100) % 64) as u8 } else { 252 }
    });
}

#[test]
fn a_scene_that_comes_to_rest_and_drifts_is_not_frozen() {
    // Moves for six seconds; then a sixteenth of the points is one level brighter every second.
    ends_false_alarms_of_pictures((Reason::Frozen, "frozen"), &ten_a_second(30), |at, x, y| {
        let moving = at.min(6000) / 100;
        let drift = (at.max(6000) - 6000) / 100;
        let steps = (drift + i64::from((x * 37 + y * 101) % 160)) / 160;
        (60 + (i64::from(x) * 2 + moving * 5) % 100 + steps) as u8
    });
}

#[test]
fn a_picture_that_repeats_is_allowed_to_for_twice_as_long() {
    let proposed =
        ends_false_alarms_of_pictures((Reason::Frozen, "frozen"), &ten_a_second(40), |at, x, _| {
            // Moves, stands for five seconds, moves.
            let moved = if at < 15_000 { at } else { (at - 5000).max(15_000) };
            (60 + (i64::from(x) * 2 + moved / 20) % 100) as u8
        });
    assert_eq!(proposed.frozen.unwrap().after_ms, 10_000);
}

#[test]
fn a_slow_camera_may_take_its_time() {
    let times: Vec<i64> = (0..30).map(|n| 1400 * n).collect();
    let proposed =
        ends_false_alarms_of_pictures((Reason::NoBuffers, "no_buffers_after_ms"), &times, |at, x, _| {
            (at / 100 + i64::from(x)) as u8
        });
    assert_eq!(proposed.delivery.no_buffers_after_ms, 3000);
}

#[test]
fn a_very_quiet_microphone_is_not_silent() {
    let proposed =
        ends_false_alarms_of_sound((Reason::Silent, "silent"), 20, |t| hiss(t, -86.0)).silent.unwrap();
    assert!((-94.0..=-91.0).contains(&proposed.dead_dbfs), "{proposed:?}");
    assert_eq!(proposed.below_dbfs, -60.0, "that is not what it was silent by");
}

#[test]
fn loud_talk_is_not_clipped() {
    ends_false_alarms_of_sound((Reason::Clipped, "clipped"), 20, |t| {
        (1.02 * (std::f64::consts::TAU * 300.0 * t).sin()).clamp(-1.0, 1.0) * ((t * 3.0) as i64 % 2) as f64
            + hiss(t, -50.0)
    });
}

#[test]
fn a_pause_that_a_noise_gate_made_is_allowed_twice_as_long() {
    let talk = |t: f64| if (5.0..8.0).contains(&t) { 0.0 } else { hiss(t, -30.0) };
    let proposed = ends_false_alarms_of_sound((Reason::Silent, "silent"), 20, talk);
    assert_eq!(proposed.silent.unwrap().after_ms, 6000);
}

#[test]
fn a_dead_microphone_is_told_and_not_made_healthy() {
    let (lost, proposal) = listen(&AudioThresholds::default(), 20, |_| 0.0);
    assert_eq!((lost, &proposal.changes[..]), (vec![Reason::Silent], &[][..]));
    let SensorThresholds::Audio(thresholds) = proposal.thresholds else { panic!("a microphone's") };
    assert_eq!(thresholds, AudioThresholds::default());
    assert!(proposal.remarks[0].starts_with("the sound was digitally silent, and did not end"));
}

#[test]
fn nothing_is_proposed_for_a_sensor_without_alarms() {
    let (lost, proposal) = listen(&AudioThresholds::default(), 90, |t| hiss(t, -45.0));
    assert_eq!((lost.len(), proposal.changes.len(), proposal.remarks.len()), (0, 0, 0), "{proposal:?}");
    let live = |at, x, y| (100.0 + f64::from(x) / 2.0 + 4.0 * pixel_noise(at, x, y)) as u8;
    let (lost, proposal) = watch(&VideoThresholds::default(), ten_a_second(60), live);
    assert_eq!((lost.len(), proposal.changes.len(), proposal.remarks.len()), (0, 0, 0), "{proposal:?}");
}

#[test]
fn a_second_has_every_quantity_with_its_limit() {
    let thresholds = SensorThresholds::Audio(AudioThresholds::default());
    let mut meter = SoundMeter::new(&AudioThresholds::default(), RATE_HZ);
    let mut bench = Bench::new(&thresholds);
    for (n, level) in [0.5, 0.25, 0.0].into_iter().enumerate() {
        let square: Vec<f32> = (0..1600).map(|n| if n % 2 == 0 { level } else { -level }).collect();
        bench.feed(100 * n as i64, Statistics::Block(meter.measure(&square)));
    }
    bench.survey.handle_dropped();
    let second = bench.survey.take_second();
    assert_eq!((second.samples, second.dropped, second.state), (3, 1, SensorState::Healthy));
    let of = |quantity| second.quantities.iter().find(|(of, _)| *of == quantity).unwrap().1.unwrap();
    assert_eq!((of(Quantity::Peak).min, of(Quantity::Peak).mean, of(Quantity::Peak).max), (0.0, 0.25, 0.5));
    assert_eq!(of(Quantity::IntervalMs).max, 100.0);
    assert_eq!(of(Quantity::LevelDbfs).min, -144.0, "digital silence");
    assert_eq!(Quantity::LevelDbfs.limit(&thresholds), Some(Limit::AtMost(-80.0)));
    let empty = bench.survey.take_second();
    assert!(empty.samples == 0 && empty.quantities.iter().all(|(_, range)| range.is_none()));
}
