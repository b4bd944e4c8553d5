//! `cmptd bench --media`: what it costs to watch a live source, as shares of one core.
//!
//! The file is played in real time, three times over: its samples are thrown away; they are measured
//! by the detectors; they go through the whole assembler, windows and features included. CPU time is
//! what the scheduler has given each thread (`/proc/self/task/*/schedstat`), so that what the threads
//! of GStreamer spend on decoding and scaling is told apart from what the one that receives spends.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use cmpt_core::assembler::{Assembler, FrontEnd, SensorSpec, StreamSpec};
use cmpt_core::dropout::{
    AudioThresholds, DropoutDetector, PictureMeter, SensorThresholds, SoundMeter, VideoThresholds,
};
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;
use cmpt_core::time::Timestamp;
use cmpt_core::window::WindowSchedule;
use serde::Serialize;

use crate::config::output;
use crate::failure::Failure;
use crate::ingest::{self, Media, Pace, SourceMessage, SourceSpec, StreamClock};
use crate::model::Model;

/// Each way is measured so often, in turn, so that a machine that is busy for a while is so for all.
const ROUNDS: usize = 3;
/// Lateness of the windows.
const LATENESS: Duration = Duration::from_millis(200);

/// The report. Percent are of one core.
#[derive(Debug, Serialize)]
pub struct Cost {
    media: String,
    model: String,
    seconds_each: u64,
    rounds: usize,
    /// Samples of each modality a second.
    samples_per_second: BTreeMap<String, f64>,
    /// Samples that the queue dropped because the machine was too slow; 0 if the figures are of real time.
    dropped: u64,
    /// GStreamer's threads while samples are thrown away: (a).
    decoding_percent: Spread,
    /// The receiving thread while samples are thrown away.
    receiving_percent: Spread,
    /// What the receiving thread spends more when samples are measured: (b).
    detection_percent: Spread,
    /// What it spends more when windows are assembled and features computed: (c).
    features_percent: Spread,
    /// (b) + (c).
    detection_and_features_percent: Spread,
    /// The whole process while samples are thrown away, and while everything is done.
    process_percent: [Spread; 2],
}

/// A figure over the rounds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Spread {
    mean: f64,
    min: f64,
    max: f64,
}

/// What is done with the samples.
#[derive(Clone, Copy)]
enum Way {
    Receive,
    Detect,
    Assemble,
}

/// CPU time of one run as shares of its duration.
#[derive(Clone, Copy, Default)]
struct Share {
    receiver: f64,
    others: f64,
}

impl Cost {
    /// Plays `media` with the front ends of `model` and default thresholds, each way for `span`.
    pub fn measure(model: &Model, media: &str, span: Duration) -> Result<Self, Failure> {
        // The receiver is this thread alone.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be started");
        let mut bench = Bench { model, media, span, samples: BTreeMap::new(), seconds: 0.0, dropped: 0 };
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let mut round = Vec::new();
            for way in [Way::Receive, Way::Detect, Way::Assemble] {
                round.push(runtime.block_on(bench.run(way))?);
            }
            rounds.push(round);
        }
        let spread = |figure: &dyn Fn(&[Share]) -> f64| Spread::of(rounds.iter().map(|round| figure(round)));
        let per_second = bench
            .samples
            .iter()
            .map(|(name, count)| (name.clone(), (10.0 * f64::from(*count) / bench.seconds).round() / 10.0));
        Ok(Self {
            media: Media::Uri(media.to_owned()).to_string(),
            model: format!("{} {}", model.manifest().name, model.manifest().version),
            seconds_each: span.as_secs(),
            rounds: ROUNDS,
            samples_per_second: per_second.collect(),
            dropped: bench.dropped,
            decoding_percent: spread(&|round| round[0].others),
            receiving_percent: spread(&|round| round[0].receiver),
            detection_percent: spread(&|round| round[1].receiver - round[0].receiver),
            features_percent: spread(&|round| round[2].receiver - round[1].receiver),
            detection_and_features_percent: spread(&|round| round[2].receiver - round[0].receiver),
            process_percent: [0, 2].map(|way| spread(&|round| round[way].receiver + round[way].others)),
        })
    }
}

struct Bench<'a> {
    model: &'a Model,
    media: &'a str,
    span: Duration,
    samples: BTreeMap<String, u32>,
    /// Of all runs together.
    seconds: f64,
    dropped: u64,
}

impl Bench<'_> {
    async fn run(&mut self, way: Way) -> Result<Share, Failure> {
        let modalities = (0..self.model.manifest().modalities.len()).map(ModalityId);
        let outputs = modalities.map(|id| output(self.model, id)).collect();
        let spec = SourceSpec::new(Media::Uri(self.media.to_owned()), outputs, Pace::Live);
        let clock = StreamClock::start();
        let mut feed = ingest::open(spec)?.start(&clock);
        let mut receiver = Receiver::new(way, self.model);
        // What it takes to open the media is no part of it.
        let mut began: Option<(Instant, BTreeMap<u64, Duration>)> = None;
        while let Some(message) = feed.recv().await {
            match message {
                SourceMessage::Sample { modality, sample } => {
                    let (began_at, _) = match &began {
                        Some(began) => began,
                        None => began.insert((Instant::now(), threads()?)),
                    };
                    if began_at.elapsed() >= self.span {
                        break;
                    }
                    *self.samples.entry(self.model.name(modality).to_owned()).or_default() += 1;
                    receiver.handle(clock.now(), modality, sample);
                }
                SourceMessage::Failed(error) | SourceMessage::Lacking { error, .. } => {
                    return Err(error.into());
                }
                SourceMessage::Started | SourceMessage::Ended { .. } => {}
            }
        }
        let Some((began_at, before)) = began else {
            return Err(Failure::Usage(format!("measure {}: it has no samples", self.media)));
        };
        let (seconds, after, this) = (began_at.elapsed().as_secs_f64(), threads()?, this_thread()?);
        self.seconds += seconds;
        self.dropped += feed.dropped();
        feed.stop().await;
        let mut share = Share::default();
        for (thread, spent) in after {
            let spent = spent.saturating_sub(before.get(&thread).copied().unwrap_or_default());
            let percent = 100.0 * spent.as_secs_f64() / seconds;
            *(if thread == this { &mut share.receiver } else { &mut share.others }) += percent;
        }
        Ok(share)
    }
}

/// What receives the samples.
enum Receiver {
    Nothing,
    Detectors(Vec<(Meter, DropoutDetector)>),
    Assembler(Box<Assembler>),
}

enum Meter {
    Picture(Box<PictureMeter>),
    Sound(Box<SoundMeter>),
}

impl Receiver {
    fn new(way: Way, model: &Model) -> Self {
        let front_ends =
            (0..model.manifest().modalities.len()).map(|index| model.front_end(ModalityId(index)));
        let thresholds = |front_end: &FrontEnd| match front_end {
            FrontEnd::Mel(_) => SensorThresholds::Audio(AudioThresholds::default()),
            FrontEnd::Pictures { .. } => SensorThresholds::Video(VideoThresholds::default()),
        };
        match way {
            Way::Receive => Self::Nothing,
            Way::Detect => Self::Detectors(
                front_ends
                    .map(|front_end| {
                        let detector = DropoutDetector::new(thresholds(&front_end), Timestamp::ZERO);
                        (Meter::new(&front_end), detector)
                    })
                    .collect(),
            ),
            Way::Assemble => {
                let sensors = front_ends.enumerate().map(|(index, front_end)| SensorSpec {
                    name: model.name(ModalityId(index)).to_owned(),
                    thresholds: thresholds(&front_end),
                    front_end,
                });
                let schedule =
                    WindowSchedule { length: model.window(), hop: model.hop(), lateness: LATENESS };
                let spec = StreamSpec { schedule, sensors: sensors.collect() };
                Self::Assembler(Box::new(
                    Assembler::new(spec).expect("an opened bundle has sound front ends"),
                ))
            }
        }
    }

    fn handle(&mut self, now: Timestamp, modality: ModalityId, sample: Sample) {
        match self {
            Self::Nothing => drop(sample),
            Self::Detectors(sensors) => {
                let (meter, detector) = &mut sensors[modality.0];
                match (meter, &sample) {
                    (Meter::Picture(meter), Sample::Frame(frame)) => {
                        detector.handle_frame(now, &meter.measure(frame));
                    }
                    (Meter::Sound(meter), Sample::Audio(block)) => {
                        detector.handle_block(now, &meter.measure(&block.samples));
                    }
                    _ => unreachable!("a source delivers what its outputs say"),
                }
                while detector.poll_event().is_some() {}
            }
            Self::Assembler(assembler) => {
                if assembler.poll_timeout().is_some_and(|at| at <= now) {
                    assembler.handle_timeout(now);
                }
                assembler.handle_sample(now, modality, sample);
                while let Some(event) = assembler.poll_event() {
                    std::hint::black_box(event);
                }
            }
        }
    }
}

impl Meter {
    fn new(front_end: &FrontEnd) -> Self {
        match front_end {
            FrontEnd::Mel(spec) => {
                Self::Sound(Box::new(SoundMeter::new(&AudioThresholds::default(), spec.sample_rate_hz)))
            }
            FrontEnd::Pictures { .. } => {
                Self::Picture(Box::new(PictureMeter::new(&VideoThresholds::default())))
            }
        }
    }
}

impl Spread {
    /// Of at least one figure; to a thousandth.
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let figures: Vec<f64> = figures.collect();
        let thousandths = |figure: f64| (1e3 * figure).round() / 1e3;
        Self {
            mean: thousandths(figures.iter().sum::<f64>() / figures.len() as f64),
            min: thousandths(figures.iter().copied().fold(f64::INFINITY, f64::min)),
            max: thousandths(figures.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        }
    }
}

/// CPU time of every thread of this process.
fn threads() -> Result<BTreeMap<u64, Duration>, Failure> {
    let mut threads = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/task").map_err(Failure::CpuTime)? {
        let entry = entry.map_err(Failure::CpuTime)?;
        let id = number(&entry.file_name().to_string_lossy())?;
        // A thread may end while they are listed.
        let Ok(text) = std::fs::read_to_string(entry.path().join("schedstat")) else { continue };
        let spent = number(text.split(' ').next().unwrap_or_default())?;
        threads.insert(id, Duration::from_nanos(spent));
    }
    Ok(threads)
}

/// Id of this thread.
fn this_thread() -> Result<u64, Failure> {
    let link = std::fs::read_link("/proc/thread-self").map_err(Failure::CpuTime)?;
    number(&link.file_name().unwrap_or_default().to_string_lossy())
}

fn number(text: &str) -> Result<u64, Failure> {
    let unexpected = || Failure::CpuTime(io::Error::other(format!("expected a number, found {text:?}")));
    text.parse().map_err(|_| unexpected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_is_charged_for_it() {
        let (this, before) = (this_thread().unwrap(), threads().unwrap());
        let started = Instant::now();
        let mut sum = 0u64;
        while started.elapsed() < Duration::from_millis(200) {
            sum = std::hint::black_box(sum + 1);
        }
        let spent = threads().unwrap()[&this] - before[&this];
        assert!(!spent.is_zero() && spent <= started.elapsed() + Duration::from_millis(20), "{spent:?}");
    }
}
