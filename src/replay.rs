//! `cmptd replay`: recorded media through the same assembler, engine and gate as a live stream.
//!
//! Time is the media's own, so that the outcome depends on nothing else; with `--realtime` it is the
//! clock's, and the media goes through the live [`Pipeline`].

use std::sync::Arc;

use cmpt_core::assembler::{Assembler, DueWindow, Event, StreamSpec};
use cmpt_core::dropout::SourceEvent;
use cmpt_core::time::Timestamp;
use cmpt_core::window::WindowSchedule;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::ReplayArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::inference::{self, Inference, InferenceHandle, Worker, WorkerError};
use crate::ingest::{self, DropFilter, Output, Replay, SourceError, SourceMessage, StreamClock};
use crate::labeller::{Facts, Labeller, Times, split};
use crate::model::Model;
use crate::pipeline::{self, Pipeline, StreamMessage, count, sensor_message};
use crate::publish::payload::Sensor;
use crate::publish::stdout::Stdout;
use crate::publish::{self, Message, Outlet, PublishError, Publisher, WhenFull};
use crate::recording::{self, Extent};

/// What stands for the run of a daemon in replayed labels, so that they are always the same.
const BOOT_ID: &str = "replay";

/// Runs the command.
pub async fn run(args: ReplayArgs) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    let model = Arc::new(Model::open(&config.bundle)?);
    let plan = recording::choose(config.plan(&model)?, args.stream.as_deref(), "replay")?;
    let (sources, outputs) = recording::sources(&plan, &model, &args.media)?;
    let filter = DropFilter::new(&args.drops, &outputs)?;
    let sources = sources.into_iter().map(ingest::open).collect::<Result<Vec<_>, _>>()?;

    let engine = config.engine.clone();
    let graphs = model.graphs();
    let worker = Worker::start(Arc::clone(&model), move || inference::open(&engine, &graphs)).await?;
    let publisher: Box<dyn Publisher> = Box::new(Stdout::new(std::io::stdout()));
    let (messages, inbox) = mpsc::channel(publish::INBOX);
    let outlet = Outlet::new(vec![(publisher.name(), messages)], WhenFull::Wait);
    let mut writing = tokio::spawn(publisher.run(inbox));

    let clock = StreamClock::start();
    let feeds = sources.iter().map(|source| source.start(&clock)).collect();
    let stage = Stage {
        replay: Replay::new(feeds, filter),
        spec: plan.spec,
        labeller: Labeller::new(&config.node, &plan.id, BOOT_ID, model),
        outputs,
        inference: worker.handle(),
        outlet,
    };
    let realtime = args.realtime;
    let playing = async move { if realtime { stage.play_live().await } else { stage.play().await } };
    let outcome = tokio::select! {
        played = playing => match played {
            Ok(()) => written(writing.await),
            Err(failure) => Err(failure),
        },
        // Without a reader there is no use in going on.
        ended = &mut writing => written(ended),
    };
    // After a failure too: an engine must not be taken down under a thread that runs it.
    worker.join().await;
    outcome
}

/// A replay that is ready to be played.
pub struct Stage {
    /// The samples.
    pub replay: Replay,
    /// Windows, front ends and thresholds.
    pub spec: StreamSpec,
    /// What makes the labels.
    pub labeller: Labeller,
    /// What each modality's samples are.
    pub outputs: Vec<Output>,
    /// The inference thread.
    pub inference: InferenceHandle,
    /// The publishers.
    pub outlet: Outlet,
}

impl Stage {
    /// Plays as fast as inference goes, in the media's own time. Errors: a source failed, or the
    /// engine.
    pub async fn play(mut self) -> Result<(), Failure> {
        let schedule = self.spec.schedule;
        let mut player = Player {
            assembler: Assembler::new(self.spec).expect("a plan can be assembled"),
            schedule,
            labeller: self.labeller,
            inference: self.inference,
            outlet: self.outlet,
            ahead: None,
        };
        let mut extent = Extent::new(&self.outputs);
        let mut now = Timestamp::ZERO;
        while let Some(message) = self.replay.recv().await {
            match message {
                SourceMessage::Sample { modality, sample } => {
                    // The start, not the end: every sample before it has been handled, so no window is
                    // due that something is still to come for.
                    now = now.max(sample.at());
                    player.advance(now).await?;
                    for modality in extent.overdue(now, schedule.length) {
                        player.assembler.handle_source(now, modality, SourceEvent::Eos);
                    }
                    extent.saw(modality, &sample);
                    player.assembler.handle_sample(now, modality, sample);
                    player.poll().await?;
                }
                SourceMessage::Ended { modality } => extent.ended(modality),
                SourceMessage::Failed(error) => return Err(error.into()),
                SourceMessage::Started | SourceMessage::Lacking { .. } => {}
            }
        }
        if let Some(last) = extent.windows(&schedule).checked_sub(1) {
            player.advance(schedule.due(last)).await?;
            player.assembler.handle_timeout(schedule.due(last));
            player.poll().await?;
        }
        player.settle().await
    }

    /// Plays at the pace of the media through the live pipeline.
    pub async fn play_live(mut self) -> Result<(), Failure> {
        self.replay.prerolled().await;
        let clock = StreamClock::start();
        self.replay.pace(clock);
        let (messages, inbox) = mpsc::channel(pipeline::INBOX);
        // Nobody watches: the progress of a replay is on standard output.
        let (progress, _) = mpsc::channel(1);
        let schedule = self.spec.schedule;
        let pipeline = Pipeline::new(pipeline::Parts {
            index: 0,
            clock,
            inbox,
            assembler: Assembler::new(self.spec).expect("a plan can be assembled"),
            labeller: self.labeller,
            inference: self.inference,
            outlet: self.outlet,
            progress,
            shutdown: CancellationToken::new(),
        });
        let extent = Extent::new(&self.outputs);
        let (fed, run) = tokio::join!(feed(self.replay, extent, schedule, messages), pipeline.run());
        run?;
        Ok(fed?)
    }
}

/// Hands the samples of a paced replay to a pipeline, then its end.
async fn feed(
    mut replay: Replay,
    mut extent: Extent,
    schedule: WindowSchedule,
    messages: mpsc::Sender<StreamMessage>,
) -> Result<(), SourceError> {
    // A send fails only when the pipeline has failed, which is then the error that is told.
    while let Some(message) = replay.recv().await {
        match message {
            SourceMessage::Sample { modality, sample } => {
                for modality in extent.overdue(sample.at(), schedule.length) {
                    let ended = StreamMessage::Source { modality, event: SourceEvent::Eos };
                    let _ = messages.send(ended).await;
                }
                extent.saw(modality, &sample);
                let _ = messages.send(StreamMessage::Sample { modality, sample }).await;
            }
            SourceMessage::Ended { modality } => extent.ended(modality),
            SourceMessage::Failed(error) => return Err(error),
            SourceMessage::Started | SourceMessage::Lacking { .. } => {}
        }
    }
    let _ = messages.send(StreamMessage::Finish { windows: extent.windows(&schedule) }).await;
    // The pipeline ends after its last window, not when nobody speaks to it any more.
    messages.closed().await;
    Ok(())
}

/// The pipeline of a replay. While one window is at the engine the next is assembled; never two, so
/// that each is a batch of its own and its numbers are always the same.
struct Player {
    assembler: Assembler,
    schedule: WindowSchedule,
    labeller: Labeller,
    inference: InferenceHandle,
    outlet: Outlet,
    ahead: Option<(Facts, JoinHandle<Result<Inference, WorkerError>>)>,
}

impl Player {
    /// Lets time pass up to, but not including, `now`, window by window.
    async fn advance(&mut self, now: Timestamp) -> Result<(), WorkerError> {
        while let Some(at) = self.assembler.poll_timeout().filter(|at| *at < now) {
            self.assembler.handle_timeout(at);
            self.poll().await?;
        }
        Ok(())
    }

    async fn poll(&mut self) -> Result<(), WorkerError> {
        while let Some(event) = self.assembler.poll_event() {
            match event {
                Event::Sensor { modality, state, at } => {
                    let sensor = Sensor::new(state, at.as_millis());
                    self.outlet.send(sensor_message(&self.labeller, modality, sensor)).await;
                }
                Event::Window(window) => self.window(window).await?,
            }
        }
        Ok(())
    }

    async fn window(&mut self, window: DueWindow) -> Result<(), WorkerError> {
        let (facts, parts) = split(window);
        self.finish_ahead().await?;
        match parts {
            Some(parts) => {
                let inference = self.inference.clone();
                self.ahead = Some((facts, tokio::spawn(async move { inference.infer(0, parts).await })));
            }
            None => self.publish(&facts, None).await,
        }
        Ok(())
    }

    async fn finish_ahead(&mut self) -> Result<(), WorkerError> {
        if let Some((facts, inferring)) = self.ahead.take() {
            let inference = inferring.await.expect("waiting for inference does not panic")?;
            self.publish(&facts, Some(&inference)).await;
        }
        Ok(())
    }

    async fn publish(&mut self, facts: &Facts, inference: Option<&Inference>) {
        let times = Times {
            start_ms: facts.start.as_millis(),
            end_ms: facts.end.as_millis(),
            published_ms: (facts.end + self.schedule.lateness).as_millis(),
        };
        let label = self.labeller.label(facts, inference, times);
        count(&label);
        self.outlet.send(Message::Label(Arc::new(label))).await;
    }

    async fn settle(mut self) -> Result<(), Failure> {
        Ok(self.finish_ahead().await?)
    }
}

fn written(ended: Result<Result<(), PublishError>, tokio::task::JoinError>) -> Result<(), Failure> {
    ended.map_err(|_| Failure::Task { task: "stdout" })??;
    Ok(())
}
