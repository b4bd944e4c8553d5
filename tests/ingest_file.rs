//! Files and pipelines through real GStreamer: timestamps, gaps, sizes, and every way to fail.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use avdigits::clip::{self, Quality, Tracks};
use avdigits::programme::{self, Second};
use cmpt::ingest::{
    DropFilter, DropSpec, Format, Media, Output, Pace, Replay, Source, SourceError, SourceMessage,
    SourceSpec, StreamClock, open,
};
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::{AudioBlock, Frame, Sample};
use cmpt_core::time::Timestamp;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;

const AUDIO: ModalityId = ModalityId(0);
const VIDEO: ModalityId = ModalityId(1);
const RATE_HZ: usize = 16_000;
/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(30);

fn audio() -> Output {
    Output { modality: AUDIO, name: "audio".into(), format: Format::Audio { rate_hz: 16_000 } }
}

fn video() -> Output {
    Output { modality: VIDEO, name: "video".into(), format: Format::Video { max_edge: 240 } }
}

fn source(media: Media, outputs: Vec<Output>, pace: Pace) -> Box<dyn Source> {
    open(SourceSpec::new(media, outputs, pace)).unwrap()
}

fn file(path: &Path) -> Media {
    Media::Uri(path.to_str().unwrap().into())
}

fn pipeline(text: &str) -> Media {
    Media::Pipeline(text.into())
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens within the deadline")
}

/// Everything that a replay of `media` tells.
async fn replay(media: Media, outputs: Vec<Output>, drops: &[&str]) -> Vec<SourceMessage> {
    let drops: Vec<DropSpec> = drops.iter().map(|drop| drop.parse().unwrap()).collect();
    let filter = DropFilter::new(&drops, &outputs).unwrap();
    let feed = source(media, outputs, Pace::Replay).start(&StreamClock::start());
    let mut replay = Replay::new(vec![feed], filter);
    let mut messages = Vec::new();
    while let Some(message) = in_time(replay.recv()).await {
        messages.push(message);
    }
    assert!(in_time(replay.stop()).await, "the source lets go");
    messages
}

async fn failure(media: Media, outputs: Vec<Output>) -> SourceError {
    match replay(media, outputs, &[]).await.pop() {
        Some(SourceMessage::Failed(error)) => error,
        other => panic!("expected a failure, not {other:?}"),
    }
}

fn blocks(messages: &[SourceMessage]) -> Vec<&AudioBlock> {
    let block = |message| match message {
        &SourceMessage::Sample { modality: AUDIO, sample: Sample::Audio(ref block) } => Some(block),
        _ => None,
    };
    messages.iter().filter_map(block).collect()
}

fn frames(messages: &[SourceMessage]) -> Vec<&Frame> {
    let frame = |message| match message {
        &SourceMessage::Sample { modality: VIDEO, sample: Sample::Frame(ref frame) } => Some(frame),
        _ => None,
    };
    messages.iter().filter_map(frame).collect()
}

fn end(block: &AudioBlock) -> Timestamp {
    block.at + Duration::from_nanos(block.samples.len() as u64 * 1_000_000_000 / RATE_HZ as u64)
}

/// Seconds of a moving pattern and a tone, which stand in for digits.
fn programme(seconds: u8) -> Vec<Second> {
    let second = |digit: u8| {
        let picture: Vec<u8> =
            (0..28 * 28u32).map(|pixel| (pixel * 7 + u32::from(digit) * 31) as u8).collect();
        let tone = |sample: usize| 0.5 * (sample as f32 * f32::from(digit + 1) * 0.05).sin();
        Second { digit, frame: programme::frame(&picture), sound: (0..RATE_HZ).map(tone).collect() }
    };
    (0..seconds).map(second).collect()
}

fn write_clip(folder: &Path, name: &str, seconds: u8, tracks: Tracks) -> PathBuf {
    let path = folder.join(name);
    let quality = if name.ends_with("mp4") { Quality::Camera } else { Quality::Lossless };
    clip::write(&path, &programme(seconds), quality, tracks).unwrap();
    path
}

#[tokio::test]
async fn every_frame_and_sample_of_a_clip_comes_at_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let clip = write_clip(folder.path(), "clip.mkv", 3, Tracks::Both);
    let messages = replay(file(&clip), vec![audio(), video()], &[]).await;
    let expected = programme(3);

    let frames = frames(&messages);
    let times: Vec<_> = frames.iter().map(|frame| frame.at.as_millis()).collect();
    assert_eq!(times, (0..30).map(|tenth| tenth * 100).collect::<Vec<_>>());
    for (index, frame) in frames.iter().enumerate() {
        assert_eq!((frame.width, frame.height), (320, 240));
        let original = &expected[index / 10].frame;
        let luma = frame.rgb.iter().step_by(3);
        let off = luma.zip(original).map(|(luma, original)| u32::from(luma.abs_diff(*original))).max();
        // 8-bit luma of limited range and chroma are each rounded on the way.
        assert!(off.unwrap() <= 6, "frame {index} is off by {off:?}");
    }

    let blocks = blocks(&messages);
    let mut at = Timestamp::ZERO;
    let mut samples: Vec<f32> = Vec::new();
    for block in blocks {
        assert!(block.at.as_nanos().abs_diff(at.as_nanos()) < 1_000_000, "block at {}, not {at}", block.at);
        at = end(block);
        samples.extend(&block.samples);
    }
    let original: Vec<f32> = expected.iter().flat_map(|second| second.sound.iter().copied()).collect();
    assert_eq!(samples.len(), original.len());
    assert!(samples.iter().zip(original).all(|(sample, original)| (sample - original).abs() < 1e-4));
    let ended = |message: &SourceMessage| matches!(message, SourceMessage::Ended { .. });
    assert_eq!(messages.iter().filter(|message| ended(message)).count(), 2);
}

#[tokio::test]
async fn a_clip_replayed_twice_gives_the_same_messages_in_the_same_order() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["clip.mkv", "clip.mp4"] {
        let clip = write_clip(folder.path(), name, 6, Tracks::Both);
        let first = replay(file(&clip), vec![audio(), video()], &[]).await;
        assert!(frames(&first).len() == 60, "{name} has {} frames", frames(&first).len());
        let times = first.iter().filter_map(|message| match message {
            SourceMessage::Sample { modality, sample } => Some((sample.at(), *modality)),
            _ => None,
        });
        assert!(times.is_sorted(), "{name} is in order");
        for _ in 0..3 {
            let again = replay(file(&clip), vec![audio(), video()], &[]).await;
            assert!(first == again, "{name} differs");
        }
    }
}

#[tokio::test]
async fn a_dropped_modality_is_gone_for_exactly_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let clip = write_clip(folder.path(), "clip.mkv", 3, Tracks::Both);
    let messages =
        replay(file(&clip), vec![audio(), video()], &["video@1..2:black", "audio@0.5..1.25"]).await;
    let black: Vec<_> =
        frames(&messages).iter().map(|frame| frame.rgb.iter().all(|value| *value == 0)).collect();
    assert_eq!(black, (0..30).map(|tenth| (10..20).contains(&tenth)).collect::<Vec<_>>());
    let samples: usize = blocks(&messages).iter().map(|block| block.samples.len()).sum();
    assert_eq!(samples, 3 * RATE_HZ - RATE_HZ * 3 / 4);
}

/// Writes raw sound and pictures, a tenth of a second each, at these tenths.
fn write_tenths(path: &Path, tenths: impl Iterator<Item = u64>) {
    gst::init().unwrap();
    let text = "matroskamux name=mux ! filesink name=file \
         appsrc name=video format=time caps=video/x-raw,format=I420,width=64,height=48,framerate=10/1 ! video/x-raw ! mux. \
         appsrc name=audio format=time caps=audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved ! audio/x-raw ! mux.";
    let pipeline: gst::Pipeline = gst::parse::launch(text).unwrap().downcast().unwrap();
    pipeline.by_name("file").unwrap().set_property("location", path);
    let source = |name| pipeline.by_name(name).and_downcast::<AppSrc>().unwrap();
    let sources = [(source("video"), 64 * 48 * 3 / 2), (source("audio"), 2 * RATE_HZ / 10)];
    pipeline.set_state(gst::State::Playing).unwrap();
    for tenth in tenths {
        for (source, bytes) in &sources {
            let mut buffer = gst::Buffer::from_mut_slice(vec![100u8; *bytes]);
            let stamped = buffer.get_mut().unwrap();
            stamped.set_pts(gst::ClockTime::from_mseconds(100 * tenth));
            stamped.set_duration(gst::ClockTime::from_mseconds(100));
            source.push_buffer(buffer).unwrap();
        }
    }
    for (source, _) in &sources {
        source.end_of_stream().unwrap();
    }
    let done = pipeline.bus().unwrap().timed_pop_filtered(
        gst::ClockTime::from_seconds(DEADLINE.as_secs()),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    match done.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => {}
        other => panic!("{other:?}"),
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[tokio::test]
async fn a_gap_in_a_recording_stays_visible() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gap.mkv");
    write_tenths(&path, (0..10).chain(30..40));
    let messages = replay(file(&path), vec![audio(), video()], &[]).await;
    let times: Vec<_> = frames(&messages).iter().map(|frame| frame.at.as_millis()).collect();
    assert_eq!(times, (0..10).chain(30..40).map(|tenth| 100 * tenth).collect::<Vec<_>>());
    let in_gap = |block: &&AudioBlock| end(block).as_millis() > 1010 && block.at.as_millis() < 2990;
    assert_eq!(blocks(&messages).iter().copied().filter(in_gap).count(), 0);
    let samples: usize = blocks(&messages).iter().map(|block| block.samples.len()).sum();
    assert!(samples.abs_diff(2 * RATE_HZ) < 100, "{samples} samples");
}

#[tokio::test]
async fn rows_of_any_width_and_size_come_without_padding() {
    for (size, delivered) in
        [((322, 200), (322, 200)), ((37, 23), (37, 23)), ((640, 480), (320, 240)), ((1280, 720), (427, 240))]
    {
        let text = format!(
            "videotestsrc num-buffers=2 pattern=checkers-8 ! video/x-raw,width={},height={} ! identity name=video",
            size.0, size.1
        );
        let messages = replay(pipeline(&text), vec![video()], &[]).await;
        let frames = frames(&messages);
        assert_eq!(frames.len(), 2, "{size:?}");
        for frame in frames {
            assert_eq!((frame.width, frame.height), delivered);
            assert_eq!(frame.rgb.len(), 3 * (delivered.0 * delivered.1) as usize);
            if size == delivered {
                assert_checkers(frame);
            }
        }
    }
}

/// Squares of 8 pixels, red where x and y fall into squares of like parity, green elsewhere.
fn assert_checkers(frame: &Frame) {
    let width = frame.width as usize;
    for (pixel, rgb) in frame.rgb.chunks(3).enumerate() {
        let (x, y) = (pixel % width, pixel / width);
        // Chroma is shared by neighbours, so only the middles of squares have a pure colour.
        if (3..5).contains(&(x % 8)) && (3..5).contains(&(y % 8)) {
            let is_green = (x / 8 + y / 8) % 2 == 1;
            assert_eq!(rgb[1] > rgb[0], is_green, "pixel {x}, {y} is {rgb:?}");
        }
    }
}

#[tokio::test]
async fn a_wanted_track_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let silent = write_clip(folder.path(), "silent.mkv", 1, Tracks::Video);
    let error = failure(file(&silent), vec![audio(), video()]).await;
    let message = format!("play {}: it has no audio stream, wanted by modality audio", silent.display());
    assert_eq!(error.to_string(), message);
    let blind = write_clip(folder.path(), "blind.mkv", 1, Tracks::Audio);
    let error = failure(file(&blind), vec![audio(), video()]).await;
    assert!(matches!(error, SourceError::NoStream { kind: "video", .. }), "{error:?}");
}

#[tokio::test]
async fn a_track_that_is_not_wanted_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let clip = write_clip(folder.path(), "clip.mkv", 2, Tracks::Both);
    let messages = replay(file(&clip), vec![video()], &[]).await;
    assert_eq!((frames(&messages).len(), blocks(&messages).len()), (20, 0));
}

#[tokio::test]
async fn a_missing_file_is_an_error_with_the_absolute_path_that_was_tried() {
    let error = failure(Media::Uri("no/such/clip.mkv".into()), vec![video()]).await;
    let tried = std::env::current_dir().unwrap().join("no/such/clip.mkv");
    assert!(error.to_string().starts_with(&format!("read media file {}: ", tried.display())), "{error}");
}

#[tokio::test]
async fn what_is_no_media_is_an_error_and_what_breaks_off_ends() {
    let folder = tempfile::tempdir().unwrap();
    let noise = folder.path().join("noise.mkv");
    let bytes: Vec<u8> =
        (0..20_000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(&noise, bytes).unwrap();
    let error = failure(file(&noise), vec![video()]).await;
    assert!(matches!(error, SourceError::Corrupt { .. }), "{error:?}");

    let clip = write_clip(folder.path(), "clip.mkv", 4, Tracks::Both);
    let bytes = std::fs::read(&clip).unwrap();
    std::fs::write(&clip, &bytes[..bytes.len() / 2]).unwrap();
    let messages = replay(file(&clip), vec![audio(), video()], &[]).await;
    assert!(!frames(&messages).is_empty());
    let last = messages.last().unwrap();
    assert!(matches!(last, SourceMessage::Ended { .. } | SourceMessage::Failed(_)), "{last:?}");
}

#[tokio::test]
async fn a_pipeline_that_cannot_be_used_says_why() {
    for (text, expected) in [
        (
            "videotestsrc ! nosuchelement name=video",
            "parse pipeline `videotestsrc ! nosuchelement name=video`: ",
        ),
        (
            "videotestsrc ! identity",
            "use pipeline `videotestsrc ! identity`: it has no open source pad at an element named `video`",
        ),
        (
            "videotestsrc ! fakesink name=video",
            "use pipeline `videotestsrc ! fakesink name=video`: it has no open source pad",
        ),
    ] {
        let error = failure(pipeline(text), vec![video()]).await.to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn a_source_that_never_delivers_has_stalled() {
    let media = pipeline("appsrc is-live=true format=time ! identity name=video");
    let stall_after = Duration::from_millis(300);
    let spec = SourceSpec::new(media.clone(), vec![video()], Pace::Live);
    let spec = SourceSpec { start_within: stall_after, ..spec };
    let mut feed = open(spec).unwrap().start(&StreamClock::start());
    let failed = in_time(feed.recv()).await;
    assert_eq!(failed, Some(SourceMessage::Failed(SourceError::Stalled { media, after: stall_after })));
    assert_eq!(in_time(feed.recv()).await, None);
    assert!(in_time(feed.stop()).await);
}

/// Stream times of the first `count` samples of a live source.
async fn first_times(source: &dyn Source, clock: &StreamClock, count: usize) -> Vec<Timestamp> {
    let mut feed = source.start(clock);
    let mut times = Vec::new();
    while times.len() < count {
        match in_time(feed.recv()).await {
            Some(SourceMessage::Sample { sample, .. }) => times.push(sample.at()),
            Some(SourceMessage::Started) => assert!(times.is_empty()),
            other => panic!("{other:?} after {} samples", times.len()),
        }
    }
    assert!(in_time(feed.stop()).await);
    times
}

#[tokio::test]
async fn live_sources_run_on_the_clock_of_their_stream_and_a_restarted_one_goes_on() {
    let clock = StreamClock::start();
    let sound = pipeline("audiotestsrc is-live=true samplesperbuffer=441 ! identity name=audio");
    let pictures = pipeline("videotestsrc is-live=true ! video/x-raw,framerate=30/1 ! identity name=video");
    let sound = source(sound, vec![audio()], Pace::Live);
    let pictures = source(pictures, vec![video()], Pace::Live);
    let mut earlier = Timestamp::ZERO;
    for source in [&sound, &pictures, &sound] {
        let times = first_times(source.as_ref(), &clock, 10).await;
        assert!(times.is_sorted() && times[0] >= earlier, "{times:?} after {earlier}");
        assert!(times[9] <= clock.now(), "{} lies in the future of {}", times[9], clock.now());
        earlier = times[9];
    }
}

#[tokio::test]
async fn a_file_played_live_takes_its_time_and_starts_when_it_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let clip = write_clip(folder.path(), "clip.mkv", 1, Tracks::Both);
    let source = source(file(&clip), vec![audio(), video()], Pace::Live);
    let clock = StreamClock::start();
    let mut began = Timestamp::ZERO;
    for _ in 0..2 {
        let (asked, started) = (clock.now(), Instant::now());
        let mut feed = source.start(&clock);
        let mut times = Vec::new();
        while let Some(message) = in_time(feed.recv()).await {
            match message {
                SourceMessage::Sample { modality: VIDEO, sample } => {
                    assert!(sample.at() <= clock.now(), "no frame comes before its time");
                    times.push(sample.at());
                }
                SourceMessage::Failed(error) => panic!("{error}"),
                _ => {}
            }
        }
        assert_eq!(times.len(), 10);
        assert!(times[0] >= asked && times[0] > began, "{} was asked for at {asked}", times[0]);
        assert!(started.elapsed() >= Duration::from_millis(900));
        began = times[0];
    }
}
