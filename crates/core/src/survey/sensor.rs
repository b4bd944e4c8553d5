//! The survey of one sensor.

use std::collections::BTreeMap;
use std::time::Duration;

use super::propose::{self, Proposal};
use super::quantity::{Gatherer, NOTHING_DBFS, Quantity, Range};
use super::run::Runs;
use crate::dropout::{
    AudioThresholds, BlockStatistics, FrameStatistics, Reason, SensorState, SensorThresholds, StateChange,
    Statistics, VideoThresholds,
};
use crate::time::Timestamp;

/// The detector lets a run of clipped sound go on over pauses of this length.
const CLIPPED_BRIDGE: Duration = Duration::from_millis(1000);
/// Stretches that are counted at most: a day of two seconds each.
const STRETCHES: usize = 43_200;

/// Watches one sensor. Call in the order of time; times are those of arrival.
pub struct SensorSurvey {
    pub(super) thresholds: SensorThresholds,
    state: SensorState,
    gatherers: Vec<(Quantity, Gatherer)>,
    samples: u32,
    dropped: u32,
    pub(super) latest: Option<Statistics>,
    pub(super) losses: BTreeMap<Reason, u32>,
    pub(super) arrivals: Arrivals,
    pub(super) black: Option<Runs>,
    pub(super) bright: Option<Runs>,
    /// Pictures that stand by comparison with the noise, and those that stand by the tolerance.
    pub(super) collapsed: Option<Runs>,
    pub(super) alike: Option<Runs>,
    pub(super) silent: Option<Runs>,
    /// Whether sound was silent only because its level fell.
    pub(super) fell: bool,
    pub(super) clipped: Option<Runs>,
    pub(super) constant: Option<Runs>,
    pub(super) hum: Option<Runs>,
}

/// What a sensor was like since the [`Second`] before.
#[derive(Clone, Debug, PartialEq)]
pub struct Second {
    /// Its state at the end.
    pub state: SensorState,
    /// Samples that arrived.
    pub samples: u32,
    /// Samples that were dropped.
    pub dropped: u32,
    /// Every quantity of its kind; `None` where nothing was measured.
    pub quantities: Vec<(Quantity, Option<Range>)>,
}

impl SensorSurvey {
    /// Of a sensor with `thresholds` that has not been seen.
    pub fn new(thresholds: SensorThresholds) -> Self {
        let (video, audio) = match &thresholds {
            SensorThresholds::Video(video) => (Some(video), None),
            SensorThresholds::Audio(audio) => (None, Some(audio)),
        };
        let quantities = if video.is_some() { &Quantity::VIDEO[..] } else { &Quantity::AUDIO[..] };
        let frozen = video.and_then(|video| video.frozen.as_ref()).map(|frozen| frozen.after_ms);
        let stuck = audio.and_then(|audio| audio.stuck.as_ref()).map(|stuck| stuck.after_ms);
        let black = video.and_then(|video| video.black.as_ref()).map(|black| black.after_ms);
        let bright = video.and_then(|video| video.bright.as_ref()).map(|bright| bright.after_ms);
        let silent = audio.and_then(|audio| audio.silent.as_ref()).map(|silent| silent.after_ms);
        let clipped = audio.and_then(|audio| audio.clipped.as_ref()).map(|clipped| clipped.after_ms);
        Self {
            state: SensorState::Healthy,
            gatherers: quantities.iter().map(|quantity| (*quantity, Gatherer::default())).collect(),
            samples: 0,
            dropped: 0,
            latest: None,
            losses: BTreeMap::new(),
            arrivals: Arrivals::default(),
            black: black.map(Runs::ended_by_one_sample),
            bright: bright.map(Runs::ended_by_one_sample),
            collapsed: frozen.map(Runs::ended_by_one_sample),
            alike: frozen.map(Runs::ended_by_one_sample),
            silent: silent.map(Runs::ended_by_one_sample),
            fell: false,
            clipped: clipped.map(|after_ms| Runs::as_bad_as_its_worst(after_ms, CLIPPED_BRIDGE)),
            constant: stuck.map(|after_ms| Runs::as_bad_as_its_worst(after_ms, Duration::ZERO)),
            hum: stuck.map(|after_ms| Runs::as_bad_as_its_worst(after_ms, Duration::ZERO)),
            thresholds,
        }
    }

    /// A sample arrived.
    pub fn handle_sample(&mut self, now: Timestamp, statistics: &Statistics) {
        self.samples += 1;
        self.latest = Some(*statistics);
        let trickle = self.thresholds.delivery().trickle.as_ref();
        let stretch = trickle.map(|trickle| Duration::from_millis(trickle.after_ms));
        let interval = self.arrivals.observe(now, stretch);
        for (quantity, gatherer) in &mut self.gatherers {
            let value = match quantity {
                Quantity::IntervalMs => interval.map(|interval| 1e3 * interval.as_secs_f32()),
                _ => quantity.of(statistics),
            };
            value.into_iter().for_each(|value| gatherer.add(value));
        }
        match (&self.thresholds, statistics) {
            (SensorThresholds::Video(video), Statistics::Frame(frame)) => {
                let video = video.clone();
                self.judge_frame(now, &video, frame);
            }
            (SensorThresholds::Audio(audio), Statistics::Block(block)) => {
                let audio = audio.clone();
                self.judge_block(now, &audio, block);
            }
            _ => {}
        }
    }

    /// A sample arrived that was dropped.
    pub fn handle_dropped(&mut self) {
        self.dropped += 1;
    }

    /// The detector changed its mind.
    pub fn handle_state(&mut self, change: StateChange) {
        self.state = change.state;
        let SensorState::Lost(reason) = change.state else { return };
        *self.losses.entry(reason).or_default() += 1;
        if matches!(reason, Reason::Error | Reason::Eos) {
            self.arrivals.interrupt();
        }
        if matches!(reason, Reason::Error | Reason::Eos | Reason::NoBuffers | Reason::BadTimestamps) {
            let video = [&mut self.black, &mut self.bright, &mut self.collapsed, &mut self.alike];
            let audio = [&mut self.silent, &mut self.clipped, &mut self.constant, &mut self.hum];
            video.into_iter().chain(audio).flatten().for_each(Runs::interrupt);
        }
    }

    /// The present state.
    pub fn state(&self) -> SensorState {
        self.state
    }

    /// What it was like since the last call.
    pub fn take_second(&mut self) -> Second {
        let gatherers = self.gatherers.iter_mut();
        let quantities = gatherers.map(|(quantity, gatherer)| (*quantity, std::mem::take(gatherer).range()));
        Second {
            state: self.state,
            quantities: quantities.collect(),
            samples: std::mem::take(&mut self.samples),
            dropped: std::mem::take(&mut self.dropped),
        }
    }

    /// Thresholds that follow from everything seen so far.
    pub fn proposal(&self) -> Proposal {
        propose::propose(self)
    }

    fn judge_frame(&mut self, now: Timestamp, video: &VideoThresholds, frame: &FrameStatistics) {
        let black = video.black.as_ref().is_some_and(|black| frame.is_black(black));
        let bright = video.bright.as_ref().is_some_and(|bright| frame.is_bright(bright));
        let quiet = video.frozen.as_ref().is_some_and(|frozen| frame.is_quiet(frozen));
        let stands = video.frozen.as_ref().is_some_and(|frozen| frame.stands(frozen));
        observe(&mut self.black, now, black.then_some(frame.luma_deviation));
        observe(&mut self.bright, now, bright.then_some(-frame.saturated_share));
        observe(&mut self.collapsed, now, frame.collapse.filter(|_| quiet));
        observe(&mut self.alike, now, frame.difference.filter(|_| stands));
    }

    fn judge_block(&mut self, now: Timestamp, audio: &AudioThresholds, block: &BlockStatistics) {
        let level = block.ac_dbfs.max(NOTHING_DBFS);
        let silent = audio.silent.as_ref().is_some_and(|silent| block.is_silent(silent));
        self.fell |= silent && audio.silent.as_ref().is_some_and(|silent| level >= silent.dead_dbfs);
        let clipped = audio.clipped.as_ref().is_some_and(|clipped| block.is_clipped(clipped));
        let stuck = audio.stuck.as_ref().filter(|stuck| block.is_stuck(stuck));
        let constant =
            stuck.is_some_and(|stuck| block.constant.abs() >= stuck.constant && level < stuck.dead_dbfs);
        let rise = block.floor_dbfs.map(|floor| level - floor).filter(|_| stuck.is_some() && !constant);
        observe(&mut self.silent, now, silent.then_some(level));
        observe(&mut self.clipped, now, clipped.then_some(-block.clipped_share));
        observe(&mut self.constant, now, constant.then_some(-block.constant.abs()));
        observe(&mut self.hum, now, rise.map(|rise| -rise));
    }
}

fn observe(runs: &mut Option<Runs>, now: Timestamp, margin: Option<f32>) {
    if let Some(runs) = runs {
        runs.observe(now, margin);
    }
}

/// When samples arrive.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    latest: Option<Timestamp>,
    /// The longest time between two samples.
    pub(super) longest: Duration,
    stretch: Option<(Timestamp, u32)>,
    /// Samples in every stretch as long as the trickle's time to trip.
    counts: Vec<u32>,
}

impl Arrivals {
    /// A sample arrived; the time since the one before.
    fn observe(&mut self, now: Timestamp, stretch: Option<Duration>) -> Option<Duration> {
        if let Some(stretch) = stretch {
            let (began, count) = self.stretch.get_or_insert((now, 0));
            if now.saturating_since(*began) >= stretch {
                if self.counts.len() < STRETCHES {
                    self.counts.push(*count);
                }
                self.stretch = Some((now, 1));
            } else {
                *count += 1;
            }
        }
        let interval = now.saturating_since(self.latest.replace(now)?);
        self.longest = self.longest.max(interval);
        Some(interval)
    }

    /// The source was gone: the pause is none of the sensor's.
    fn interrupt(&mut self) {
        (self.latest, self.stretch) = (None, None);
    }

    /// Share of the usual number of samples that came in the worst stretch.
    pub(super) fn least_share(&self) -> Option<f32> {
        let mut counts = self.counts.clone();
        counts.sort_unstable();
        let usual = *counts.get(counts.len() / 2)?;
        Some(*counts.first()? as f32 / usual.max(1) as f32)
    }
}
