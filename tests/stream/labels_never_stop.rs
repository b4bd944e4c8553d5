//! A live stream on a clock of the test's own: one outcome a window, whatever fails.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc as gate;
use std::time::Duration;

use super::support::{
    AUDIO, LinearEngine, ManualClock, Received, TICK_MS, UNIX_ZERO_MS, VIDEO, picture, sound, tiny_model,
};
use cmpt::inference::{Engine, Worker};
use cmpt::labeller::Labeller;
use cmpt::model::Model;
use cmpt::pipeline::{Parts, Pipeline, StreamMessage, WINDOWS_IN_FLIGHT};
use cmpt::publish::payload::{MissingBy, Outcome, Path};
use cmpt::publish::{Label, Outlet, WhenFull};
use cmpt_core::assembler::{Assembler, SensorSpec, StreamSpec};
use cmpt_core::dropout::{AudioThresholds, Reason, SensorThresholds, SourceEvent, VideoThresholds};
use cmpt_core::time::Timestamp;
use cmpt_core::window::WindowSchedule;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A stream of sound and pictures that a test plays.
struct Stage {
    clock: ManualClock,
    messages: mpsc::Sender<StreamMessage>,
    shutdown: CancellationToken,
    received: Received,
    pipeline: JoinHandle<()>,
    publisher: JoinHandle<()>,
    worker: Worker,
    _bundle: tempfile::TempDir,
}

/// Which sensors deliver.
#[derive(Clone, Copy)]
struct Delivers {
    audio: bool,
    video: bool,
}

const BOTH: Delivers = Delivers { audio: true, video: true };
const NO_VIDEO: Delivers = Delivers { audio: true, video: false };
const NEITHER: Delivers = Delivers { audio: false, video: false };

impl Stage {
    async fn new() -> Self {
        Self::with_engine(|model| Box::new(LinearEngine::new(model))).await
    }

    async fn with_engine(engine: impl FnOnce(Arc<Model>) -> Box<dyn Engine> + Send + 'static) -> Self {
        let (bundle, model) = tiny_model();
        let for_engine = Arc::clone(&model);
        let worker = Worker::start(Arc::clone(&model), move || Ok(engine(for_engine))).await.unwrap();
        let sensor = |id, thresholds| SensorSpec {
            name: model.name(id).to_owned(),
            front_end: model.front_end(id),
            thresholds,
        };
        let lateness = Duration::from_millis(200);
        let spec = StreamSpec {
            schedule: WindowSchedule { length: model.window(), hop: model.hop(), lateness },
            sensors: vec![
                sensor(AUDIO, SensorThresholds::Audio(AudioThresholds::default())),
                sensor(VIDEO, SensorThresholds::Video(VideoThresholds::default())),
            ],
        };
        let (messages, inbox) = mpsc::channel(cmpt::pipeline::INBOX);
        let (published, mut publications) = mpsc::channel(1);
        let received = Received::default();
        let publisher = tokio::spawn({
            let received = received.clone();
            async move {
                while let Some(message) = publications.recv().await {
                    received.0.lock().unwrap().push(message);
                }
            }
        });
        let clock = ManualClock::new();
        let shutdown = CancellationToken::new();
        let pipeline = Pipeline::new(Parts {
            index: 0,
            clock: clock.clone(),
            inbox,
            assembler: Assembler::new(spec).unwrap(),
            labeller: Labeller::new("node", "desk", "boot", model),
            inference: worker.handle(),
            outlet: Outlet::new(vec![("test", published)], WhenFull::Wait),
            progress: mpsc::channel(1).0,
            shutdown: shutdown.clone(),
        });
        let pipeline = tokio::spawn(async move { pipeline.run().await.unwrap() });
        Self { clock, messages, shutdown, received, pipeline, publisher, worker, _bundle: bundle }
    }

    /// Plays some seconds of low sound and low pictures, tick by tick.
    async fn play(&self, seconds: Range<i64>, delivers: Delivers) {
        for at_ms in (seconds.start * 1000..seconds.end * 1000).step_by(TICK_MS as usize) {
            if delivers.audio {
                self.send(StreamMessage::Sample { modality: AUDIO, sample: sound(at_ms, false) }).await;
            }
            if delivers.video {
                self.send(StreamMessage::Sample { modality: VIDEO, sample: picture(at_ms, false) }).await;
            }
            self.pass(at_ms + TICK_MS).await;
        }
    }

    async fn send(&self, message: StreamMessage) {
        self.messages.send(message).await.unwrap();
    }

    /// Lets time pass, after the pipeline has taken everything in.
    async fn pass(&self, now_ms: i64) {
        self.taken_in().await;
        self.clock.set(Timestamp::from_millis(now_ms));
        self.taken_in().await;
    }

    async fn taken_in(&self) {
        // The runtime has one thread: after a yield the pipeline has run until it had to wait.
        while self.messages.capacity() < self.messages.max_capacity() {
            tokio::task::yield_now().await;
        }
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }

    /// Ends the stream; everything it published.
    async fn end(self) -> Received {
        self.shutdown.cancel();
        self.pipeline.await.unwrap();
        self.publisher.await.unwrap();
        self.worker.join().await;
        self.received
    }
}

fn paths(labels: &[Label]) -> Vec<Path> {
    labels.iter().map(|label| label.path).collect()
}

fn assert_in_order(labels: &[Label], count: u64) {
    assert_eq!(labels.iter().map(|label| label.seq).collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
}

#[tokio::test]
async fn labels_go_on_through_a_dropout_and_say_so() {
    let stage = Stage::new().await;
    stage.play(0..4, BOTH).await;
    stage.play(4..7, NO_VIDEO).await;
    stage.play(7..9, BOTH).await;
    stage.pass(9_200).await;
    let received = stage.end().await;

    let labels = received.labels();
    assert_in_order(&labels, 9);
    let [full, proxy] = [Path::Full, Path::Proxy];
    assert_eq!(paths(&labels), [full, full, full, full, proxy, proxy, proxy, full, full]);
    assert!(labels.iter().all(|label| label.label.as_deref() == Some("low")));
    assert_eq!(labels[5].missing, [("video".to_owned(), Reason::NoBuffers)].into());
    assert_eq!(labels[5].missing_by, [("video".to_owned(), MissingBy::Sensor)].into());
    // The quality is that of the pattern which was there.
    assert_eq!(labels[3].expected.as_ref().unwrap().value, 0.99);
    assert_eq!(labels[5].expected.as_ref().unwrap().value, 0.9);
    assert_eq!(
        received.sensors(),
        [
            ("audio".to_owned(), "healthy", 0),
            ("video".to_owned(), "healthy", 0),
            // A second after the last picture, which came at 3.9.
            ("video".to_owned(), "lost", 4_900),
            ("video".to_owned(), "recovering", 7_000),
            ("video".to_owned(), "healthy", 7_500),
        ]
    );
}

#[tokio::test]
async fn times_are_those_of_the_wall_clock() {
    let stage = Stage::new().await;
    stage.play(0..1, BOTH).await;
    stage.pass(1_250).await;
    let labels = stage.end().await.labels();
    assert_eq!(labels[0].window_start_ms, UNIX_ZERO_MS);
    assert_eq!(labels[0].window_end_ms, UNIX_ZERO_MS + 1000);
    assert_eq!(labels[0].latency_ms, labels[0].published_ms - labels[0].window_end_ms);
    assert_eq!(labels[0].latency_ms, 250);
}

#[tokio::test]
async fn without_any_sensor_a_window_is_blind_and_the_next_one_sees_again() {
    let stage = Stage::new().await;
    stage.play(0..2, BOTH).await;
    stage.play(2..4, NEITHER).await;
    stage.play(4..6, BOTH).await;
    stage.pass(6_200).await;
    let labels = stage.end().await.labels();

    assert_in_order(&labels, 6);
    let [full, blind] = [Path::Full, Path::Blind];
    assert_eq!(paths(&labels), [full, full, blind, blind, full, full]);
    assert_eq!((labels[2].outcome, &labels[2].label, labels[2].score), (Outcome::Blind, &None, None));
    assert_eq!(labels[2].missing.len(), 2);
}

#[tokio::test]
async fn a_failed_source_is_missed_at_once() {
    let stage = Stage::new().await;
    stage.play(0..1, BOTH).await;
    stage.send(StreamMessage::Source { modality: VIDEO, event: SourceEvent::Error }).await;
    stage.play(1..2, NO_VIDEO).await;
    stage.pass(2_200).await;
    let labels = stage.end().await.labels();
    assert_eq!(paths(&labels), [Path::Full, Path::Proxy]);
    assert_eq!(labels[1].missing, [("video".to_owned(), Reason::Error)].into());
}

#[tokio::test]
async fn a_window_that_is_due_at_shutdown_is_published() {
    let stage = Stage::new().await;
    stage.play(0..1, BOTH).await;
    stage.taken_in().await;
    // Due, but shutdown is seen first.
    stage.clock.set(Timestamp::from_millis(1_200));
    let labels = stage.end().await.labels();
    assert_in_order(&labels, 1);
    assert_eq!(labels[0].outcome, Outcome::Label);
}

#[tokio::test]
async fn when_inference_is_too_slow_every_window_still_has_its_outcome_in_order() {
    let (open, gate) = gate::channel();
    let stage = Stage::with_engine(|model| Box::new(LinearEngine::gated(model, gate))).await;
    let seconds = WINDOWS_IN_FLIGHT as i64 + 4;
    stage.play(0..seconds, BOTH).await;
    stage.pass(seconds * 1000 + 200).await;
    assert!(stage.received.labels().is_empty());
    drop(open);
    let labels = stage.end().await.labels();

    assert_in_order(&labels, seconds as u64);
    let (seen, overload) = labels.split_at(WINDOWS_IN_FLIGHT);
    assert!(seen.iter().all(|label| label.path == Path::Full));
    assert!(overload.iter().all(|label| label.outcome == Outcome::Blind && label.missing.is_empty()));
}
