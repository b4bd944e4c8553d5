//! A watch as JSON, an object a line, for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};

use cmpt_core::dropout::{Reason, SensorState};
use cmpt_core::survey::{Limit, Quantity, Range};
use cmpt_core::time::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::report::{Closing, Report, View, state};

/// Writes lines.
pub(super) struct Lines<W> {
    writer: W,
    stream: String,
}

/// A line; `at_ms` is stream time.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'a> {
    /// A second of a sensor that ended at `at_ms`.
    Statistics {
        at_ms: i64,
        stream: &'a str,
        modality: &'a str,
        state: &'static str,
        reason: Option<Reason>,
        samples: u32,
        dropped: u32,
        quantities: BTreeMap<&'static str, Value>,
    },
    State {
        at_ms: i64,
        stream: &'a str,
        modality: &'a str,
        state: &'static str,
        reason: Option<Reason>,
    },
    Proposals {
        at_ms: i64,
        stream: &'a str,
        windows: u64,
        without: &'a BTreeMap<&'a str, &'a BTreeMap<Reason, u64>>,
        changes: Vec<Value>,
        remarks: Vec<Value>,
        toml: &'a str,
    },
}

impl<W: Write> Lines<W> {
    pub(super) fn new(writer: W, stream: &str) -> Self {
        Self { writer, stream: stream.to_owned() }
    }

    fn write(writer: &mut W, line: &Line<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut *writer, line)?;
        writer.write_all(b"\n")
    }
}

impl<W: Write> Report for Lines<W> {
    fn second(&mut self, at: Timestamp, sensors: &[View<'_>]) -> io::Result<()> {
        for sensor in sensors {
            let (state, reason) = state(sensor.second.state);
            let quantities = sensor.second.quantities.iter();
            let quantities = quantities
                .map(|(quantity, range)| (quantity.name(), quantity_json(*quantity, *range, sensor)));
            let line = Line::Statistics {
                at_ms: at.as_millis(),
                stream: &self.stream,
                modality: sensor.name,
                state,
                reason,
                samples: sensor.second.samples,
                dropped: sensor.second.dropped,
                quantities: quantities.collect(),
            };
            Self::write(&mut self.writer, &line)?;
        }
        self.writer.flush()
    }

    fn change(&mut self, at: Timestamp, modality: &str, new: SensorState) -> io::Result<()> {
        let (state, reason) = state(new);
        let line = Line::State { at_ms: at.as_millis(), stream: &self.stream, modality, state, reason };
        Self::write(&mut self.writer, &line)?;
        self.writer.flush()
    }

    fn close(&mut self, closing: &Closing<'_>) -> io::Result<()> {
        let (mut changes, mut remarks) = (Vec::new(), Vec::new());
        for (modality, _, proposal) in closing.sensors {
            let each = proposal.changes.iter();
            changes.extend(
                each.map(|change| json!({"modality": modality, "key": change.key, "why": change.why})),
            );
            let each = proposal.remarks.iter();
            remarks.extend(each.map(|remark| json!({"modality": modality, "remark": remark})));
        }
        let line = Line::Proposals {
            at_ms: closing.at.as_millis(),
            stream: &self.stream,
            windows: closing.windows,
            without: &closing.without,
            changes,
            remarks,
            toml: &closing.toml,
        };
        Self::write(&mut self.writer, &line)?;
        self.writer.flush()
    }
}

/// Its range, and where the threshold lies; `null` where nothing was measured.
fn quantity_json(quantity: Quantity, range: Option<Range>, sensor: &View<'_>) -> Value {
    let Some(Range { min, mean, max }) = range else { return Value::Null };
    let mut json = json!({"min": short(min), "mean": short(mean), "max": short(max)});
    match quantity.limit(sensor.thresholds) {
        Some(Limit::AtMost(limit)) => json["lost_at_most"] = short(limit),
        Some(Limit::AtLeast(limit)) => json["lost_at_least"] = short(limit),
        None => {}
    }
    json
}

/// Six decimals, without a negative zero.
fn short(value: f32) -> Value {
    json!((f64::from(value) * 1e6).round() / 1e6 + 0.0)
}
