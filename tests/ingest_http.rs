//! HTTP and HLS against a server on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use avdigits::clip::{self, Quality, Tracks};
use avdigits::programme::Second;
use cmpt::ingest::{
    Feed, Format, Media, Output, Pace, SourceError, SourceMessage, SourceSpec, StreamClock, open,
};
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;
use gstreamer as gst;
use gstreamer::prelude::*;

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(30);
const AUDIO: ModalityId = ModalityId(0);
const VIDEO: ModalityId = ModalityId(1);

/// Serves the files of a folder, each connection on a thread, for as long as the process lives.
fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let folder = folder.clone();
            std::thread::spawn(move || answer(connection.unwrap(), &folder));
        }
    });
    format!("http://{address}")
}

fn answer(connection: TcpStream, folder: &Path) {
    let mut reader = BufReader::new(connection);
    let mut request = String::new();
    // A client that has gone needs no answer.
    while reader.read_line(&mut request).is_ok_and(|read| read > 2) {}
    let Some(name) = request.split_whitespace().nth(1) else { return };
    let content = fs::read(folder.join(name.trim_start_matches('/')));
    let status = if content.is_ok() { "200 OK" } else { "404 Not Found" };
    let content = content.unwrap_or_default();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len());
    let _ = reader.get_mut().write_all(head.as_bytes()).and_then(|()| reader.get_mut().write_all(&content));
}

fn clip(folder: &Path) -> PathBuf {
    let path = folder.join("clip.mp4");
    let seconds: Vec<Second> = (0..3).map(Second::made_up).collect();
    clip::write(&path, &seconds, Quality::Camera, Tracks::Both).unwrap();
    path
}

/// Makes `live.m3u8` and its segments out of a clip.
fn segment(folder: &Path, clip: &Path) {
    gst::init().unwrap();
    let text = format!(
        "mpegtsmux name=mux ! hlssink location={folder}/part%03d.ts playlist-location={folder}/list.m3u8 \
         target-duration=1 filesrc location={clip} ! qtdemux name=demux \
         demux.video_0 ! queue ! h264parse config-interval=-1 ! mux. demux.audio_0 ! queue ! aacparse ! mux.",
        folder = folder.display(),
        clip = clip.display()
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let deadline = gst::ClockTime::from_seconds(DEADLINE.as_secs());
    let message = pipeline.bus().unwrap().timed_pop_filtered(deadline, &ends).unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    let list = fs::read_to_string(folder.join("list.m3u8")).unwrap();
    assert!(list.contains(".ts"), "{list}");
    // What is complete says so; a live list would be asked for again and again.
    if !list.contains("#EXT-X-ENDLIST") {
        fs::write(folder.join("list.m3u8"), list + "#EXT-X-ENDLIST\n").unwrap();
    }
}

fn play(uri: String) -> Feed {
    let outputs = vec![
        Output { modality: AUDIO, name: "audio".into(), format: Format::Audio { rate_hz: 16_000 } },
        Output { modality: VIDEO, name: "video".into(), format: Format::Video { max_edge: 240 } },
    ];
    open(SourceSpec::new(Media::Uri(uri), outputs, Pace::Replay)).unwrap().start(&StreamClock::start())
}

/// Frames and samples until the end, or the failure.
async fn counts(mut feed: Feed) -> Result<(usize, usize), SourceError> {
    let (mut frames, mut samples) = (0, 0);
    loop {
        match tokio::time::timeout(DEADLINE, feed.recv()).await.unwrap() {
            Some(SourceMessage::Sample { sample: Sample::Frame(_), .. }) => frames += 1,
            Some(SourceMessage::Sample { sample: Sample::Audio(block), .. }) => {
                samples += block.samples.len()
            }
            Some(SourceMessage::Failed(error)) => return Err(error),
            Some(_) => {}
            None => return Ok((frames, samples)),
        }
    }
}

#[tokio::test]
async fn a_clip_is_played_over_http() {
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    let (frames, samples) = counts(play(serve(folder.path()) + "/clip.mp4")).await.unwrap();
    assert_eq!(frames, 30);
    assert!(samples.abs_diff(3 * 16_000) <= 2048, "{samples} samples");
}

#[tokio::test]
async fn a_playlist_is_played_over_hls() {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path());
    segment(folder.path(), &clip);
    let (frames, samples) = counts(play(serve(folder.path()) + "/list.m3u8")).await.unwrap();
    // The first pictures of a segment may be lost to the demuxer, no more.
    assert!((28..=30).contains(&frames), "{frames} frames");
    assert!(samples.abs_diff(3 * 16_000) <= 4096, "{samples} samples");
}

#[tokio::test]
async fn what_the_server_does_not_have_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let error = counts(play(serve(folder.path()) + "/no-such.mp4")).await.unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("Not Found"), "{error}");
}
