//! From what is written to what can be: every value checked, every mistake kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use url::Url;

use super::problem::{ConfigError, Document, Fault, Problem};
use super::raw::{self, Raw, RawEngine, RawMqtt, RawSource, RawStream};
use super::settings::RTP_TRANSPORTS;
use super::settings::{
    Align, Config, Device, EngineSettings, MediaSettings, MqttSettings, PublishSettings, SourceSettings,
    StreamSettings, Transport,
};
use super::thresholds::MAX_THRESHOLD_MS;
use crate::ingest::{self, RtpTransport, SourceSpec};

/// Longest lateness; a label that is later is of no use to anyone watching.
const MAX_LATENESS_MS: i64 = 60_000;
/// Most threads for one operator, both ends inclusive with 1.
const MAX_THREADS: i64 = 256;
/// Largest outbox: at half a kilobyte a label, half a gigabyte.
const MAX_OUTBOX: i64 = 1_000_000;
/// A label a second for more than an hour.
const DEFAULT_OUTBOX: i64 = 4096;
const DEFAULT_LATENESS_MS: i64 = 200;

/// Largest offset of a source. A window keeps samples for little longer.
const MAX_OFFSET_MS: i64 = 10_000;

const IDENTIFIER: &str = "one or more of A-Z a-z 0-9 _ -";

impl Config {
    /// Reads and checks `file`. Errors: every mistake at once.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Read {
            path: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
            source,
        })?;
        Self::parse(file, &text)
    }

    /// Checks `text`, which stands in `file`. Errors: every mistake at once.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let document = Document { file, text };
        let (raw, problems) = raw::read(&document);
        // What could not be read is not missing: it has been reported.
        let readable = problems.is_empty();
        let mut check = Check { document, problems, readable };
        let config = check.config(raw);
        check.problems.sort_by_key(|problem| problem.line);
        match config {
            Some(config) if check.problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Problems(check.problems)),
        }
    }
}

/// Collects problems; every method returns `None` after it has reported one.
pub(super) struct Check<'a> {
    pub(super) document: Document<'a>,
    problems: Vec<Problem>,
    readable: bool,
}

impl Check<'_> {
    fn config(&mut self, raw: Raw) -> Option<Config> {
        let top = 0..0;
        let node = self.required(raw.node, &top, "node", IDENTIFIER);
        let node = node.and_then(|node| self.identifier(node, "node"));
        let bundle = self.required(raw.model.bundle, &top, "model.bundle", "the folder of a model bundle");
        let bundle = bundle.and_then(|bundle| self.path(bundle, "model.bundle"));
        let engine = self.engine(raw.engine);
        let mqtt = match raw.publish.mqtt {
            Some(mqtt) => self.mqtt(mqtt, node.as_deref()).map(Some),
            None => Some(None),
        };
        let health = match raw.health.listen {
            Some(listen) => self.socket(listen).map(Some),
            None => Some(None),
        };
        let streams = self.streams(raw.stream);
        Some(Config {
            file: self.document.file.to_owned(),
            node: node?,
            bundle: bundle?,
            engine: engine?,
            publish: PublishSettings { stdout: raw.publish.stdout.unwrap_or(false), mqtt: mqtt? },
            health: health?,
            streams: streams?,
        })
    }

    fn engine(&mut self, raw: RawEngine) -> Option<EngineSettings> {
        let device = match raw.device {
            Some(device) => self.choice(device, "engine.device", &Device::NAMES),
            None => Some(Device::Auto),
        };
        let library = match raw.library {
            Some(library) => self.path(library, "engine.library").map(Some),
            None => Some(None),
        };
        let threads = self.whole(raw.threads, 1, "engine.threads", 1..=MAX_THREADS);
        Some(EngineSettings { device: device?, library: library?, threads: non_zero(threads?) })
    }

    fn mqtt(&mut self, raw: Spanned<RawMqtt>, node: Option<&str>) -> Option<MqttSettings> {
        let span = raw.span();
        let raw = raw.into_inner();
        let url = self.required(raw.url, &span, "publish.mqtt.url", "such as \"mqtt://127.0.0.1:1883\"");
        let broker = url.and_then(|url| self.broker(url));
        let base = match raw.base {
            Some(base) => self.identifier(base, "publish.mqtt.base"),
            None => Some("cmpt".to_owned()),
        };
        let client_id = match raw.client_id {
            Some(id) => self.identifier(id, "publish.mqtt.client_id"),
            None => node.map(|node| format!("cmptd-{node}")),
        };
        if let (Some(file), None) = (&raw.password_file, &raw.username) {
            self.missing(
                &file.span(),
                "publish.mqtt.username",
                "the user whose password `password_file` holds",
            );
        }
        let mut path = |value: Option<Spanned<String>>, key: &str| match value {
            Some(value) => self.path(value, key).map(Some),
            None => Some(None),
        };
        let password_file = path(raw.password_file, "publish.mqtt.password_file");
        let ca_file = path(raw.ca_file, "publish.mqtt.ca_file");
        let outbox = self.whole(raw.outbox, DEFAULT_OUTBOX, "publish.mqtt.outbox", 1..=MAX_OUTBOX);
        let (transport, host, port, url) = broker?;
        Some(MqttSettings {
            transport,
            host,
            port,
            url,
            base: base?,
            client_id: client_id?,
            username: raw.username.map(Spanned::into_inner),
            password_file: password_file?,
            ca_file: ca_file?,
            outbox: non_zero(outbox?),
        })
    }

    fn broker(&mut self, url: Spanned<String>) -> Option<(Transport, String, u16, String)> {
        let expected = "mqtt://HOST[:PORT], or mqtts, ws or wss in place of mqtt";
        let parsed = Url::parse(url.get_ref()).ok();
        if parsed.as_ref().is_some_and(|parsed| !parsed.username().is_empty() || parsed.password().is_some())
        {
            // The value is not repeated: it holds a password.
            let expected = "a broker without credentials; they belong in `username` and `password_file`";
            self.value(&url.span(), "publish.mqtt.url", "a URL with credentials".into(), expected);
            return None;
        }
        let broker = parsed.as_ref().and_then(|parsed| {
            let host = parsed.host_str().filter(|host| !host.is_empty())?;
            let (_, transport, port) =
                Transport::SCHEMES.into_iter().find(|(scheme, ..)| *scheme == parsed.scheme())?;
            Some((transport, host.to_owned(), parsed.port().unwrap_or(port), url.get_ref().clone()))
        });
        if broker.is_none() {
            self.unexpected(&url, "publish.mqtt.url", expected);
        }
        broker
    }

    fn socket(&mut self, listen: Spanned<String>) -> Option<SocketAddr> {
        let address = listen.get_ref().parse().ok();
        if address.is_none() {
            self.unexpected(&listen, "health.listen", "ADDRESS:PORT, such as \"127.0.0.1:9464\"");
        }
        address
    }

    fn streams(&mut self, raw: Vec<Spanned<RawStream>>) -> Option<Vec<StreamSettings>> {
        if raw.is_empty() {
            self.missing(&(0..0), "stream", "at least one [[stream]]");
            return None;
        }
        let streams: Vec<_> = raw.into_iter().enumerate().map(|(i, raw)| self.stream(i, raw)).collect();
        let mut ids = BTreeSet::new();
        for stream in streams.iter().flatten() {
            if !ids.insert(&stream.id) {
                let fault = Fault::Value {
                    found: format!("{:?} a second time", stream.id),
                    expected: "an id of its own for every stream".into(),
                };
                let file = self.document.file.to_owned();
                let key = format!("{}.id", stream.place.key);
                self.problems.push(Problem { file, line: stream.place.line, key, fault });
            }
        }
        streams.into_iter().collect()
    }

    fn stream(&mut self, index: usize, raw: Spanned<RawStream>) -> Option<StreamSettings> {
        let span = raw.span();
        let raw = raw.into_inner();
        let prefix = format!("stream[{index}]");
        let key = |name: &str| format!("{prefix}.{name}");
        let id = self.required(raw.id, &span, &key("id"), IDENTIFIER);
        let id = id.and_then(|id| self.identifier(id, &key("id")));
        let lateness =
            self.whole(raw.lateness_ms, DEFAULT_LATENESS_MS, &key("lateness_ms"), 0..=MAX_LATENESS_MS);
        let align = match raw.align {
            Some(align) => self.choice(align, &key("align"), &Align::NAMES),
            None => Some(Align::Start),
        };
        if raw.source.is_empty() {
            self.missing(&span, &key("source"), "at least one [[stream.source]]");
        }
        let sources: Option<Vec<_>> = raw
            .source
            .into_iter()
            .enumerate()
            .map(|(i, raw)| self.source(&key(&format!("source[{i}]")), raw))
            .collect();
        let sensors: BTreeMap<_, _> = raw
            .sensor
            .into_iter()
            .map(|(name, raw)| {
                let settings = self.sensor(&key(&format!("sensor.{name}")), raw);
                (name, settings)
            })
            .collect();
        Some(StreamSettings {
            id: id?,
            lateness: Duration::from_millis(lateness?),
            align: align?,
            place: self.document.place(&span, prefix),
            sources: sources.filter(|sources| !sources.is_empty())?,
            sensors,
        })
    }

    fn source(&mut self, prefix: &str, raw: Spanned<RawSource>) -> Option<SourceSettings> {
        let span = raw.span();
        let raw = raw.into_inner();
        let media = match (raw.uri, raw.pipeline) {
            (Some(uri), None) => Some(MediaSettings::Uri(uri.into_inner())),
            (None, Some(pipeline)) => Some(MediaSettings::Pipeline(pipeline.into_inner())),
            (Some(_), Some(pipeline)) => {
                self.unexpected(&pipeline, &format!("{prefix}.pipeline"), "no `pipeline` beside a `uri`");
                None
            }
            (None, None) => {
                self.missing(&span, &format!("{prefix}.uri"), "a `uri` or a `pipeline`");
                None
            }
        };
        let key = format!("{prefix}.provides");
        let provides = self.required(raw.provides, &span, &key, "the modalities that come from this source");
        let provides = provides.and_then(|provides| {
            if provides.get_ref().is_empty() {
                self.value(&provides.span(), &key, "empty".into(), "at least one modality");
                return None;
            }
            let named = provides.into_inner().into_iter();
            Some(
                named.map(|name| (name.get_ref().clone(), self.document.place(&name.span(), &key))).collect(),
            )
        });
        let media = media.filter(|media| match media {
            MediaSettings::Uri(uri) if ingest::has_credentials(uri) => {
                // The value is not repeated: it may hold a password.
                let expected = "an address without credentials; they belong in `credentials_file`";
                self.value(&span, &format!("{prefix}.uri"), "an address with credentials".into(), expected);
                false
            }
            _ => true,
        });
        let credentials_file = match raw.credentials_file {
            Some(file) => self.path(file, &format!("{prefix}.credentials_file")).map(Some),
            None => Some(None),
        };
        let transport = match raw.transport {
            Some(transport) => self.choice(transport, &format!("{prefix}.transport"), &RTP_TRANSPORTS),
            None => Some(RtpTransport::Tcp),
        };
        let offset_ms = raw.offset_ms.as_ref().map_or(0, |offset| *offset.get_ref());
        if let Some(offset) = raw.offset_ms.filter(|_| offset_ms.abs() > MAX_OFFSET_MS) {
            let expected = format!("a whole number from -{MAX_OFFSET_MS} to {MAX_OFFSET_MS}");
            self.unexpected(&offset, &format!("{prefix}.offset_ms"), &expected);
        }
        let mut millis = |value: Option<Spanned<i64>>, default: Duration, name: &str| {
            let default = i64::try_from(default.as_millis()).unwrap_or(i64::MAX);
            self.whole(value, default, &format!("{prefix}.{name}"), 100..=MAX_THRESHOLD_MS)
                .map(Duration::from_millis)
        };
        let sets_stall = raw.stall_after_ms.is_some();
        let stall_after = millis(raw.stall_after_ms, SourceSpec::STALL_AFTER, "stall_after_ms");
        let retry_max = millis(raw.retry_max_ms, SourceSpec::RETRY_MAX, "retry_max_ms");
        Some(SourceSettings {
            media: media?,
            provides: provides?,
            credentials_file: credentials_file?,
            transport: transport?,
            offset_ms,
            stall_after: Some(stall_after?).filter(|_| sets_stall),
            retry_max: retry_max?,
        })
    }

    pub(super) fn share(&mut self, value: Option<Spanned<f64>>, key: &str) {
        if let Some(value) = value.filter(|value| !(0.0..=1.0).contains(value.get_ref())) {
            self.unexpected(&value, key, "a share from 0 to 1");
        }
    }

    pub(super) fn whole(
        &mut self,
        value: Option<Spanned<i64>>,
        default: i64,
        key: &str,
        bounds: std::ops::RangeInclusive<i64>,
    ) -> Option<u64> {
        let number = value.as_ref().map_or(default, |value| *value.get_ref());
        if let Some(value) = value.filter(|_| !bounds.contains(&number)) {
            let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
            self.unexpected(&value, key, &expected);
            return None;
        }
        u64::try_from(number).ok()
    }

    fn identifier(&mut self, value: Spanned<String>, key: &str) -> Option<String> {
        let text = value.get_ref();
        let good =
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !good {
            self.unexpected(&value, key, IDENTIFIER);
        }
        good.then(|| value.into_inner())
    }

    fn path(&mut self, value: Spanned<String>, key: &str) -> Option<PathBuf> {
        if value.get_ref().is_empty() {
            self.unexpected(&value, key, "a path");
            return None;
        }
        Some(PathBuf::from(value.into_inner()))
    }

    fn choice<T: Copy, const N: usize>(
        &mut self,
        value: Spanned<String>,
        key: &str,
        choices: &[(&'static str, T); N],
    ) -> Option<T> {
        let found = choices.iter().find(|(name, _)| name == value.get_ref()).map(|(_, choice)| *choice);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            self.unexpected(&value, key, &format!("one of {}", names.join(", ")));
        }
        found
    }

    fn required<T>(
        &mut self,
        value: Option<Spanned<T>>,
        owner: &Range<usize>,
        key: &str,
        expected: &str,
    ) -> Option<Spanned<T>> {
        if value.is_none() {
            self.missing(owner, key, expected);
        }
        value
    }

    fn missing(&mut self, owner: &Range<usize>, key: &str, expected: &str) {
        if self.readable {
            let fault = Fault::Missing { expected: expected.into() };
            self.problems.push(self.document.problem(owner, key, fault));
        }
    }

    fn unexpected<T: Debug>(&mut self, value: &Spanned<T>, key: &str, expected: &str) {
        self.value(&value.span(), key, format!("{:?}", value.get_ref()), expected);
    }

    pub(super) fn value(&mut self, span: &Range<usize>, key: &str, found: String, expected: &str) {
        let fault = Fault::Value { found, expected: expected.into() };
        self.problems.push(self.document.problem(span, key, fault));
    }
}

fn non_zero(number: u64) -> NonZeroUsize {
    usize::try_from(number).ok().and_then(NonZeroUsize::new).expect("the bounds start at 1")
}

#[cfg(test)]
mod tests;
