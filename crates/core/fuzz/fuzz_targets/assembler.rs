//! Whatever a driver does and whatever sources stamp: one outcome per window, in order, no panic.
//!
//! Run with `cargo +nightly fuzz run assembler` in `crates/core`.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use cmpt_core::assembler::{Assembler, Event, FrontEnd, SensorSpec, StreamSpec};
use cmpt_core::dropout::{AudioThresholds, SensorThresholds, SourceEvent, VideoThresholds};
use cmpt_core::features::{MelSpec, PictureSpec};
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::{AudioBlock, Frame, Sample};
use cmpt_core::time::Timestamp;
use cmpt_core::window::WindowSchedule;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Script {
    length_ms: u8,
    hop_ms: u8,
    lateness_ms: u8,
    frames: u8,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Pass { ms: u16 },
    Frame { stamp: Stamp, width: u8, height: u8, rgb: Vec<u8> },
    Block { stamp: Stamp, samples: Vec<f32>, modality: bool },
    Source { modality: bool, failed: bool },
    Drain,
}

#[derive(Arbitrary, Debug)]
enum Stamp {
    /// Nanoseconds.
    Any(i64),
    /// Milliseconds off now.
    Near(i8),
}

fuzz_target!(|script: Script| {
    let schedule = WindowSchedule {
        length: Duration::from_millis(script.length_ms.into()),
        hop: Duration::from_millis(script.hop_ms.into()),
        lateness: Duration::from_millis(script.lateness_ms.into()),
    };
    let sensors = vec![audio_sensor(), video_sensor(script.frames)];
    let Ok(mut assembler) = Assembler::new(StreamSpec { schedule, sensors }) else { return };
    let (mut now_ms, mut seq) = (0, 0);
    for step in script.steps {
        let now = Timestamp::from_millis(now_ms);
        match step {
            Step::Pass { ms } => now_ms += i64::from(ms),
            Step::Frame { stamp, width, height, rgb } => {
                let frame = Frame { at: stamp.at(now_ms), width: width.into(), height: height.into(), rgb };
                assembler.handle_sample(now, ModalityId(1), Sample::Frame(frame));
            }
            Step::Block { stamp, samples, modality } => {
                let block = AudioBlock { at: stamp.at(now_ms), samples };
                assembler.handle_sample(now, ModalityId(modality.into()), Sample::Audio(block));
            }
            Step::Source { modality, failed } => {
                let event = if failed { SourceEvent::Error } else { SourceEvent::Eos };
                assembler.handle_source(now, ModalityId(modality.into()), event);
            }
            Step::Drain => drain(&mut assembler, now, &mut seq),
        }
    }
    drain(&mut assembler, Timestamp::from_millis(now_ms), &mut seq);
    assert!(schedule.due(seq) > Timestamp::from_millis(now_ms), "window {seq} is due and was not made");
});

fn drain(assembler: &mut Assembler, now: Timestamp, seq: &mut u64) {
    assembler.handle_timeout(now);
    while let Some(event) = assembler.poll_event() {
        if let Event::Window(window) = event {
            assert_eq!(window.seq, *seq);
            *seq += 1;
        }
    }
}

impl Stamp {
    fn at(&self, now_ms: i64) -> Timestamp {
        match self {
            Self::Any(nanos) => Timestamp::from_nanos(*nanos),
            Self::Near(offset_ms) => Timestamp::from_millis(now_ms + i64::from(*offset_ms)),
        }
    }
}

fn audio_sensor() -> SensorSpec {
    let mel = MelSpec {
        sample_rate_hz: 1000,
        window_samples: 8,
        hop_samples: 5,
        fft_samples: 8,
        n_mels: 2,
        low_hz: 20.0,
        high_hz: 400.0,
        steps: 10,
        mean: 0.0,
        divisor: 1.0,
        range_db: None,
    };
    SensorSpec {
        name: "audio".into(),
        front_end: FrontEnd::Mel(mel),
        thresholds: SensorThresholds::Audio(AudioThresholds::default()),
    }
}

fn video_sensor(frames: u8) -> SensorSpec {
    let picture = PictureSpec { edge: 2, mean: vec![0.0], std: vec![1.0] };
    SensorSpec {
        name: "video".into(),
        front_end: FrontEnd::Pictures { picture, frames: frames.into() },
        thresholds: SensorThresholds::Video(VideoThresholds::default()),
    }
}
