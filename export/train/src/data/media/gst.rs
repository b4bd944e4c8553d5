//! Sound and frames of any container that GStreamer reads.

use std::path::Path;
use std::time::{Duration, Instant};

use cmpt_core::features::{PictureFrontEnd, Resized};
use gstreamer as gst;
use gstreamer_app::AppSink;
use gstreamer_video::{VideoFrameRef, VideoInfo, prelude::*};

use super::thinning::Thinning;

/// A decoder that has given nothing for so long has hung.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// The first audio stream, mono at `rate_hz`; what comes after `longest` samples is not decoded.
pub(super) fn sound(path: &Path, rate_hz: u32, longest: usize) -> Result<Vec<i16>, String> {
    let chain = format!(
        "audioconvert ! audioresample ! audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate={rate_hz}"
    );
    let mut samples = Vec::new();
    pull(path, &chain, |sample| {
        let buffer = sample.buffer().ok_or("a sample without a buffer")?;
        let bytes = buffer.map_readable().map_err(|error| error.to_string())?;
        samples.extend(bytes.as_chunks().0.iter().map(|value| i16::from_le_bytes(*value)));
        Ok(samples.len() < longest)
    })?;
    if samples.is_empty() { Err("no sound in it".into()) } else { Ok(samples) }
}

/// Up to `kept` frames of the first video stream, evenly over its length.
pub(super) fn frames(
    path: &Path,
    front_end: &mut PictureFrontEnd,
    kept: usize,
) -> Result<Vec<Resized>, String> {
    let mut frames = Thinning::new(kept);
    pull(path, "videoconvert ! video/x-raw,format=RGB", |sample| {
        frames.offer(|| frame(sample, front_end))?;
        Ok(true)
    })?;
    Ok(frames.finish())
}

fn frame(sample: &gst::Sample, front_end: &mut PictureFrontEnd) -> Result<Resized, String> {
    let (buffer, caps) = sample.buffer().zip(sample.caps()).ok_or("a frame without content")?;
    let info = VideoInfo::from_caps(caps).map_err(|error| error.to_string())?;
    let picture =
        VideoFrameRef::from_buffer_ref_readable(buffer, &info).map_err(|error| error.to_string())?;
    let (width, height) = (picture.width(), picture.height());
    // Rows are padded to what suits the element that made them.
    let stride = picture.plane_stride()[0] as usize;
    let plane = picture.plane_data(0).map_err(|error| error.to_string())?;
    let rows = plane.chunks(stride).take(height as usize);
    let rgb: Vec<u8> = rows.flat_map(|row| &row[..row.len().min(3 * width as usize)]).copied().collect();
    front_end.resized(&rgb, width, height).map_err(|error| error.to_string())
}

/// Decodes a file and hands each sample to `take`, until that says `false` or the file ends.
fn pull(
    path: &Path,
    chain: &str,
    mut take: impl FnMut(&gst::Sample) -> Result<bool, String>,
) -> Result<(), String> {
    gst::init().map_err(|error| error.to_string())?;
    let description = format!("filesrc name=file ! decodebin name=any any. ! {chain} ! appsink name=sink");
    let element = gst::parse::launch(&description).map_err(|error| error.to_string())?;
    let pipeline = element.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
    let by_name = |name: &str| pipeline.by_name(name).ok_or(format!("no element {name}"));
    by_name("file")?.set_property("location", path);
    let sink = by_name("sink")?.downcast::<AppSink>().map_err(|_| "no appsink")?;
    sink.set_property("sync", false);
    // The decoder waits when so many samples have not been taken.
    sink.set_max_buffers(8);
    let result = drain(&pipeline, &sink, &mut take);
    let stopped = pipeline.set_state(gst::State::Null).map_err(|error| error.to_string());
    result.and(stopped.map(drop))
}

fn drain(
    pipeline: &gst::Pipeline,
    sink: &AppSink,
    take: &mut dyn FnMut(&gst::Sample) -> Result<bool, String>,
) -> Result<(), String> {
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    let started = pipeline.set_state(gst::State::Playing);
    let mut last = Instant::now();
    loop {
        if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
            && let gst::MessageView::Error(error) = message.view()
        {
            return Err(error.error().to_string());
        }
        started.map_err(|error| error.to_string())?;
        if let Some(sample) = sink.try_pull_sample(POLL) {
            last = Instant::now();
            if !take(&sample)? {
                return Ok(());
            }
        } else if sink.is_eos() {
            // An error may have come just before the end.
            let last = bus.pop_filtered(&[gst::MessageType::Error]);
            return match last.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Error(error)) => Err(error.error().to_string()),
                _ => Ok(()),
            };
        } else if last.elapsed() > PATIENCE {
            return Err(format!("nothing decoded for {} s", PATIENCE.as_secs()));
        }
    }
}
