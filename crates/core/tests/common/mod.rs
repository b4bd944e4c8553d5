//! A scripted camera and microphone on virtual time.
#![expect(dead_code, reason = "every test uses its own part of the rig")]

use std::time::Duration;

use cmpt_core::assembler::{Assembler, DueWindow, Event, FrontEnd, Input, SensorSpec, StreamSpec, Verdict};
use cmpt_core::dropout::{
    AudioThresholds, Change, FrameStatistics, SensorState, SensorThresholds, SourceEvent, VideoThresholds,
};
use cmpt_core::features::{MelSpec, PictureSpec};
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::{AudioBlock, Frame, Sample};
use cmpt_core::time::Timestamp;
use cmpt_core::window::WindowSchedule;

pub const AUDIO: ModalityId = ModalityId(0);
pub const VIDEO: ModalityId = ModalityId(1);
/// Low, so that property tests are quick.
pub const RATE_HZ: usize = 1000;
pub const FRAME_MS: i64 = 100;
pub const BLOCK_MS: i64 = 20;

/// What the camera shows. It runs at 10 frames a second.
#[derive(Clone, Copy, PartialEq)]
pub enum Camera {
    /// A new picture on every second, as in an avdigits stream.
    Digits,
    /// The same picture for ever.
    Frozen,
    Black,
    Pulled,
}

/// What the microphone hears, in blocks of 20 ms.
#[derive(Clone, Copy, PartialEq)]
pub enum Microphone {
    /// A tone from 300 to 700 ms of every second, digital silence in between.
    Words,
    Silent,
    Pulled,
}

pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

pub fn schedule(length_ms: u64, hop_ms: u64, lateness_ms: u64) -> WindowSchedule {
    WindowSchedule {
        length: Duration::from_millis(length_ms),
        hop: Duration::from_millis(hop_ms),
        lateness: Duration::from_millis(lateness_ms),
    }
}

pub fn mel() -> MelSpec {
    MelSpec {
        sample_rate_hz: RATE_HZ as u32,
        window_samples: 25,
        hop_samples: 10,
        fft_samples: 32,
        n_mels: 4,
        low_hz: 20.0,
        high_hz: 400.0,
        steps: 98,
        mean: 0.0,
        divisor: 1.0,
        range_db: None,
    }
}

pub fn audio_sensor(thresholds: AudioThresholds) -> SensorSpec {
    SensorSpec {
        name: "audio".into(),
        front_end: FrontEnd::Mel(mel()),
        thresholds: SensorThresholds::Audio(thresholds),
    }
}

pub fn video_sensor(thresholds: VideoThresholds) -> SensorSpec {
    let picture = PictureSpec { edge: 4, mean: vec![0.0], std: vec![1.0] };
    SensorSpec {
        name: "video".into(),
        front_end: FrontEnd::Pictures { picture, frames: 3 },
        thresholds: SensorThresholds::Video(thresholds),
    }
}

/// Sound and video with default thresholds.
pub fn stream(schedule: WindowSchedule) -> StreamSpec {
    let sensors = vec![audio_sensor(AudioThresholds::default()), video_sensor(VideoThresholds::default())];
    StreamSpec { schedule, sensors }
}

pub fn frame(at: Timestamp, luma: u8) -> Sample {
    Sample::Frame(Frame { at, width: 8, height: 6, rgb: vec![luma; 3 * 8 * 6] })
}

pub fn block(at: Timestamp, samples: Vec<f32>) -> Sample {
    Sample::Audio(AudioBlock { at, samples })
}

/// The loud signal's sample at a position.
pub fn tone(position: i64) -> f32 {
    0.3 * (std::f32::consts::TAU * 0.11 * position as f32).sin()
}

/// A stream driven like a live one: timeouts when they are due, samples when they arrive.
pub struct Rig {
    pub assembler: Assembler,
    pub windows: Vec<DueWindow>,
    changes: Vec<(ModalityId, i64, SensorState)>,
    now_ms: i64,
    last_luma: u8,
}

impl Rig {
    pub fn new(spec: StreamSpec) -> Self {
        let assembler = Assembler::new(spec).expect("the spec is sound");
        Self { assembler, windows: vec![], changes: vec![], now_ms: 0, last_luma: 0 }
    }

    /// Windows of 1000 ms every 1000 ms, lateness 200 ms.
    pub fn avdigits() -> Self {
        Self::new(stream(schedule(1000, 1000, 200)))
    }

    /// Plays camera and microphone up to `until_ms`.
    pub fn play(&mut self, until_ms: i64, camera: Camera, microphone: Microphone) -> &mut Self {
        while self.now_ms < until_ms {
            let now = self.now_ms;
            if now % FRAME_MS == 0 {
                self.shoot(now, camera);
            }
            if now % BLOCK_MS == 0 && now > 0 {
                self.hear(now, microphone);
            }
            self.now_ms += 10;
        }
        self.pass(until_ms)
    }

    /// Lets time pass.
    pub fn pass(&mut self, until_ms: i64) -> &mut Self {
        while let Some(due) = self.assembler.poll_timeout().filter(|due| *due <= at(until_ms)) {
            self.assembler.handle_timeout(due);
            self.drain();
            assert!(self.assembler.poll_timeout() > Some(due), "a timeout that stays due would spin");
        }
        self.now_ms = until_ms;
        self
    }

    pub fn sample(&mut self, now: Timestamp, modality: ModalityId, sample: Sample) -> &mut Self {
        self.assembler.handle_sample(now, modality, sample);
        self.drain();
        self
    }

    pub fn source(&mut self, now_ms: i64, modality: ModalityId, event: SourceEvent) -> &mut Self {
        self.assembler.handle_source(at(now_ms), modality, event);
        self.drain();
        self
    }

    pub fn drain(&mut self) {
        while let Some(event) = self.assembler.poll_event() {
            match event {
                Event::Sensor { modality, state, at } => self.changes.push((modality, at.as_millis(), state)),
                Event::Window(window) => {
                    assert_eq!(window.seq, self.windows.len() as u64, "windows come in order, each once");
                    self.windows.push(window);
                }
            }
        }
    }

    /// Changes of one sensor, times in milliseconds.
    pub fn changes(&self, modality: ModalityId) -> Vec<(i64, SensorState)> {
        self.changes.iter().filter(|change| change.0 == modality).map(|change| (change.1, change.2)).collect()
    }

    /// One word per window for one modality: `ok`, or the reason, with `!` where the sensor was lost.
    pub fn verdicts(&self, modality: ModalityId) -> Vec<String> {
        self.windows.iter().map(|window| verdict(&window.inputs[modality.0])).collect()
    }

    fn shoot(&mut self, now: i64, camera: Camera) {
        let luma = match camera {
            Camera::Digits => 60 + (now / 1000 * 37 % 190) as u8,
            Camera::Frozen => self.last_luma,
            Camera::Black => 3,
            Camera::Pulled => return,
        };
        self.last_luma = luma;
        self.pass(now - 1);
        self.now_ms = now;
        self.sample(at(now), VIDEO, frame(at(now), luma));
    }

    fn hear(&mut self, now: i64, microphone: Microphone) {
        let from = now - BLOCK_MS;
        let word = (300..700).contains(&(from % 1000));
        let samples = (from..now).map(|position| match microphone {
            Microphone::Words if word => tone(position),
            _ => 0.0,
        });
        let samples = samples.collect();
        if microphone != Microphone::Pulled {
            self.pass(now - 1);
            self.now_ms = now;
            self.sample(at(now), AUDIO, block(at(from), samples));
        }
    }
}

pub fn verdict(input: &Input) -> String {
    match input {
        Input::Available(_) => "ok".into(),
        Input::Missing { reason, verdict } => {
            format!("{reason}{}", if *verdict == Verdict::Sensor { "!" } else { "" })
        }
    }
}

/// A picture unlike the one before, of a source without noise.
pub const PICTURE: FrameStatistics = FrameStatistics {
    luma_mean: 0.5,
    luma_deviation: 0.2,
    usual_deviation: Some(0.2),
    lit_share: 0.5,
    saturated_share: 0.0,
    activity: Some(0.5),
    difference: Some(0.5),
    change: Some(Change::Moved),
    whole: true,
    collapse: None,
    settled: false,
    noise: None,
};
/// The same scene, coded anew.
pub const REFRESHED: FrameStatistics = FrameStatistics {
    activity: Some(0.01),
    difference: Some(0.01),
    change: Some(Change::Refreshed),
    ..PICTURE
};
/// The same picture again.
pub const STANDING: FrameStatistics =
    FrameStatistics { activity: Some(0.0), difference: Some(0.0), change: Some(Change::Stands), ..PICTURE };
/// A covered lens: dark, with the sensor's noise.
pub const BLACK: FrameStatistics =
    FrameStatistics { luma_mean: 0.0, luma_deviation: 0.0, lit_share: 0.0, ..PICTURE };
