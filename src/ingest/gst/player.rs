//! One source's thread: builds its pipeline, plays it, reads its bus, tears it down.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::MessageView;
use gstreamer::prelude::*;
use tracing::debug;
use url::Url;

use super::buffer::{Origin, RunningTime};
use super::graph::{Graph, STREAMS_KNOWN};
use super::message::{MissingPlugin, missing_plugin, source_error};
use crate::ingest::feed::{self, FeedSender, WhenFull};
use crate::ingest::{Feed, Media, Pace, Source, SourceError, SourceSpec, StreamClock};

/// Name of the application message that stops a source.
const STOP: &str = "stop";

/// A source that GStreamer plays.
#[derive(Debug)]
pub(in crate::ingest) struct GstSource {
    spec: SourceSpec,
}

impl GstSource {
    pub(in crate::ingest) fn new(spec: SourceSpec) -> Result<Self, SourceError> {
        gst::init().map_err(|error| SourceError::Setup { message: error.message().to_owned() })?;
        Ok(Self { spec })
    }
}

impl Source for GstSource {
    fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    fn address(&self) -> Option<(String, u16)> {
        let Media::Uri(uri) = &self.spec.media else { return None };
        let url = Url::parse(uri).ok()?;
        // Not HTTP, which may have to go through a proxy.
        let port = match url.scheme() {
            "rtsp" | "rtspt" | "rtspu" => 554,
            "rtsps" => 322,
            _ => return None,
        };
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        Some((host.to_owned(), url.port().unwrap_or(port)))
    }

    fn start_within(&self, clock: &StreamClock, patience: Duration) -> Feed {
        let modalities: Vec<_> = self.spec.outputs.iter().map(|output| output.modality).collect();
        let (capacity, when_full) = match self.spec.pace {
            Pace::Live => (feed::LIVE, WhenFull::DropOldest),
            Pace::Replay => (feed::REPLAY, WhenFull::Block),
        };
        let pipeline = gst::Pipeline::new();
        // Messages posted before the thread reads them, such as a stop, must not be lost.
        pipeline.set_auto_flush_bus(false);
        let bus = pipeline.bus().expect("a pipeline has a bus");
        let stop = {
            let bus = bus.clone();
            move || {
                let message = gst::message::Application::new(gst::Structure::new_empty(STOP));
                let _ = bus.post(message);
            }
        };
        let (sender, feed, running) = feed::channel(&modalities, capacity, when_full, stop);
        let spec = SourceSpec { start_within: patience, ..self.spec.clone() };
        let origin = Arc::new(Origin::new(spec.offset_ms));
        let player = Player { spec, clock: *clock, pipeline, bus, sender: sender.clone(), origin };
        let name = self.spec.outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>().join("+");
        let spawned = thread::Builder::new().name(format!("source {name}")).spawn(move || {
            player.run();
            drop(running);
        });
        if let Err(error) = spawned {
            sender.fail(SourceError::Setup { message: format!("spawn its thread: {error}") });
        }
        feed
    }
}

struct Player {
    spec: SourceSpec,
    clock: StreamClock,
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    sender: FeedSender,
    origin: Arc<Origin>,
}

/// Why a pipeline stopped without an error.
enum Stopped {
    /// All its sinks have had all there is.
    Ended,
    /// The feed is gone.
    Closed,
}

impl Player {
    fn run(self) {
        match self.play() {
            Ok(Stopped::Ended) => {
                for lane in 0..self.spec.outputs.len() {
                    self.sender.end(lane);
                }
            }
            Ok(Stopped::Closed) => {}
            Err(error) => self.sender.fail(error),
        }
        // May take as long as a device or server pleases, and only this thread waits for it.
        if self.pipeline.set_state(gst::State::Null).is_err() {
            debug!(media = %self.spec.media, "the pipeline did not stop in order");
        }
        // Messages left unread hold the elements that sent them, and these hold the bus: without this a
        // pipeline, with its sockets, would live for ever.
        self.bus.set_flushing(true);
    }

    fn play(&self) -> Result<Stopped, SourceError> {
        let graph = Graph::build(&self.pipeline, &self.spec, &self.sender, &self.origin)?;
        self.pipeline.connect_deep_element_added(|_, _, element| tell_decoder(element));
        // Every pipeline runs on the same clock and, without a start time, keeps the base time it is given.
        let system = gst::SystemClock::obtain();
        self.pipeline.use_clock(Some(&system));
        self.pipeline.set_start_time(gst::ClockTime::NONE);
        self.pipeline.set_base_time(self.base_on(&system));
        match self.set_state(gst::State::Paused)? {
            gst::StateChangeSuccess::NoPreroll => self.begin_live()?,
            gst::StateChangeSuccess::Success => self.begin_prerolled(&graph)?,
            gst::StateChangeSuccess::Async => {}
        }
        let mut missing = Vec::new();
        let mut hung_up = None;
        loop {
            let after = self.bound(hung_up);
            let patience = after.saturating_sub(self.sender.starved()).max(LEAST_PATIENCE);
            let Some(message) = self.bus.timed_pop(clock_time(patience)) else {
                if self.sender.starved() >= after {
                    let media = self.spec.media.clone();
                    return Err(SourceError::Stalled { media, after });
                }
                continue;
            };
            match message.view() {
                MessageView::AsyncDone(_) if !self.origin.is_set() => self.begin_prerolled(&graph)?,
                MessageView::Element(element) => missing.extend(missing_plugin(element)),
                MessageView::Application(told) if is_named(told, STREAMS_KNOWN) => {
                    self.tell_lacking(&graph, &missing)?;
                }
                MessageView::Application(told) if is_named(told, STOP) => return Ok(Stopped::Closed),
                MessageView::Warning(report) if is_hang_up(report) => hung_up = Some(Instant::now()),
                MessageView::Latency(_) => {
                    // What cannot be redistributed is kept, which at worst delays a file by a frame.
                    let _ = self.pipeline.recalculate_latency();
                }
                MessageView::Error(report) => return Err(self.error(report, missing.pop())),
                MessageView::Eos(_) => return Ok(Stopped::Ended),
                _ => {}
            }
        }
    }

    /// Plays what is live by itself: its running times count from the stream's base time.
    fn begin_live(&self) -> Result<(), SourceError> {
        self.begin(match self.spec.pace {
            Pace::Replay => RunningTime::IsStreamTime,
            Pace::Live => RunningTime::FromBase { clock: self.clock, after_base: Duration::ZERO },
        })
    }

    /// Plays what is not: from now on, each sample at its time, unless it is replayed.
    fn begin_prerolled(&self, graph: &Graph) -> Result<(), SourceError> {
        if self.spec.pace == Pace::Replay {
            return self.begin(RunningTime::IsStreamTime);
        }
        graph.tails().pace();
        let system = gst::SystemClock::obtain();
        let (base, now) = (self.base_on(&system), system.time());
        self.pipeline.set_base_time(now);
        let after_base = now.saturating_sub(base).into();
        self.begin(RunningTime::FromBase { clock: self.clock, after_base })
    }

    fn begin(&self, running_time: RunningTime) -> Result<(), SourceError> {
        self.origin.set(running_time).expect("a pipeline begins to play once");
        self.set_state(gst::State::Playing).map(|_| ())
    }

    fn set_state(&self, state: gst::State) -> Result<gst::StateChangeSuccess, SourceError> {
        self.pipeline.set_state(state).map_err(|failure| {
            let report = self.bus.pop_filtered(&[gst::MessageType::Error]);
            match report.as_ref().map(|message| message.view()) {
                Some(MessageView::Error(report)) => self.error(report, None),
                _ => SourceError::Element { media: self.spec.media.clone(), message: failure.to_string() },
            }
        })
    }

    /// Tells of outputs that no stream feeds. Errors: no output is left, or the media is replayed, where
    /// nothing can appear any more that was not asked for by mistake.
    fn tell_lacking(&self, graph: &Graph, missing: &[MissingPlugin]) -> Result<(), SourceError> {
        let lacking = graph.tails().lacking();
        let mut lacking: Vec<_> =
            lacking.into_iter().map(|lane| (lane, self.lacking(lane, missing))).collect();
        let is_fatal = self.spec.pace == Pace::Replay || lacking.len() == self.spec.outputs.len();
        if is_fatal && !lacking.is_empty() {
            return Err(lacking.remove(0).1);
        }
        for (lane, error) in lacking {
            self.sender.lack(lane, error);
        }
        Ok(())
    }

    fn lacking(&self, lane: usize, missing: &[MissingPlugin]) -> SourceError {
        let output = &self.spec.outputs[lane];
        let (media, kind) = (self.spec.media.clone(), output.format.kind());
        match missing.iter().find(|plugin| plugin.may_be_for(kind)) {
            Some(plugin) => SourceError::NoPlugin { media, wanted: plugin.name.clone() },
            None => SourceError::NoStream { media, kind, modality: output.name.clone() },
        }
    }

    /// A missing plugin explains whatever error follows it.
    fn error(&self, report: &gst::message::Error, missing: Option<MissingPlugin>) -> SourceError {
        match missing {
            Some(plugin) => SourceError::NoPlugin { media: self.spec.media.clone(), wanted: plugin.name },
            None => source_error(&self.spec.media, report),
        }
    }

    /// The stream's base time on GStreamer's clock, which like [`std::time::Instant`] is monotonic.
    fn base_on(&self, system: &gst::Clock) -> gst::ClockTime {
        system.time().saturating_sub(clock_time(self.clock.base().elapsed()))
    }

    /// How long the feed may wait for the next sample, where the server hung up then.
    fn bound(&self, hung_up: Option<Instant>) -> Duration {
        if !self.sender.has_delivered() {
            return self.spec.start_within;
        }
        match hung_up {
            Some(at) if at.elapsed() < DOUBT => self.spec.stall_after.min(SILENCE_IN_DOUBT),
            _ => self.spec.stall_after,
        }
    }
}

/// How long after its server hung up a source is doubted. `rtspsrc` takes that for harmless where media come over UDP,
/// and asks again; but a server that was started anew knows nothing of the session, and sends nothing.
const DOUBT: Duration = Duration::from_secs(1);
/// What a doubted source may be silent for: pictures twice a second still pass.
const SILENCE_IN_DOUBT: Duration = Duration::from_millis(500);

/// Whether `rtspsrc` says that the server closed the connection.
fn is_hang_up(report: &gst::message::Warning) -> bool {
    let of = report.src().and_then(|source| source.downcast_ref::<gst::Element>()?.factory());
    of.is_some_and(|factory| factory.name() == "rtspsrc") && report.error().matches(gst::ResourceError::Read)
}

/// Which decoder was chosen, in hardware or not, depends on what is installed.
fn tell_decoder(element: &gst::Element) {
    let Some(factory) = element.factory() else { return };
    // Not a bin that decodes by means of others.
    if factory.has_type(gst::ElementFactoryType::DECODER) && !element.is::<gst::Bin>() {
        debug!(decoder = %factory.name(), "decoder");
    }
}

/// Keeps rounding from turning the wait for the bus into a busy loop.
const LEAST_PATIENCE: Duration = Duration::from_millis(1);

fn is_named(message: &gst::message::Application, name: &str) -> bool {
    message.structure().is_some_and(|structure| structure.name() == name)
}

fn clock_time(duration: Duration) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1))
}
