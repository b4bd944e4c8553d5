//! Proposed thresholds as TOML, to be pasted into the configuration.

use std::fmt::Write as _;

use cmpt_core::dropout::SensorThresholds;
use cmpt_core::survey::Proposal;
use serde::Serialize;
use serde_json::{Map, Value};

/// The tables of sensors whose thresholds are to change, with the reason above each key. A sensor that
/// has a table already, on the given line, gets no second one: its keys go into that one.
pub(super) fn render(stream: &str, sensors: &[(&str, Option<usize>, Proposal)]) -> String {
    let mut text = String::new();
    for (name, line, proposal) in sensors.iter().filter(|(_, _, proposal)| !proposal.changes.is_empty()) {
        let table = format!("[stream.sensor.{name}]");
        let written = match line {
            Some(line) => writeln!(
                text,
                "# Stream {stream}: into {table} on line {line}, in place of keys of the same name."
            ),
            None => writeln!(text, "# Stream {stream}.\n{table}"),
        };
        written.expect("a string can be written to");
        let mut keys: Vec<&str> = proposal.changes.iter().map(|change| change.key).collect();
        keys.dedup();
        for key in keys {
            for change in proposal.changes.iter().filter(|change| change.key == key) {
                writeln!(text, "# {}.", change.why).expect("a string can be written to");
            }
            writeln!(text, "{key} = {}", value(key, &proposal.thresholds))
                .expect("a string can be written to");
        }
    }
    text
}

/// The value of `key`, whole: fields that are left out have their defaults.
fn value(key: &str, thresholds: &SensorThresholds) -> String {
    let delivery = thresholds.delivery();
    match (key, thresholds) {
        ("no_buffers_after_ms", _) => delivery.no_buffers_after_ms.to_string(),
        ("trickle", _) => table(&delivery.trickle),
        ("black", SensorThresholds::Video(video)) => table(&video.black),
        ("bright", SensorThresholds::Video(video)) => table(&video.bright),
        ("frozen", SensorThresholds::Video(video)) => table(&video.frozen),
        ("silent", SensorThresholds::Audio(audio)) => table(&audio.silent),
        ("clipped", SensorThresholds::Audio(audio)) => table(&audio.clipped),
        ("stuck", SensorThresholds::Audio(audio)) => table(&audio.stuck),
        _ => unreachable!("a survey proposes the keys above, each for its kind of sensor"),
    }
}

fn table<T: Serialize + Default>(threshold: &Option<T>) -> String {
    let Some(threshold) = threshold else { return "false".into() };
    let (fields, defaults) = (fields(threshold), fields(&T::default()));
    let differing = fields.iter().filter(|(name, value)| defaults.get(*name) != Some(*value));
    let differing: Vec<_> = differing.map(|(name, value)| format!("{name} = {value}")).collect();
    format!("{{ {} }}", differing.join(", "))
}

/// Through text, which has the shortest digits of a number of 32 bits; TOML writes numbers like JSON.
fn fields<T: Serialize>(threshold: &T) -> Map<String, Value> {
    let text = serde_json::to_string(threshold).expect("thresholds are numbers");
    serde_json::from_str(&text).expect("what was written can be read")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cmpt_core::dropout::{AudioThresholds, FrozenThreshold, SilentThreshold, VideoThresholds};
    use cmpt_core::survey::Change;

    use super::*;
    use crate::config::Config;

    const CONFIG: &str = "node = \"demo\"\n[model]\nbundle = \"b\"\n[[stream]]\nid = \"desk\"\n\
                          [[stream.source]]\nuri = \"clip.mkv\"\nprovides = [\"audio\", \"video\"]\n";

    fn proposals(line: Option<usize>) -> [(&'static str, Option<usize>, Proposal); 2] {
        let change = |key, why: &str| Change { key, why: why.to_owned() };
        let frozen = FrozenThreshold { after_ms: 9000, tolerance: 0.00041, ..FrozenThreshold::default() };
        let mut video = VideoThresholds { frozen: Some(frozen), ..VideoThresholds::default() };
        video.delivery.no_buffers_after_ms = 3000;
        let silent = SilentThreshold { dead_dbfs: -92.0, ..SilentThreshold::default() };
        let audio = AudioThresholds { silent: Some(silent), ..AudioThresholds::default() };
        [
            (
                "audio",
                None,
                Proposal {
                    thresholds: SensorThresholds::Audio(audio),
                    changes: vec![change("silent", "quiet")],
                    remarks: vec![],
                },
            ),
            (
                "video",
                line,
                Proposal {
                    thresholds: SensorThresholds::Video(video),
                    changes: vec![
                        change("no_buffers_after_ms", "slow"),
                        change("frozen", "stood"),
                        change("frozen", "stood long"),
                    ],
                    remarks: vec![],
                },
            ),
        ]
    }

    #[test]
    fn each_key_has_its_reasons_and_what_differs_from_the_default() {
        assert_eq!(
            render("desk", &proposals(Some(12))),
            "# Stream desk.\n[stream.sensor.audio]\n# quiet.\nsilent = { dead_dbfs = -92.0 }\n\
             # Stream desk: into [stream.sensor.video] on line 12, in place of keys of the same name.\n\
             # slow.\nno_buffers_after_ms = 3000\n\
             # stood.\n# stood long.\nfrozen = { after_ms = 9000, tolerance = 0.00041 }\n"
        );
    }

    #[test]
    fn what_is_proposed_can_be_pasted() {
        let text = format!("{CONFIG}{}", render("desk", &proposals(None)));
        Config::parse(Path::new("c.toml"), &text).unwrap();
    }
}
