//! From GStreamer's buffers to samples.

use std::sync::OnceLock;
use std::time::Duration;

use cmpt_core::samples::{AudioBlock, Frame, Sample};
use cmpt_core::time::Timestamp;
use gstreamer as gst;
use gstreamer_video::{VideoFrameRef, VideoInfo, prelude::*};

use crate::ingest::{Format, StreamClock};

/// Where a pipeline's running time 0 lies in stream time.
///
/// Known only once the pipeline has prerolled, since that tells whether it is live by itself.
#[derive(Debug)]
pub(super) struct Origin {
    running_time: OnceLock<RunningTime>,
    /// What the operator adds to every timestamp.
    offset_ms: i64,
}

impl Origin {
    pub(super) fn new(offset_ms: i64) -> Self {
        Self { running_time: OnceLock::new(), offset_ms }
    }

    pub(super) fn is_set(&self) -> bool {
        self.running_time.get().is_some()
    }

    /// Errors: it is known already.
    pub(super) fn set(&self, running_time: RunningTime) -> Result<(), RunningTime> {
        self.running_time.set(running_time)
    }

    fn stream_time(&self, running: gst::ClockTime) -> Option<Timestamp> {
        let at = self.running_time.get()?.stream_time(running);
        let offset = Duration::from_millis(self.offset_ms.unsigned_abs());
        Some(if self.offset_ms < 0 { at - offset } else { at + offset })
    }
}

/// Relates running time and stream time.
#[derive(Clone, Copy, Debug)]
pub(super) enum RunningTime {
    /// Running time is stream time.
    IsStreamTime,
    /// Running time counts from `after_base` after the base time of the stream's clock.
    FromBase { clock: StreamClock, after_base: Duration },
}

impl RunningTime {
    fn stream_time(self, running: gst::ClockTime) -> Timestamp {
        match self {
            Self::IsStreamTime => Timestamp::ZERO + running.into(),
            Self::FromBase { clock, after_base } => clock.at(Duration::from(running) + after_base),
        }
    }
}

/// The sample in `sample`. `None` if it has no timestamp or no content, or if a decoder marked it as
/// made up: concealment is not signal.
pub(super) fn convert(sample: &gst::Sample, format: Format, origin: &Origin) -> Option<Sample> {
    let buffer = sample.buffer()?;
    if buffer.flags().contains(gst::BufferFlags::CORRUPTED) {
        return None;
    }
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let at = origin.stream_time(segment.to_running_time(buffer.pts()?)?)?;
    match format {
        Format::Audio { .. } => block(buffer, at).map(Sample::Audio),
        Format::Video { .. } => frame(buffer, sample.caps()?, at).map(Sample::Frame),
    }
}

fn block(buffer: &gst::BufferRef, at: Timestamp) -> Option<AudioBlock> {
    let bytes = buffer.map_readable().ok()?;
    let (samples, _) = bytes.as_chunks::<4>();
    Some(AudioBlock { at, samples: samples.iter().map(|sample| f32::from_le_bytes(*sample)).collect() })
}

fn frame(buffer: &gst::BufferRef, caps: &gst::CapsRef, at: Timestamp) -> Option<Frame> {
    let info = VideoInfo::from_caps(caps).ok()?;
    let picture = VideoFrameRef::from_buffer_ref_readable(buffer, &info).ok()?;
    let (width, height) = (picture.width(), picture.height());
    let row = 3 * usize::try_from(width).ok()?;
    // Rows are padded to what suits the element that made them.
    let stride = usize::try_from(picture.plane_stride()[0]).ok()?;
    let mut rgb = Vec::with_capacity(row * usize::try_from(height).ok()?);
    for padded in picture.plane_data(0).ok()?.chunks(stride).take(usize::try_from(height).ok()?) {
        rgb.extend_from_slice(padded.get(..row)?);
    }
    Some(Frame { at, width, height, rgb })
}
