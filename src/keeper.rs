//! Keeps one source alive: starts it, hands on what it says, starts it again, for ever.
//!
//! Whatever a source does, it does to itself alone. The pipeline hears of it as samples that come or do
//! not, and as [`SourceEvent`]s.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use cmpt_core::drift::DriftMeter;
use cmpt_core::dropout::SourceEvent;
use cmpt_core::modality::ModalityId;
use cmpt_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::ingest::{Feed, Output, Source, SourceError, SourceMessage, StreamClock};
use crate::journal::{Condition, Journal};
use crate::knock::{Closed, knock};
use crate::patience::Patience;
use crate::pipeline::StreamMessage;

/// A source that has delivered for this long is well: its next failure is a first one.
const WELL_AFTER: Duration = Duration::from_secs(10);
/// Longest wait after a failure that waiting does not mend, such as a codec that lacks: to find that
/// out again costs a pipeline.
const LASTING_WAIT: Duration = Duration::from_secs(30);
/// Samples that are older than this on arrival have piled up in front of a decoder that is too slow, or
/// are stamped with another clock.
const BEHIND: Duration = Duration::from_secs(5);
/// When nothing but such samples has come for this long, a new connection is the way out: it empties
/// every queue on the way, whose memory would otherwise grow with the delay.
const BEHIND_FOR: Duration = Duration::from_secs(5);
/// How often delay, drift and losses are reported as metrics.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// How often delay and drift have a line in the log.
const CLOCK_INTERVAL: Duration = Duration::from_secs(3600);

/// What a keeper is made of.
pub struct Parts {
    /// The stream that the source belongs to.
    pub stream: String,
    /// The source.
    pub source: Box<dyn Source>,
    /// The stream's clock.
    pub clock: StreamClock,
    /// The stream's pipeline.
    pub messages: mpsc::Sender<StreamMessage>,
    /// Told once, when the source has started or failed for the first time.
    pub settled: oneshot::Sender<()>,
    /// Ends the keeper.
    pub shutdown: CancellationToken,
}

/// Keeps one source alive.
pub struct Keeper {
    stream: String,
    /// The modalities that the source provides, joined: its name in logs and metrics.
    name: String,
    source: Box<dyn Source>,
    clock: StreamClock,
    messages: mpsc::Sender<StreamMessage>,
    settled: Option<oneshot::Sender<()>>,
    shutdown: CancellationToken,
    backoff: Backoff,
    patience: Patience,
    journal: Journal,
    tracks: Vec<Track>,
    reported_at: Instant,
    clock_told_at: Option<Instant>,
    /// Of the present run, the samples lost that have been reported.
    lost_told: u64,
    /// Since when every sample has been late beyond use.
    behind_since: Option<Instant>,
}

/// One modality that the source provides.
struct Track {
    modality: ModalityId,
    name: String,
    drift: DriftMeter,
    /// Of its presence in the media.
    journal: Journal,
    lacks: bool,
}

/// How one run of the source went.
#[derive(Default)]
struct Run {
    first_sample_at: Option<Instant>,
    failure: Option<SourceError>,
}

impl Keeper {
    /// A keeper that has not started.
    pub fn new(parts: Parts) -> Self {
        let Parts { stream, source, clock, messages, settled, shutdown } = parts;
        let outputs = &source.spec().outputs;
        let name = outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>().join("+");
        let now = Instant::now();
        let track = |output: &Output| Track {
            modality: output.modality,
            name: output.name.clone(),
            drift: DriftMeter::default(),
            journal: Journal::new(now),
            lacks: false,
        };
        let tracks = outputs.iter().map(track).collect();
        Self {
            backoff: Backoff::new(seed(&stream, &name)),
            patience: Patience::new(source.spec().start_within, source.spec().stall_after),
            journal: Journal::new(now),
            tracks,
            reported_at: now,
            clock_told_at: None,
            lost_told: 0,
            behind_since: None,
            settled: Some(settled),
            stream,
            name,
            source,
            clock,
            messages,
            shutdown,
        }
    }

    /// Runs until it is shut down.
    pub async fn run(mut self) {
        let shutdown = self.shutdown.clone();
        loop {
            let (asked, patience) = (Instant::now(), self.patience.next());
            let mut feed = self.source.start_within(&self.clock, patience);
            let run = shutdown.run_until_cancelled(self.forward(&mut feed)).await;
            match run.as_ref().and_then(|run| run.first_sample_at) {
                Some(at) => self.patience.succeed(at - asked),
                // Not one that was refused.
                None if asked.elapsed() >= patience / 2 => self.patience.fail(),
                None => {}
            }
            self.report(&feed);
            self.lost_told = 0;
            if !feed.stop().await {
                warn!(stream = %self.stream, source = %self.name, "source does not let go of its device");
            }
            let Some(run) = run else { return };
            if shutdown.run_until_cancelled(self.pause(&run)).await.is_none() {
                return;
            }
            self.count("cmpt_source_restarts_total", 1);
        }
    }

    /// Hands on what the source says until it ends. A pipeline that is gone takes the daemon with it,
    /// so a send that fails needs no care here.
    async fn forward(&mut self, feed: &mut Feed) -> Run {
        let mut run = Run::default();
        // A new connection has a delay of its own, which is no drift.
        self.tracks.iter_mut().for_each(|track| track.drift = DriftMeter::default());
        self.behind_since = None;
        while let Some(message) = feed.recv().await {
            match message {
                SourceMessage::Started => {
                    run.first_sample_at = Some(Instant::now());
                    self.is_up();
                }
                SourceMessage::Sample { modality, sample } => {
                    self.observe(modality, sample.at());
                    if self.reported_at.elapsed() >= REPORT_INTERVAL {
                        self.report(feed);
                    }
                    if let Some(error) = self.falls_behind(sample.at()) {
                        run.failure = Some(error);
                        break;
                    }
                    let _ = self.messages.send(StreamMessage::Sample { modality, sample }).await;
                }
                SourceMessage::Lacking { modality, error } => self.tell_lack(modality, &error).await,
                SourceMessage::Ended { modality } => {
                    let ended = StreamMessage::Source { modality, event: SourceEvent::Eos };
                    let _ = self.messages.send(ended).await;
                }
                SourceMessage::Failed(error) => {
                    self.tell_failure(&error).await;
                    run.failure = Some(error);
                }
            }
        }
        self.is_down(run.failure.as_ref());
        run
    }

    /// A stall is what the detector sees by itself, and calls `no_buffers`; anything else it cannot know.
    async fn tell_failure(&mut self, error: &SourceError) {
        if let SourceError::Stalled { .. } = error {
            return;
        }
        for output in &self.source.spec().outputs {
            let failed = StreamMessage::Source { modality: output.modality, event: SourceEvent::Error };
            let _ = self.messages.send(failed).await;
        }
    }

    /// The others go on, so this is no failure of the source.
    async fn tell_lack(&mut self, modality: ModalityId, error: &SourceError) {
        let lacking = StreamMessage::Source { modality, event: SourceEvent::Error };
        let _ = self.messages.send(lacking).await;
        let Some(track) = self.tracks.iter_mut().find(|track| track.modality == modality) else { return };
        track.lacks = true;
        if track.journal.note(Instant::now(), Condition::Down(error.kind())).is_some() {
            let (stream, modality) = (&self.stream, &track.name);
            warn!(%stream, %modality, %error, "source goes on without a modality that it should provide");
        }
    }

    /// Waits until it is worth while to start the source again.
    async fn pause(&mut self, run: &Run) {
        if run.first_sample_at.is_some_and(|at| at.elapsed() >= WELL_AFTER) {
            self.backoff.reset();
        }
        let lasting = run.failure.as_ref().is_some_and(SourceError::is_lasting);
        let most = if lasting { LASTING_WAIT } else { self.source.spec().retry_max };
        tokio::time::sleep(self.backoff.next_wait_within(most)).await;
        let Some((host, port)) = self.source.address() else { return };
        while let Err(closed) = knock(&host, port).await {
            self.note(Condition::Down(closed.kind()), None);
            if closed != Closed::Silent {
                tokio::time::sleep(self.backoff.next_wait_within(most)).await;
            }
        }
    }

    fn is_up(&mut self) {
        self.gauge("cmpt_source_up", 1.0);
        self.note(Condition::Up, None);
        self.settle();
    }

    fn is_down(&mut self, failure: Option<&SourceError>) {
        self.gauge("cmpt_source_up", 0.0);
        let kind = failure.map_or("ended", SourceError::kind);
        metrics::counter!(
            "cmpt_source_failures_total",
            "stream" => self.stream.clone(), "source" => self.name.clone(), "why" => kind
        )
        .increment(1);
        self.note(Condition::Down(kind), failure);
        self.settle();
    }

    /// One line per change, and not too many.
    fn note(&mut self, condition: Condition, error: Option<&SourceError>) {
        let Some(line) = self.journal.note(Instant::now(), condition) else { return };
        let (stream, source, media) = (&self.stream, &self.name, &self.source.spec().media);
        let (held_back, times) = (line.held_back, line.times);
        match (condition, error) {
            (Condition::Up, _) => info!(%stream, %source, %media, held_back, "source delivers"),
            (Condition::Down(_), Some(error)) => {
                warn!(%stream, %source, %error, times, held_back, "source is down, it is tried again and again");
            }
            (Condition::Down(why), None) => {
                warn!(%stream, %source, %media, why, times, held_back, "source is down, it is tried again and again");
            }
        }
    }

    fn settle(&mut self) {
        if let Some(settled) = self.settled.take() {
            // Nobody waits any more when the daemon is stopping.
            let _ = settled.send(());
        }
    }

    fn observe(&mut self, modality: ModalityId, at: Timestamp) {
        let now = self.clock.now();
        let Some(track) = self.tracks.iter_mut().find(|track| track.modality == modality) else { return };
        track.drift.observe(at, now);
        if std::mem::take(&mut track.lacks) && track.journal.note(Instant::now(), Condition::Up).is_some() {
            info!(stream = %self.stream, modality = %track.name, "source has a modality that it lacked");
        }
    }

    /// An error once nothing but samples of long ago has come for a while. The detector sees by itself
    /// that they are of no use, and why.
    fn falls_behind(&mut self, at: Timestamp) -> Option<SourceError> {
        let by = self.clock.now().saturating_since(at);
        if by < BEHIND {
            self.behind_since = None;
            return None;
        }
        let since = *self.behind_since.get_or_insert_with(Instant::now);
        let media = self.source.spec().media.clone();
        (since.elapsed() >= BEHIND_FOR).then_some(SourceError::Behind { media, by })
    }

    /// Metrics of the present run, and now and then a line.
    fn report(&mut self, feed: &Feed) {
        self.reported_at = Instant::now();
        let lost = feed.dropped();
        self.count("cmpt_source_samples_lost_total", lost - self.lost_told);
        self.lost_told = lost;
        self.gauge("cmpt_source_queue_bytes", feed.most_bytes() as f64);
        for track in &self.tracks {
            let gauge = |name, value: Option<f64>| {
                if let Some(value) = value {
                    let labels = [("stream", self.stream.clone()), ("modality", track.name.clone())];
                    metrics::gauge!(name, &labels).set(value);
                }
            };
            gauge("cmpt_source_delay_seconds", track.drift.delay_s());
            gauge("cmpt_source_drift_ppm", track.drift.drift_ppm());
        }
        self.tell_clock();
    }

    fn tell_clock(&mut self) {
        let known = self.tracks.iter().any(|track| track.drift.drift_ppm().is_some());
        if !known || self.clock_told_at.is_some_and(|at| at.elapsed() < CLOCK_INTERVAL) {
            return;
        }
        self.clock_told_at = Some(Instant::now());
        for track in &self.tracks {
            let (Some(delay_s), Some(drift_ppm)) = (track.drift.delay_s(), track.drift.drift_ppm()) else {
                continue;
            };
            let (stream, modality, delay_ms) = (&self.stream, &track.name, (1e3 * delay_s).round());
            info!(%stream, %modality, delay_ms, drift_ppm = drift_ppm.round(), "clock of a source");
        }
    }

    fn count(&self, name: &'static str, by: u64) {
        metrics::counter!(name, "stream" => self.stream.clone(), "source" => self.name.clone()).increment(by);
    }

    fn gauge(&self, name: &'static str, value: f64) {
        metrics::gauge!(name, "stream" => self.stream.clone(), "source" => self.name.clone()).set(value);
    }
}

/// The same in every run, and another for every source of a daemon.
fn seed(stream: &str, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (stream, name).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
