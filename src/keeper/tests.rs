use cmpt_core::samples::{AudioBlock, Frame, Sample};

use super::*;
use crate::ingest::feed::{FeedSender, LIVE, Running, WhenFull, channel};
use crate::ingest::{Format, Media, Pace, SourceSpec};

const AUDIO: ModalityId = ModalityId(0);
const VIDEO: ModalityId = ModalityId(1);

/// The sending end of a run, and how long it may take to its first sample.
type Started = (FeedSender, Running, Duration);

/// Hands each run to the test.
struct Scripted {
    spec: SourceSpec,
    started: mpsc::Sender<Started>,
}

impl Source for Scripted {
    fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    fn start_within(&self, _: &StreamClock, patience: Duration) -> Feed {
        let (sender, feed, running) = channel(&[AUDIO, VIDEO], LIVE, WhenFull::DropOldest, || ());
        self.started.try_send((sender, running, patience)).unwrap();
        feed
    }
}

fn outputs() -> Vec<Output> {
    let audio = Output { modality: AUDIO, name: "audio".into(), format: Format::Audio { rate_hz: 16_000 } };
    let video = Output { modality: VIDEO, name: "video".into(), format: Format::Video { max_edge: 240 } };
    vec![audio, video]
}

fn sound() -> Sample {
    sound_at(Timestamp::ZERO)
}

fn sound_at(at: Timestamp) -> Sample {
    Sample::Audio(AudioBlock { at, samples: vec![0.5; 160] })
}

fn picture() -> Sample {
    Sample::Frame(Frame { at: Timestamp::ZERO, width: 1, height: 1, rgb: vec![9; 3] })
}

/// A keeper at work, and what it says.
struct Site {
    media: Media,
    inbox: mpsc::Receiver<StreamMessage>,
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<()>,
    runs: mpsc::Receiver<Started>,
}

impl Site {
    fn start() -> Self {
        let media = Media::Uri("test".into());
        let (started, runs) = mpsc::channel(4);
        let source = Scripted { spec: SourceSpec::new(media.clone(), outputs(), Pace::Live), started };
        let (messages, inbox) = mpsc::channel(4);
        let shutdown = CancellationToken::new();
        let keeper = Keeper::new(Parts {
            stream: "desk".into(),
            source: Box::new(source),
            clock: StreamClock::start(),
            messages,
            settled: oneshot::channel().0,
            shutdown: shutdown.clone(),
        });
        Self { media, inbox, shutdown, running: tokio::spawn(keeper.run()), runs }
    }

    async fn told(&mut self) -> String {
        match self.inbox.recv().await.unwrap() {
            StreamMessage::Sample { modality, .. } => format!("sample of {}", modality.0),
            StreamMessage::Source { modality, event } => format!("{event:?} of {}", modality.0),
            StreamMessage::Finish { .. } => panic!("a live stream has no end"),
        }
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
    }
}

#[tokio::test]
async fn a_modality_that_lacks_is_lost_alone_and_the_source_is_not_started_again() {
    let mut site = Site::start();
    let (sender, running, _) = site.runs.recv().await.unwrap();
    let media = site.media.clone();
    sender.lack(1, SourceError::NoStream { media, kind: "video", modality: "video".into() });
    assert_eq!(site.told().await, "Error of 1");
    sender.send(0, sound()).unwrap();
    assert_eq!(site.told().await, "sample of 0");
    // It has appeared.
    sender.send(1, picture()).unwrap();
    assert_eq!(site.told().await, "sample of 1");
    assert!(site.runs.try_recv().is_err());
    drop(running);
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_whose_samples_are_all_of_long_ago_is_started_again() {
    let mut site = Site::start();
    let (sender, running, _) = site.runs.recv().await.unwrap();
    let long_ago = Timestamp::ZERO - 2 * BEHIND;
    for at in [long_ago, Timestamp::ZERO, long_ago] {
        sender.send(0, sound_at(at)).unwrap();
        assert_eq!(site.told().await, "sample of 0");
        // One that is in time has it begin anew.
        tokio::time::advance(BEHIND_FOR - Duration::from_millis(1)).await;
    }
    tokio::time::advance(Duration::from_millis(1)).await;
    sender.send(0, sound_at(long_ago)).unwrap();
    drop(running);
    let (_sender, running, _) = site.runs.recv().await.unwrap();
    drop(running);
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_has_answered_is_given_up_sooner_and_then_later_and_later() {
    let mut site = Site::start();
    let media = site.media.clone();
    let (mut delivers, mut given) = (true, Vec::new());
    for _ in 0..5 {
        let (sender, running, patience) = site.runs.recv().await.unwrap();
        given.push(patience);
        if std::mem::take(&mut delivers) {
            sender.send(0, sound()).unwrap();
            assert_eq!(site.told().await, "sample of 0");
        }
        tokio::time::advance(patience).await;
        sender.fail(SourceError::Stalled { media: media.clone(), after: patience });
        drop(running);
    }
    let later = [1, 2, 4, 8].map(|times| times * SourceSpec::STALL_AFTER);
    assert_eq!(given, [&[SourceSpec::START_WITHIN][..], &later].concat());
    site.end().await;
}

/// A dead server is no reason to wait longer for one that lives.
#[tokio::test(start_paused = true)]
async fn a_source_that_is_refused_at_once_is_given_no_more_time_for_it() {
    let mut site = Site::start();
    for _ in 0..3 {
        let (sender, running, patience) = site.runs.recv().await.unwrap();
        assert_eq!(patience, SourceSpec::START_WITHIN);
        let media = site.media.clone();
        sender.fail(SourceError::Unreachable { media, message: "refused".into() });
        drop(running);
        assert_eq!(site.told().await, "Error of 0");
        assert_eq!(site.told().await, "Error of 1");
    }
    site.end().await;
}
