//! Our detector, run as the daemon runs it: samples into `cmpt_core`'s assembler with default
//! thresholds, the changes of the sensor's state out of it.

use std::time::Duration;

use cmpt_core::assembler::{Assembler, Event, FrontEnd, SensorSpec, StreamSpec};
use cmpt_core::dropout::{AudioThresholds, SensorState, SensorThresholds, VideoThresholds};
use cmpt_core::features::{MelSpec, PictureSpec};
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::{AudioBlock, Frame, Sample};
use cmpt_core::time::Timestamp;
use cmpt_core::window::WindowSchedule;

use crate::clip::{LENGTH_MS, Sensor};
use crate::delivery::Arrival;
use crate::lines::Alarm;
use crate::picture::{HEIGHT, WIDTH};
use crate::sound::RATE_HZ;

/// Content that arrives.
pub enum Content<'a> {
    /// Pictures.
    Pictures(&'a mut dyn FnMut() -> Option<Vec<u8>>),
    /// Sound.
    Blocks(&'a mut dyn FnMut() -> Option<Vec<f32>>),
}

/// What the detector says of the arrivals of a clip, whose content is taken in order, each sample once.
pub fn detect(clip: &str, mut content: Content<'_>, arrivals: &[(u64, Arrival)]) -> Vec<Alarm> {
    let sensor = match content {
        Content::Pictures(_) => Sensor::Video,
        Content::Blocks(_) => Sensor::Audio,
    };
    let mut assembler = Assembler::new(stream(sensor)).expect("the stream is sound");
    let mut alarms = Alarms { clip: clip.into(), alarms: Vec::new() };
    let mut taken = 0;
    for (now_ms, arrival) in arrivals {
        let now = Timestamp::from_millis(*now_ms as i64);
        pass(&mut assembler, now, &mut alarms);
        match arrival {
            Arrival::Source(event) => assembler.handle_source(now, ModalityId(0), *event),
            Arrival::Sample { index, stamp_ms } => {
                let Some(sample) = take(&mut content, index - taken, *stamp_ms) else { break };
                taken = index + 1;
                assembler.handle_sample(now, ModalityId(0), sample);
            }
        }
        alarms.drain(&mut assembler);
    }
    // What nobody takes is made all the same: the content may be a coder's output.
    pass(&mut assembler, Timestamp::from_millis(LENGTH_MS as i64), &mut alarms);
    alarms.alarms
}

/// The content after `skipped` more, as a sample with a timestamp.
fn take(content: &mut Content<'_>, skipped: usize, stamp_ms: i64) -> Option<Sample> {
    let at = Timestamp::from_millis(stamp_ms);
    match content {
        Content::Pictures(next) => {
            for _ in 0..skipped {
                next()?;
            }
            let rgb = next()?.into_iter().flat_map(|luma| [luma; 3]).collect();
            Some(Sample::Frame(Frame { at, width: WIDTH as u32, height: HEIGHT as u32, rgb }))
        }
        Content::Blocks(next) => {
            for _ in 0..skipped {
                next()?;
            }
            Some(Sample::Audio(AudioBlock { at, samples: next()? }))
        }
    }
}

/// Lets time pass up to, but not including, `now`.
fn pass(assembler: &mut Assembler, now: Timestamp, alarms: &mut Alarms) {
    while let Some(due) = assembler.poll_timeout().filter(|due| *due < now) {
        assembler.handle_timeout(due);
        alarms.drain(assembler);
    }
}

struct Alarms {
    clip: String,
    alarms: Vec<Alarm>,
}

impl Alarms {
    fn drain(&mut self, assembler: &mut Assembler) {
        while let Some(event) = assembler.poll_event() {
            let Event::Sensor { state, at, .. } = event else { continue };
            let at_ms = u64::try_from(at.as_millis()).unwrap_or(0);
            if let Some(open) = self.alarms.last_mut().filter(|alarm| alarm.to_ms == LENGTH_MS) {
                open.to_ms = at_ms;
            }
            match state {
                SensorState::Lost(reason) => self.alarms.push(Alarm {
                    clip: self.clip.clone(),
                    reason,
                    from_ms: at_ms,
                    to_ms: LENGTH_MS,
                    healthy_ms: None,
                }),
                SensorState::Healthy => {
                    if let Some(last) = self.alarms.last_mut() {
                        last.healthy_ms = Some(at_ms);
                    }
                }
                SensorState::Recovering => {}
            }
        }
    }
}

/// One sensor with default thresholds; windows of a second, whose model input nobody looks at.
fn stream(sensor: Sensor) -> StreamSpec {
    let schedule = WindowSchedule {
        length: Duration::from_secs(1),
        hop: Duration::from_secs(1),
        lateness: Duration::from_millis(200),
    };
    let (front_end, thresholds) = match sensor {
        Sensor::Video => (
            FrontEnd::Pictures {
                picture: PictureSpec { edge: 4, mean: vec![0.0], std: vec![1.0] },
                frames: 1,
            },
            SensorThresholds::Video(VideoThresholds::default()),
        ),
        Sensor::Audio => {
            let mel = MelSpec {
                sample_rate_hz: RATE_HZ as u32,
                window_samples: 400,
                hop_samples: 8000,
                fft_samples: 512,
                n_mels: 8,
                low_hz: 100.0,
                high_hz: 8000.0,
                steps: 2,
                mean: 0.0,
                divisor: 1.0,
                range_db: None,
            };
            (FrontEnd::Mel(mel), SensorThresholds::Audio(AudioThresholds::default()))
        }
    };
    let name = if sensor == Sensor::Video { "video" } else { "audio" };
    StreamSpec { schedule, sensors: vec![SensorSpec { name: name.into(), front_end, thresholds }] }
}
