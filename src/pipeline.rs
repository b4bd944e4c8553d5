//! One stream: the single owner of its state, from samples to labels.
//!
//! `loop { select; apply }`: samples and time go into the assembler, due windows go to the inference
//! thread, and their outcomes leave in the order of the windows.
//!
//! **When inference is slower than the stream.** Up to [`WINDOWS_IN_FLIGHT`] windows wait for it. A
//! window that finds them all taken is published as blind, with nothing missing, and complained of:
//! every window has its outcome, and none waits for ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cmpt_core::assembler::{Assembler, DueWindow, Event};
use cmpt_core::dropout::{SensorState, SourceEvent};
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;
use cmpt_core::time::Timestamp;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::inference::{Inference, InferenceHandle, WorkerError};
use crate::labeller::{Facts, Labeller, Times, split};
use crate::publish::payload::{Label, Sensor};
use crate::publish::{Message, Outlet};

/// Windows that may be at the inference thread or wait for it.
pub const WINDOWS_IN_FLIGHT: usize = 16;
/// Messages that the sources of a stream may be ahead of it; who finds it full waits, and the queue of
/// the source behind says what is lost.
pub const INBOX: usize = 32;
/// An engine that keeps failing or lagging is complained of once in this time.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// What the sources tell a pipeline.
#[derive(Clone, Debug)]
pub enum StreamMessage {
    /// A sample arrived.
    Sample {
        /// Of which modality.
        modality: ModalityId,
        /// The sample.
        sample: Sample,
    },
    /// The source of a modality ended or failed.
    Source {
        /// Which.
        modality: ModalityId,
        /// What happened.
        event: SourceEvent,
    },
    /// The stream is over after so many windows.
    Finish {
        /// How many windows it has.
        windows: u64,
    },
}

/// What a pipeline is made of.
pub struct Parts<C> {
    /// Number of the stream among those of the inference thread.
    pub index: usize,
    /// Its clock.
    pub clock: C,
    /// What its sources say.
    pub inbox: mpsc::Receiver<StreamMessage>,
    /// Its windows and detectors.
    pub assembler: Assembler,
    /// What makes its labels.
    pub labeller: Labeller,
    /// The inference thread.
    pub inference: InferenceHandle,
    /// The publishers.
    pub outlet: Outlet,
    /// Told the stream's number with every published window; a full channel has been told enough.
    pub progress: mpsc::Sender<usize>,
    /// Asks it to finish the windows that are due and end.
    pub shutdown: CancellationToken,
}

/// A live stream.
pub struct Pipeline<C> {
    parts: Parts<C>,
    waiting: FuturesOrdered<BoxFuture<'static, (Facts, Outcome)>>,
    in_flight: usize,
    finish_after: Option<u64>,
    windows: u64,
    complaint: Complaint,
}

/// What became of a window.
enum Outcome {
    /// No sensor was usable.
    Blind,
    /// The inference thread was too far behind.
    Overload,
    /// The engine's answer.
    Inferred(Result<Inference, WorkerError>),
}

enum Action {
    Stop,
    Outcome(Facts, Outcome),
    Message(StreamMessage),
    Timeout,
}

enum Flow {
    Go,
    Stop,
}

impl<C: Clock> Pipeline<C> {
    /// A pipeline that has not started.
    pub fn new(parts: Parts<C>) -> Self {
        Self {
            parts,
            waiting: FuturesOrdered::new(),
            in_flight: 0,
            finish_after: None,
            windows: 0,
            complaint: Complaint::default(),
        }
    }

    /// Runs until it is asked to stop, or the stream is over. Errors: the inference thread is gone.
    pub async fn run(mut self) -> Result<(), WorkerError> {
        for index in 0..self.parts.labeller.model().manifest().modalities.len() {
            self.publish_sensor(ModalityId(index), SensorState::Healthy, Timestamp::ZERO).await;
        }
        loop {
            let action = self.select().await;
            if let Flow::Stop = self.apply(action).await? {
                return self.drain().await;
            }
        }
    }

    async fn select(&mut self) -> Action {
        let timeout = self.parts.assembler.poll_timeout();
        tokio::select! {
            biased;
            () = self.parts.shutdown.cancelled() => Action::Stop,
            Some((facts, outcome)) = self.waiting.next() => Action::Outcome(facts, outcome),
            message = self.parts.inbox.recv() => message.map_or(Action::Stop, Action::Message),
            () = sleep_until(&self.parts.clock, timeout) => Action::Timeout,
        }
    }

    async fn apply(&mut self, action: Action) -> Result<Flow, WorkerError> {
        let now = self.parts.clock.now();
        match action {
            Action::Stop => return Ok(Flow::Stop),
            Action::Outcome(facts, outcome) => self.finish(facts, outcome).await?,
            Action::Message(StreamMessage::Sample { modality, sample }) => {
                self.parts.assembler.handle_sample(now, modality, sample);
            }
            Action::Message(StreamMessage::Source { modality, event }) => {
                self.parts.assembler.handle_source(now, modality, event);
            }
            Action::Message(StreamMessage::Finish { windows }) => self.finish_after = Some(windows),
            Action::Timeout => self.parts.assembler.handle_timeout(now),
        }
        self.poll_assembler().await;
        let over = self.finish_after.is_some_and(|windows| self.windows >= windows);
        Ok(if over { Flow::Stop } else { Flow::Go })
    }

    async fn poll_assembler(&mut self) {
        while let Some(event) = self.parts.assembler.poll_event() {
            match event {
                Event::Sensor { modality, state, at } => self.publish_sensor(modality, state, at).await,
                Event::Window(window) => self.begin(window),
            }
            if self.finish_after.is_some_and(|windows| self.windows >= windows) {
                return;
            }
        }
    }

    /// Sends a due window to the inference thread.
    fn begin(&mut self, window: DueWindow) {
        self.windows += 1;
        let (facts, parts) = split(window);
        match parts {
            None => self.waiting.push_back(Box::pin(std::future::ready((facts, Outcome::Blind)))),
            Some(_) if self.in_flight >= WINDOWS_IN_FLIGHT => {
                self.waiting.push_back(Box::pin(std::future::ready((facts, Outcome::Overload))));
            }
            Some(parts) => {
                self.in_flight += 1;
                let (inference, stream) = (self.parts.inference.clone(), self.parts.index);
                self.waiting.push_back(Box::pin(async move {
                    let inferred = inference.infer(stream, parts).await;
                    (facts, Outcome::Inferred(inferred))
                }));
            }
        }
    }

    /// Publishes the outcome of a window.
    async fn finish(&mut self, facts: Facts, outcome: Outcome) -> Result<(), WorkerError> {
        let inference = match outcome {
            Outcome::Blind => None,
            Outcome::Overload => {
                self.complaint.about(self.parts.labeller.stream(), "inference is slower than the stream");
                None
            }
            Outcome::Inferred(inferred) => {
                self.in_flight -= 1;
                match inferred {
                    Ok(inference) => Some(inference),
                    Err(WorkerError::Gone) => return Err(WorkerError::Gone),
                    Err(error) => {
                        self.complaint.about(self.parts.labeller.stream(), &error.to_string());
                        None
                    }
                }
            }
        };
        let clock = &self.parts.clock;
        let times = Times {
            start_ms: clock.unix_ms(facts.start),
            end_ms: clock.unix_ms(facts.end),
            published_ms: clock.unix_ms(clock.now()),
        };
        let label = self.parts.labeller.label(&facts, inference.as_ref(), times);
        count(&label);
        count_dropped(&self.parts.assembler, &self.parts.labeller);
        self.parts.outlet.send(Message::Label(Arc::new(label))).await;
        // Full means that enough progress is waiting to be seen.
        let _ = self.parts.progress.try_send(self.parts.index);
        Ok(())
    }

    async fn publish_sensor(&mut self, modality: ModalityId, state: SensorState, at: Timestamp) {
        let sensor = Sensor::new(state, self.parts.clock.unix_ms(at));
        let message = sensor_message(&self.parts.labeller, modality, sensor);
        self.parts.outlet.send(message).await;
    }

    /// Publishes the windows that are due, and ends.
    async fn drain(mut self) -> Result<(), WorkerError> {
        if self.finish_after.is_none() {
            let now = self.parts.clock.now();
            self.parts.assembler.handle_timeout(now);
            self.poll_assembler().await;
        }
        while let Some((facts, outcome)) = self.waiting.next().await {
            self.finish(facts, outcome).await?;
        }
        Ok(())
    }
}

/// A message about a sensor's new state, which is also logged.
pub(crate) fn sensor_message(labeller: &Labeller, modality: ModalityId, sensor: Sensor) -> Message {
    let (stream, modality) = (labeller.stream().to_owned(), labeller.model().name(modality).to_owned());
    match sensor.reason {
        Some(reason) => warn!(%stream, %modality, ?reason, "sensor is lost, labels go on without it"),
        None => info!(%stream, %modality, state = sensor.state, "sensor"),
    }
    Message::Sensor { stream, modality, sensor }
}

/// Counts a label by stream and path, and its latency.
pub(crate) fn count(label: &Label) {
    let (stream, path) = (label.stream.clone(), label.path.name());
    metrics::counter!("cmpt_windows_total", "stream" => stream.clone(), "path" => path).increment(1);
    let latency = Duration::from_millis(u64::try_from(label.latency_ms).unwrap_or(0));
    metrics::histogram!("cmpt_label_latency_seconds", "stream" => stream, "path" => path).record(latency);
}

fn count_dropped(assembler: &Assembler, labeller: &Labeller) {
    for id in (0..labeller.model().manifest().modalities.len()).map(ModalityId) {
        let dropped = assembler.dropped(id);
        let why = [
            ("late", dropped.late),
            ("bad_timestamps", dropped.bad_timestamps),
            ("malformed", dropped.malformed),
        ];
        for (why, samples) in why {
            let (stream, modality) = (labeller.stream().to_owned(), labeller.model().name(id).to_owned());
            metrics::counter!(
                "cmpt_samples_dropped_total", "stream" => stream, "modality" => modality, "why" => why
            )
            .absolute(samples);
        }
    }
}

async fn sleep_until<C: Clock>(clock: &C, timeout: Option<Timestamp>) {
    match timeout {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Windows that the engine left blind, reported now and then rather than each.
#[derive(Debug, Default)]
struct Complaint {
    windows: u64,
    at: Option<Instant>,
}

impl Complaint {
    fn about(&mut self, stream: &str, reason: &str) {
        self.windows += 1;
        if self.at.is_none_or(|at| at.elapsed() >= COMPLAINT_INTERVAL) {
            error!(stream, reason, windows = self.windows, "windows are blind for want of inference");
            *self = Self { windows: 0, at: Some(Instant::now()) };
        }
    }
}
