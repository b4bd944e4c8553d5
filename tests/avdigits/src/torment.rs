//! A seeded plan of faults for any number of streams, and the judgement of the labels under it.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::faults::Sensor;
use crate::score::Label;

/// What happens to a source of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Blow {
    /// The server is gone, and its clients with it.
    Killed,
    /// The server is killed and started again at once.
    Restarted,
    /// The server keeps the session and sends nothing.
    Stalled,
    /// The pictures change their size, in the middle of the session.
    Resized,
    /// Every packet of the network is dropped, both ways.
    Cut,
}

impl Blow {
    /// Whether samples go missing because of it.
    pub fn takes_away(self) -> bool {
        self != Self::Resized
    }

    /// Reasons that say what is the matter. `error` fits whatever keeps a reconnect from succeeding.
    pub fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::Killed | Self::Restarted => &["eos", "error", "no_buffers"],
            Self::Stalled | Self::Cut => &["no_buffers", "error"],
            Self::Resized => &[],
        }
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::Restarted => "restarted",
            Self::Stalled => "stalled",
            Self::Resized => "resized",
            Self::Cut => "cut",
        })
    }
}

/// A fault of one sensor, in time since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Number of the stream.
    pub stream: usize,
    /// Whose.
    pub sensor: Sensor,
    /// What.
    pub blow: Blow,
    /// From when on.
    pub from: Duration,
    /// Until when; for what happens in an instant, the same.
    pub to: Duration,
}

/// Before the first.
const WARM_UP: Duration = Duration::from_secs(20);

/// What the plan is drawn from.
#[derive(Clone, Debug)]
pub struct Draw {
    /// How many streams.
    pub streams: usize,
    /// How long it takes, at most.
    pub length: Duration,
    /// Faults at most.
    pub faults: usize,
    /// What may happen; cuts hit every sensor of all streams at once.
    pub blows: Vec<Blow>,
    /// After every episode all is well for this long.
    pub quiet: Duration,
    /// The seed.
    pub seed: u64,
}

/// Draws a plan: episodes, each with a fault of one or both sensors of some streams, or of the network.
pub fn plan(draw: &Draw) -> Vec<Planned> {
    let mut rng = fastrand::Rng::with_seed(draw.seed);
    let mut plan: Vec<Planned> = Vec::new();
    let mut now = WARM_UP;
    let cuts = draw.blows.contains(&Blow::Cut);
    let others: Vec<_> = draw.blows.iter().copied().filter(|blow| *blow != Blow::Cut).collect();
    loop {
        let mut episode = Vec::new();
        if cuts && (others.is_empty() || rng.u8(..8) == 0) {
            let to = now + length(&mut rng);
            for stream in 0..draw.streams {
                for sensor in [Sensor::Camera, Sensor::Microphone] {
                    episode.push(Planned { stream, sensor, blow: Blow::Cut, from: now, to });
                }
            }
        } else {
            for stream in 0..draw.streams {
                let whom = rng.u8(..4);
                for (bit, sensor) in [(1, Sensor::Camera), (2, Sensor::Microphone)] {
                    let fits = |blow: &Blow| sensor == Sensor::Camera || *blow != Blow::Resized;
                    let blows: Vec<_> = others.iter().copied().filter(fits).collect();
                    // Camera, microphone, both, or neither.
                    if whom & bit == 0 || blows.is_empty() {
                        continue;
                    }
                    let blow = blows[rng.usize(..blows.len())];
                    let from = now + Duration::from_millis(rng.u64(..1500));
                    let lasts = length(&mut rng);
                    let to = if matches!(blow, Blow::Killed | Blow::Stalled) { from + lasts } else { from };
                    episode.push(Planned { stream, sensor, blow, from, to });
                }
            }
        }
        let end = episode.iter().map(|fault| fault.to).max().unwrap_or(now) + draw.quiet;
        // A cut is one fault, whomever it hits.
        if end > draw.length || count(&plan) + count(&episode) > draw.faults {
            return plan;
        }
        now = end;
        plan.extend(episode);
    }
}

/// Most are short; one in twelve is long enough for several attempts to fail.
fn length(rng: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(if rng.u8(..12) == 0 { rng.u64(12_000..25_000) } else { rng.u64(500..8000) })
}

/// How many faults a plan has; a cut of the network is one.
pub fn count(plan: &[Planned]) -> usize {
    let mut cuts: Vec<_> = plan.iter().filter(|fault| fault.blow == Blow::Cut).map(|f| f.from).collect();
    cuts.dedup();
    plan.iter().filter(|fault| fault.blow != Blow::Cut).count() + cuts.len()
}

/// A fault as it happened, in unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Happened {
    /// As it was planned.
    pub planned: Planned,
    /// From when on.
    pub from_ms: i64,
    /// Until when.
    pub to_ms: i64,
}

/// What became of a fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// What.
    pub blow: Blow,
    /// The stream.
    pub stream: usize,
    /// The modality.
    pub modality: &'static str,
    /// How long it lasted, in milliseconds.
    pub lasted_ms: i64,
    /// Whether a window that lies within it was labelled from the sensor nevertheless.
    pub unnoticed: usize,
    /// Windows whose reason does not fit.
    pub wrong_reason: Vec<String>,
    /// Reasons given.
    pub reasons: Vec<String>,
    /// From its end to the start of the first window that has the modality again; `None` if none has.
    pub back_ms: Option<i64>,
}

/// The whole judgement.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Judgement {
    /// Windows published.
    pub windows: usize,
    /// Numbers missing from the sequence of a stream.
    pub lost: u64,
    /// Numbers that came twice.
    pub doubled: u64,
    /// Windows without a modality while nothing was wrong with it, or more than two hops after.
    pub unexplained: Vec<String>,
    /// One per fault and sensor.
    pub outcomes: Vec<Outcome>,
}

impl Judgement {
    /// Whether every window had exactly one outcome.
    pub fn is_complete(&self) -> bool {
        self.windows > 0 && self.lost == 0 && self.doubled == 0
    }
}

/// A table of the outcomes, one row per kind of fault, in Markdown.
pub fn report(judgement: &Judgement, hop_ms: i64) -> String {
    let mut text = format!(
        "{} windows, {} lost, {} doubled, {} without a sensor for no reason\n\n\
         | fault | sensors hit | windows not noticed | wrong reason | not back | back: median, 95 %, longest (ms) | later than two hops |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
        judgement.windows,
        judgement.lost,
        judgement.doubled,
        judgement.unexplained.len()
    );
    for blow in Blow::value_variants() {
        let outcomes: Vec<_> = judgement.outcomes.iter().filter(|outcome| outcome.blow == *blow).collect();
        let mut back: Vec<i64> = outcomes.iter().filter_map(|outcome| outcome.back_ms).collect();
        back.sort_unstable();
        let quantile = |share: f64| {
            let index = (share * back.len() as f64).ceil() as usize;
            back.get(index.saturating_sub(1)).map_or("-".to_owned(), i64::to_string)
        };
        let row = format!(
            "| {blow} | {} | {} | {} | {} | {}, {}, {} | {} |\n",
            outcomes.len(),
            outcomes.iter().map(|outcome| outcome.unnoticed).sum::<usize>(),
            outcomes.iter().map(|outcome| outcome.wrong_reason.len()).sum::<usize>(),
            outcomes.iter().filter(|outcome| outcome.back_ms.is_none()).count(),
            quantile(0.5),
            quantile(0.95),
            quantile(1.0),
            back.iter().filter(|ms| **ms > 2 * hop_ms).count(),
        );
        text.push_str(&row);
    }
    text
}

/// Around the edges of a fault, what was on its way may land on either side: time for the network, the
/// jitter buffer and the decoder.
const EDGE_MS: i64 = 400;

/// Compares the labels of all streams (named `s0`, `s1` and so on) with what happened.
pub fn judge(happened: &[Happened], labels: &[Label], streams: usize, hop_ms: i64) -> Judgement {
    let mut judgement = Judgement { windows: labels.len(), ..Judgement::default() };
    for stream in 0..streams {
        let name = format!("s{stream}");
        let own: Vec<&Label> = labels.iter().filter(|label| label.stream == name).collect();
        for pair in own.windows(2) {
            match pair[1].seq.checked_sub(pair[0].seq) {
                Some(0) | None => judgement.doubled += 1,
                Some(step) => judgement.lost += step - 1,
            }
        }
        for sensor in [Sensor::Camera, Sensor::Microphone] {
            let faults: Vec<&Happened> = happened
                .iter()
                .filter(|fault| fault.planned.stream == stream && fault.planned.sensor == sensor)
                .collect();
            judgement.outcomes.extend(faults.iter().map(|fault| outcome(fault, &own, stream)));
            judgement.unexplained.extend(unexplained(&faults, &own, sensor, hop_ms));
        }
    }
    judgement
}

fn outcome(fault: &Happened, labels: &[&Label], stream: usize) -> Outcome {
    let Happened { planned, from_ms, to_ms } = *fault;
    let modality = planned.sensor.modality();
    let mut outcome = Outcome {
        blow: planned.blow,
        stream,
        modality,
        lasted_ms: to_ms - from_ms,
        unnoticed: 0,
        wrong_reason: Vec::new(),
        reasons: Vec::new(),
        back_ms: None,
    };
    for label in labels.iter().filter(|label| label.window_end_ms > from_ms) {
        let has = label.available.iter().any(|available| available == modality);
        let within = label.window_start_ms >= from_ms + EDGE_MS && label.window_end_ms <= to_ms;
        if has && within {
            outcome.unnoticed += 1;
        }
        if label.window_start_ms < to_ms
            && let Some(reason) = label.missing.get(modality)
        {
            if !planned.blow.reasons().contains(&reason.as_str()) {
                outcome.wrong_reason.push(format!("{reason} in window {}", label.seq));
            }
            if outcome.reasons.last() != Some(reason) {
                outcome.reasons.push(reason.clone());
            }
        }
        // The window that the end falls into may be good already.
        if has && label.window_end_ms > to_ms {
            outcome.back_ms = Some((label.window_start_ms - to_ms).max(0));
            // For what happens in an instant, the window of that instant proves nothing.
            if !(planned.blow == Blow::Restarted && label.window_start_ms < to_ms) {
                break;
            }
        }
    }
    outcome
}

fn unexplained(faults: &[&Happened], labels: &[&Label], sensor: Sensor, hop_ms: i64) -> Vec<String> {
    let modality = sensor.modality();
    let explained = |label: &Label| {
        faults.iter().any(|fault| {
            fault.planned.blow.takes_away()
                && label.window_end_ms > fault.from_ms
                && label.window_start_ms <= fault.to_ms + 2 * hop_ms
        })
    };
    let missing = labels.iter().filter(|label| label.missing.contains_key(modality) && !explained(label));
    missing
        .map(|label| format!("{} {}: {modality} {}", label.stream, label.seq, label.missing[modality]))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn draw(seed: u64) -> Draw {
        Draw {
            streams: 2,
            length: Duration::from_secs(1800),
            faults: 200,
            blows: Blow::value_variants().to_vec(),
            quiet: Duration::from_secs(7),
            seed,
        }
    }

    fn label(seq: u64, missing: Option<&str>) -> Label {
        let start = 1000 * i64::try_from(seq).unwrap();
        Label {
            boot_id: "b".into(),
            stream: "s0".into(),
            seq,
            outcome: "label".into(),
            label: None,
            score: None,
            path: "full".into(),
            available: if missing.is_none() {
                vec!["audio".into(), "video".into()]
            } else {
                vec!["audio".into()]
            },
            missing: missing
                .map(|reason| ("video".to_owned(), reason.to_owned()))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            window_start_ms: start,
            window_end_ms: start + 1000,
            published_ms: start + 1200,
        }
    }

    fn happened(blow: Blow, from_ms: i64, to_ms: i64) -> Happened {
        let time = |ms: i64| Duration::from_millis(ms.unsigned_abs());
        let planned =
            Planned { stream: 0, sensor: Sensor::Camera, blow, from: time(from_ms), to: time(to_ms) };
        Happened { planned, from_ms, to_ms }
    }

    #[test]
    fn equal_seeds_make_equal_plans_with_quiet_between_the_faults_of_a_sensor() {
        let draw = draw(1);
        let faults = plan(&draw);
        assert_eq!(faults, plan(&draw));
        assert_ne!(faults, plan(&Draw { seed: 2, ..draw.clone() }));
        assert!((100..=200).contains(&count(&faults)), "{}", count(&faults));
        for fault in &faults {
            let next = faults.iter().filter(|other| {
                (other.stream, other.sensor) == (fault.stream, fault.sensor) && other.from > fault.from
            });
            assert!(next.into_iter().all(|next| next.from >= fault.to + draw.quiet), "{fault:?}");
        }
        assert!(draw.blows.iter().all(|blow| faults.iter().any(|fault| fault.blow == *blow)));
    }

    #[test]
    fn a_fault_that_is_seen_and_gone_is_in_order() {
        let labels = [None, None, Some("no_buffers"), Some("no_buffers"), Some("error"), Some("error"), None]
            .into_iter()
            .zip(0..)
            .map(|(missing, seq)| label(seq, missing))
            .collect::<Vec<_>>();
        let judgement = judge(&[happened(Blow::Stalled, 2000, 4500)], &labels, 1, 1000);
        assert_eq!((judgement.lost, judgement.doubled, judgement.unexplained.len()), (0, 0, 0));
        let outcome = &judgement.outcomes[0];
        assert_eq!((outcome.unnoticed, outcome.back_ms, outcome.lasted_ms), (0, Some(1500), 2500));
        assert_eq!(outcome.reasons, ["no_buffers", "error"]);
        assert!(outcome.wrong_reason.is_empty());
    }

    #[test]
    fn what_is_wrong_is_found() {
        let labels = [None, Some("frozen"), None, None, None, None, Some("eos"), None]
            .into_iter()
            .zip(0..)
            .map(|(missing, seq)| label(seq, missing))
            .collect::<Vec<_>>();
        let faults = [happened(Blow::Killed, 1000, 3000)];
        let judgement = judge(&faults, &labels, 1, 1000);
        let outcome = &judgement.outcomes[0];
        assert_eq!(outcome.wrong_reason, ["frozen in window 1"]);
        assert_eq!(outcome.unnoticed, 1, "window 2 lies within the fault");
        assert_eq!(judgement.unexplained, ["s0 6: video eos"]);

        let mut labels = labels.to_vec();
        labels.remove(4);
        labels.push(label(7, None));
        let judgement = judge(&faults, &labels, 1, 1000);
        assert_eq!((judgement.lost, judgement.doubled), (1, 1));
    }
}
