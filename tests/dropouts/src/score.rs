//! Alarms against the truth.
//!
//! - A fault *counts* if it lasts for its time to trip and [`TOLERANCE_MS`] more. Shorter ones need not be
//!   found, and may be.
//! - It is *found* if an alarm that fits it ([`crate::clip::fits`]) overlaps it, and found *in time* if the
//!   first such alarm comes within its time to trip, the tolerance, and what its samples are late by.
//! - An alarm is *right* if it fits a fault of any length and begins while that lasts, and false if not. *Precision* is
//!   the share of alarms that are right; by seconds, the share of the time called lost in which there was a
//!   fault.
//! - The hours of negatives are those of clips without faults.
//! - *Decidable* figures leave out faults, and alarms in clips, that are marked undecidable, and alarms that
//!   fit such a fault.

use std::collections::BTreeMap;

use cmpt_core::dropout::Reason;
use serde::Serialize;

use crate::clip::fits;
use crate::fault::time_to_trip_ms;
use crate::lines::{Alarm, Truth};

/// How much later than its time to trip a fault may be found, and how far an alarm may lie beside it:
/// networks are late.
pub const TOLERANCE_MS: u64 = 100;

/// The score of a detector.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    /// Everything.
    pub all: Total,
    /// Without what nobody can decide.
    pub decidable: Total,
    /// Faults by reason and form, `frozen held` and so on, with `undecidable` after it where they are.
    pub faults: BTreeMap<String, Faults>,
    /// Clips by sensor and kind.
    pub kinds: BTreeMap<String, Clips>,
}

/// Figures over many clips.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Total {
    /// Faults that count.
    pub faults: usize,
    /// Those found.
    pub found: usize,
    /// Those found in time.
    pub in_time: usize,
    /// Alarms.
    pub alarms: usize,
    /// Those that are right.
    pub right: usize,
    /// Time called lost.
    pub lost_ms: u64,
    /// That of it in which there was a fault.
    pub lost_rightly_ms: u64,
    /// Time of clips without faults.
    pub negative_ms: u64,
    /// Alarms in them.
    pub negative_alarms: usize,
}

/// Faults of one form.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Faults {
    /// Those that count.
    pub count: usize,
    /// Found.
    pub found: usize,
    /// Found in time.
    pub in_time: usize,
    /// Shorter ones.
    pub short: usize,
    /// Of those, found all the same.
    pub short_found: usize,
    /// From the time to trip to the alarm, of every fault that was found.
    pub delays_ms: Vec<i64>,
    /// From the end of the fault to the end of the alarm.
    pub back_ms: Vec<u64>,
    /// From the end of the fault until the sensor was trusted again.
    pub healthy_ms: Vec<u64>,
}

/// Clips of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Clips {
    /// Time of those without faults.
    pub negative_ms: u64,
    /// Alarms in them.
    pub negative_alarms: usize,
    /// Faults that count in the others, without the undecidable.
    pub faults: usize,
    /// Found.
    pub found: usize,
    /// False alarms in those with faults.
    pub false_alarms: usize,
    /// Which reasons false alarms anywhere gave.
    pub false_reasons: BTreeMap<Reason, usize>,
    /// Whether its clean clips are undecidable.
    pub undecidable: bool,
}

impl Total {
    /// Share of faults found; 1 if there is none.
    pub fn recall(&self) -> f64 {
        share(self.found, self.faults)
    }

    /// Share of alarms that are right.
    pub fn precision(&self) -> f64 {
        share(self.right, self.alarms)
    }

    /// False alarms an hour of negatives.
    pub fn false_per_hour(&self) -> f64 {
        self.negative_alarms as f64 / (self.negative_ms as f64 / 3.6e6).max(1e-9)
    }

    /// Share of the time called lost in which there was a fault.
    pub fn precision_of_time(&self) -> f64 {
        if self.lost_ms == 0 { 1.0 } else { self.lost_rightly_ms as f64 / self.lost_ms as f64 }
    }
}

/// Compares.
pub fn score(truth: &[Truth], alarms: &[Alarm]) -> Score {
    let mut by_clip: BTreeMap<&str, Vec<&Alarm>> = BTreeMap::new();
    alarms.iter().for_each(|alarm| by_clip.entry(&alarm.clip).or_default().push(alarm));
    let mut score = Score::default();
    for lines in truth.chunk_by(|a, b| a.clip == b.clip) {
        let Some((whole, faults)) = lines.split_first() else { continue };
        score.add(whole, faults, by_clip.get(whole.clip.as_str()).map_or(&[], Vec::as_slice));
    }
    score
}

impl Score {
    fn add(&mut self, whole: &Truth, faults: &[Truth], alarms: &[&Alarm]) {
        let sensor = format!("{:?}", whole.sensor).to_lowercase();
        let kind = self.kinds.entry(format!("{sensor} {}", whole.kind)).or_default();
        kind.undecidable |= whole.undecidable.is_some();
        let length = whole.to_ms - whole.from_ms;
        if faults.is_empty() {
            kind.negative_ms += length;
            kind.negative_alarms += alarms.len();
            self.all.negative_ms += length;
            self.all.negative_alarms += alarms.len();
            if whole.undecidable.is_none() {
                self.decidable.negative_ms += length;
                self.decidable.negative_alarms += alarms.len();
            }
        }
        for fault in faults {
            let Some(reason) = fault.reason else { continue };
            let hits: Vec<_> = alarms.iter().filter(|alarm| hits(fault, alarm)).collect();
            let trip = fault.from_ms + time_to_trip_ms(reason);
            let counts = fault.to_ms >= trip + TOLERANCE_MS;
            let in_time =
                hits.first().is_some_and(|alarm| alarm.from_ms <= trip + TOLERANCE_MS + fault.late_ms);
            let form = fault.form.as_deref().unwrap_or("");
            let undecidable = if fault.undecidable.is_some() { " (undecidable)" } else { "" };
            let faults = self.faults.entry(format!("{reason}: {form}{undecidable}")).or_default();
            if counts {
                faults.count += 1;
                faults.found += usize::from(!hits.is_empty());
                faults.in_time += usize::from(in_time);
                let totals = [Some(&mut self.all), Some(&mut self.decidable)];
                let decidable = fault.undecidable.is_none();
                for total in totals.into_iter().flatten().take(1 + usize::from(decidable)) {
                    total.faults += 1;
                    total.found += usize::from(!hits.is_empty());
                    total.in_time += usize::from(in_time);
                }
                if decidable {
                    kind.faults += 1;
                    kind.found += usize::from(!hits.is_empty());
                }
            } else {
                faults.short += 1;
                faults.short_found += usize::from(!hits.is_empty());
            }
            if let (Some(first), Some(last)) = (hits.first(), hits.last())
                && counts
            {
                faults.delays_ms.push(first.from_ms as i64 - trip as i64);
                faults.back_ms.push(last.to_ms.saturating_sub(fault.to_ms));
                faults.healthy_ms.extend(last.healthy_ms.map(|healthy| healthy.saturating_sub(fault.to_ms)));
            }
        }
        for alarm in alarms {
            let begins = |fault: &&Truth| hits(fault, alarm) && alarm.from_ms >= fault.from_ms;
            let fault = faults.iter().find(begins);
            let rightly: u64 = faults.iter().map(|fault| overlap(fault, alarm)).sum();
            let lost = alarm.to_ms.saturating_sub(alarm.from_ms);
            let undecidable = fault.map_or(&whole.undecidable, |fault| &fault.undecidable).is_some();
            for total in [&mut self.all, &mut self.decidable].into_iter().take(1 + usize::from(!undecidable))
            {
                total.alarms += 1;
                total.right += usize::from(fault.is_some());
                total.lost_ms += lost;
                total.lost_rightly_ms += rightly.min(lost);
            }
            if fault.is_none() {
                kind.false_alarms += usize::from(!faults.is_empty());
                *kind.false_reasons.entry(alarm.reason).or_default() += 1;
            }
        }
    }
}

fn hits(fault: &Truth, alarm: &Alarm) -> bool {
    fault.reason.is_some_and(|reason| fits(reason, alarm.reason))
        && alarm.from_ms < fault.to_ms + TOLERANCE_MS + fault.late_ms
        && alarm.to_ms > fault.from_ms
}

fn overlap(fault: &Truth, alarm: &Alarm) -> u64 {
    // What a late network holds back at the end of a fault is not held against the detector.
    alarm
        .to_ms
        .min(fault.to_ms + TOLERANCE_MS + fault.late_ms)
        .saturating_sub(alarm.from_ms.max(fault.from_ms))
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::Sensor;

    fn line(clip: &str, reason: Option<Reason>, from_ms: u64, to_ms: u64) -> Truth {
        Truth {
            clip: clip.into(),
            sensor: Sensor::Video,
            kind: "still".into(),
            coding: "lossless".into(),
            reason,
            form: None,
            from_ms,
            to_ms,
            late_ms: 0,
            undecidable: None,
        }
    }

    fn alarm(clip: &str, reason: Reason, from_ms: u64, to_ms: u64) -> Alarm {
        Alarm { clip: clip.into(), reason, from_ms, to_ms, healthy_ms: Some(to_ms + 500) }
    }

    #[test]
    fn an_alarm_within_a_fault_is_right_and_dated_from_the_time_to_trip() {
        let truth = [line("a", None, 0, 60_000), line("a", Some(Reason::Frozen), 10_000, 15_000)];
        let score = score(&truth, &[alarm("a", Reason::Frozen, 12_050, 15_100)]);
        let faults = &score.faults["frozen: "];
        assert_eq!((faults.count, faults.found, faults.in_time), (1, 1, 1));
        assert_eq!((&faults.delays_ms[..], &faults.back_ms[..]), (&[50][..], &[100][..]));
        assert_eq!(faults.healthy_ms, [600]);
        assert_eq!((score.all.recall(), score.all.precision()), (1.0, 1.0));
        assert_eq!(score.all.precision_of_time(), 1.0, "the tolerance covers a late network");
    }

    #[test]
    fn a_late_alarm_is_found_but_not_in_time() {
        let truth = [line("a", None, 0, 60_000), line("a", Some(Reason::Frozen), 10_000, 15_000)];
        let total = score(&truth, &[alarm("a", Reason::Frozen, 12_101, 16_100)]).all;
        assert_eq!((total.found, total.in_time), (1, 0));
        assert_eq!(total.lost_rightly_ms, total.lost_ms - 1000);
    }

    #[test]
    fn a_wrong_reason_and_a_wrong_clip_are_false() {
        let truth = [
            line("a", None, 0, 60_000),
            line("a", Some(Reason::Frozen), 10_000, 15_000),
            line("b", None, 0, 120_000),
        ];
        let alarms = [alarm("a", Reason::Bright, 12_000, 15_000), alarm("b", Reason::Frozen, 12_000, 15_000)];
        let score = score(&truth, &alarms);
        assert_eq!((score.all.recall(), score.all.precision()), (0.0, 0.0));
        assert_eq!((score.all.negative_ms, score.all.negative_alarms), (120_000, 1));
        assert_eq!(
            score.kinds["video still"].false_reasons,
            [(Reason::Bright, 1), (Reason::Frozen, 1)].into()
        );
    }

    #[test]
    fn a_fault_shorter_than_the_time_to_trip_need_not_be_found() {
        let truth = [line("a", None, 0, 60_000), line("a", Some(Reason::Black), 10_000, 12_050)];
        let missed = score(&truth, &[]);
        assert_eq!((missed.all.faults, missed.faults["black: "].short), (0, 1));
        let found = score(&truth, &[alarm("a", Reason::Black, 12_000, 12_050)]);
        assert_eq!((found.all.precision(), found.faults["black: "].short_found), (1.0, 1));
    }

    #[test]
    fn what_is_undecidable_is_told_apart() {
        let slide =
            Truth { undecidable: Some("slides".into()), ..line("a", Some(Reason::Frozen), 5000, 9000) };
        let truth = [line("a", None, 0, 60_000), slide];
        let missed = score(&truth, &[]);
        assert_eq!((missed.all.faults, missed.decidable.faults), (1, 0));
        assert_eq!(missed.faults["frozen:  (undecidable)"].count, 1);
    }
}
