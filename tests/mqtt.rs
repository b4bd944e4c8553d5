//! A real broker that comes and goes.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cmpt::config::{MqttSettings, Transport};
use cmpt::publish::mqtt::Mqtt;
use cmpt::publish::payload::{Info, Label, ModelId, Outcome, Path, SCHEMA, Sensor};
use cmpt::publish::{Message, PublishError, Publisher};
use cmpt_core::dropout::{Reason, SensorState};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, Publish, QoS};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// mosquitto on a free loopback port.
struct Broker {
    port: u16,
    configuration: PathBuf,
    process: Option<Child>,
    _folder: TempDir,
}

impl Broker {
    fn start(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let configuration = folder.path().join("mosquitto.conf");
        // Sessions outlive a restart, so that what reaches the broker reaches the subscriber.
        let location = folder.path().display();
        std::fs::write(
            &configuration,
            format!("user root\nlistener {port} 127.0.0.1\npersistence true\npersistence_location {location}/\n{more}\n"),
        )
        .unwrap();
        let mut broker = Self { port, configuration, process: None, _folder: folder };
        broker.restart();
        broker
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            Command::new("kill").arg(process.id().to_string()).status().unwrap();
            process.wait().unwrap();
        }
    }

    fn restart(&mut self) {
        self.stop();
        // Debian keeps it out of the search path of users.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
        let mut command = Command::new("mosquitto");
        command.env("PATH", path).arg("-c").arg(&self.configuration);
        let started = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(started.expect("mosquitto is installed"));
    }

    fn settings(&self) -> MqttSettings {
        MqttSettings {
            transport: Transport::Tcp,
            host: "127.0.0.1".into(),
            port: self.port,
            url: format!("mqtt://127.0.0.1:{}", self.port),
            base: "cmpt".into(),
            client_id: "cmptd-node".into(),
            username: None,
            password_file: None,
            ca_file: None,
            outbox: NonZeroUsize::new(1000).unwrap(),
        }
    }

    /// Subscribes to everything of node `node`; ends with the receiver. Comes back by itself, to the
    /// session it had.
    fn subscribe(&self, id: &str) -> mpsc::Receiver<Publish> {
        let (received, messages) = mpsc::channel(4096);
        let mut options = MqttOptions::new(id, "127.0.0.1", self.port);
        options.set_clean_session(false);
        let (client, mut event_loop) = AsyncClient::new(options, 16);
        tokio::spawn(async move {
            loop {
                match event_loop.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        client.try_subscribe("cmpt/node/#", QoS::AtLeastOnce).unwrap();
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        if received.send(publish).await.is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    // The broker is down while it restarts: a pause between attempts to connect, on
                    // which no assertion depends.
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
        messages
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn start(settings: &MqttSettings) -> (mpsc::Sender<Message>, JoinHandle<Result<(), PublishError>>) {
    let publisher = Box::new(Mqtt::new(settings, "node", "boot").unwrap());
    let (messages, inbox) = mpsc::channel(16);
    (messages, tokio::spawn(publisher.run(inbox)))
}

fn label(seq: u64) -> Message {
    Message::Label(Arc::new(Label {
        schema: SCHEMA,
        node: "node".into(),
        stream: "desk".into(),
        boot_id: "boot".into(),
        seq,
        outcome: Outcome::Label,
        label: Some("low".into()),
        score: Some(1.0),
        top: vec![],
        path: Path::Full,
        available: vec![],
        missing: BTreeMap::new(),
        missing_by: BTreeMap::new(),
        expected: None,
        window_start_ms: 0,
        window_end_ms: 0,
        published_ms: 0,
        latency_ms: 0,
        model: model(),
    }))
}

fn model() -> ModelId {
    ModelId { name: "tiny".into(), version: "1".into(), sha256: "00".into() }
}

fn info() -> Message {
    let info = Info {
        version: "0".into(),
        boot_id: "boot".into(),
        engine: "linear".into(),
        model: model(),
        streams: vec!["desk".into()],
    };
    Message::Info(Arc::new(info))
}

fn lost_video() -> Message {
    let sensor = Sensor::new(SensorState::Lost(Reason::Frozen), 5);
    Message::Sensor { stream: "desk".into(), modality: "video".into(), sensor }
}

fn json(publish: &Publish) -> serde_json::Value {
    serde_json::from_slice(&publish.payload).unwrap()
}

async fn next(messages: &mut mpsc::Receiver<Publish>) -> Publish {
    tokio::time::timeout(DEADLINE, messages.recv()).await.expect("a message within the deadline").unwrap()
}

/// Waits for `topic`, whatever else comes before.
async fn next_on(messages: &mut mpsc::Receiver<Publish>, topic: &str) -> Publish {
    loop {
        let message = next(messages).await;
        if message.topic == topic {
            return message;
        }
    }
}

#[tokio::test]
async fn topics_payloads_and_retention_are_those_of_the_contract() {
    let broker = Broker::start("allow_anonymous true");
    let (messages, running) = start(&broker.settings());
    let mut live = broker.subscribe("live");
    // Labels are not retained: the subscriber is there before they come.
    next_on(&mut live, "cmpt/node/status").await;
    for message in [info(), lost_video(), label(0)] {
        messages.send(message).await.unwrap();
    }
    let event = next_on(&mut live, "cmpt/node/stream/desk/label").await;
    assert!(!event.retain && event.qos == QoS::AtLeastOnce);
    assert_eq!(json(&event)["seq"], 0);

    drop(live);
    let mut late = broker.subscribe("late");
    let mut retained = BTreeMap::new();
    while retained.len() < 4 {
        let message = next(&mut late).await;
        assert!(message.retain, "{} is retained", message.topic);
        retained.insert(message.topic.clone(), json(&message));
    }
    assert_eq!(retained["cmpt/node/status"], serde_json::json!({"state": "online", "boot_id": "boot"}));
    assert_eq!(retained["cmpt/node/info"]["engine"], "linear");
    assert_eq!(retained["cmpt/node/stream/desk/state"]["seq"], 0);
    assert_eq!(
        retained["cmpt/node/stream/desk/sensor/video"],
        serde_json::json!({"state": "lost", "reason": "frozen", "since_ms": 5})
    );

    drop(messages);
    running.await.unwrap().unwrap();
    assert_eq!(json(&next_on(&mut late, "cmpt/node/status").await)["state"], "stopped");
}

#[tokio::test]
async fn a_killed_daemon_leaves_its_last_will() {
    let broker = Broker::start("allow_anonymous true");
    let mut live = broker.subscribe("live");
    let (_messages, running) = start(&broker.settings());
    assert_eq!(json(&next_on(&mut live, "cmpt/node/status").await)["state"], "online");
    // The connection breaks without a word, as when the process is killed.
    running.abort();
    let will = next_on(&mut live, "cmpt/node/status").await;
    assert_eq!(json(&will), serde_json::json!({"state": "offline", "boot_id": "boot"}));
}

#[tokio::test]
async fn a_broker_that_restarts_costs_no_label() {
    const LABELS: u64 = 300;
    let mut broker = Broker::start("allow_anonymous true");
    let mut live = broker.subscribe("live");
    let (messages, running) = start(&broker.settings());
    messages.send(info()).await.unwrap();
    messages.send(lost_video()).await.unwrap();
    next_on(&mut live, "cmpt/node/status").await;

    for seq in 0..LABELS {
        messages.send(label(seq)).await.unwrap();
        if seq == LABELS / 3 {
            // Some are through, and more are on their way when it goes down.
            next_on(&mut live, "cmpt/node/stream/desk/label").await;
            broker.stop();
        }
        if seq == 2 * LABELS / 3 {
            broker.restart();
        }
    }
    // The first was taken from the queue above.
    let mut seen = BTreeSet::from([0]);
    while seen.last() != Some(&(LABELS - 1)) {
        let message = next_on(&mut live, "cmpt/node/stream/desk/label").await;
        seen.insert(json(&message)["seq"].as_u64().unwrap());
    }
    drop(messages);
    running.await.unwrap().unwrap();
    assert_eq!((0..LABELS).filter(|seq| !seen.contains(seq)).collect::<Vec<_>>(), [0; 0]);
}

#[tokio::test]
async fn a_user_that_the_broker_refuses_is_named_and_waited_for() {
    let broker = Broker::start("allow_anonymous false");
    let (messages, running) = start(&broker.settings());
    messages.send(label(0)).await.unwrap();
    drop(messages);
    // It ends by itself: a broker that refuses does not hold up the end.
    tokio::time::timeout(DEADLINE, running).await.expect("it ends").unwrap().unwrap();
}
