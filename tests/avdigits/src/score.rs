//! Labels against truth: accuracy per path, lost and doubled windows, detection delays.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::Deserialize;

use crate::faults::Fault;
use crate::truth::Truth;

/// How far a window's start may lie from the second that it is scored against, in milliseconds.
const ALIGNMENT_MS: i64 = 250;

/// What is read of a label.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Label {
    /// The run of the daemon.
    pub boot_id: String,
    /// The stream.
    pub stream: String,
    /// Number of the window.
    pub seq: u64,
    /// `label` or `blind`.
    pub outcome: String,
    /// The class, if there is one.
    #[serde(default)]
    pub label: Option<String>,
    /// Its score.
    #[serde(default)]
    pub score: Option<f32>,
    /// `full`, `proxy` or `blind`.
    pub path: String,
    /// The modalities that the label is computed from.
    #[serde(default)]
    pub available: Vec<String>,
    /// The missing ones, and why they are.
    #[serde(default)]
    pub missing: BTreeMap<String, String>,
    /// Start of the window.
    pub window_start_ms: i64,
    /// End of the window.
    pub window_end_ms: i64,
    /// When the label was published.
    pub published_ms: i64,
}

/// Labels of one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub labels: usize,
    /// How many of them are right.
    pub right: usize,
}

/// How long a fault went unnoticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// The modality at fault.
    pub modality: String,
    /// What was wrong with it.
    pub fault: Fault,
    /// First second of it.
    pub second: u64,
    /// From the start of the fault, where the last good sample was, to the first label without the
    /// modality, in milliseconds; `None` if there was none before the fault was over.
    pub delay_ms: Option<i64>,
}

/// The whole comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Tallies by path, such as `full`, `proxy from audio`, `blind`.
    pub paths: BTreeMap<String, Tally>,
    /// Windows that the truth has a second for.
    pub expected: usize,
    /// Of these, how many have a label or a `blind` outcome.
    pub received: usize,
    /// Windows without an outcome: seconds of the truth, or gaps in `seq`.
    pub lost: usize,
    /// Outcomes beyond the first of a window.
    pub doubled: usize,
    /// One per fault.
    pub detections: Vec<Detection>,
}

impl Label {
    /// The path with what it was computed from.
    pub fn path_text(&self) -> String {
        match self.path.as_str() {
            "proxy" => format!("proxy from {}", self.available.join("+")),
            path => path.to_owned(),
        }
    }
}

impl Score {
    /// Scores `labels`, in the order received, against every second of `truth`.
    pub fn new(truth: &[Truth], labels: &[Label]) -> Self {
        let mut score = Self { expected: truth.len(), ..Self::default() };
        let mut seen: HashMap<(&str, &str), BTreeSet<u64>> = HashMap::new();
        let mut scored = BTreeSet::new();
        for label in labels {
            if !seen.entry((&label.boot_id, &label.stream)).or_default().insert(label.seq) {
                score.doubled += 1;
                continue;
            }
            let Some(second) = second_of(truth, label) else { continue };
            if !scored.insert(second.second) {
                score.doubled += 1;
                continue;
            }
            let tally = score.paths.entry(label.path_text()).or_default();
            tally.labels += 1;
            tally.right += usize::from(label.label.as_ref() == Some(&second.label));
        }
        score.received = scored.len();
        let unlabelled = truth.len() - scored.len();
        score.lost = unlabelled.max(seen.values().map(gaps).sum());
        score.detections = detections(truth, labels);
        score
    }

    /// Whether each window had exactly one outcome.
    pub fn is_complete(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.expected > 0
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24} {:>7} {:>7} {:>9}", "path", "labels", "right", "accuracy")?;
        for (path, tally) in &self.paths {
            let Tally { labels, right } = *tally;
            let accuracy = 100.0 * right as f64 / labels as f64;
            match path.as_str() {
                "blind" => writeln!(f, "{path:<24} {labels:>7} {:>7} {:>9}", "-", "-")?,
                _ => writeln!(f, "{path:<24} {labels:>7} {right:>7} {accuracy:>7.1} %")?,
            }
        }
        writeln!(f)?;
        let Self { expected, received, lost, doubled, .. } = self;
        writeln!(f, "windows expected {expected}, received {received}, lost {lost}, doubled {doubled}")?;
        for detection in &self.detections {
            let Detection { modality, fault, second, delay_ms } = detection;
            match delay_ms {
                Some(delay_ms) => {
                    writeln!(
                        f,
                        "{modality} {fault} at {second} s: first label without it after {delay_ms} ms"
                    )?;
                }
                None => writeln!(f, "{modality} {fault} at {second} s: no label without it")?,
            }
        }
        Ok(())
    }
}

/// The second that a label's window is.
pub fn second_of<'a>(truth: &'a [Truth], label: &Label) -> Option<&'a Truth> {
    let near = |second: &&Truth| (second.start_ms - label.window_start_ms).abs() <= ALIGNMENT_MS;
    truth.iter().find(near)
}

/// Numbers missing between the first and the last.
fn gaps(seen: &BTreeSet<u64>) -> usize {
    match (seen.first(), seen.last()) {
        (Some(first), Some(last)) => (last - first + 1) as usize - seen.len(),
        _ => 0,
    }
}

fn detections(truth: &[Truth], labels: &[Label]) -> Vec<Detection> {
    let mut detections = Vec::new();
    for (index, second) in truth.iter().enumerate() {
        for (modality, fault) in &second.faults {
            let goes_on = |earlier: &Truth| earlier.faults.get(modality) == Some(fault);
            if index.checked_sub(1).is_some_and(|earlier| goes_on(&truth[earlier])) {
                continue;
            }
            let length = truth[index..].iter().take_while(|second| goes_on(second)).count() as i64;
            let (from, to) = (second.start_ms, second.start_ms + 1000 * length);
            let of_fault = |label: &&Label| label.window_end_ms > from && label.window_start_ms < to;
            let noticed = labels.iter().filter(of_fault).filter(|label| label.missing.contains_key(modality));
            let delay_ms = noticed.map(|label| label.published_ms - from).min();
            let (modality, second) = (modality.clone(), second.second);
            detections.push(Detection { modality, fault: *fault, second, delay_ms });
        }
    }
    detections
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: i64 = 1_700_000_000_000;

    /// Seconds whose digit is `seven`, with the camera pulled in those of `pulled`.
    fn truth(seconds: u64, pulled: std::ops::Range<u64>) -> Vec<Truth> {
        let faults = |second| pulled.contains(&second).then(|| ("video".to_owned(), Fault::Pulled));
        let truth = |second| Truth {
            second,
            start_ms: START_MS + 1000 * second as i64,
            label: "seven".into(),
            faults: faults(second).into_iter().collect(),
        };
        (0..seconds).map(truth).collect()
    }

    fn label(seq: u64, label: &str, available: &[&str]) -> Label {
        let missing = if available.contains(&"video") { None } else { Some(("video".into(), "eos".into())) };
        let start = START_MS + 1000 * seq as i64;
        Label {
            boot_id: "b".into(),
            stream: "desk".into(),
            seq,
            outcome: "label".into(),
            label: Some(label.into()),
            score: Some(0.9),
            path: if available.len() == 2 { "full" } else { "proxy" }.into(),
            available: available.iter().map(|name| (*name).to_owned()).collect(),
            missing: missing.into_iter().collect(),
            window_start_ms: start + 3,
            window_end_ms: start + 1003,
            published_ms: start + 1210,
        }
    }

    const BOTH: &[&str] = &["audio", "video"];

    #[test]
    fn labels_are_tallied_by_path_against_the_second_they_cover() {
        let labels = [
            label(0, "seven", BOTH),
            label(1, "one", BOTH),
            label(2, "seven", &["audio"]),
            label(3, "seven", &["audio"]),
        ];
        let score = Score::new(&truth(4, 2..4), &labels);
        let tally = |path: &str| (score.paths[path].labels, score.paths[path].right);
        assert_eq!((tally("full"), tally("proxy from audio")), ((2, 1), (2, 2)));
        assert!(score.is_complete());
        let delays: Vec<_> = score.detections.iter().map(|detection| detection.delay_ms).collect();
        assert_eq!(delays, [Some(1210)]);
    }

    #[test]
    fn a_lost_window_is_found_inside_and_at_either_end() {
        let all: Vec<_> = (0..4).map(|seq| label(seq, "seven", BOTH)).collect();
        for left_out in 0..4 {
            let mut labels = all.clone();
            labels.remove(left_out);
            let score = Score::new(&truth(4, 9..9), &labels);
            assert_eq!((score.received, score.lost, score.doubled), (3, 1, 0), "without {left_out}");
            assert!(!score.is_complete());
        }
    }

    #[test]
    fn a_doubled_window_is_counted_once() {
        let labels = [label(0, "seven", BOTH), label(0, "seven", BOTH), label(1, "seven", BOTH)];
        let score = Score::new(&truth(2, 9..9), &labels);
        assert_eq!((score.received, score.lost, score.doubled, score.paths["full"].labels), (2, 0, 1, 2));
    }

    #[test]
    fn windows_outside_the_clip_are_not_scored_but_must_not_be_lost() {
        let mut labels: Vec<_> = (0..6).map(|seq| label(seq, "seven", BOTH)).collect();
        let truth = &truth(6, 9..9)[3..];
        assert!(Score::new(truth, &labels).is_complete());
        labels.remove(1);
        assert_eq!(Score::new(truth, &labels).lost, 1);
    }

    #[test]
    fn a_fault_that_no_label_shows_has_no_delay() {
        let labels: Vec<_> = (0..4).map(|seq| label(seq, "seven", BOTH)).collect();
        let score = Score::new(&truth(4, 1..3), &labels);
        assert_eq!(score.detections.len(), 1);
        assert_eq!(score.detections[0].delay_ms, None);
    }

    #[test]
    fn nothing_at_all_is_not_complete() {
        assert!(!Score::new(&[], &[]).is_complete());
    }
}
