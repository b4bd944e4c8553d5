//! What a person sees of a run, on stderr.

use std::time::Duration;

use cmpt_bundle::manifest::Pattern;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` samples, of which `done` were done earlier.
pub fn bar(title: String, total: usize, done: usize) -> ProgressBar {
    let style = "{prefix} {wide_bar} {pos}/{len} {per_sec} eta {eta} {msg}";
    let style = ProgressStyle::with_template(style).expect("the template is well-formed");
    let bar = ProgressBar::new(total as u64).with_style(style).with_prefix(title);
    bar.set_position(done as u64);
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

/// One line for a validated epoch, whether or not there is a terminal for bars.
pub fn report_epoch(epoch: usize, score: f64, patterns: &[Pattern]) {
    let figures = patterns
        .iter()
        .map(|pattern| format!("{} {:.2} %", pattern.available.join("+"), 100.0 * pattern.metric.value));
    eprintln!("epoch {}: mean {:.2} %: {}", epoch + 1, 100.0 * score, figures.collect::<Vec<_>>().join(", "));
}
