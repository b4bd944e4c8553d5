//! What a person sees of a run, on stderr.

use std::time::Duration;

use cmpt_bundle::manifest::Pattern;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// How much of a run is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Report {
    /// A bar while an epoch lasts, where there is a terminal, and a line after it.
    #[default]
    Epochs,
    /// Nothing: for many runs in one process.
    Nothing,
}

/// What there is to say about an epoch that is over.
pub struct EpochReport<'a> {
    /// Epoch from 0.
    pub epoch: usize,
    /// What the best epoch is the best by.
    pub score: f64,
    /// Figures on validation data.
    pub patterns: &'a [Pattern],
    /// Samples a second, validation left out.
    pub samples_per_s: f64,
    /// Time until the last epoch is over, if all are like this one.
    pub left: Duration,
}

impl Report {
    /// A bar over `total` samples, of which `done` were done earlier.
    pub fn bar(self, title: String, total: usize, done: usize) -> ProgressBar {
        if self == Self::Nothing {
            return ProgressBar::hidden();
        }
        let style = "{prefix} {wide_bar} {pos}/{len} {per_sec} eta {eta} {msg}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        let bar = ProgressBar::new(total as u64).with_style(style).with_prefix(title);
        bar.set_position(done as u64);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_secs(1));
        bar
    }

    /// One line for an epoch that is over, whether or not there is a terminal for bars.
    pub fn epoch(self, report: &EpochReport<'_>) {
        if self == Self::Epochs {
            eprintln!("{}", line(report));
        }
    }
}

fn line(report: &EpochReport<'_>) -> String {
    let EpochReport { epoch, score, patterns, samples_per_s, left } = report;
    let figures: Vec<String> = patterns
        .iter()
        .filter(|pattern| pattern.metric.samples > 0)
        .map(|pattern| format!("{} {:.2} %", pattern.available.join("+"), 100.0 * pattern.metric.value))
        .collect();
    let quality = match figures.len() {
        0 => "not validated".to_owned(),
        _ => format!("{:.2} %: {}", 100.0 * score, figures.join(", ")),
    };
    let left = if left.is_zero() { "done".to_owned() } else { format!("{} left", HumanDuration(*left)) };
    format!("epoch {}: {quality}; {samples_per_s:.1} samples/s, {left}", epoch + 1)
}

#[cfg(test)]
mod tests {
    use cmpt_bundle::manifest::Metric;

    use super::*;

    #[test]
    fn a_line_tells_quality_throughput_and_time_left() {
        let pattern = |name: &str, value, samples| Pattern {
            available: vec![name.into()],
            temperature: 1.0,
            metric: Metric { name: "accuracy".into(), value, samples },
            per_class: Vec::new(),
            calibration_error: None,
        };
        let patterns = [pattern("audio", 0.5, 8), pattern("video", 0.0, 0)];
        let report = EpochReport {
            epoch: 2,
            score: 0.5,
            patterns: &patterns,
            samples_per_s: 12.34,
            left: Duration::from_secs(7200),
        };
        assert_eq!(line(&report), "epoch 3: 50.00 %: audio 50.00 %; 12.3 samples/s, 2 hours left");
        let last = EpochReport { patterns: &[], left: Duration::ZERO, ..report };
        assert_eq!(line(&last), "epoch 3: not validated; 12.3 samples/s, done");
    }
}
