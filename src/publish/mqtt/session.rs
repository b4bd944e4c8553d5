//! The MQTT publisher: one connection after another, one outbox for all of them.

use std::time::Duration;

use futures_util::future::BoxFuture;
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::broker;
use super::outbox::Outbox;
use super::topics::Topics;
use crate::backoff::Backoff;
use crate::config::MqttSettings;
use crate::publish::payload::Status;
use crate::publish::{Message, PublishError, Publisher};

/// How long the broker may take to acknowledge what is left at the end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
/// Requests that fit into the client's channel: more than the outbox ever has on its way.
const REQUESTS: usize = 64;
/// Events that the connection may be ahead of us.
const EVENTS: usize = 64;
/// An outbox that keeps overflowing is complained of once in this time.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// Publishes to an MQTT broker. While the broker is away labels wait in the outbox.
pub struct Mqtt {
    options: MqttOptions,
    url: String,
    topics: Topics,
    boot_id: String,
    outbox: Outbox,
    lost: u64,
    complained_at: Option<Instant>,
    end: End,
}

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not in sight.
    Open,
    /// The inbox is closed; what is left must be gone by then.
    Draining(Instant),
    /// What was left is gone, and `stopped` is on its way.
    Stopped(Instant),
}

/// How a connection ended.
enum Closed {
    /// Everything is delivered.
    Settled,
    /// The broker went away, or was never there.
    Lost(ConnectionError),
    /// The deadline has passed.
    Late,
}

/// What happens next on a connection.
enum Step {
    Message(Option<Message>),
    Event(Option<Result<Event, ConnectionError>>),
    Late,
}

impl Mqtt {
    /// A publisher of `node` in its run `boot_id`; connects when it is run. Errors: a file that
    /// `settings` name cannot be read.
    pub fn new(settings: &MqttSettings, node: &str, boot_id: &str) -> Result<Self, PublishError> {
        let topics = Topics::new(&settings.base, node);
        let status = |state| json(&Status { state, boot_id: boot_id.to_owned() });
        let options = broker::options(settings, &topics, status("offline"))?;
        let mut outbox = Outbox::new(settings.outbox);
        outbox.retain(topics.status(), status("online"));
        Ok(Self {
            options,
            url: settings.url.clone(),
            topics,
            boot_id: boot_id.to_owned(),
            outbox,
            lost: 0,
            complained_at: None,
            end: End::Open,
        })
    }

    async fn publish(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut backoff = Backoff::default();
        loop {
            let closed = self.connection(&mut inbox, &mut backoff).await;
            let reason = match closed {
                Closed::Settled => return,
                Closed::Late => "the deadline has passed".to_owned(),
                Closed::Lost(error) => broker::explain(&error),
            };
            if self.end != End::Open {
                let undelivered = self.outbox.len();
                error!(broker = %self.url, undelivered, %reason, "stopped before the broker had every label");
                return;
            }
            let wait = backoff.next_wait();
            warn!(
                broker = %self.url, %reason, waiting = self.outbox.len(), retry_in_ms = wait.as_millis(),
                "broker is not reachable, labels wait for it"
            );
            self.collect(&mut inbox, wait).await;
        }
    }

    /// One connection, from a fresh client to its end.
    ///
    /// A client that has lost its connection is never used again: it keeps publishes of its own that
    /// it drops or repeats as it sees fit.
    async fn connection(&mut self, inbox: &mut mpsc::Receiver<Message>, backoff: &mut Backoff) -> Closed {
        let (client, event_loop) = AsyncClient::new(self.options.clone(), REQUESTS);
        let (events, mut arriving) = mpsc::channel(EVENTS);
        // A task of its own, because polling must not be cancelled half-way. Dropping the set ends it.
        let mut tasks = JoinSet::new();
        tasks.spawn(poll(event_loop, events));
        let mut connected = false;
        loop {
            if connected {
                self.hand_over(&client);
            }
            match self.step(inbox, &mut arriving).await {
                Step::Message(Some(message)) => self.accept(&message),
                Step::Message(None) => self.end = End::Draining(Instant::now() + DRAIN_DEADLINE),
                Step::Event(Some(Ok(Event::Incoming(Packet::ConnAck(_))))) => {
                    info!(broker = %self.url, waiting = self.outbox.len(), "connected to the broker");
                    connected = true;
                    backoff.reset();
                    self.outbox.connected();
                }
                Step::Event(Some(Ok(Event::Outgoing(Outgoing::Publish(id))))) => self.outbox.sent(id),
                Step::Event(Some(Ok(Event::Incoming(Packet::PubAck(ack))))) => {
                    self.outbox.acknowledged(ack.pkid)
                }
                Step::Event(Some(Ok(_))) => {}
                Step::Event(Some(Err(error))) => return Closed::Lost(error),
                Step::Event(None) => return Closed::Lost(ConnectionError::RequestsDone),
                Step::Late => return Closed::Late,
            }
            metrics::gauge!("cmpt_outbox_labels").set(self.outbox.len() as f64);
            if self.is_delivered() {
                disconnect(&client, &mut arriving).await;
                return Closed::Settled;
            }
        }
    }

    async fn step(
        &self,
        inbox: &mut mpsc::Receiver<Message>,
        arriving: &mut mpsc::Receiver<Result<Event, ConnectionError>>,
    ) -> Step {
        let deadline = match self.end {
            End::Open => None,
            End::Draining(deadline) | End::Stopped(deadline) => Some(deadline),
        };
        tokio::select! {
            biased;
            event = arriving.recv() => Step::Event(event),
            message = inbox.recv(), if deadline.is_none() => Step::Message(message),
            () = sleep_until(deadline) => Step::Late,
        }
    }

    /// Takes messages in while there is no connection.
    async fn collect(&mut self, inbox: &mut mpsc::Receiver<Message>, wait: Duration) {
        let until = Instant::now() + wait;
        while let Ok(message) = tokio::time::timeout_at(until, inbox.recv()).await {
            match message {
                Some(message) => self.accept(&message),
                None => {
                    // One more connection is tried, at once.
                    self.end = End::Draining(Instant::now() + DRAIN_DEADLINE);
                    return;
                }
            }
        }
    }

    fn accept(&mut self, message: &Message) {
        match message {
            Message::Info(info) => self.outbox.retain(self.topics.info(), json(&**info)),
            Message::Sensor { stream, modality, sensor } => {
                self.outbox.retain(self.topics.sensor(stream, modality), json(sensor));
            }
            Message::Label(label) => {
                let payload = json(&**label);
                self.outbox.retain(self.topics.state(&label.stream), payload.clone());
                if self.outbox.push(self.topics.label(&label.stream), payload) {
                    self.complain();
                }
            }
        }
    }

    fn complain(&mut self) {
        self.lost += 1;
        metrics::counter!("cmpt_publish_dropped_total", "publisher" => "mqtt").increment(1);
        if self.complained_at.is_none_or(|at| at.elapsed() >= COMPLAINT_INTERVAL) {
            self.complained_at = Some(Instant::now());
            error!(broker = %self.url, lost = self.lost, "outbox is full, the oldest labels are lost");
        }
    }

    fn hand_over(&mut self, client: &AsyncClient) {
        while let Some(publication) = self.outbox.hand_over() {
            let payload = publication.payload.to_vec();
            let handed = client.try_publish(publication.topic, QoS::AtLeastOnce, publication.retain, payload);
            if handed.is_err() {
                // The channel has room for more than is ever on its way: so the connection is lost, and
                // its error is among the events to come. The outbox starts over with the next one.
                return;
            }
        }
    }

    /// Whether all is said and done. Says `stopped` when all labels are delivered.
    fn is_delivered(&mut self) -> bool {
        match self.end {
            End::Draining(deadline) if self.outbox.is_settled() => {
                let stopped = json(&Status { state: "stopped", boot_id: self.boot_id.clone() });
                self.outbox.retain(self.topics.status(), stopped);
                self.end = End::Stopped(deadline);
                false
            }
            End::Stopped(_) => self.outbox.is_settled(),
            End::Open | End::Draining(_) => false,
        }
    }
}

impl Publisher for Mqtt {
    fn name(&self) -> &'static str {
        "mqtt"
    }

    fn run(self: Box<Self>, inbox: mpsc::Receiver<Message>) -> BoxFuture<'static, Result<(), PublishError>> {
        Box::pin(async move {
            self.publish(inbox).await;
            Ok(())
        })
    }
}

/// Drives the connection until it breaks or nobody listens.
async fn poll(mut event_loop: EventLoop, events: mpsc::Sender<Result<Event, ConnectionError>>) {
    loop {
        let event = event_loop.poll().await;
        let broken = event.is_err();
        if events.send(event).await.is_err() || broken {
            return;
        }
    }
}

/// Says goodbye, so that the broker does not publish the last will.
async fn disconnect(client: &AsyncClient, arriving: &mut mpsc::Receiver<Result<Event, ConnectionError>>) {
    if client.try_disconnect().is_err() {
        return;
    }
    while let Some(Ok(event)) = arriving.recv().await {
        if event == Event::Outgoing(Outgoing::Disconnect) {
            return;
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn json(payload: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(payload).expect("payloads have string keys and finite numbers")
}
