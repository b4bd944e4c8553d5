//! `cmptd sensors`: what each sensor measures against its thresholds, and which would suit it.
//!
//! The samples go through the assembler that the daemon uses, so what it says of a sensor is what the
//! daemon would say. No engine runs; the bundle is opened for its front ends and windows.

mod fragment;
mod lines;
mod observer;
mod report;
mod table;

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use cmpt_core::dropout::SourceEvent;
use cmpt_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::lines::Lines;
use self::observer::Observer;
use self::report::Report;
use self::table::Table;
use crate::cli::SensorsArgs;
use crate::clock::Clock;
use crate::config::{Config, StreamPlan};
use crate::failure::Failure;
use crate::ingest::{self, DropFilter, Replay, Source, SourceMessage, StreamClock};
use crate::keeper::{self, Keeper};
use crate::model::Model;
use crate::pipeline::{INBOX, StreamMessage};
use crate::recording::{self, Extent};
use crate::supervisor;

/// How long live sensors are watched unless told otherwise: the time after which everything that the
/// detector learns of a sensor is known.
const DEFAULT_SPAN: Duration = Duration::from_secs(60);

/// Runs the command.
pub async fn run(args: SensorsArgs) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    let model = Model::open(&config.bundle)?;
    let plan = recording::choose(config.plan(&model)?, args.stream.as_deref(), "watch")?;
    let watched = if args.media.is_empty() { plan.sources.clone() } else { Vec::new() };
    let (recorded, outputs) = match &args.media[..] {
        [] => (Vec::new(), Vec::new()),
        media => recording::sources(&plan, &model, media)?,
    };
    let open = |specs: Vec<_>| specs.into_iter().map(ingest::open).collect::<Result<Vec<_>, _>>();
    let (watched, recorded) = (open(watched)?, open(recorded)?);
    let report: Box<dyn Report> = if stdout().is_terminal() {
        Box::new(Table::new(stdout(), args.span))
    } else {
        Box::new(Lines::new(stdout(), &plan.id))
    };
    let mut observer = Observer::new(&plan, report);
    if args.media.is_empty() {
        watch(&plan, watched, args.span.unwrap_or(DEFAULT_SPAN), &mut observer).await?;
    } else {
        let clock = StreamClock::start();
        let feeds = recorded.iter().map(|source| source.start(&clock)).collect();
        let replay = Replay::new(feeds, DropFilter::new(&[], &outputs)?);
        read(replay, Extent::new(&outputs), args.span, &mut observer).await?;
    }
    observer.propose(&config, &plan.id)
}

/// Watches live sources for `span`, or until a signal. They are kept alive as the daemon does.
async fn watch(
    plan: &StreamPlan,
    sources: Vec<Box<dyn Source>>,
    span: Duration,
    observer: &mut Observer,
) -> Result<(), Failure> {
    let clock = StreamClock::start();
    let (messages, mut inbox) = mpsc::channel(INBOX);
    let shutdown = CancellationToken::new();
    let mut keepers = JoinSet::new();
    for source in sources {
        let keeper = Keeper::new(keeper::Parts {
            stream: plan.id.clone(),
            source,
            clock,
            messages: messages.clone(),
            // Nobody waits for it to settle.
            settled: oneshot::channel().0,
            shutdown: shutdown.clone(),
        });
        keepers.spawn(keeper.run());
    }
    let end = Timestamp::ZERO + span;
    let stop = supervisor::asked_to_stop();
    tokio::pin!(stop);
    let outcome = loop {
        let timeout = observer.poll_timeout();
        let message = tokio::select! {
            biased;
            () = &mut stop => break Ok(()),
            () = clock.sleep_until(end) => break observer.close(end),
            message = inbox.recv() => message,
            () = clock.sleep_until(timeout) => None,
        };
        if let Err(failure) = observe(observer, clock.now(), message) {
            break Err(failure);
        }
    };
    shutdown.cancel();
    // Full of what nobody wants any more, the inbox would hold the keepers up.
    drop(inbox);
    while keepers.join_next().await.is_some() {}
    outcome
}

fn observe(observer: &mut Observer, now: Timestamp, message: Option<StreamMessage>) -> Result<(), Failure> {
    match message {
        Some(StreamMessage::Sample { modality, sample }) => observer.handle_sample(now, modality, sample),
        Some(StreamMessage::Source { modality, event }) => observer.handle_source(now, modality, event),
        Some(StreamMessage::Finish { .. }) | None => observer.advance(now),
    }
}

/// Reads recorded media to its end, or for `span` of it, in its own time.
async fn read(
    mut replay: Replay,
    mut extent: Extent,
    span: Option<Duration>,
    observer: &mut Observer,
) -> Result<(), Failure> {
    let limit = span.map(|span| Timestamp::ZERO + span);
    let mut now = Timestamp::ZERO;
    while let Some(message) = replay.recv().await {
        match message {
            SourceMessage::Sample { modality, sample } => {
                now = now.max(sample.at());
                if let Some(limit) = limit.filter(|limit| now >= *limit) {
                    // The second that ends with it is complete.
                    return observer.close(limit);
                }
                for modality in extent.overdue(now, observer.window()) {
                    observer.handle_source(now, modality, SourceEvent::Eos)?;
                }
                extent.saw(modality, &sample);
                observer.handle_sample(now, modality, sample)?;
            }
            SourceMessage::Ended { modality } => extent.ended(modality),
            SourceMessage::Failed(error) => return Err(error.into()),
            SourceMessage::Started | SourceMessage::Lacking { .. } => {}
        }
    }
    observer.close(extent.end())
}
