use cmpt_core::samples::AudioBlock;

use super::super::Media;
use super::*;

const MODALITIES: [ModalityId; 2] = [ModalityId(0), ModalityId(1)];

fn block(at_ms: i64) -> Sample {
    Sample::Audio(AudioBlock { at: Timestamp::from_millis(at_ms), samples: vec![0.0; 160] })
}

fn samples(samples: usize) -> Capacity {
    Capacity { samples, bytes: usize::MAX }
}

fn stalled() -> SourceError {
    SourceError::Stalled { media: Media::Uri("x".into()), after: Duration::from_secs(1) }
}

async fn times(feed: &mut Feed) -> Vec<(usize, i64)> {
    let mut times = Vec::new();
    while let Some(message) = feed.recv().await {
        if let SourceMessage::Sample { modality, sample } = message {
            times.push((modality.0, sample.at().as_millis()));
        }
    }
    times
}

#[tokio::test]
async fn messages_come_in_the_documented_order() {
    let (sender, mut feed, _running) = channel(&MODALITIES, samples(4), WhenFull::DropOldest, || ());
    sender.send(1, block(20)).unwrap();
    sender.send(0, block(10)).unwrap();
    sender.end(0);
    sender.end(1);
    let mut messages = Vec::new();
    while let Some(message) = feed.recv().await {
        messages.push(message);
    }
    assert_eq!(
        messages,
        [
            SourceMessage::Started,
            SourceMessage::Sample { modality: ModalityId(0), sample: block(10) },
            SourceMessage::Sample { modality: ModalityId(1), sample: block(20) },
            SourceMessage::Ended { modality: ModalityId(0) },
            SourceMessage::Ended { modality: ModalityId(1) },
        ]
    );
}

#[tokio::test]
async fn a_full_live_queue_drops_the_oldest_and_counts_it() {
    let (sender, mut feed, _running) = channel(&MODALITIES, samples(2), WhenFull::DropOldest, || ());
    for at_ms in [0, 10, 20] {
        sender.send(0, block(at_ms)).unwrap();
    }
    sender.fail(stalled());
    assert_eq!(times(&mut feed).await, [(0, 10), (0, 20)]);
    assert_eq!(feed.dropped(), 1);
}

/// A block of `bytes`.
fn heavy(at_ms: i64, bytes: usize) -> Sample {
    Sample::Audio(AudioBlock { at: Timestamp::from_millis(at_ms), samples: vec![0.0; bytes / 4] })
}

#[tokio::test]
async fn a_flood_holds_no_more_bytes_than_the_capacity_and_takes_no_room_from_another_modality() {
    let capacity = Capacity { samples: 8, bytes: 1000 };
    let (sender, mut feed, _running) = channel(&MODALITIES, capacity, WhenFull::DropOldest, || ());
    sender.send(1, heavy(0, 800)).unwrap();
    for at_ms in 0..10_000 {
        sender.send(0, heavy(at_ms, 400)).unwrap();
    }
    // Larger than all there is room for, so that nothing must be thrown away for it.
    sender.send(0, heavy(10_000, 1004)).unwrap();
    assert_eq!(feed.most_bytes(), 800 + 2 * 400);
    assert_eq!(feed.dropped(), 10_000 - 2 + 1);
    sender.fail(stalled());
    assert_eq!(times(&mut feed).await, [(1, 0), (0, 9998), (0, 9999)]);
}

#[tokio::test]
async fn a_replay_waits_for_room_in_bytes_and_lets_a_sample_of_any_size_through_alone() {
    let capacity = Capacity { samples: 8, bytes: 1000 };
    let (sender, mut feed, _running) = channel(&MODALITIES, capacity, WhenFull::Block, || ());
    let streaming = std::thread::spawn(move || {
        for (at_ms, bytes) in [(0, 600), (1, 600), (2, 4000), (3, 400), (4, 400)] {
            sender.send(0, heavy(at_ms, bytes)).unwrap();
        }
        sender.end(0);
        sender.end(1);
    });
    assert_eq!(times(&mut feed).await, [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]);
    assert_eq!((feed.dropped(), feed.most_bytes()), (0, 4000));
    streaming.join().unwrap();
}

#[tokio::test]
async fn what_lacks_is_told_once_and_ends_nothing() {
    let (sender, mut feed, _running) = channel(&MODALITIES, samples(4), WhenFull::DropOldest, || ());
    sender.lack(1, stalled());
    sender.lack(1, stalled());
    sender.send(0, block(0)).unwrap();
    // It has appeared after all.
    sender.send(1, block(10)).unwrap();
    let lacking = SourceMessage::Lacking { modality: ModalityId(1), error: stalled() };
    assert_eq!(feed.recv().await, Some(lacking));
    sender.fail(stalled());
    assert_eq!(times(&mut feed).await, [(0, 0), (1, 10)]);
}

#[tokio::test]
async fn a_full_replay_queue_holds_its_sender_back_and_loses_nothing() {
    let (sender, mut feed, _running) = channel(&MODALITIES, samples(2), WhenFull::Block, || ());
    let streaming = std::thread::spawn(move || {
        for at_ms in 0..100 {
            sender.send(0, block(at_ms)).unwrap();
        }
        sender.end(0);
        sender.end(1);
    });
    assert_eq!(times(&mut feed).await, (0..100).map(|at_ms| (0, at_ms)).collect::<Vec<_>>());
    assert_eq!(feed.dropped(), 0);
    streaming.join().unwrap();
}

#[test]
fn closing_the_feed_frees_a_blocked_sender_and_is_told_once() {
    let (closed, told) = std::sync::mpsc::sync_channel(1);
    let (sender, feed, _running) =
        channel(&MODALITIES, samples(1), WhenFull::Block, move || closed.send(()).unwrap());
    sender.send(0, block(0)).unwrap();
    let streaming = std::thread::spawn(move || sender.send(0, block(1)));
    drop(feed);
    assert_eq!(streaming.join().unwrap(), Err(Closed));
    assert_eq!(told.iter().count(), 1);
}

#[tokio::test]
async fn the_first_failure_ends_the_feed_after_what_had_arrived() {
    let (sender, mut feed, _running) = channel(&MODALITIES, samples(4), WhenFull::DropOldest, || ());
    sender.send(0, block(0)).unwrap();
    sender.fail(stalled());
    sender.fail(SourceError::Setup { message: "second".into() });
    assert_eq!(feed.recv().await, Some(SourceMessage::Started));
    assert!(matches!(feed.recv().await, Some(SourceMessage::Sample { .. })));
    assert_eq!(feed.recv().await, Some(SourceMessage::Failed(stalled())));
    assert_eq!(feed.recv().await, None);
}

#[tokio::test]
async fn stop_waits_until_the_source_has_let_go() {
    let (_sender, feed, running) = channel(&MODALITIES, samples(1), WhenFull::Block, || ());
    let source = std::thread::spawn(move || drop(running));
    assert!(feed.stop().await);
    source.join().unwrap();
}
