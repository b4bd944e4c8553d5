//! Every scheme that a broker's address may have: `mqtt` in the contract's tests, the others here.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cmpt::config::{MqttSettings, Transport};
use tempfile::TempDir;

use super::support::{Broker, DEADLINE, json, label, next_on, start};

/// An authority of the test's own, and a broker's certificate that it signed for 127.0.0.1.
struct Certificates(TempDir);

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let openssl = |line: &str| {
            let mut command = Command::new("openssl");
            command.args(line.split(' ')).current_dir(&folder).stderr(Stdio::null());
            assert!(command.status().expect("openssl is installed").success(), "openssl {line}");
        };
        let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        openssl(&format!("{new} -subj /CN=authority -keyout authority.key -out authority.pem"));
        openssl(&format!(
            "{new} -subj /CN=broker -addext subjectAltName=IP:127.0.0.1 \
             -addext basicConstraints=critical,CA:FALSE \
             -CA authority.pem -CAkey authority.key -keyout broker.key -out broker.pem"
        ));
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Lines of mosquitto's configuration that make the listener above them a secure one.
    fn listener(&self) -> String {
        let path = |name| self.path(name).display().to_string();
        format!("certfile {}\nkeyfile {}\n", path("broker.pem"), path("broker.key"))
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Settings for the listener on `port`, which `transport` speaks to.
fn settings(broker: &Broker, transport: Transport, port: u16, ca: Option<&Path>) -> MqttSettings {
    let url = match transport {
        Transport::Tcp => format!("mqtt://127.0.0.1:{port}"),
        Transport::Tls => format!("mqtts://127.0.0.1:{port}"),
        Transport::WebSocket => format!("ws://127.0.0.1:{port}/mqtt"),
        Transport::SecureWebSocket => format!("wss://127.0.0.1:{port}/mqtt"),
    };
    MqttSettings { transport, port, url, ca_file: ca.map(Path::to_owned), ..broker.settings() }
}

/// A label that is sent over `transport` reaches a subscriber that speaks plain MQTT.
async fn check(transport: Transport, listener: &str, certificates: Option<&Certificates>) {
    let port = free_port();
    let secure = certificates.map(Certificates::listener).unwrap_or_default();
    let broker =
        Broker::start(&format!("allow_anonymous true\nlistener {port} 127.0.0.1\n{listener}\n{secure}"));
    let authority = certificates.map(|certificates| certificates.path("authority.pem"));
    let (messages, running) = start(&settings(&broker, transport, port, authority.as_deref()));
    let mut live = broker.subscribe("live");
    assert_eq!(json(&next_on(&mut live, "cmpt/node/status").await)["state"], "online");
    messages.send(label(7)).await.unwrap();
    assert_eq!(json(&next_on(&mut live, "cmpt/node/stream/desk/label").await)["seq"], 7);
    drop(messages);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn mqtts_reaches_a_broker_whose_authority_is_named() {
    check(Transport::Tls, "", Some(&Certificates::new())).await;
}

#[tokio::test]
async fn ws_reaches_a_broker() {
    check(Transport::WebSocket, "protocol websockets", None).await;
}

#[tokio::test]
async fn wss_reaches_a_broker_whose_authority_is_named() {
    check(Transport::SecureWebSocket, "protocol websockets", Some(&Certificates::new())).await;
}

#[tokio::test]
async fn a_broker_of_an_unknown_authority_gets_nothing() {
    let (certificates, port) = (Certificates::new(), free_port());
    let listener = certificates.listener();
    let broker = Broker::start(&format!("allow_anonymous true\nlistener {port} 127.0.0.1\n{listener}"));
    let stranger = Certificates::new();
    let mut live = broker.subscribe("live");
    let (messages, running) =
        start(&settings(&broker, Transport::Tls, port, Some(&stranger.path("authority.pem"))));
    messages.send(label(0)).await.unwrap();
    drop(messages);
    tokio::time::timeout(DEADLINE, running).await.expect("it ends").unwrap().unwrap();
    assert!(live.try_recv().is_err(), "nothing was published");
}
