//! Composing a programme into a media file.

use std::path::{Path, PathBuf};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;

use crate::programme::{FRAMES, HEIGHT, Second, WIDTH};
use crate::speech::RATE_HZ;

/// How a clip is encoded. The container follows the file's extension: `.mkv` or `.mp4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// As a camera would: H.264 at a moderate rate; FLAC in `.mkv`, AAC in `.mp4`.
    Camera,
    /// Without loss: H.264 with quantizer 0, and FLAC; `.mkv` only.
    Lossless,
}

/// Which tracks a clip gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracks {
    /// Sound and pictures.
    Both,
    /// Pictures only.
    Video,
    /// Sound only.
    Audio,
}

/// Why a clip could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// The extension names no container that can be written so.
    #[error("write {}: expected an extension of mkv, or mp4 with loss", path.display())]
    Container {
        /// The file.
        path: PathBuf,
    },
    /// GStreamer cannot write it.
    #[error("write {}: {message}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What GStreamer says.
        message: String,
    },
}

/// Writes `programme` to `path`.
pub fn write(path: &Path, programme: &[Second], quality: Quality, tracks: Tracks) -> Result<(), ClipError> {
    let fail = |message: String| ClipError::Write { path: path.into(), message };
    gst::init().map_err(|error| fail(error.to_string()))?;
    let container = path.extension().and_then(|extension| extension.to_str());
    let (mux, sound) = match (container, quality) {
        (Some("mkv"), _) => ("matroskamux", "flacenc"),
        (Some("mp4"), Quality::Camera) => ("mp4mux", "avenc_aac"),
        _ => return Err(ClipError::Container { path: path.into() }),
    };
    let quantizer = match quality {
        Quality::Camera => "pass=qual quantizer=21",
        Quality::Lossless => "pass=quant quantizer=0",
    };
    // The encoder looks seconds ahead, so the queues must let the other track run on without a bound;
    // what waits there is encoded, and small.
    let queue = "queue max-size-buffers=0 max-size-bytes=0 max-size-time=0";
    let mut text = format!("{mux} name=mux ! filesink name=file");
    if tracks != Tracks::Audio {
        text += &format!(
            " appsrc name=video format=time block=true caps={} ! videoconvert ! video/x-raw,format=I420 \
             ! x264enc {quantizer} key-int-max={} ! h264parse ! {queue} ! mux.",
            video_caps(),
            2 * FRAMES
        );
    }
    if tracks != Tracks::Video {
        text += &format!(
            " appsrc name=audio format=time block=true caps={} ! audioconvert ! {sound} ! {queue} ! mux.",
            audio_caps()
        );
    }
    let pipeline = gst::parse::launch(&text).map_err(|error| fail(error.to_string()))?;
    let pipeline: gst::Pipeline = pipeline.downcast().expect("several elements make a pipeline");
    pipeline.by_name("file").expect("it is in the text").set_property("location", path);
    let bus = pipeline.bus().expect("a pipeline has a bus");
    // A pipeline that has failed refuses what it is fed, and says why on its bus.
    let written = feed(&pipeline, programme)
        .map_err(|refused| bus.pop_filtered(OUTCOMES).as_ref().and_then(reported).unwrap_or(refused))
        .and_then(|()| {
            bus.timed_pop_filtered(None, OUTCOMES).as_ref().and_then(reported).map_or(Ok(()), Err)
        });
    // The file is closed by now, so that stopping has nothing left to fail at.
    let _ = pipeline.set_state(gst::State::Null);
    written.map_err(fail)
}

/// Caps of [`frame_bytes`], in launch syntax.
pub(crate) fn video_caps() -> String {
    format!("video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate={FRAMES}/1")
}

/// A frame as RGB: GStreamer takes GRAY8 for luma of limited range, whatever its caps say, and would
/// stretch the contrast.
pub(crate) fn frame_bytes(frame: &[u8]) -> Vec<u8> {
    frame.iter().flat_map(|luma| [*luma; 3]).collect()
}

/// Caps of [`sound_bytes`], in launch syntax.
pub(crate) fn audio_caps() -> String {
    format!("audio/x-raw,format=S16LE,channels=1,rate={RATE_HZ},layout=interleaved")
}

/// Sound as 16-bit samples.
pub(crate) fn sound_bytes(samples: &[f32]) -> Vec<u8> {
    // The cast saturates, so that full scale does not wrap around.
    samples.iter().flat_map(|sample| ((sample * 32_768.0).round() as i16).to_le_bytes()).collect()
}

fn feed(pipeline: &gst::Pipeline, programme: &[Second]) -> Result<(), String> {
    let source = |name| pipeline.by_name(name).and_downcast::<AppSrc>();
    let (video, audio) = (source("video"), source("audio"));
    pipeline.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
    for (index, second) in programme.iter().enumerate() {
        for part in 0..FRAMES {
            let at = ((index * FRAMES + part) * 1000 / FRAMES) as u64;
            if let Some(video) = &video {
                push(video, frame_bytes(&second.frame), at)?;
            }
            if let Some(audio) = &audio {
                let samples = RATE_HZ / FRAMES;
                push(audio, sound_bytes(&second.sound[part * samples..(part + 1) * samples]), at)?;
            }
        }
    }
    for source in [&video, &audio].into_iter().flatten() {
        source.end_of_stream().map_err(|error| error.to_string())?;
    }
    Ok(())
}

const OUTCOMES: &[gst::MessageType] = &[gst::MessageType::Eos, gst::MessageType::Error];

/// What a message reports, if it is an error.
fn reported(message: &gst::Message) -> Option<String> {
    match message.view() {
        gst::MessageView::Error(report) => Some(report.error().message().to_owned()),
        _ => None,
    }
}

/// Pushes one part, a tenth of a second long.
fn push(source: &AppSrc, bytes: Vec<u8>, at_ms: u64) -> Result<(), String> {
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let stamped = buffer.get_mut().expect("a new buffer has one owner");
    stamped.set_pts(gst::ClockTime::from_mseconds(at_ms));
    stamped.set_duration(gst::ClockTime::from_mseconds(1000 / FRAMES as u64));
    source.push_buffer(buffer).map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: usize) -> Vec<Second> {
        let second = Second { digit: 7, frame: vec![90; WIDTH * HEIGHT], sound: vec![0.25; RATE_HZ] };
        vec![second; count]
    }

    #[test]
    fn a_clip_is_written_in_either_container() {
        let folder = tempfile::tempdir().unwrap();
        for (name, quality) in
            [("a.mkv", Quality::Camera), ("b.mp4", Quality::Camera), ("c.mkv", Quality::Lossless)]
        {
            let path = folder.path().join(name);
            write(&path, &seconds(12), quality, Tracks::Both).unwrap();
            assert!(std::fs::metadata(&path).unwrap().len() > 5000, "{name}");
        }
    }

    #[test]
    fn sound_is_16_bit_and_saturates() {
        assert_eq!(sound_bytes(&[0.0, 0.5, 1.0, -1.0]), [0, 0, 0, 64, 255, 127, 0, 128]);
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let attempt = |name: &str, quality| {
            write(&folder.path().join(name), &seconds(1), quality, Tracks::Both).unwrap_err().to_string()
        };
        assert!(
            attempt("a.avi", Quality::Camera).ends_with("expected an extension of mkv, or mp4 with loss")
        );
        assert!(
            attempt("a.mp4", Quality::Lossless).ends_with("expected an extension of mkv, or mp4 with loss")
        );
        assert!(attempt("no/such/a.mkv", Quality::Camera).contains("no/such/a.mkv: Could not open"));
    }
}
