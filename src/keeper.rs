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
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::ingest::{Feed, Source, SourceError, SourceMessage, StreamClock};
use crate::journal::{Condition, Journal};
use crate::pipeline::StreamMessage;

/// A source that has delivered for this long is well: its next failure is a first one.
const WELL_AFTER: Duration = Duration::from_secs(10);
/// Longest wait after a failure that waiting does not mend, such as a codec that lacks: to find that
/// out again costs a pipeline.
const LASTING_WAIT: Duration = Duration::from_secs(30);
/// A server answers a knock within this, or not at all. A lost SYN is sent again after a second, and
/// then later and later; to knock anew is quicker.
const KNOCK_DEADLINE: Duration = Duration::from_secs(1);
/// How often delay and drift are reported.
const DRIFT_INTERVAL: Duration = Duration::from_secs(10);

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
    journal: Journal,
    drift: Vec<(ModalityId, DriftMeter)>,
    drift_told_at: Instant,
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
        let drift = outputs.iter().map(|output| (output.modality, DriftMeter::default())).collect();
        let now = Instant::now();
        Self {
            backoff: Backoff::new(seed(&stream, &name)),
            journal: Journal::new(now),
            drift,
            drift_told_at: now,
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
            let mut feed = self.source.start(&self.clock);
            let run = shutdown.run_until_cancelled(self.forward(&mut feed)).await;
            self.count("cmpt_source_samples_lost_total", feed.dropped());
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
        while let Some(message) = feed.recv().await {
            match message {
                SourceMessage::Started => {
                    run.first_sample_at = Some(Instant::now());
                    self.is_up();
                }
                SourceMessage::Sample { modality, sample } => {
                    self.observe(modality, sample.at());
                    let _ = self.messages.send(StreamMessage::Sample { modality, sample }).await;
                }
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

    /// Waits until it is worth while to start the source again.
    async fn pause(&mut self, run: &Run) {
        if run.first_sample_at.is_some_and(|at| at.elapsed() >= WELL_AFTER) {
            self.backoff.reset();
        }
        let lasting = run.failure.as_ref().is_some_and(SourceError::is_lasting);
        let most = if lasting { LASTING_WAIT } else { self.source.spec().retry_max };
        loop {
            tokio::time::sleep(self.backoff.next_wait_within(most)).await;
            match self.source.address() {
                Some((host, port)) if !answers(&host, port).await => {
                    self.note(Condition::Down("unreachable"), None);
                }
                _ => return,
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
        if let Some((_, meter)) = self.drift.iter_mut().find(|(of, _)| *of == modality) {
            meter.observe(at, now);
        }
        if self.drift_told_at.elapsed() >= DRIFT_INTERVAL {
            self.drift_told_at = Instant::now();
            self.tell_drift();
        }
    }

    fn tell_drift(&self) {
        for output in &self.source.spec().outputs {
            let Some((_, meter)) = self.drift.iter().find(|(of, _)| *of == output.modality) else { continue };
            let gauge = |name, value: Option<f64>| {
                if let Some(value) = value {
                    let labels = [("stream", self.stream.clone()), ("modality", output.name.clone())];
                    metrics::gauge!(name, &labels).set(value);
                }
            };
            gauge("cmpt_source_delay_seconds", meter.delay_s());
            gauge("cmpt_source_drift_ppm", meter.drift_ppm());
        }
    }

    fn count(&self, name: &'static str, by: u64) {
        metrics::counter!(name, "stream" => self.stream.clone(), "source" => self.name.clone()).increment(by);
    }

    fn gauge(&self, name: &'static str, value: f64) {
        metrics::gauge!(name, "stream" => self.stream.clone(), "source" => self.name.clone()).set(value);
    }
}

async fn answers(host: &str, port: u16) -> bool {
    matches!(tokio::time::timeout(KNOCK_DEADLINE, TcpStream::connect((host, port))).await, Ok(Ok(_)))
}

/// The same in every run, and another for every source of a daemon.
fn seed(stream: &str, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (stream, name).hash(&mut hasher);
    hasher.finish()
}
