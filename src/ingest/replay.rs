//! Replay: recorded sources merged into one deterministic order.

use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;
use cmpt_core::time::Timestamp;

use super::feed::Head;
use super::{DropFilter, Feed, SourceMessage, StreamClock};

/// The samples of one or several recorded sources, merged by time.
///
/// The order depends on the media alone, never on how its decoders are scheduled: the next sample is
/// the earliest of all modalities, the lowest modality first among equals, and is chosen only when
/// every modality has shown its next sample or its end.
#[derive(Debug)]
pub struct Replay {
    feeds: Vec<Feed>,
    filter: DropFilter,
    /// Filtered samples that are to be told first, the next one last.
    pending: Vec<(ModalityId, Sample)>,
    ended: Vec<ModalityId>,
    failed: bool,
    clock: Option<StreamClock>,
}

impl Replay {
    /// Merges `feeds`, which were started at [`Pace::Replay`](super::Pace::Replay), and takes sensors
    /// away as `filter` says.
    pub fn new(feeds: Vec<Feed>, filter: DropFilter) -> Self {
        Self { feeds, filter, pending: Vec::new(), ended: Vec::new(), failed: false, clock: None }
    }

    /// From here on each message comes only when its time on `clock` has come, as from a live source:
    /// a sample once its last instant has passed. Await [`Replay::prerolled`] before starting the
    /// clock, so that the time to open the media is not part of the stream.
    pub fn pace(&mut self, clock: StreamClock) {
        self.clock = Some(clock);
    }

    /// Waits until every source has shown its first sample, its end or its failure.
    pub async fn prerolled(&self) {
        for feed in &self.feeds {
            settled(feed).await;
        }
    }

    /// The next message, `None` at the end of all sources or after the failure of one.
    /// [`SourceMessage::Started`] does not occur. Cancel-safe: a message is taken only when it is
    /// returned.
    pub async fn recv(&mut self) -> Option<SourceMessage> {
        loop {
            if self.failed {
                return None;
            }
            if let Some((modality, sample)) = self.pending.last() {
                self.wait_for(self.filter.end_of(*modality, sample)).await;
                let (modality, sample) = self.pending.pop().expect("looked at just now");
                return Some(SourceMessage::Sample { modality, sample });
            }
            self.prerolled().await;
            match self.choose() {
                Choice::Failed(feed) => {
                    let error = self.feeds[feed].take_failure().expect("a failure is chosen once");
                    self.failed = true;
                    return Some(SourceMessage::Failed(error));
                }
                Choice::Ended(modality) => {
                    self.ended.push(modality);
                    return Some(SourceMessage::Ended { modality });
                }
                Choice::Sample(feed, modality) => {
                    let sample = self.feeds[feed].pop(modality).expect("the head was a sample");
                    let kept = self.filter.apply(modality, sample);
                    self.pending.extend(kept.into_iter().rev().map(|sample| (modality, sample)));
                }
                Choice::Finished => return None,
            }
        }
    }

    /// Stops every source and waits until all have let go. Returns whether they have.
    pub async fn stop(self) -> bool {
        let mut stopped = true;
        for feed in self.feeds {
            stopped &= feed.stop().await;
        }
        stopped
    }

    /// What comes next, when every queue has a head.
    fn choose(&self) -> Choice {
        let mut earliest: Option<(Timestamp, ModalityId, usize)> = None;
        for (index, feed) in self.feeds.iter().enumerate() {
            let (failed, heads) = (feed.has_failed(), feed.heads());
            // What arrived before a failure is told before it.
            if failed && heads.iter().all(|(_, head)| *head == Head::Ended) {
                return Choice::Failed(index);
            }
            for (modality, head) in heads {
                match head {
                    Head::Sample(at) => {
                        let candidate = (at, modality, index);
                        earliest = Some(earliest.map_or(candidate, |best| best.min(candidate)));
                    }
                    Head::Ended if !failed && !self.ended.contains(&modality) => {
                        return Choice::Ended(modality);
                    }
                    Head::Ended | Head::Empty => {}
                }
            }
        }
        earliest.map_or(Choice::Finished, |(_, modality, index)| Choice::Sample(index, modality))
    }

    async fn wait_for(&self, at: Timestamp) {
        if let Some(clock) = &self.clock {
            tokio::time::sleep_until(clock.instant(at).into()).await;
        }
    }
}

enum Choice {
    Failed(usize),
    Ended(ModalityId),
    Sample(usize, ModalityId),
    Finished,
}

/// Waits until no queue of `feed` is empty.
async fn settled(feed: &Feed) {
    while feed.heads().iter().any(|(_, head)| *head == Head::Empty) {
        feed.arrival().await;
    }
}

#[cfg(test)]
mod tests {
    use cmpt_core::samples::{AudioBlock, Frame};
    use std::time::Duration;

    use super::super::feed::{Capacity, FeedSender, WhenFull, channel};
    use super::super::{Format, Media, Output, SourceError};
    use super::*;

    const AUDIO: ModalityId = ModalityId(0);
    const VIDEO: ModalityId = ModalityId(1);

    fn outputs() -> [Output; 2] {
        [
            Output { modality: AUDIO, name: "audio".into(), format: Format::Audio { rate_hz: 1000 } },
            Output { modality: VIDEO, name: "video".into(), format: Format::Video { max_edge: 240 } },
        ]
    }

    fn block(at_ms: i64) -> Sample {
        Sample::Audio(AudioBlock { at: Timestamp::from_millis(at_ms), samples: vec![0.5; 300] })
    }

    fn frame(at_ms: i64) -> Sample {
        Sample::Frame(Frame { at: Timestamp::from_millis(at_ms), width: 1, height: 1, rgb: vec![9; 3] })
    }

    /// Two sources, sound and pictures, which send `audio` and `video` (times in milliseconds) from
    /// threads of their own, and end.
    fn sources(audio: &'static [i64], video: &'static [i64]) -> Vec<Feed> {
        let send = |times: &'static [i64], sample: fn(i64) -> Sample| {
            move |sender: FeedSender| {
                for at_ms in times {
                    sender.send(0, sample(*at_ms)).expect("the feed is open");
                }
                sender.end(0);
            }
        };
        let (sound, sound_feed, _) = channel(&[AUDIO], samples(2), WhenFull::Block, || ());
        let (pictures, picture_feed, _) = channel(&[VIDEO], samples(2), WhenFull::Block, || ());
        let (send_sound, send_pictures) = (send(audio, block), send(video, frame));
        std::thread::spawn(move || send_sound(sound));
        std::thread::spawn(move || send_pictures(pictures));
        vec![sound_feed, picture_feed]
    }

    fn samples(samples: usize) -> Capacity {
        Capacity { samples, bytes: usize::MAX }
    }

    fn no_drops() -> DropFilter {
        DropFilter::new(&[], &outputs()).unwrap()
    }

    async fn told(mut replay: Replay) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(message) = replay.recv().await {
            told.push(match message {
                SourceMessage::Sample { modality, sample } => {
                    format!("{} {}", modality.0, sample.at().as_millis())
                }
                SourceMessage::Ended { modality } => format!("{} ended", modality.0),
                other => format!("{other:?}"),
            });
        }
        told
    }

    #[tokio::test]
    async fn samples_are_merged_by_time_and_equal_times_by_modality() {
        let replay = Replay::new(sources(&[0, 300, 600, 900], &[0, 100, 700, 900, 1000]), no_drops());
        assert_eq!(
            told(replay).await,
            [
                "0 0", "1 0", "1 100", "0 300", "0 600", "1 700", "0 900", "0 ended", "1 900", "1 1000",
                "1 ended"
            ]
        );
    }

    #[tokio::test]
    async fn a_failure_is_told_after_the_samples_before_it_and_ends_the_replay() {
        let (sender, feed, _running) = channel(&[AUDIO, VIDEO], samples(4), WhenFull::Block, || ());
        sender.send(0, block(0)).unwrap();
        let error = SourceError::Corrupt { media: Media::Uri("clip.mkv".into()), message: "broken".into() };
        sender.fail(error.clone());
        let expected = ["0 0".to_owned(), format!("{:?}", SourceMessage::Failed(error))];
        assert_eq!(told(Replay::new(vec![feed], no_drops())).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_paced_replay_tells_a_sample_once_its_last_instant_has_passed() {
        let mut replay = Replay::new(sources(&[0, 300], &[200]), no_drops());
        replay.prerolled().await;
        let started = tokio::time::Instant::now();
        replay.pace(StreamClock::start());
        let mut after = Vec::new();
        while let Some(message) = replay.recv().await {
            if let SourceMessage::Sample { .. } = message {
                after.push(started.elapsed());
            }
        }
        let expected = [300, 300, 600];
        assert_eq!(after.len(), expected.len());
        for (after, expected_ms) in after.into_iter().zip(expected) {
            let expected = Duration::from_millis(expected_ms);
            // Tokio's clock counts whole milliseconds, and the stream's clock starts a little later.
            assert!(after.abs_diff(expected) < Duration::from_millis(50), "{after:?}, expected {expected:?}");
        }
    }
}
