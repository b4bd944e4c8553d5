//! A source that is far faster than whoever takes its samples holds no more than its bound.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use cmpt::ingest::feed::LIVE;
use cmpt::ingest::{Feed, Format, Media, Output, Pace, SourceMessage, SourceSpec, StreamClock, open};
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(60);

fn flood(text: &str, max_edge: u32) -> Feed {
    let format = Format::Video { max_edge };
    let outputs = vec![Output { modality: ModalityId(0), name: "video".into(), format }];
    let media = Media::Pipeline(text.into());
    open(SourceSpec::new(media, outputs, Pace::Live)).unwrap().start(&StreamClock::start())
}

/// Takes nothing until all has been sent. Returns the pictures that are left, and how many were lost.
async fn left_of(mut feed: Feed, sent: u64) -> (Vec<Sample>, u64) {
    let all_sent = async {
        while feed.dropped() + u64::try_from(feed.waiting()).unwrap() < sent {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, all_sent).await.unwrap();
    let mut left = Vec::new();
    while let Some(message) = tokio::time::timeout(DEADLINE, feed.recv()).await.unwrap() {
        match message {
            SourceMessage::Sample { sample, .. } => left.push(sample),
            SourceMessage::Failed(error) => panic!("{error}"),
            _ => {}
        }
    }
    (left, feed.dropped())
}

#[tokio::test]
async fn a_flood_of_large_pictures_is_bounded_by_bytes_and_its_latest_are_kept() {
    // 600 pictures within 60 ms, each larger than wanted.
    let text = "videotestsrc num-buffers=600 pattern=white \
         ! video/x-raw,width=960,height=540,framerate=10000/1 ! identity name=video";
    let feed = flood(text, 480);
    let (left, lost) = left_of(feed, 600).await;
    let picture = 3 * 853 * 480;
    assert_eq!(left.len(), LIVE.bytes / picture);
    assert!(left.iter().all(|picture_left| picture_left.bytes() == picture));
    assert_eq!(lost, 600 - u64::try_from(left.len()).unwrap());
    assert!(left.last().unwrap().at() > left[0].at());
}

#[tokio::test]
async fn a_flood_of_small_pictures_is_bounded_by_their_number() {
    let text = "videotestsrc num-buffers=2000 pattern=white \
         ! video/x-raw,width=32,height=24,framerate=100000/1 ! identity name=video";
    let feed = flood(text, 480);
    let (left, lost) = left_of(feed, 2000).await;
    assert_eq!((left.len(), lost), (LIVE.samples, 2000 - u64::try_from(LIVE.samples).unwrap()));
}

#[tokio::test]
async fn a_picture_of_any_shape_is_bounded() {
    for (width, height) in [(16, 16_000), (16_000, 16), (1600, 1600)] {
        let text = format!(
            "videotestsrc num-buffers=1 ! video/x-raw,width={width},height={height} ! identity name=video"
        );
        let (left, _) = left_of(flood(&text, 240), 1).await;
        assert!(left[0].bytes() <= 3 * 240 * 4 * 240, "{width} x {height}: {} bytes", left[0].bytes());
    }
}
