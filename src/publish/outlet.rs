//! From a pipeline to every publisher.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::error;

use super::Message;

/// Messages that may wait for one publisher: minutes of labels.
pub const INBOX: usize = 256;
/// A publisher that keeps losing messages is complained of once in this time.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// What happens to a message that finds a publisher's inbox full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Its sender waits: nothing is lost, and a replay goes at the pace of its reader.
    Wait,
    /// It is lost to this publisher, counted and complained of: a live stream does not stop for a
    /// terminal that nobody reads.
    Drop,
}

/// Sends each message to every publisher.
#[derive(Clone)]
pub struct Outlet {
    inboxes: Vec<Inbox>,
    when_full: WhenFull,
}

#[derive(Clone)]
struct Inbox {
    publisher: &'static str,
    messages: mpsc::Sender<Message>,
    lost: u64,
    complained_at: Option<Instant>,
}

impl Outlet {
    /// An outlet to the publishers with these names and inboxes.
    pub fn new(inboxes: Vec<(&'static str, mpsc::Sender<Message>)>, when_full: WhenFull) -> Self {
        let inbox = |(publisher, messages)| Inbox { publisher, messages, lost: 0, complained_at: None };
        Self { inboxes: inboxes.into_iter().map(inbox).collect(), when_full }
    }

    /// Sends `message`. A publisher that has ended gets nothing; its end is the supervisor's business.
    pub async fn send(&mut self, message: Message) {
        for inbox in &mut self.inboxes {
            match self.when_full {
                WhenFull::Wait => {
                    // Fails only when the publisher has ended.
                    let _ = inbox.messages.send(message.clone()).await;
                }
                WhenFull::Drop => inbox.offer(message.clone()),
            }
        }
    }
}

impl Inbox {
    fn offer(&mut self, message: Message) {
        let Err(TrySendError::Full(_)) = self.messages.try_send(message) else { return };
        self.lost += 1;
        metrics::counter!("cmpt_publish_dropped_total", "publisher" => self.publisher).increment(1);
        if self.complained_at.is_none_or(|at| at.elapsed() >= COMPLAINT_INTERVAL) {
            self.complained_at = Some(Instant::now());
            error!(
                publisher = self.publisher,
                lost = self.lost,
                "publisher is too slow, messages are lost to it"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use cmpt_core::dropout::SensorState;

    use super::super::payload::Sensor;
    use super::*;

    fn message() -> Message {
        let sensor = Sensor::new(SensorState::Healthy, 0);
        Message::Sensor { stream: "desk".into(), modality: "video".into(), sensor }
    }

    #[tokio::test]
    async fn a_stuck_publisher_does_not_stop_a_live_stream_nor_another_publisher() {
        let (stuck, _stuck_inbox) = mpsc::channel(1);
        let (quick, mut quick_inbox) = mpsc::channel(8);
        let mut outlet = Outlet::new(vec![("stuck", stuck), ("quick", quick)], WhenFull::Drop);
        for _ in 0..5 {
            outlet.send(message()).await;
        }
        assert_eq!(outlet.inboxes[0].lost, 4);
        assert_eq!(outlet.inboxes[1].lost, 0);
        drop(outlet);
        let mut received = 0;
        while quick_inbox.recv().await.is_some() {
            received += 1;
        }
        assert_eq!(received, 5);
    }

    #[tokio::test]
    async fn a_replay_waits_for_its_reader() {
        let (messages, mut inbox) = mpsc::channel(1);
        let mut outlet = Outlet::new(vec![("reader", messages)], WhenFull::Wait);
        let reader = tokio::spawn(async move {
            let mut received = 0;
            while inbox.recv().await.is_some() {
                received += 1;
            }
            received
        });
        for _ in 0..100 {
            outlet.send(message()).await;
        }
        drop(outlet);
        assert_eq!(reader.await.unwrap(), 100);
    }
}
