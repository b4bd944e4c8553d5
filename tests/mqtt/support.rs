//! A real broker, a client of ours and a subscriber.

use std::collections::BTreeMap;
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
pub const DEADLINE: Duration = Duration::from_secs(30);

/// mosquitto on a free loopback port.
pub struct Broker {
    pub port: u16,
    configuration: PathBuf,
    process: Option<Child>,
    _folder: TempDir,
}

impl Broker {
    pub fn start(more: &str) -> Self {
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

    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            Command::new("kill").arg(process.id().to_string()).status().unwrap();
            process.wait().unwrap();
        }
    }

    pub fn restart(&mut self) {
        self.stop();
        // Debian keeps it out of the search path of users.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
        let mut command = Command::new("mosquitto");
        command.env("PATH", path).arg("-c").arg(&self.configuration);
        let started = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(started.expect("mosquitto is installed"));
    }

    pub fn settings(&self) -> MqttSettings {
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
    pub fn subscribe(&self, id: &str) -> mpsc::Receiver<Publish> {
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

pub fn start(settings: &MqttSettings) -> (mpsc::Sender<Message>, JoinHandle<Result<(), PublishError>>) {
    let publisher = Box::new(Mqtt::new(settings, "node", "boot").unwrap());
    let (messages, inbox) = mpsc::channel(16);
    (messages, tokio::spawn(publisher.run(inbox)))
}

pub fn label(seq: u64) -> Message {
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

pub fn model() -> ModelId {
    ModelId { name: "tiny".into(), version: "1".into(), sha256: "00".into() }
}

pub fn info() -> Message {
    let info = Info {
        version: "0".into(),
        boot_id: "boot".into(),
        engine: "linear".into(),
        model: model(),
        streams: vec!["desk".into()],
    };
    Message::Info(Arc::new(info))
}

pub fn lost_video() -> Message {
    let sensor = Sensor::new(SensorState::Lost(Reason::Frozen), 5);
    Message::Sensor { stream: "desk".into(), modality: "video".into(), sensor }
}

pub fn json(publish: &Publish) -> serde_json::Value {
    serde_json::from_slice(&publish.payload).unwrap()
}

pub async fn next(messages: &mut mpsc::Receiver<Publish>) -> Publish {
    tokio::time::timeout(DEADLINE, messages.recv()).await.expect("a message within the deadline").unwrap()
}

/// Waits for `topic`, whatever else comes before.
pub async fn next_on(messages: &mut mpsc::Receiver<Publish>, topic: &str) -> Publish {
    loop {
        let message = next(messages).await;
        if message.topic == topic {
            return message;
        }
    }
}
