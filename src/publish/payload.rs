//! What is published, as JSON. The keys are a contract with whoever subscribes.

use std::collections::BTreeMap;

use cmpt_core::dropout::{Reason, SensorState};
use serde::Serialize;

/// Version of the label payload; raised when the meaning of a key changes.
pub const SCHEMA: u32 = 1;

/// The outcome of one window. Times are unix milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Label {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The daemon.
    pub node: String,
    /// The stream.
    pub stream: String,
    /// One run of the daemon.
    pub boot_id: String,
    /// Number of the window, from 0 within a `boot_id`.
    pub seq: u64,
    /// Whether there is a label.
    pub outcome: Outcome,
    /// The best class; `null` when blind.
    pub label: Option<String>,
    /// Its calibrated score; `null` when blind.
    pub score: Option<f64>,
    /// The best classes, best first.
    pub top: Vec<Score>,
    /// How the label was computed.
    pub path: Path,
    /// Modalities it was computed from.
    pub available: Vec<String>,
    /// Why each of the others was not used. A blind window that misses none is one that the engine
    /// failed, or could not keep up with.
    pub missing: BTreeMap<String, Reason>,
    /// What found each of those missing: `sensor` is lost, or this `window` lacks signal.
    pub missing_by: BTreeMap<String, MissingBy>,
    /// What labels of this pattern were worth on validation data; `null` if not measured, as in a model
    /// that was exported untrained.
    pub expected: Option<Expected>,
    /// Start of the window.
    pub window_start_ms: i64,
    /// End of the window, exclusive.
    pub window_end_ms: i64,
    /// When it was handed to the publishers.
    pub published_ms: i64,
    /// From the end of the window until then.
    pub latency_ms: i64,
    /// What computed it.
    pub model: ModelId,
}

/// Whether a window has a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It has.
    Label,
    /// It has none.
    Blind,
}

/// How a label was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// From every modality.
    Full,
    /// From some, with proxies for the others.
    Proxy,
    /// Not at all.
    Blind,
}

impl Path {
    /// As it stands in the payload.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Proxy => "proxy",
            Self::Blind => "blind",
        }
    }
}

/// A class and its calibrated score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The class.
    pub label: String,
    /// In [0, 1].
    pub score: f64,
}

/// What found a modality missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingBy {
    /// The sensor's debounced state.
    Sensor,
    /// The window itself.
    Window,
}

/// A figure measured on validation data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Expected {
    /// Such as `accuracy`.
    pub metric: String,
    /// In [0, 1].
    pub value: f64,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelId {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest of its manifest.
    pub sha256: String,
}

/// State of a sensor, as an operator is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sensor {
    /// `healthy`, `lost` or `recovering`.
    pub state: &'static str,
    /// Why it is lost; `null` if it is not.
    pub reason: Option<Reason>,
    /// Since when, unix milliseconds.
    pub since_ms: i64,
}

impl Sensor {
    /// `state` since `since_ms`.
    pub fn new(state: SensorState, since_ms: i64) -> Self {
        let (state, reason) = match state {
            SensorState::Healthy => ("healthy", None),
            SensorState::Recovering => ("recovering", None),
            SensorState::Lost(reason) => ("lost", Some(reason)),
        };
        Self { state, reason, since_ms }
    }
}

/// State of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// `online`, `offline` or `stopped`.
    pub state: &'static str,
    /// The run of the daemon that says so.
    pub boot_id: String,
}

/// What the daemon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Version of the daemon.
    pub version: String,
    /// This run.
    pub boot_id: String,
    /// What runs the model.
    pub engine: String,
    /// The model.
    pub model: ModelId,
    /// Ids of the streams.
    pub streams: Vec<String>,
}

/// `value` with five decimals: more say nothing, and with more JSON would turn to exponents.
pub fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e5).round() / 1e5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> Label {
        Label {
            schema: SCHEMA,
            node: "demo".into(),
            stream: "desk".into(),
            boot_id: "b".into(),
            seq: 123,
            outcome: Outcome::Label,
            label: Some("seven".into()),
            score: Some(rounded(0.97)),
            top: vec![
                Score { label: "seven".into(), score: rounded(0.97) },
                Score { label: "one".into(), score: rounded(0.012_345_678) },
            ],
            path: Path::Proxy,
            available: vec!["audio".into()],
            missing: [("video".to_owned(), Reason::Frozen)].into(),
            missing_by: [("video".to_owned(), MissingBy::Sensor)].into(),
            expected: Some(Expected { metric: "accuracy".into(), value: rounded(0.93) }),
            window_start_ms: 1_000,
            window_end_ms: 2_000,
            published_ms: 2_204,
            latency_ms: 204,
            model: ModelId { name: "avdigits".into(), version: "1".into(), sha256: "ab".into() },
        }
    }

    #[test]
    fn a_label_is_the_json_of_the_contract() {
        let json = serde_json::to_string(&label()).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"schema":1,"node":"demo","stream":"desk","boot_id":"b","seq":123,"#,
                r#""outcome":"label","label":"seven","score":0.97,"#,
                r#""top":[{"label":"seven","score":0.97},{"label":"one","score":0.01235}],"#,
                r#""path":"proxy","available":["audio"],"missing":{"video":"frozen"},"#,
                r#""missing_by":{"video":"sensor"},"expected":{"metric":"accuracy","value":0.93},"#,
                r#""window_start_ms":1000,"window_end_ms":2000,"published_ms":2204,"latency_ms":204,"#,
                r#""model":{"name":"avdigits","version":"1","sha256":"ab"}}"#
            )
        );
    }

    #[test]
    fn a_blind_window_has_every_key_and_no_label() {
        let blind = Label {
            outcome: Outcome::Blind,
            label: None,
            score: None,
            top: vec![],
            path: Path::Blind,
            available: vec![],
            missing: [("audio".to_owned(), Reason::NoBuffers), ("video".to_owned(), Reason::Black)].into(),
            missing_by: [("audio".to_owned(), MissingBy::Sensor), ("video".to_owned(), MissingBy::Window)]
                .into(),
            expected: None,
            ..label()
        };
        let json = serde_json::to_string(&blind).unwrap();
        let middle = concat!(
            r#""outcome":"blind","label":null,"score":null,"top":[],"path":"blind","available":[],"#,
            r#""missing":{"audio":"no_buffers","video":"black"},"#,
            r#""missing_by":{"audio":"sensor","video":"window"},"expected":null,"#
        );
        assert!(json.contains(middle), "{json}");
    }

    #[test]
    fn only_a_lost_sensor_has_a_reason() {
        let json = |state| serde_json::to_string(&Sensor::new(state, 5)).unwrap();
        assert_eq!(json(SensorState::Healthy), r#"{"state":"healthy","reason":null,"since_ms":5}"#);
        assert_eq!(
            json(SensorState::Lost(Reason::NoBuffers)),
            r#"{"state":"lost","reason":"no_buffers","since_ms":5}"#
        );
        assert_eq!(json(SensorState::Recovering), r#"{"state":"recovering","reason":null,"since_ms":5}"#);
    }
}
