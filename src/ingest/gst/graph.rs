//! What plays the media of a source, up to its tails.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::buffer::Origin;
use super::tails::{Tails, element};
use crate::ingest::credentials::{self, Credentials};
use crate::ingest::feed::FeedSender;
use crate::ingest::source::without_credentials;
use crate::ingest::{Media, RtpTransport, SourceError, SourceSpec};

/// Name of the application message that tells that all of the media's streams are known.
pub(super) const STREAMS_KNOWN: &str = "streams-known";

/// How long RTP packets are held to be put in order, in milliseconds. Over TCP they are in order, so
/// this only smooths jitter; GStreamer's own default of 2 s would be added to every label.
const RTSP_LATENCY_MS: u32 = 100;

/// The pipeline of a source.
#[derive(Debug)]
pub(super) struct Graph {
    spec: SourceSpec,
    credentials: Option<Credentials>,
    tails: Arc<Tails>,
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
                for element in bin.iterate_recurse().into_iter().filter_map(Result::ok) {
                    set_up_device(&element);
                    if let Some(credentials) = &credentials {
                        log_in(&element, credentials);
                    }
                }
                pipeline.add(&bin).map_err(|error| SourceError::Setup { message: error.to_string() })?;
                bin
            }
        };
        let tails = Arc::new(Tails::new(&bin, &spec.outputs, sender, origin));
        let graph = Self { spec: spec.clone(), credentials, tails };
        match &spec.media {
            Media::Uri(uri) => graph.link_uri(pipeline, uri)?,
            Media::Pipeline(_) => graph.link_text(&bin)?,
        }
        Ok(graph)
    }

    /// Its ends.
    pub(super) fn tails(&self) -> &Tails {
        &self.tails
    }

    /// `uridecodebin`, because its `no-more-pads` tells when a wanted stream is not there;
    /// `uridecodebin3` never emitted it in GStreamer 1.22, and simply stays silent.
    fn link_uri(&self, pipeline: &gst::Pipeline, uri: &str) -> Result<(), SourceError> {
        let decode = element("uridecodebin")?;
        decode.set_property("uri", full_uri(uri)?);
        let (spec, credentials) = (self.spec.clone(), self.credentials.clone());
        decode.connect("source-setup", false, move |values| {
            let source: gst::Element = values[1].get().expect("the second argument is the source");
            set_up_source(&source, &spec, credentials.as_ref());
            None
        });
        self.feed_from(&decode, (0..self.spec.outputs.len()).collect());
        pipeline.add(&decode).map_err(|error| SourceError::Setup { message: error.to_string() })
    }

    fn link_text(&self, bin: &gst::Bin) -> Result<(), SourceError> {
        for (lane, output) in self.spec.outputs.iter().enumerate() {
            let kind = output.format.kind();
            let no_tail = || SourceError::NoTail {
                media: self.spec.media.clone(),
                kind,
                modality: output.name.clone(),
            };
            let last = bin.by_name(kind).ok_or_else(no_tail)?;
            let open = last.src_pads().into_iter().find(|pad| !pad.is_linked());
            if let Some(pad) = open {
                self.tails.attach(lane, &pad).map_err(|_| no_tail())?;
            } else if has_sometimes_pads(&last) {
                self.feed_from(&last, vec![lane]);
            } else {
                return Err(no_tail());
            }
        }
        Ok(())
    }

    /// Feeds `lanes` from the pads that `element` will have.
    fn feed_from(&self, element: &gst::Element, lanes: Vec<usize>) {
        let (tails, wanted) = (Arc::clone(&self.tails), lanes.clone());
        element.connect_pad_added(move |_, pad| tails.offer(&wanted, pad));
        let tails = Arc::clone(&self.tails);
        element.connect_no_more_pads(move |element| {
            tails.close(&lanes);
            let known = gst::Structure::new_empty(STREAMS_KNOWN);
            // Posting fails only while the pipeline is torn down, when nobody listens any more.
            let _ = element.post_message(gst::message::Application::builder(known).src(element).build());
        });
    }
}

/// What an RTSP server may take to accept a connection or to answer, in microseconds, when its first sample
/// may take `start_within`: less, so that the error that says more comes first.
fn answer_within(start_within: Duration) -> u64 {
    u64::try_from((start_within / 3 * 2).as_micros()).unwrap_or(u64::MAX)
}

/// Settings for the element that opens the connection, whatever it is.
fn set_up_source(source: &gst::Element, spec: &SourceSpec, credentials: Option<&Credentials>) {
    if source.factory().is_some_and(|factory| factory.name() == "rtspsrc") {
        let location: Option<String> = source.property("location");
        let asks_for_udp = location.is_some_and(|location| location.starts_with("rtspu://"));
        let protocols = if asks_for_udp || spec.transport == RtpTransport::Udp { "udp" } else { "tcp" };
        source.set_property_from_str("protocols", protocols);
        source.set_property("latency", RTSP_LATENCY_MS);
        source.set_property("tcp-timeout", answer_within(spec.start_within));
    }
    if let Some(credentials) = credentials {
        log_in(source, credentials);
    }
}

/// ALSA's plugins, which `default` means wherever there is a sound server, stamp with clocks of their own
/// or not at all; only the pipeline's clock can be compared with other sources.
fn set_up_device(element: &gst::Element) {
    if element.has_property("use-driver-timestamps") {
        element.set_property("use-driver-timestamps", false);
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
