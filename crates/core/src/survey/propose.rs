//! From what was seen to thresholds that keep clear of it.

use std::time::Duration;

use super::quantity::NOTHING_DBFS;
use super::run::Runs;
use super::sensor::SensorSurvey;
use crate::dropout::{
    AudioThresholds, DeliveryThresholds, Reason, SensorThresholds, Statistics, VideoThresholds,
};

/// A proposed time is this many times what was seen, rounded up to [`STEP_MS`].
const TIMES: u32 = 2;
const STEP_MS: u128 = 500;
/// A proposed level is this far from what was seen, decibels.
const CLEAR_DB: f32 = 6.0;
/// A proposed share, or luma, is this share of what was seen.
const CLEAR: f32 = 0.5;
/// Less structure than this, half of one of 255 levels, may be noise behind a covered lens.
const STRUCTURE: f32 = 0.5 / 255.0;
/// A picture changes by less only where it is repeated: a hundredth of a level.
const REPEATED: f32 = 0.01 / 255.0;
/// So little of the noise is left only where pictures are repeated.
const COLLAPSED: f32 = 0.05;
/// A picture is white throughout from here on.
const WHITE: f32 = 0.9995;
/// Sound below this is digital silence: 20 bits.
const DEAD_DBFS: f32 = -120.0;
/// No sound that is of use is clipped by so much.
const OVERDRIVEN: f32 = 0.6;
/// No converter is off by so much.
const OFF: f32 = 0.1;

/// What to change.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The thresholds with every change made.
    pub thresholds: SensorThresholds,
    /// What differs from the present ones, one entry per reason; a key may have several.
    pub changes: Vec<Change>,
    /// What no threshold mends, and what was not seen for long enough.
    pub remarks: Vec<String>,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The key in the sensor's table, such as `frozen`.
    pub key: &'static str,
    /// Why, in a sentence without a full stop.
    pub why: String,
}

impl Proposal {
    fn change(&mut self, key: &'static str, why: String) {
        self.changes.push(Change { key, why });
    }

    /// `after_ms` twice as long as the longest run that ended; a remark if there is none.
    fn lengthen(&mut self, key: &'static str, after_ms: &mut u64, runs: &Runs, what: &str) {
        match runs.longest_ended().filter(|_| !runs.goes_on()) {
            Some(longest) if clear_ms(longest) > *after_ms => {
                *after_ms = clear_ms(longest);
                self.change(key, format!("{what} for up to {}, and ended by itself", seconds(longest)));
            }
            Some(_) => {}
            None => self.remarks.push(format!(
                "{what}, and did not end: no value of `{key}` tells that from a fault; \
                 if it is meant to be so, set `{key} = false`"
            )),
        }
    }
}

/// Thresholds for what `survey` saw.
pub(super) fn propose(survey: &SensorSurvey) -> Proposal {
    let mut proposal =
        Proposal { thresholds: survey.thresholds.clone(), changes: Vec::new(), remarks: Vec::new() };
    match survey.thresholds.clone() {
        SensorThresholds::Video(mut video) => {
            delivery(survey, &mut video.delivery, &mut proposal);
            black(survey, &mut video, &mut proposal);
            bright(survey, &mut video, &mut proposal);
            frozen(survey, &mut video, &mut proposal);
            proposal.thresholds = SensorThresholds::Video(video);
        }
        SensorThresholds::Audio(mut audio) => {
            delivery(survey, &mut audio.delivery, &mut proposal);
            silent(survey, &mut audio, &mut proposal);
            clipped(survey, &mut audio, &mut proposal);
            stuck(survey, &mut audio, &mut proposal);
            proposal.thresholds = SensorThresholds::Audio(audio);
        }
    }
    remarks(survey, &mut proposal);
    proposal
}

fn delivery(survey: &SensorSurvey, delivery: &mut DeliveryThresholds, proposal: &mut Proposal) {
    let longest = survey.arrivals.longest;
    let after = Duration::from_millis(delivery.no_buffers_after_ms);
    if !after.is_zero() && longest >= after / 2 && clear_ms(longest) > delivery.no_buffers_after_ms {
        delivery.no_buffers_after_ms = clear_ms(longest);
        let why = format!("up to {} passed between two samples", seconds(longest));
        proposal.change("no_buffers_after_ms", why);
    }
    let trickles = survey.losses.contains_key(&Reason::Trickle);
    if let (true, Some(trickle), Some(least)) =
        (trickles, &mut delivery.trickle, survey.arrivals.least_share())
    {
        trickle.share = trickle.share.min(two_digits(CLEAR * least));
        let why = format!("no more than {least:.2} of the usual samples came in {} ms", trickle.after_ms);
        proposal.change("trickle", why);
    }
}

fn black(survey: &SensorSurvey, video: &mut VideoThresholds, proposal: &mut Proposal) {
    let (Some(black), Some(runs)) = (&mut video.black, &survey.black) else { return };
    match runs.worst() {
        Some(deviation) if deviation >= STRUCTURE => {
            black.deviation = two_digits(CLEAR * deviation);
            let why = format!("a dark picture whose parts differ by {deviation:.4} counted as black");
            proposal.change("black", why);
        }
        Some(_) => {
            proposal.lengthen("black", &mut black.after_ms, runs, "the picture was black without structure");
        }
        None => {}
    }
}

fn bright(survey: &SensorSurvey, video: &mut VideoThresholds, proposal: &mut Proposal) {
    let (Some(bright), Some(runs)) = (&mut video.bright, &survey.bright) else { return };
    match runs.worst().map(|margin| -margin) {
        Some(share) if share < WHITE => {
            // Midway to white, in ten-thousandths.
            bright.share = (1e4 * (1.0 + share) / 2.0).ceil() / 1e4;
            let why = format!("a picture counted as bright of which {share:.4} is saturated");
            proposal.change("bright", why);
        }
        Some(_) => {
            proposal.lengthen("bright", &mut bright.after_ms, runs, "the picture was saturated throughout");
        }
        None => {}
    }
}

/// Only for a sensor that was called frozen: a picture that stands for a while is common, and the
/// detector learns for how long.
fn frozen(survey: &SensorSurvey, video: &mut VideoThresholds, proposal: &mut Proposal) {
    let Some(frozen) = video.frozen.as_mut().filter(|_| survey.losses.contains_key(&Reason::Frozen)) else {
        return;
    };
    if let Some(runs) = &survey.collapsed {
        match runs.worst() {
            Some(collapse) if collapse >= COLLAPSED => {
                frozen.collapse = two_digits(CLEAR * collapse);
                let why = format!(
                    "a picture that changes by {collapse:.2} of its noise counted as frozen; \
                     a freeze under noise is then seen less often"
                );
                proposal.change("frozen", why);
            }
            Some(_) => {
                proposal.lengthen("frozen", &mut frozen.after_ms, runs, "a noisy picture stood still");
            }
            None => {}
        }
    }
    if let Some(runs) = &survey.alike {
        match runs.worst() {
            Some(difference) if difference >= REPEATED => {
                frozen.tolerance = frozen.tolerance.min(two_digits(CLEAR * difference));
                let why = format!("a picture that changes by {difference:.6} counted as frozen");
                proposal.change("frozen", why);
            }
            Some(_) => {
                proposal.lengthen("frozen", &mut frozen.after_ms, runs, "the same picture came again");
            }
            None => {}
        }
    }
}

fn silent(survey: &SensorSurvey, audio: &mut AudioThresholds, proposal: &mut Proposal) {
    let (Some(silent), Some(runs)) = (&mut audio.silent, &survey.silent) else { return };
    match runs.worst() {
        Some(level) if level >= DEAD_DBFS => {
            let clear = (level - CLEAR_DB).floor().max(NOTHING_DBFS);
            silent.dead_dbfs = silent.dead_dbfs.min(clear);
            if survey.fell {
                silent.below_dbfs = silent.below_dbfs.min(clear);
            }
            proposal.change("silent", format!("sound of {level:.0} dBFS counted as silence"));
        }
        Some(_) => {
            proposal.lengthen("silent", &mut silent.after_ms, runs, "the sound was digitally silent");
        }
        None => {}
    }
}

fn clipped(survey: &SensorSurvey, audio: &mut AudioThresholds, proposal: &mut Proposal) {
    let (Some(clipped), Some(runs)) = (&mut audio.clipped, &survey.clipped) else { return };
    match runs.worst().map(|margin| -margin) {
        Some(share) if share < OVERDRIVEN => {
            clipped.share = two_digits(1.5 * share);
            proposal.change("clipped", format!("up to {share:.2} of the samples of a block are clipped"));
        }
        Some(_) => {
            proposal.lengthen("clipped", &mut clipped.after_ms, runs, "the sound was overdriven");
        }
        None => {}
    }
}

fn stuck(survey: &SensorSurvey, audio: &mut AudioThresholds, proposal: &mut Proposal) {
    let Some(stuck) = &mut audio.stuck else { return };
    if let Some(runs) = &survey.constant {
        match runs.worst().map(|margin| -margin) {
            Some(constant) if constant < OFF => {
                stuck.constant = two_digits(constant / CLEAR);
                let why = format!("a pause lies {constant:.4} beside zero and counted as stuck");
                proposal.change("stuck", why);
            }
            Some(_) => {
                proposal.lengthen("stuck", &mut stuck.after_ms, runs, "the sound was constant");
            }
            None => {}
        }
    }
    if let Some(rise_db) = survey.hum.as_ref().and_then(Runs::worst).map(|margin| -margin) {
        stuck.rise_db = (rise_db + CLEAR_DB).ceil().min(-NOTHING_DBFS);
        proposal.change("stuck", format!("hum {rise_db:.0} dB above the quietest moment counted as stuck"));
    }
}

fn remarks(survey: &SensorSurvey, proposal: &mut Proposal) {
    for (reason, what) in [
        (Reason::Error, "the source failed"),
        (Reason::Eos, "the source ended"),
        (Reason::BadTimestamps, "samples came that could not be placed in time (`offset_ms`, `lateness_ms`)"),
    ] {
        if let Some(times) = survey.losses.get(&reason) {
            proposal.remarks.push(format!("{what}, {times} times: no threshold mends that"));
        }
    }
    let remark = match (&survey.thresholds, &survey.latest) {
        (_, None) => "nothing arrived: nothing can be said",
        (SensorThresholds::Video(video), Some(Statistics::Frame(frame)))
            if video.frozen.is_some() && frame.noise.is_none() =>
        {
            "its noise is not known yet, which takes eight seconds or more"
        }
        (SensorThresholds::Audio(audio), Some(Statistics::Block(block)))
            if audio.silent.is_some() && !block.floor_known =>
        {
            "its quietest moment is not known yet, which takes a minute of sound"
        }
        _ => return,
    };
    proposal.remarks.push(remark.to_owned());
}

fn clear_ms(seen: Duration) -> u64 {
    let steps = (TIMES * seen).as_millis().div_ceil(STEP_MS);
    u64::try_from(steps * STEP_MS).unwrap_or(u64::MAX)
}

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

/// Rounded to two significant digits, so that an operator can read it.
fn two_digits(value: f32) -> f32 {
    format!("{value:.1e}").parse().expect("a printed number can be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_for_people() {
        assert_eq!([0.003_456, 0.5, 0.0, 1.26].map(two_digits), [0.0035, 0.5, 0.0, 1.3]);
        assert_eq!(clear_ms(Duration::from_millis(1260)), 3000);
    }
}
