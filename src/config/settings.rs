//! The configuration, valid by construction.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::problem::Place;
use super::raw::RawSensor;
use crate::ingest::RtpTransport;

/// All settings of the daemon.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file they come from.
    pub file: PathBuf,
    /// Id of this daemon.
    pub node: String,
    /// Folder of the model bundle.
    pub bundle: PathBuf,
    /// What runs the model.
    pub engine: EngineSettings,
    /// Where labels go.
    pub publish: PublishSettings,
    /// Where metrics are served.
    pub health: Option<SocketAddr>,
    /// Streams, at least one.
    pub streams: Vec<StreamSettings>,
}

/// What runs the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// On what.
    pub device: Device,
    /// The ONNX Runtime library; looked for where [`Device::Auto`] says if `None`.
    pub library: Option<PathBuf>,
    /// Threads inside one operator. Default 1: small models gain nothing from more.
    pub threads: NonZeroUsize,
}

/// What the model runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// CUDA if it works, else the CPU, else tract; each step down with a warning.
    Auto,
    /// ONNX Runtime on CUDA, or an error.
    Cuda,
    /// ONNX Runtime on the CPU.
    Cpu,
    /// The embedded engine.
    Tract,
}

impl Device {
    pub(super) const NAMES: [(&'static str, Self); 4] =
        [("auto", Self::Auto), ("cuda", Self::Cuda), ("cpu", Self::Cpu), ("tract", Self::Tract)];

    /// The device of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, device)| device)
    }
}

/// Where labels go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishSettings {
    /// A label a line on standard output.
    pub stdout: bool,
    /// An MQTT broker.
    pub mqtt: Option<MqttSettings>,
}

/// An MQTT broker and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttSettings {
    /// How.
    pub transport: Transport,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The address as it is written.
    pub url: String,
    /// First level of every topic.
    pub base: String,
    /// Client id, unique at the broker. Default `cmptd-<node>`.
    pub client_id: String,
    /// User name.
    pub username: Option<String>,
    /// File that holds the password on its first line.
    pub password_file: Option<PathBuf>,
    /// Certificates to trust in place of the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// How many labels wait for the broker before the oldest is dropped.
    pub outbox: NonZeroUsize,
}

/// What MQTT runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `mqtt`: TCP.
    Tcp,
    /// `mqtts`: TLS.
    Tls,
    /// `ws`: WebSocket.
    WebSocket,
    /// `wss`: WebSocket over TLS.
    SecureWebSocket,
}

impl Transport {
    pub(super) const SCHEMES: [(&'static str, Self, u16); 4] = [
        ("mqtt", Self::Tcp, 1883),
        ("mqtts", Self::Tls, 8883),
        ("ws", Self::WebSocket, 80),
        ("wss", Self::SecureWebSocket, 443),
    ];
}

/// One stream.
#[derive(Clone, Debug)]
pub struct StreamSettings {
    /// Id, unique in the file.
    pub id: String,
    /// How long after its end a window waits for late samples.
    pub lateness: Duration,
    /// Where stream time 0 lies.
    pub align: Align,
    /// Where it stands in the file.
    pub place: Place,
    /// Sources, at least one.
    pub sources: Vec<SourceSettings>,
    /// Thresholds by name of the modality.
    pub sensors: BTreeMap<String, SensorSettings>,
}

/// Where stream time 0 lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// When the stream starts.
    Start,
    /// At the first whole hop of unix time after that.
    Clock,
}

impl Align {
    pub(super) const NAMES: [(&'static str, Self); 2] = [("start", Self::Start), ("clock", Self::Clock)];
}

/// Names of [`RtpTransport`].
pub(super) const RTP_TRANSPORTS: [(&str, RtpTransport); 2] =
    [("tcp", RtpTransport::Tcp), ("udp", RtpTransport::Udp)];

/// One source of a stream.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// What it plays.
    pub media: MediaSettings,
    /// Modalities it provides, each with its place in the file.
    pub provides: Vec<(String, Place)>,
    /// File with `USER:PASSWORD`.
    pub credentials_file: Option<PathBuf>,
    /// What RTP comes over.
    pub transport: RtpTransport,
    /// Added to its timestamps, in milliseconds.
    pub offset_ms: i64,
    /// How long it may deliver nothing; follows from its sensors' thresholds unless it is set.
    pub stall_after: Option<Duration>,
    /// Longest wait before it is started again.
    pub retry_max: Duration,
}

/// What a source plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaSettings {
    /// A path or URI.
    Uri(String),
    /// A pipeline in gst-launch syntax.
    Pipeline(String),
}

/// Thresholds of one sensor, as far as the file sets them.
#[derive(Clone, Debug)]
pub struct SensorSettings {
    pub(super) place: Place,
    pub(super) thresholds: RawSensor,
}

impl SensorSettings {
    /// The line of the file on which its table begins.
    pub fn line(&self) -> usize {
        self.place.line
    }
}
