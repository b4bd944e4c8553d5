//! Scores as Markdown, detectors next to each other.

use std::fmt::Write;

use crate::score::{Clips, Faults, Score, Total};

/// Tables of several detectors' scores over the same truth.
pub fn tables(scores: &[(&str, Score)]) -> String {
    let mut out = String::new();
    totals(&mut out, scores);
    for (name, score) in scores {
        faults(&mut out, name, score);
    }
    kinds(&mut out, scores);
    out
}

fn totals(out: &mut String, scores: &[(&str, Score)]) {
    out.push_str("| | ");
    scores.iter().for_each(|(name, _)| out.push_str(&format!("{name}, decidable | {name}, all | ")));
    out.push_str("\n| --- | ");
    scores.iter().for_each(|_| out.push_str("--- | --- | "));
    out.push('\n');
    type Row = (&'static str, fn(&Total) -> String);
    let rows: [Row; 8] = [
        ("faults longer than the time to trip", |t| t.faults.to_string()),
        ("recall", |t| format!("{} ({})", percent(t.recall()), t.found)),
        ("found within the time to trip + 100 ms", |t| {
            percent(if t.faults == 0 { 1.0 } else { t.in_time as f64 / t.faults as f64 })
        }),
        ("alarms", |t| t.alarms.to_string()),
        ("precision", |t| format!("{} ({} false)", percent(t.precision()), t.alarms - t.right)),
        ("precision by time", |t| percent(t.precision_of_time())),
        ("hours of negatives", |t| format!("{:.2}", t.negative_ms as f64 / 3.6e6)),
        ("false alarms an hour of negatives", |t| {
            format!("{:.2} ({})", t.false_per_hour(), t.negative_alarms)
        }),
    ];
    for (name, value) in rows {
        let _ = write!(out, "| {name} | ");
        for (_, score) in scores {
            let _ = write!(out, "{} | {} | ", value(&score.decidable), value(&score.all));
        }
        out.push('\n');
    }
}

fn faults(out: &mut String, name: &str, score: &Score) {
    let _ = writeln!(
        out,
        "\n| faults, {name} | count | found | in time | beyond the time to trip: median, 95 %, most (ms) | \
         signal back: median, 95 %, most (ms) | healthy: median, most (ms) | shorter ones, found |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for (form, faults) in &score.faults {
        let Faults { count, found, in_time, short, short_found, .. } = faults;
        let healthy = quantiles(&faults.healthy_ms);
        let healthy = healthy.map_or("-".into(), |[median, _, most]| format!("{median}, {most}"));
        let _ = writeln!(
            out,
            "| {form} | {count} | {found} | {in_time} | {} | {} | {healthy} | {short}, {short_found} |",
            three(&faults.delays_ms),
            three(&faults.back_ms),
        );
    }
}

fn kinds(out: &mut String, scores: &[(&str, Score)]) {
    out.push_str("\n| kind | hours of negatives | faults | ");
    let columns =
        |(name, _): &(&str, Score)| format!("{name}: found | false alarms in negatives, an hour | others | ");
    scores.iter().for_each(|score| out.push_str(&columns(score)));
    out.push_str("\n| --- | --- | --- | ");
    scores.iter().for_each(|_| out.push_str("--- | --- | --- | "));
    out.push('\n');
    let Some((_, first)) = scores.first() else { return };
    for (kind, clips) in &first.kinds {
        let hours = clips.negative_ms as f64 / 3.6e6;
        let mark = if clips.undecidable { " (undecidable)" } else { "" };
        let _ = write!(out, "| {kind}{mark} | {hours:.2} | {} | ", clips.faults);
        for (_, score) in scores {
            let Clips { found, negative_alarms, false_alarms, false_reasons, .. } = &score.kinds[kind];
            let reasons: Vec<_> = false_reasons.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
            let hourly = *negative_alarms as f64 / hours.max(1e-9);
            let _ = write!(
                out,
                "{found} | {negative_alarms}, {hourly:.1} | {false_alarms} [{}] | ",
                reasons.join(", ")
            );
        }
        out.push('\n');
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn three<T: Copy + Ord + ToString>(values: &[T]) -> String {
    quantiles(values).map_or("-".into(), |values| values.map(|value| value.to_string()).join(", "))
}

/// Median, 95 %, most.
fn quantiles<T: Copy + Ord>(values: &[T]) -> Option<[T; 3]> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().checked_sub(1)?;
    Some([sorted[last / 2], sorted[(19 * last).div_ceil(20)], sorted[last]])
}
