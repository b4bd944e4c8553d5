//! `cmptd run`: builds everything, keeps sources alive, and takes it all down again.
//!
//! Every task is named and joined. A source that fails is started again after a while; anything else
//! that ends before it is asked to is the end of the daemon, with an error.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cmpt_core::assembler::Assembler;
use futures_util::future::join_all;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::config::{Align, Config, StreamPlan};
use crate::failure::Failure;
use crate::health::{self, Notifier};
use crate::inference::{self, Worker};
use crate::ingest::{self, Source, StreamClock};
use crate::keeper::{self, Keeper};
use crate::labeller::{Labeller, model_id};
use crate::model::Model;
use crate::pipeline::{self, Pipeline};
use crate::publish::payload::Info;
use crate::publish::{self, Message, Outlet, Publisher, WhenFull};

/// How long the windows that are due may take to finish at the end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Runs the daemon with the configuration in `file` until a signal ends it.
pub async fn run(file: &Path) -> Result<(), Failure> {
    let config = Config::load(file)?;
    let model = Arc::new(Model::open(&config.bundle)?);
    let plans = config.plan(&model)?;
    let boot_id = format!("{:016x}", fastrand::u64(..));
    let publishers = publish::open(&config.publish, &config.node, &boot_id)?;
    if let Some(address) = config.health {
        health::serve_metrics(address)?;
    }
    let sources = plans.iter().map(open_sources).collect::<Result<Vec<_>, _>>()?;
    let (engine, graphs) = (config.engine.clone(), model.graphs());
    let worker = Worker::start(Arc::clone(&model), move || inference::open(&engine, &graphs)).await?;
    info!(engine = worker.engine(), model = model.manifest().name, "the engine has passed its golden replay");
    let identity = Identity { node: config.node, boot_id, model };
    let daemon = Daemon::start(identity, worker, publishers, plans.into_iter().zip(sources).collect()).await;
    daemon.run(asked_to_stop()).await
}

fn open_sources(plan: &StreamPlan) -> Result<Vec<Box<dyn Source>>, Failure> {
    Ok(plan.sources.iter().cloned().map(ingest::open).collect::<Result<_, _>>()?)
}

/// Who the daemon is.
pub struct Identity {
    /// Its node id.
    pub node: String,
    /// This run of it.
    pub boot_id: String,
    /// The model it runs.
    pub model: Arc<Model>,
}

/// The running daemon.
pub struct Daemon {
    shutdown: CancellationToken,
    worker: Worker,
    notifier: Notifier,
    sources: JoinSet<()>,
    pipelines: JoinSet<Result<(), Failure>>,
    publishers: JoinSet<Result<(), Failure>>,
    settled: Vec<oneshot::Receiver<()>>,
    progress: mpsc::Receiver<usize>,
}

impl Daemon {
    /// Starts every task. `streams` are plans and the sources that play them.
    pub async fn start(
        identity: Identity,
        worker: Worker,
        publishers: Vec<Box<dyn Publisher>>,
        streams: Vec<(StreamPlan, Vec<Box<dyn Source>>)>,
    ) -> Self {
        let mut publishing = JoinSet::new();
        let mut inboxes = Vec::new();
        for publisher in publishers {
            let (messages, inbox) = mpsc::channel(publish::INBOX);
            inboxes.push((publisher.name(), messages));
            publishing.spawn(async move { Ok(publisher.run(inbox).await?) });
        }
        let mut outlet = Outlet::new(inboxes, WhenFull::Drop);
        let info = Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: identity.boot_id.clone(),
            engine: worker.engine().to_owned(),
            model: model_id(&identity.model),
            streams: streams.iter().map(|(plan, _)| plan.id.clone()).collect(),
        };
        outlet.send(Message::Info(Arc::new(info))).await;

        let (progressed, progress) = mpsc::channel(health::PROGRESS);
        let mut daemon = Self {
            shutdown: CancellationToken::new(),
            notifier: Notifier::new(streams.len(), worker.engine()),
            worker,
            sources: JoinSet::new(),
            pipelines: JoinSet::new(),
            publishers: publishing,
            settled: Vec::new(),
            progress,
        };
        for (index, (plan, sources)) in streams.into_iter().enumerate() {
            let labeller =
                Labeller::new(&identity.node, &plan.id, &identity.boot_id, Arc::clone(&identity.model));
            daemon.start_stream(index, plan, sources, labeller, outlet.clone(), progressed.clone());
        }
        daemon
    }

    fn start_stream(
        &mut self,
        index: usize,
        plan: StreamPlan,
        sources: Vec<Box<dyn Source>>,
        labeller: Labeller,
        outlet: Outlet,
        progress: mpsc::Sender<usize>,
    ) {
        let clock = match plan.align {
            Align::Start => StreamClock::start(),
            Align::Clock => StreamClock::aligned(plan.spec.schedule.hop),
        };
        let (messages, inbox) = mpsc::channel(pipeline::INBOX);
        for source in sources {
            let (settled, settles) = oneshot::channel();
            self.settled.push(settles);
            let keeper = Keeper::new(keeper::Parts {
                stream: plan.id.clone(),
                source,
                clock,
                messages: messages.clone(),
                settled,
                shutdown: self.shutdown.clone(),
            });
            self.sources.spawn(keeper.run());
        }
        let pipeline = Pipeline::new(pipeline::Parts {
            index,
            clock,
            inbox,
            assembler: Assembler::new(plan.spec).expect("a plan can be assembled"),
            labeller,
            inference: self.worker.handle(),
            outlet,
            progress,
            shutdown: self.shutdown.clone(),
        });
        self.pipelines.spawn(async move { Ok(pipeline.run().await?) });
    }

    /// Runs until `asked_to_stop` or something ends that must not, then takes everything down.
    pub async fn run(mut self, asked_to_stop: impl Future<Output = ()>) -> Result<(), Failure> {
        let settled = std::mem::take(&mut self.settled);
        let progress = std::mem::replace(&mut self.progress, mpsc::channel(1).1);
        let watching = async {
            // A source that is down at the start is a dropout, not a failed start.
            join_all(settled).await;
            self.notifier.ready();
            self.notifier.watch(progress).await;
            // The pipelines have ended, and say themselves why.
            std::future::pending::<Infallible>().await
        };
        let outcome = tokio::select! {
            () = asked_to_stop => Ok(()),
            never = watching => match never {},
            Some(ended) = self.pipelines.join_next() => unexpected(ended, "pipeline"),
            Some(ended) = self.publishers.join_next() => unexpected(ended, "publisher"),
        };
        self.notifier.stopping();
        self.stop().await;
        outcome
    }

    /// Finishes the windows that are due, then the publishers, whose inboxes close with the pipelines.
    async fn stop(mut self) {
        self.shutdown.cancel();
        if tokio::time::timeout(DRAIN_DEADLINE, join(&mut self.pipelines)).await.is_err() {
            error!(
                pipelines = self.pipelines.len(),
                "windows that were due are lost: inference takes too long"
            );
            self.pipelines.shutdown().await;
        }
        // Publishers and sources have deadlines of their own.
        join(&mut self.publishers).await;
        while self.sources.join_next().await.is_some() {}
        self.worker.join().await;
    }
}

async fn join(tasks: &mut JoinSet<Result<(), Failure>>) {
    while let Some(ended) = tasks.join_next().await {
        if let Ok(Err(error)) = ended {
            error!(%error, "a task ended with an error");
        }
    }
}

fn unexpected(
    ended: Result<Result<(), Failure>, tokio::task::JoinError>,
    task: &'static str,
) -> Result<(), Failure> {
    match ended {
        Ok(Err(failure)) => Err(failure),
        Ok(Ok(())) | Err(_) => Err(Failure::Task { task }),
    }
}

/// SIGTERM from the service manager, or SIGINT from a terminal.
pub(crate) async fn asked_to_stop() {
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened to");
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be listened to");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
