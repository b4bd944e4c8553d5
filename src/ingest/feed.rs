//! The bounded queue between a source's streaming threads and the one task that consumes it.
//!
//! Each modality has a lane of its own, bounded in samples and in bytes, so that one that floods takes
//! no room from another.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;
use cmpt_core::time::Timestamp;
use ringbuf::LocalRb;
use ringbuf::storage::Heap;
use ringbuf::traits::Observer;
use tokio::sync::{Notify, oneshot};

use super::{SourceError, SourceMessage};

/// How far a source may be ahead of the pipeline, per modality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Most samples.
    pub samples: usize,
    /// Most bytes of content.
    pub bytes: usize,
}

/// Of a live source: some four seconds of pictures, several of sound, but never more than 16 MiB, which
/// is some 70 pictures of 320 x 240 or 13 of 854 x 480. A pipeline further behind than that has no use
/// for what is older.
pub const LIVE: Capacity = Capacity { samples: 128, bytes: 16 << 20 };

/// Of a replayed source.
pub const REPLAY: Capacity = Capacity { samples: 32, bytes: 16 << 20 };

/// How long [`Feed::stop`] waits for a source to let go of its device or server.
pub const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// What happens to a sample that finds its queue full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest make room, and are counted; a sample that alone is beyond the capacity is refused, and
    /// counted.
    DropOldest,
    /// The sender blocks; a sample that alone is beyond the capacity waits for an empty queue.
    Block,
}

/// The receiving end of a source. Dropping it stops the source.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
}

/// The sending end, shared by a source's streaming threads.
#[derive(Clone, Debug)]
pub struct FeedSender {
    shared: Arc<Shared>,
}

/// Held by the thread that runs a source; [`Feed::stop`] waits until it is dropped.
#[derive(Debug)]
pub struct Running {
    _stopped: oneshot::Sender<()>,
}

/// The feed is gone, or the source has failed: stop sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// The front of a modality's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A sample of this time.
    Sample(Timestamp),
    /// Nothing yet.
    Empty,
    /// Nothing any more.
    Ended,
}

/// A feed of `modalities`, with `capacity` for each; `on_close` is called once, when the feed
/// is dropped or stopped.
pub fn channel(
    modalities: &[ModalityId],
    capacity: Capacity,
    when_full: WhenFull,
    on_close: impl FnOnce() + Send + 'static,
) -> (FeedSender, Feed, Running) {
    let lanes = modalities.iter().map(|modality| Lane::new(*modality, capacity)).collect();
    let queue = Queue {
        lanes,
        arrived: false,
        started: false,
        failure: None,
        dropped: 0,
        most_bytes: 0,
        awaited_since: None,
        on_close: Some(Box::new(on_close)),
    };
    let shared = Arc::new(Shared {
        queue: Mutex::new(queue),
        when_full,
        space: Condvar::new(),
        arrival: Notify::new(),
    });
    let (running, stopped) = oneshot::channel();
    let feed = Feed { shared: Arc::clone(&shared), stopped };
    (FeedSender { shared }, feed, Running { _stopped: running })
}

impl Feed {
    /// The next message, the earliest sample first among those that have arrived; `None` once the
    /// source has ended or failed. Cancel-safe.
    pub async fn recv(&mut self) -> Option<SourceMessage> {
        loop {
            {
                let mut queue = self.shared.lock();
                if let Some(message) = queue.next() {
                    queue.awaited_since = None;
                    self.shared.space.notify_all();
                    return Some(message);
                }
                if queue.is_finished() {
                    return None;
                }
            }
            self.arrival().await;
        }
    }

    /// Samples lost so far: dropped from a full queue, or without a timestamp.
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }

    /// Samples that wait.
    pub fn waiting(&self) -> usize {
        self.shared.lock().lanes.iter().map(|lane| lane.ring.occupied_len()).sum()
    }

    /// Most bytes of content that the queue has held at once.
    pub fn most_bytes(&self) -> usize {
        self.shared.lock().most_bytes
    }

    /// Stops the source and waits until it has let go of its device, for [`STOP_DEADLINE`] at most.
    /// Returns whether it has.
    pub async fn stop(mut self) -> bool {
        self.shared.close();
        tokio::time::timeout(STOP_DEADLINE, &mut self.stopped).await.is_ok()
    }

    /// Waits until something has arrived since the last call.
    pub(super) async fn arrival(&self) {
        self.shared.lock().awaited();
        self.shared.arrival.notified().await;
    }

    /// The modalities and the fronts of their queues.
    pub(super) fn heads(&self) -> Vec<(ModalityId, Head)> {
        let mut queue = self.shared.lock();
        let failed = queue.failure.is_some();
        queue.lanes.iter_mut().map(|lane| (lane.modality, lane.head(failed))).collect()
    }

    /// Takes the front sample of `modality`.
    pub(super) fn pop(&mut self, modality: ModalityId) -> Option<Sample> {
        let mut queue = self.shared.lock();
        queue.awaited_since = None;
        let sample = queue.lanes.iter_mut().find(|lane| lane.modality == modality)?.pop();
        self.shared.space.notify_all();
        sample
    }

    /// Whether the source has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.shared.lock().failure.is_some()
    }

    /// Takes the failure, once.
    pub(super) fn take_failure(&mut self) -> Option<SourceError> {
        let mut queue = self.shared.lock();
        match &mut queue.failure {
            Some(Failure { error, told }) if !*told => {
                *told = true;
                Some(error.clone())
            }
            _ => None,
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl FeedSender {
    /// Sends a sample of the `lane`-th modality.
    pub fn send(&self, lane: usize, sample: Sample) -> Result<(), Closed> {
        let bytes = sample.bytes();
        let mut queue = self.shared.lock();
        while self.shared.when_full == WhenFull::Block && queue.lanes[lane].is_full(bytes) && !queue.is_over()
        {
            queue = self.shared.space.wait(queue).expect(UNPOISONED);
        }
        if queue.is_over() {
            return Err(Closed);
        }
        queue.awaited_since = None;
        queue.arrived = true;
        let lost = queue.lanes[lane].push(sample, self.shared.when_full);
        queue.dropped += lost;
        queue.most_bytes = queue.most_bytes.max(queue.lanes.iter().map(|lane| lane.bytes).sum());
        self.shared.arrival.notify_one();
        Ok(())
    }

    /// Counts a sample that could not be sent, such as one without a timestamp.
    pub fn count_dropped(&self) {
        self.shared.lock().dropped += 1;
    }

    /// How long the receiver has been waiting in vain. Zero while it is busy with something else, so
    /// that a slow pipeline does not look like a stalled source.
    pub fn starved(&self) -> Duration {
        self.shared.lock().awaited_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether a sample has ever been sent.
    pub fn has_delivered(&self) -> bool {
        self.shared.lock().arrived
    }

    /// Ends the `lane`-th modality.
    pub fn end(&self, lane: usize) {
        let mut queue = self.shared.lock();
        let end = &mut queue.lanes[lane].end;
        *end = (*end).max(End::Reached);
        self.shared.arrival.notify_one();
    }

    /// Says that the `lane`-th modality is not to be had, while others are. Told once.
    pub fn lack(&self, lane: usize, error: SourceError) {
        self.shared.lock().lanes[lane].lack.get_or_insert(Failure { error, told: false });
        self.shared.arrival.notify_one();
    }

    /// Fails the source. The first failure is the one that is told.
    pub fn fail(&self, error: SourceError) {
        self.shared.lock().failure.get_or_insert(Failure { error, told: false });
        self.shared.space.notify_all();
        self.shared.arrival.notify_one();
    }
}

const UNPOISONED: &str = "nothing panics while the queue is locked";

struct Shared {
    queue: Mutex<Queue>,
    when_full: WhenFull,
    /// Signalled when a sample was taken or the feed closed.
    space: Condvar,
    /// Signalled when something arrived.
    arrival: Notify,
}

struct Queue {
    lanes: Vec<Lane>,
    /// Whether anything has ever been sent.
    arrived: bool,
    started: bool,
    failure: Option<Failure>,
    dropped: u64,
    most_bytes: usize,
    /// Since when the receiver has been waiting for a sample.
    awaited_since: Option<Instant>,
    /// `None` once the feed is closed.
    on_close: Option<Box<dyn FnOnce() + Send>>,
}

struct Lane {
    modality: ModalityId,
    capacity: Capacity,
    ring: LocalRb<Heap<Sample>>,
    /// Of the samples in the ring.
    bytes: usize,
    lack: Option<Failure>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Open,
    Reached,
    Told,
}

struct Failure {
    error: SourceError,
    told: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect(UNPOISONED)
    }

    fn close(&self) {
        let on_close = self.lock().on_close.take();
        self.space.notify_all();
        if let Some(on_close) = on_close {
            on_close();
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("when_full", &self.when_full).finish_non_exhaustive()
    }
}

impl Queue {
    fn is_over(&self) -> bool {
        self.on_close.is_none() || self.failure.is_some()
    }

    fn awaited(&mut self) {
        self.awaited_since.get_or_insert_with(Instant::now);
    }

    fn is_finished(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.told)
            || self.lanes.iter().all(|lane| lane.end == End::Told && lane.ring.is_empty())
    }

    fn next(&mut self) -> Option<SourceMessage> {
        if self.failure.as_ref().is_some_and(|failure| failure.told) {
            return None;
        }
        for lane in &mut self.lanes {
            if let Some(lack) = lane.lack.as_mut().filter(|lack| !lack.told) {
                lack.told = true;
                return Some(SourceMessage::Lacking { modality: lane.modality, error: lack.error.clone() });
            }
        }
        let fronts = self.lanes.iter_mut().enumerate();
        let fronts = fronts.filter_map(|(index, lane)| Some((lane.ring.first()?.at(), index)));
        if let Some((_, index)) = fronts.min() {
            if !std::mem::replace(&mut self.started, true) {
                return Some(SourceMessage::Started);
            }
            let lane = &mut self.lanes[index];
            let modality = lane.modality;
            return lane.pop().map(|sample| SourceMessage::Sample { modality, sample });
        }
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.end == End::Reached) {
            lane.end = End::Told;
            return Some(SourceMessage::Ended { modality: lane.modality });
        }
        let failure = self.failure.as_mut()?;
        failure.told = true;
        Some(SourceMessage::Failed(failure.error.clone()))
    }
}

impl Lane {
    fn new(modality: ModalityId, capacity: Capacity) -> Self {
        let ring = LocalRb::new(capacity.samples);
        Self { modality, capacity, ring, bytes: 0, lack: None, end: End::Open }
    }

    /// Whether there is no room for `more` bytes. An empty lane has room for anything.
    fn is_full(&self, more: usize) -> bool {
        !self.ring.is_empty() && (self.ring.is_full() || self.bytes + more > self.capacity.bytes)
    }

    fn pop(&mut self) -> Option<Sample> {
        let sample = self.ring.try_pop()?;
        self.bytes -= sample.bytes();
        Some(sample)
    }

    /// Returns how many samples were lost to make room, or because there is none.
    fn push(&mut self, sample: Sample, when_full: WhenFull) -> u64 {
        let bytes = sample.bytes();
        if when_full == WhenFull::DropOldest && bytes > self.capacity.bytes {
            return 1;
        }
        let mut lost = 0;
        while self.is_full(bytes) && self.pop().is_some() {
            lost += 1;
        }
        self.bytes += bytes;
        lost + u64::from(self.ring.try_push(sample).is_err())
    }

    fn head(&mut self, failed: bool) -> Head {
        match self.ring.first() {
            Some(sample) => Head::Sample(sample.at()),
            None if failed || self.end >= End::Reached => Head::Ended,
            None => Head::Empty,
        }
    }
}

#[cfg(test)]
mod tests;
