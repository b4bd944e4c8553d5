//! The ends of a source's pipeline: a tail per output, made when there is a pad to feed it.
//!
//! A sink that nothing feeds would keep a file from ever starting to play, and from ending; so what the
//! media lacks has no sink, and what appears late is given one then.

use std::sync::{Arc, Mutex, MutexGuard};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use gstreamer_video::{VideoFormat, VideoInfo};

use super::buffer::{self, Origin};
use crate::ingest::feed::FeedSender;
use crate::ingest::{Format, Output, SourceError};

/// Buffers that wait in an appsink beyond the queue of the feed.
const SINK_BUFFERS: u32 = 2;

/// Longest edge of a picture as a multiple of the bound of its shortest: room for a panorama, and the
/// bound of a picture's bytes.
const LONGEST: u32 = 4;

const UNPOISONED: &str = "nothing panics while the tails are locked";

/// The tails of a source.
#[derive(Debug)]
pub(super) struct Tails {
    /// Weak, because signal handlers of its own elements hold the tails.
    bin: gst::glib::WeakRef<gst::Bin>,
    outputs: Vec<Output>,
    sender: FeedSender,
    origin: Arc<Origin>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lanes: Vec<Lane>,
    /// Whether samples wait for their time on the clock.
    sync: bool,
}

#[derive(Debug)]
enum Lane {
    /// Its stream may still come.
    Awaited,
    /// The pad is where its stream comes in.
    Fed(AppSink, gst::Pad),
    /// All streams are known, and its own is not among them.
    Lacking,
}

impl Tails {
    /// Tails in `bin` for `outputs`; samples go to `sender`, in the order of the outputs.
    pub(super) fn new(bin: &gst::Bin, outputs: &[Output], sender: &FeedSender, origin: &Arc<Origin>) -> Self {
        let lanes = outputs.iter().map(|_| Lane::Awaited).collect();
        Self {
            bin: bin.downgrade(),
            outputs: outputs.to_vec(),
            sender: sender.clone(),
            origin: Arc::clone(origin),
            state: Mutex::new(State { lanes, sync: false }),
        }
    }

    /// Gives `pad` to the first of `lanes` that wants its kind and has none.
    ///
    /// A lane may have had one: where a transport stream gets another list of tracks, those that stay come out of new
    /// pads too.
    pub(super) fn offer(&self, lanes: &[usize], pad: &gst::Pad) {
        let kind = raw_kind(pad);
        let mut state = self.lock();
        let wants = |lane: &usize| {
            let fed = matches!(&state.lanes[*lane], Lane::Fed(_, entry) if entry.is_linked());
            !fed && kind.as_deref() == Some(self.outputs[*lane].format.kind())
        };
        let Some(lane) = lanes.iter().copied().find(wants).filter(|_| !pad.is_linked()) else { return };
        // What does not link stays unfed, and is told as such: once all streams are known, or as a stall.
        let _ = match &state.lanes[lane] {
            Lane::Fed(_, entry) => pad.link(entry).map(drop).map_err(|error| error.to_string()),
            Lane::Awaited | Lane::Lacking => {
                self.feed(&mut state, lane, pad).map_err(|error| error.to_string())
            }
        };
    }

    /// Feeds `lane` from `pad`. Errors: an element lacks, or they do not link.
    pub(super) fn attach(&self, lane: usize, pad: &gst::Pad) -> Result<(), SourceError> {
        self.feed(&mut self.lock(), lane, pad)
    }

    /// All streams that could feed `lanes` are known.
    pub(super) fn close(&self, lanes: &[usize]) {
        let mut state = self.lock();
        for lane in lanes {
            if let Lane::Awaited = state.lanes[*lane] {
                state.lanes[*lane] = Lane::Lacking;
            }
        }
    }

    /// The lanes that no stream of the media feeds.
    pub(super) fn lacking(&self) -> Vec<usize> {
        let state = self.lock();
        let lacking = |lane: &usize| matches!(state.lanes[*lane], Lane::Lacking);
        (0..state.lanes.len()).filter(lacking).collect()
    }

    /// From now on samples wait for their time on the clock.
    pub(super) fn pace(&self) {
        let mut state = self.lock();
        state.sync = true;
        for lane in &state.lanes {
            if let Lane::Fed(sink, _) = lane {
                sink.set_sync(true);
            }
        }
    }

    fn feed(&self, state: &mut State, lane: usize, pad: &gst::Pad) -> Result<(), SourceError> {
        let setup = |message: &str| SourceError::Setup { message: message.to_owned() };
        let bin = self.bin.upgrade().ok_or_else(|| setup("the pipeline is gone"))?;
        let format = self.outputs[lane].format;
        let sink = AppSink::builder().sync(state.sync).max_buffers(SINK_BUFFERS).build();
        // A sink that joins what plays already must not hold it up until its first sample.
        sink.set_property("async", !self.origin.is_set());
        let names = match format {
            Format::Audio { rate_hz } => {
                sink.set_caps(Some(&audio_caps(rate_hz)));
                ["audioconvert", "audioresample"]
            }
            // Scaling comes first, so that only the smaller picture is converted.
            Format::Video { .. } => ["videoscale", "videoconvert"],
        };
        let [first, second] = [element(names[0])?, element(names[1])?];
        let entry = first.static_pad("sink").expect("a converter has a sink pad");
        if let Format::Video { max_edge } = format {
            // Pictures are scaled to exactly the size asked for: no borders to keep a ratio that only
            // rounding has changed.
            first.set_property("add-borders", false);
            bound_size(&entry, &sink, max_edge);
        }
        sink.set_callbacks(self.callbacks(lane, format));
        let elements = [&first, &second, sink.upcast_ref()];
        let linked = bin
            .add_many(elements)
            .and_then(|()| gst::Element::link_many(elements))
            .and_then(|()| elements.iter().rev().try_for_each(|element| element.sync_state_with_parent()));
        let linked = linked
            .map_err(|error| setup(&error.to_string()))
            .and_then(|()| pad.link(&entry).map(drop).map_err(|error| setup(&error.to_string())));
        if linked.is_err() {
            for element in elements {
                let _ = element.set_state(gst::State::Null);
                let _ = bin.remove(element);
            }
            return linked;
        }
        state.lanes[lane] = Lane::Fed(sink, entry);
        Ok(())
    }

    fn callbacks(&self, lane: usize, format: Format) -> AppSinkCallbacks {
        let (sender, ender, origin) = (self.sender.clone(), self.sender.clone(), Arc::clone(&self.origin));
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }
}

/// `audio` or `video`, of a pad of decoded media.
fn raw_kind(pad: &gst::Pad) -> Option<String> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    Some(caps.structure(0)?.name().strip_suffix("/x-raw")?.to_owned())
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

/// `size` scaled down until its shortest edge is at most `max_edge` and its longest at most
/// [`LONGEST`] times that, keeping the ratio; never scaled up.
fn bounded((width, height): (u32, u32), max_edge: u32) -> (u32, u32) {
    let fit = |edge: u32, most: u32| f64::from(most) / f64::from(edge.max(1));
    let shortest = fit(width.min(height), max_edge);
    let scale = shortest.min(fit(width.max(height), max_edge.saturating_mul(LONGEST)));
    if scale >= 1.0 {
        return (width, height);
    }
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

/// A new element of the plugins that every pipeline needs.
pub(super) fn element(name: &str) -> Result<gst::Element, SourceError> {
    gst::ElementFactory::make(name).build().map_err(|_| SourceError::Setup {
        message: format!("element `{name}` is not installed (plugins base and good are needed)"),
    })
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
            ((3840, 1080), (853, 240)),
            // However long, a picture is bounded.
            ((240, 4000), (58, 960)),
            ((1, 100_000), (1, 960)),
        ] {
            assert_eq!(bounded(size, 240), bound, "{size:?}");
        }
    }
}
