//! A live view: what `mosquitto_sub -F '%t %p'` prints comes in, a row per window goes out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::score::{self, Label};
use crate::truth::Truth;

/// What a line of input was.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// A label.
    Label(Box<Label>),
    /// The state of a sensor.
    Sensor {
        /// Its modality.
        modality: String,
        /// `healthy`, `recovering`, or the reason why it is lost.
        state: String,
    },
    /// Something else, such as the status of the node.
    Other,
}

/// A line that claims to be a label or a sensor's state, and is not.
#[derive(Debug, thiserror::Error)]
#[error("parse `{line}`: {source}")]
pub struct LineError {
    line: String,
    source: serde_json::Error,
}

/// The last state of each sensor.
#[derive(Clone, Debug, Default)]
pub struct Sensors(BTreeMap<String, String>);

#[derive(Deserialize)]
struct SensorState {
    state: String,
    #[serde(default)]
    reason: Option<String>,
}

impl Line {
    /// Reads `TOPIC JSON`, or a label's JSON alone.
    pub fn parse(line: &str) -> Result<Self, LineError> {
        let error = |source| LineError { line: line.to_owned(), source };
        if line.starts_with('{') {
            return serde_json::from_str(line).map(Self::Label).map_err(error);
        }
        let Some((topic, payload)) = line.split_once(' ') else { return Ok(Self::Other) };
        let levels: Vec<_> = topic.rsplit('/').collect();
        match levels[..] {
            ["label", ..] => serde_json::from_str(payload).map(Self::Label).map_err(error),
            [modality, "sensor", ..] => {
                let SensorState { state, reason } = serde_json::from_str(payload).map_err(error)?;
                let state = if state == "lost" { reason.unwrap_or(state) } else { state };
                Ok(Self::Sensor { modality: modality.to_owned(), state })
            }
            _ => Ok(Self::Other),
        }
    }
}

impl Sensors {
    /// Notes a state.
    pub fn note(&mut self, modality: String, state: String) {
        self.0.insert(modality, state);
    }
}

/// The heading of the rows.
pub fn heading() -> String {
    row(["second", "truth", "label", "score", "path", "sensors", "faults in truth"])
}

/// One window as a row.
pub fn label_row(truth: &[Truth], label: &Label, sensors: &Sensors) -> String {
    let second = score::second_of(truth, label);
    let mut faults = String::new();
    for (modality, fault) in second.iter().flat_map(|second| &second.faults) {
        // Writing to a string cannot fail.
        let _ = write!(faults, "{modality} {fault} ");
    }
    let sensors: Vec<_> = sensors.0.iter().map(|(modality, state)| format!("{modality} {state}")).collect();
    let given = label.label.as_deref().unwrap_or("-");
    let mark = match second {
        Some(second) if label.label.is_some() && second.label != given => " x",
        _ => "",
    };
    row([
        &second.map_or_else(|| format!("#{}", label.seq), |second| second.second.to_string()),
        second.map_or("-", |second| &second.label),
        &format!("{given}{mark}"),
        &label.score.map_or_else(|| "-".into(), |score| format!("{score:.2}")),
        &label.path_text(),
        &sensors.join(", "),
        faults.trim_end(),
    ])
}

fn row([second, truth, label, score, path, sensors, faults]: [&str; 7]) -> String {
    let row = format!("{second:>6}  {truth:<6} {label:<8} {score:>5}  {path:<17} {sensors:<36} {faults}");
    row.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use crate::faults::Fault;

    use super::*;

    const LABEL: &str = r#"{"schema":1,"node":"demo","stream":"desk","boot_id":"b","seq":4,"outcome":"label",
        "label":"seven","score":0.97,"path":"proxy","available":["audio"],"missing":{"video":"frozen"},
        "window_start_ms":4000,"window_end_ms":5000,"published_ms":5210,"latency_ms":210}"#;

    fn label() -> Label {
        match Line::parse(&format!("cmpt/demo/stream/desk/label {}", LABEL.replace('\n', ""))).unwrap() {
            Line::Label(label) => *label,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_told_apart_by_their_topic() {
        assert_eq!(label().seq, 4);
        assert!(matches!(Line::parse(&LABEL.replace('\n', "")).unwrap(), Line::Label(_)));
        let sensor =
            |payload: &str| Line::parse(&format!("cmpt/demo/stream/desk/sensor/video {payload}")).unwrap();
        let state = |state: &str| Line::Sensor { modality: "video".into(), state: state.into() };
        assert_eq!(sensor(r#"{"state":"lost","reason":"frozen","since_ms":1}"#), state("frozen"));
        assert_eq!(sensor(r#"{"state":"healthy","since_ms":1}"#), state("healthy"));
        assert_eq!(Line::parse("cmpt/demo/status {}").unwrap(), Line::Other);
        assert!(Line::parse("cmpt/demo/stream/desk/label {}").is_err());
    }

    #[test]
    fn a_row_shows_truth_label_path_and_sensors() {
        let truth = [Truth {
            second: 4,
            start_ms: 4000,
            label: "one".into(),
            faults: BTreeMap::from([("video".into(), Fault::Frozen)]),
        }];
        let mut sensors = Sensors::default();
        sensors.note("video".into(), "frozen".into());
        sensors.note("audio".into(), "healthy".into());
        let row = label_row(&truth, &label(), &sensors);
        let words: Vec<_> = row.split_whitespace().collect();
        assert_eq!(
            words.join(" "),
            "4 one seven x 0.97 proxy from audio audio healthy, video frozen video frozen"
        );
    }
}
