//! What goes wrong with one track, or in the middle of one, stays there.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use avdigits::clip::{self, Quality, Tracks};
use avdigits::programme::Second;
use cmpt::ingest::{
    Feed, Format, Media, Output, Pace, SourceError, SourceMessage, SourceSpec, StreamClock, open,
};
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;

const AUDIO: ModalityId = ModalityId(0);
const VIDEO: ModalityId = ModalityId(1);
/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(60);

fn play(media: Media, pace: Pace) -> Feed {
    let outputs = vec![
        Output { modality: AUDIO, name: "audio".into(), format: Format::Audio { rate_hz: 16_000 } },
        Output { modality: VIDEO, name: "video".into(), format: Format::Video { max_edge: 240 } },
    ];
    open(SourceSpec::new(media, outputs, pace)).unwrap().start(&StreamClock::start())
}

fn file(path: &Path) -> Media {
    Media::Uri(path.to_str().unwrap().into())
}

async fn next(feed: &mut Feed) -> Option<SourceMessage> {
    tokio::time::timeout(DEADLINE, feed.recv()).await.expect("it happens within the deadline")
}

/// Everything until the end.
async fn told(mut feed: Feed) -> Vec<SourceMessage> {
    let mut told = Vec::new();
    while let Some(message) = next(&mut feed).await {
        told.push(message);
    }
    assert!(feed.stop().await);
    told
}

fn count(messages: &[SourceMessage], of: ModalityId) -> usize {
    let is = |message: &&SourceMessage| matches!(message, SourceMessage::Sample { modality, .. } if *modality == of);
    messages.iter().filter(is).count()
}

fn lacking(messages: &[SourceMessage]) -> Vec<(ModalityId, SourceError)> {
    let lacking = |message: &SourceMessage| match message {
        SourceMessage::Lacking { modality, error } => Some((*modality, error.clone())),
        _ => None,
    };
    messages.iter().filter_map(lacking).collect()
}

fn clip(folder: &Path, tracks: Tracks) -> PathBuf {
    let path = folder.join("clip.mkv");
    let seconds: Vec<Second> = (0..2).map(Second::made_up).collect();
    clip::write(&path, &seconds, Quality::Camera, tracks).unwrap();
    path
}

#[tokio::test]
async fn a_track_that_lacks_leaves_the_other_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (tracks, lacks, has, kind) in
        [(Tracks::Video, AUDIO, VIDEO, "audio"), (Tracks::Audio, VIDEO, AUDIO, "video")]
    {
        let messages = told(play(file(&clip(folder.path(), tracks)), Pace::Live)).await;
        let lacking = lacking(&messages);
        assert_eq!(lacking.len(), 1, "{lacking:?}");
        assert_eq!(lacking[0].0, lacks);
        assert!(
            matches!(&lacking[0].1, SourceError::NoStream { kind: of, .. } if *of == kind),
            "{lacking:?}"
        );
        assert!(count(&messages, has) >= 5 && count(&messages, lacks) == 0, "{tracks:?}");
        assert!(!messages.iter().any(|message| matches!(message, SourceMessage::Failed(_))));
    }
}

#[tokio::test]
async fn a_codec_that_nobody_knows_is_named_and_leaves_the_other_track_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), Tracks::Both);
    let mut bytes = fs::read(&path).unwrap();
    let codec = bytes.windows(6).position(|name| name == b"A_FLAC").unwrap();
    bytes[codec..codec + 6].copy_from_slice(b"A_WHAT");
    fs::write(&path, bytes).unwrap();
    let messages = told(play(file(&path), Pace::Live)).await;
    let lacking = lacking(&messages);
    assert!(matches!(lacking[..], [(AUDIO, SourceError::NoPlugin { .. })]), "{lacking:?}");
    assert!(lacking[0].1.to_string().contains("audio/x-unknown"), "{lacking:?}");
    assert!(count(&messages, VIDEO) >= 20);

    // Recorded media is what it is: a replay says so, and does not go on with half of it.
    let messages = told(play(file(&path), Pace::Replay)).await;
    let last = messages.last();
    assert!(matches!(last, Some(SourceMessage::Failed(SourceError::NoPlugin { .. }))), "{last:?}");
}

#[tokio::test]
async fn a_track_that_appears_late_is_taken_then() {
    // The decoder of sound sees nothing before a second of it has piled up.
    let text = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=20/1 ! identity name=video \
         audiotestsrc is-live=true samplesperbuffer=441 ! audioconvert ! flacenc \
         ! queue min-threshold-time=1000000000 max-size-time=0 max-size-bytes=0 max-size-buffers=0 \
         ! decodebin name=audio";
    let mut feed = play(Media::Pipeline(text.into()), Pace::Live);
    let mut pictures_before = 0;
    let mut after = 0;
    while after < 10 {
        match next(&mut feed).await {
            Some(SourceMessage::Sample { modality: VIDEO, .. }) if after == 0 => pictures_before += 1,
            Some(SourceMessage::Sample { modality: AUDIO, .. }) => after += 1,
            Some(SourceMessage::Sample { .. } | SourceMessage::Started) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(pictures_before >= 3, "{pictures_before} pictures before the first sound");
    assert!(feed.stop().await);
}

#[tokio::test]
async fn a_sample_rate_that_changes_in_the_middle_loses_no_sound() {
    let text = "concat name=audio \
         audiotestsrc num-buffers=50 samplesperbuffer=882 ! audio/x-raw,rate=44100,channels=2 ! audio. \
         audiotestsrc num-buffers=50 samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! audio. \
         videotestsrc num-buffers=20 ! video/x-raw,width=64,height=48,framerate=10/1 ! identity name=video";
    let messages = told(play(Media::Pipeline(text.into()), Pace::Replay)).await;
    let mut end = 0;
    let mut samples = 0;
    for message in &messages {
        if let SourceMessage::Sample { modality: AUDIO, sample: Sample::Audio(block) } = message {
            assert!(block.at.as_millis() >= end - 20, "block at {} ms after {end} ms", block.at.as_millis());
            samples += block.samples.len();
            end = block.at.as_millis() + block.samples.len() as i64 / 16;
        }
    }
    // A second at each rate; a resampler swallows its own length.
    assert!(samples.abs_diff(2 * 16_000) <= 320, "{samples} samples");
    assert!((end - 2000).abs() <= 25, "ends at {end} ms");
}

#[tokio::test]
async fn pictures_that_change_their_size_go_on_at_the_new_one() {
    let text = "concat name=video \
         videotestsrc num-buffers=10 ! video/x-raw,width=64,height=48,framerate=10/1 ! video. \
         videotestsrc num-buffers=10 ! video/x-raw,width=640,height=360,framerate=25/1 ! video. \
         audiotestsrc num-buffers=100 samplesperbuffer=441 ! identity name=audio";
    let messages = told(play(Media::Pipeline(text.into()), Pace::Replay)).await;
    let sizes: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            SourceMessage::Sample { sample: Sample::Frame(frame), .. } => Some((frame.width, frame.height)),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [[(64, 48); 10], [(427, 240); 10]].concat());
}

#[tokio::test]
async fn a_device_that_is_not_there_is_unreachable() {
    for text in [
        "v4l2src device=/dev/video-none ! videoconvert name=video audiotestsrc is-live=true ! identity name=audio",
        "alsasrc device=hw:NoSuchCard ! audioconvert name=audio videotestsrc is-live=true ! identity name=video",
        "pulsesrc server=unix:/nowhere ! audioconvert name=audio videotestsrc is-live=true ! identity name=video",
    ] {
        let messages = told(play(Media::Pipeline(text.into()), Pace::Live)).await;
        let failed = messages.last();
        assert!(
            matches!(failed, Some(SourceMessage::Failed(SourceError::Unreachable { .. }))),
            "{text}: {failed:?}"
        );
    }
}
