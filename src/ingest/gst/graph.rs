//! The elements of a source's pipeline: what plays the media, and one tail per output.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use gstreamer_video::{VideoFormat, VideoInfo};

use super::buffer::{self, Origin};
use crate::ingest::credentials::{self, Credentials};
use crate::ingest::feed::FeedSender;
use crate::ingest::source::without_credentials;
use crate::ingest::{Format, Media, Output, RtpTransport, SourceError, SourceSpec};

/// Name of the application message that tells that all of the media's streams are known.
pub(super) const STREAMS_KNOWN: &str = "streams-known";

/// What an RTSP connection may take to be made or to answer, in microseconds: a dead server is to be
/// an error soon, and a slow one has answered in a fraction of this.
const RTSP_TIMEOUT_US: u64 = 4_000_000;

/// How long RTP packets are held to be put in order, in milliseconds. Over TCP they are in order, so
/// this only smooths jitter; GStreamer's own default of 2 s would be added to every label.
const RTSP_LATENCY_MS: u32 = 100;

/// Buffers that wait in an appsink beyond the queue of the feed.
const SINK_BUFFERS: u32 = 2;

/// The end of the pipeline for one output.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    output: Output,
    entry: gst::Pad,
    sink: AppSink,
}

impl Tail {
    /// Adds the tail of the `lane`-th output to `bin`.
    fn new(
        bin: &gst::Bin,
        lane: usize,
        output: &Output,
        sender: &FeedSender,
        origin: &Arc<Origin>,
    ) -> Result<Self, SourceError> {
        let sink = AppSink::builder().sync(false).max_buffers(SINK_BUFFERS).build();
        let names = match output.format {
            Format::Audio { rate_hz } => {
                sink.set_caps(Some(&audio_caps(rate_hz)));
                ["audioconvert", "audioresample"]
            }
            // Scaling comes first, so that only the smaller picture is converted.
            Format::Video { .. } => ["videoscale", "videoconvert"],
        };
        let [first, second] = [element(names[0])?, element(names[1])?];
        let entry = first.static_pad("sink").expect("a converter has a sink pad");
        if let Format::Video { max_edge } = output.format {
            // Pictures are scaled to exactly the size asked for: no borders to keep a ratio that only
            // rounding has changed.
            first.set_property("add-borders", false);
            bound_size(&entry, &sink, max_edge);
        }
        sink.set_callbacks(callbacks(lane, output.format, sender.clone(), Arc::clone(origin)));
        bin.add_many([&first, &second, sink.upcast_ref()])
            .and_then(|()| gst::Element::link_many([&first, &second, sink.upcast_ref()]))
            .map_err(|error| SourceError::Setup { message: error.to_string() })?;
        Ok(Self { output: output.clone(), entry, sink })
    }

    fn accepts(&self, pad: &gst::Pad) -> bool {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let kind = self.output.format.kind();
        let raw = caps.structure(0).is_some_and(|first| first.name().strip_suffix("/x-raw") == Some(kind));
        raw && !self.entry.is_linked()
    }
}

/// The pipeline of a source.
#[derive(Debug)]
pub(super) struct Graph {
    spec: SourceSpec,
    credentials: Option<Credentials>,
    tails: Vec<Tail>,
}

impl Graph {
    /// Fills `pipeline` with what `spec` says; samples go to `sender`, in the order of its outputs.
    pub(super) fn build(
        pipeline: &gst::Pipeline,
        spec: &SourceSpec,
        sender: &FeedSender,
        origin: &Arc<Origin>,
    ) -> Result<Self, SourceError> {
        let credentials = spec.credentials_file.as_deref().map(credentials::read).transpose()?;
        let bin = match &spec.media {
            Media::Uri(_) => pipeline.clone().upcast(),
            Media::Pipeline(text) => {
                let bin = parse(&spec.media, text)?;
                if let Some(credentials) = &credentials {
                    let elements = bin.iterate_recurse().into_iter().filter_map(Result::ok);
                    elements.for_each(|element| log_in(&element, credentials));
                }
                pipeline.add(&bin).map_err(|error| SourceError::Setup { message: error.to_string() })?;
                bin
            }
        };
        let tails = spec.outputs.iter().enumerate();
        let tails = tails.map(|(lane, output)| Tail::new(&bin, lane, output, sender, origin));
        let tails = tails.collect::<Result<_, _>>()?;
        let graph = Self { spec: spec.clone(), credentials, tails };
        match &spec.media {
            Media::Uri(uri) => graph.link_uri(pipeline, uri)?,
            Media::Pipeline(_) => graph.link_text(&bin)?,
        }
        Ok(graph)
    }

    /// Whether samples wait for their time on the clock.
    pub(super) fn set_sync(&self, sync: bool) {
        for tail in &self.tails {
            tail.sink.set_sync(sync);
        }
    }

    /// The first output that no stream of the media feeds.
    pub(super) fn unfed(&self) -> Option<&Output> {
        self.tails.iter().find(|tail| !tail.entry.is_linked()).map(|tail| &tail.output)
    }

    /// `uridecodebin`, because its `no-more-pads` tells when a wanted stream is not there;
    /// `uridecodebin3` never emitted it in GStreamer 1.22, and simply stays silent.
    fn link_uri(&self, pipeline: &gst::Pipeline, uri: &str) -> Result<(), SourceError> {
        let decode = element("uridecodebin")?;
        decode.set_property("uri", full_uri(uri)?);
        let transport = self.spec.transport;
        let credentials = self.credentials.clone();
        decode.connect("source-setup", false, move |values| {
            let source: gst::Element = values[1].get().expect("the second argument is the source");
            set_up_source(&source, transport, credentials.as_ref());
            None
        });
        let tails = self.tails.clone();
        decode.connect_pad_added(move |_, pad| link_to_first(&tails, pad));
        decode.connect_no_more_pads(tell_streams_known);
        pipeline.add(&decode).map_err(|error| SourceError::Setup { message: error.to_string() })
    }

    fn link_text(&self, bin: &gst::Bin) -> Result<(), SourceError> {
        for tail in &self.tails {
            let kind = tail.output.format.kind();
            let no_tail = || SourceError::NoTail {
                media: self.spec.media.clone(),
                kind,
                modality: tail.output.name.clone(),
            };
            let last = bin.by_name(kind).ok_or_else(no_tail)?;
            let open = last.src_pads().into_iter().find(|pad| !pad.is_linked());
            if let Some(pad) = open {
                pad.link(&tail.entry).map_err(|_| no_tail())?;
            } else if has_sometimes_pads(&last) {
                let tails = vec![tail.clone()];
                last.connect_pad_added(move |_, pad| link_to_first(&tails, pad));
                last.connect_no_more_pads(tell_streams_known);
            } else {
                return Err(no_tail());
            }
        }
        Ok(())
    }
}

fn callbacks(lane: usize, format: Format, sender: FeedSender, origin: Arc<Origin>) -> AppSinkCallbacks {
    let ender = sender.clone();
    AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            match buffer::convert(&sample, format, &origin) {
                Some(sample) => sender.send(lane, sample).map_err(|_| gst::FlowError::Eos)?,
                None => sender.count_dropped(),
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .eos(move |_| ender.end(lane))
        .build()
}

fn link_to_first(tails: &[Tail], pad: &gst::Pad) {
    if let Some(tail) = tails.iter().find(|tail| tail.accepts(pad)) {
        // What does not link stays unfed, and is told as such once all streams are known.
        let _ = pad.link(&tail.entry);
    }
}

fn tell_streams_known(element: &gst::Element) {
    let known = gst::Structure::new_empty(STREAMS_KNOWN);
    // Posting fails only while the pipeline is torn down, when nobody listens any more.
    let _ = element.post_message(gst::message::Application::builder(known).src(element).build());
}

/// Makes `sink` ask for pictures whose shortest edge is at most `max_edge`, whatever comes in.
fn bound_size(entry: &gst::Pad, sink: &AppSink, max_edge: u32) {
    // Weak, because the probe belongs to a pad of the sink's own pipeline.
    let sink = Mutex::new(sink.downgrade());
    entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, probe| {
        let caps = probe.event().and_then(|event| match event.view() {
            gst::EventView::Caps(event) => VideoInfo::from_caps(event.caps()).ok(),
            _ => None,
        });
        let sink = sink.lock().ok().and_then(|sink| sink.upgrade());
        if let (Some(info), Some(sink)) = (caps, sink) {
            let (width, height) = bounded(square_pixels(&info), max_edge);
            sink.set_caps(Some(&video_caps(width, height)));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Size of the picture when its pixels are made square.
fn square_pixels(info: &VideoInfo) -> (u32, u32) {
    let (par, width) = (info.par(), u64::from(info.width()));
    let (numer, denom) = (par.numer().max(1).unsigned_abs(), par.denom().max(1).unsigned_abs());
    let square = (width * u64::from(numer)).div_ceil(u64::from(denom));
    (u32::try_from(square).unwrap_or(info.width()), info.height())
}

/// `size` scaled down until its shortest edge is `max_edge`, keeping the ratio; never scaled up.
fn bounded((width, height): (u32, u32), max_edge: u32) -> (u32, u32) {
    let shortest = width.min(height);
    if shortest <= max_edge {
        return (width, height);
    }
    let scale = f64::from(max_edge) / f64::from(shortest);
    // Rounded, and at least one pixel, so within u32.
    let scaled = |edge: u32| (f64::from(edge) * scale).round().max(1.0) as u32;
    (scaled(width), scaled(height))
}

fn audio_caps(rate_hz: u32) -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("channels", 1)
        .field("rate", i32::try_from(rate_hz).unwrap_or(i32::MAX))
        .build()
}

fn video_caps(width: u32, height: u32) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("format", VideoFormat::Rgb.to_str())
        .field("width", i32::try_from(width).unwrap_or(i32::MAX))
        .field("height", i32::try_from(height).unwrap_or(i32::MAX))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build()
}

/// Settings for the element that opens the connection, whatever it is.
fn set_up_source(source: &gst::Element, transport: RtpTransport, credentials: Option<&Credentials>) {
    if source.factory().is_some_and(|factory| factory.name() == "rtspsrc") {
        let location: Option<String> = source.property("location");
        let asks_for_udp = location.is_some_and(|location| location.starts_with("rtspu://"));
        let protocols = if asks_for_udp || transport == RtpTransport::Udp { "udp" } else { "tcp" };
        source.set_property_from_str("protocols", protocols);
        source.set_property("latency", RTSP_LATENCY_MS);
        source.set_property("tcp-timeout", RTSP_TIMEOUT_US);
    }
    if let Some(credentials) = credentials {
        log_in(source, credentials);
    }
}

/// Hands over credentials as properties, so that no URI, and no message with one, ever holds them.
fn log_in(element: &gst::Element, credentials: &Credentials) {
    if element.has_property("user-id") && element.has_property("user-pw") {
        element.set_property("user-id", &credentials.user);
        element.set_property("user-pw", credentials.password());
    }
}

fn has_sometimes_pads(element: &gst::Element) -> bool {
    let templates = element.pad_template_list();
    let mut sources = templates.iter().filter(|template| template.direction() == gst::PadDirection::Src);
    sources.any(|template| template.presence() == gst::PadPresence::Sometimes)
}

fn parse(media: &Media, text: &str) -> Result<gst::Bin, SourceError> {
    let parsed = gst::parse::bin_from_description_full(text, false, None, gst::ParseFlags::FATAL_ERRORS);
    let bin = parsed.map_err(|error| {
        let message = without_credentials(error.message());
        SourceError::Syntax { media: media.clone(), message }
    })?;
    Ok(bin.downcast().expect("without the flag against it, a description becomes a bin"))
}

fn element(name: &str) -> Result<gst::Element, SourceError> {
    gst::ElementFactory::make(name).build().map_err(|_| SourceError::Setup {
        message: format!("element `{name}` is not installed (plugins base and good are needed)"),
    })
}

/// The URI of what may be a path. Errors: [`SourceError::File`] when it is a file that cannot be read.
fn full_uri(uri: &str) -> Result<String, SourceError> {
    let path = match uri.split_once("://") {
        None => PathBuf::from(uri),
        Some(("file", _)) => match gst::glib::filename_from_uri(uri) {
            Ok((path, _)) => path,
            Err(error) => {
                let message = error.message().to_owned();
                return Err(SourceError::File { path: PathBuf::from(uri), message });
            }
        },
        Some(_) => return Ok(uri.to_owned()),
    };
    let path = std::path::absolute(&path).unwrap_or(path);
    check_readable(&path)
        .map_err(|error| SourceError::File { path: path.clone(), message: error.to_string() })?;
    match gst::glib::filename_to_uri(&path, None) {
        Ok(uri) => Ok(uri.into()),
        Err(error) => Err(SourceError::File { path, message: error.message().to_owned() }),
    }
}

fn check_readable(path: &Path) -> std::io::Result<()> {
    // Opening anything but a file, such as a pipe, could block.
    match std::fs::metadata(path)? {
        metadata if metadata.is_dir() => Err(std::io::ErrorKind::IsADirectory.into()),
        metadata if metadata.is_file() => std::fs::File::open(path).map(drop),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_scaled_down_to_the_bound_and_never_up() {
        for (size, bound) in [
            ((320, 240), (320, 240)),
            ((1920, 1080), (427, 240)),
            ((1080, 1920), (240, 427)),
            ((100, 50), (100, 50)),
            ((240, 4000), (240, 4000)),
        ] {
            assert_eq!(bounded(size, 240), bound, "{size:?}");
        }
    }

    #[test]
    fn a_path_becomes_a_uri_and_a_missing_one_names_where_it_was_looked_for() {
        assert_eq!(full_uri("rtsp://camera.local/stream").unwrap(), "rtsp://camera.local/stream");
        let file = tempfile::Builder::new().prefix("a clip").tempfile().unwrap();
        let uri = full_uri(file.path().to_str().unwrap()).unwrap();
        assert!(uri.starts_with("file:///") && uri.contains("a%20clip"), "{uri}");
        assert_eq!(full_uri(&uri).unwrap(), uri);
        let missing = full_uri("no/such/clip.mkv").unwrap_err().to_string();
        let tried = std::env::current_dir().unwrap().join("no/such/clip.mkv");
        assert!(
            missing.starts_with(&format!("read media file {}: No such file", tried.display())),
            "{missing}"
        );
    }
}
