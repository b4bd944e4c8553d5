//! Metrics of a run: one JSON object a line in `metrics.jsonl`, and the same for TensorBoard beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cmpt_bundle::manifest::Pattern;
use serde::{Deserialize, Serialize};

use super::tensorboard::EventFile;

/// The file of a run's metrics within its folder.
const METRICS: &str = "metrics.jsonl";

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Means over the last steps.
    Train {
        /// Steps that are done.
        step: usize,
        /// Epoch from 0.
        epoch: usize,
        /// Loss of equation 7.
        loss: f64,
        /// Its alignment part, before the weight.
        alignment: f64,
        /// Learning rate of the last step.
        learning_rate: f64,
        /// Samples a second.
        samples_per_s: f64,
        /// Share of the time in which the loop waited for batches: how long the data kept the device idle, at most.
        #[serde(default)]
        idle_share: f64,
    },
    /// Figures on validation data after an epoch.
    Validation {
        /// Steps that are done.
        step: usize,
        /// Epoch from 0.
        epoch: usize,
        /// The metric, meant over patterns.
        score: f64,
        /// Figures per pattern.
        patterns: Vec<Pattern>,
    },
}

impl Event {
    fn step(&self) -> usize {
        match self {
            Self::Train { step, .. } | Self::Validation { step, .. } => *step,
        }
    }

    /// What TensorBoard shows.
    fn scalars(&self) -> Vec<(String, f64)> {
        match self {
            Self::Train { loss, alignment, learning_rate, samples_per_s, idle_share, .. } => vec![
                ("train/loss".into(), *loss),
                ("train/alignment".into(), *alignment),
                ("train/learning_rate".into(), *learning_rate),
                ("train/samples_per_s".into(), *samples_per_s),
                ("train/idle_share".into(), *idle_share),
            ],
            Self::Validation { score, patterns, .. } => {
                let of_pattern = |pattern: &Pattern| {
                    let value = f64::from(pattern.metric.value);
                    (format!("validation/{}", pattern.key()), value)
                };
                let measured = patterns.iter().filter(|pattern| pattern.metric.samples > 0);
                [("validation/score".into(), *score)].into_iter().chain(measured.map(of_pattern)).collect()
            }
        }
    }
}

/// Why metrics could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write {}", path.display())]
pub struct MetricsError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// An open `metrics.jsonl` and an open event file.
pub struct Metrics {
    path: PathBuf,
    file: File,
    events: EventFile,
}

impl Metrics {
    /// Continues the metrics in the folder `dir` after `step`: lines of later steps, which a killed run wrote
    /// after its last checkpoint, are removed.
    pub fn open(dir: &Path, step: usize) -> Result<Self, MetricsError> {
        let path = dir.join(METRICS);
        let open = || {
            let lines = match fs::read_to_string(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                text => text?,
            };
            let kept = lines.lines().filter(|line| {
                // A line cut short by a kill is no event.
                serde_json::from_str::<Event>(line).is_ok_and(|event| event.step() <= step)
            });
            fs::write(&path, kept.map(|line| format!("{line}\n")).collect::<String>())?;
            Ok((OpenOptions::new().append(true).open(&path)?, EventFile::create(dir, step)?))
        };
        match open() {
            Ok((file, events)) => Ok(Self { path, file, events }),
            Err(source) => Err(MetricsError { path, source }),
        }
    }

    /// Adds a line.
    pub fn write(&mut self, event: &Event) -> Result<(), MetricsError> {
        let mut line = serde_json::to_string(event).expect("events have string keys only");
        line.push('\n');
        let written = self.file.write_all(line.as_bytes());
        let written = written.and_then(|()| self.events.scalars(event.step(), &event.scalars()));
        written.map_err(|source| MetricsError { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resuming_forgets_what_came_after_the_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let event = |step| Event::Validation { step, epoch: 0, score: 0.5, patterns: Vec::new() };
        let mut metrics = Metrics::open(dir.path(), 0).unwrap();
        for step in [10, 20, 30] {
            metrics.write(&event(step)).unwrap();
        }
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"event\":\"tr").unwrap();
        Metrics::open(dir.path(), 20).unwrap().write(&event(21)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let events: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events, [event(10), event(20), event(21)]);
    }
}
