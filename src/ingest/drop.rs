//! `--drop`: a sensor taken away from a recording, upstream of the detector.

use std::str::FromStr;
use std::time::Duration;

use cmpt_core::dropout::Reason;
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::{AudioBlock, Frame, Sample};
use cmpt_core::time::Timestamp;

use super::{Format, Output};

/// `MODALITY@FROM..TO[:REASON]`, such as `video@20..40` or `audio@1.5..3:silent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSpec {
    /// Name of the modality.
    pub modality: String,
    /// Stream time from which on it is away.
    pub from: Timestamp,
    /// Stream time from which on it is back.
    pub to: Timestamp,
    /// `no_buffers`, `black`, `frozen` or `silent`.
    pub reason: Reason,
}

/// Why a `--drop` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DropError {
    /// Not of the form.
    #[error("parse `{text}`: expected MODALITY@FROM..TO[:REASON], such as video@20..40:black")]
    Form {
        /// What was given.
        text: String,
    },
    /// A time is not one.
    #[error("parse `{text}`: expected seconds from 0 on, such as 1.5, found `{found}`")]
    Seconds {
        /// What was given.
        text: String,
        /// The part at fault.
        found: String,
    },
    /// The interval is empty.
    #[error("parse `{text}`: TO must be later than FROM")]
    Empty {
        /// What was given.
        text: String,
    },
    /// The reason is not one that can be acted out.
    #[error("parse `{text}`: expected reason no_buffers, black, frozen or silent, found `{found}`")]
    Reason {
        /// What was given.
        text: String,
        /// The part at fault.
        found: String,
    },
    /// No such modality.
    #[error("drop modality `{modality}`: the stream has {known}")]
    Modality {
        /// The name given.
        modality: String,
        /// The names there are.
        known: String,
    },
    /// Such as a silent picture.
    #[error("drop modality `{modality}`: reason {reason} is not for {kind}")]
    NotForKind {
        /// The modality.
        modality: String,
        /// The reason.
        reason: &'static str,
        /// `audio` or `video`.
        kind: &'static str,
    },
}

/// Applies drops to samples, which come in time order within each modality.
#[derive(Debug)]
pub struct DropFilter {
    sensors: Vec<Sensor>,
}

impl DropFilter {
    /// Errors: a drop names no modality of `outputs`, or a reason that is not for its kind.
    pub fn new(drops: &[DropSpec], outputs: &[Output]) -> Result<Self, DropError> {
        let mut sensors: Vec<_> = outputs.iter().map(Sensor::new).collect();
        for drop in drops {
            let Some(index) = outputs.iter().position(|output| output.name == drop.modality) else {
                let known: Vec<_> = outputs.iter().map(|output| output.name.as_str()).collect();
                return Err(DropError::Modality { modality: drop.modality.clone(), known: known.join(", ") });
            };
            let kind = outputs[index].format.kind();
            if !is_for(drop.reason, outputs[index].format) {
                let (modality, reason) = (drop.modality.clone(), name(drop.reason));
                return Err(DropError::NotForKind { modality, reason, kind });
            }
            sensors[index].drops.push(drop.clone());
        }
        Ok(Self { sensors })
    }

    /// What is left of `sample`: itself, something in its place, parts of it, or nothing.
    pub fn apply(&mut self, modality: ModalityId, sample: Sample) -> Vec<Sample> {
        let Some(sensor) = self.sensors.iter_mut().find(|sensor| sensor.modality == modality) else {
            return vec![sample];
        };
        match sample {
            Sample::Frame(frame) => sensor.apply_to_frame(frame).map(Sample::Frame).into_iter().collect(),
            Sample::Audio(block) => sensor.apply_to_block(block).into_iter().map(Sample::Audio).collect(),
        }
    }

    /// Stream time at which `sample` is complete.
    pub fn end_of(&self, modality: ModalityId, sample: &Sample) -> Timestamp {
        let sensor = self.sensors.iter().find(|sensor| sensor.modality == modality);
        match (sample, sensor.map(|sensor| sensor.format)) {
            (Sample::Audio(block), Some(Format::Audio { rate_hz })) => {
                block.at + duration(block.samples.len(), rate_hz)
            }
            _ => sample.at(),
        }
    }
}

impl FromStr for DropSpec {
    type Err = DropError;

    fn from_str(text: &str) -> Result<Self, DropError> {
        let form = || DropError::Form { text: text.to_owned() };
        let (modality, rest) = text.split_once('@').ok_or_else(form)?;
        let (interval, reason) = rest.split_once(':').unwrap_or((rest, name(Reason::NoBuffers)));
        let (from, to) = interval.split_once("..").ok_or_else(form)?;
        if modality.is_empty() {
            return Err(form());
        }
        let (from, to) = (seconds(text, from)?, seconds(text, to)?);
        if to <= from {
            return Err(DropError::Empty { text: text.to_owned() });
        }
        let reason = PLAYABLE
            .into_iter()
            .find(|playable| name(*playable) == reason)
            .ok_or_else(|| DropError::Reason { text: text.to_owned(), found: reason.to_owned() })?;
        Ok(Self { modality: modality.to_owned(), from, to, reason })
    }
}

const PLAYABLE: [Reason; 4] = [Reason::NoBuffers, Reason::Black, Reason::Frozen, Reason::Silent];

#[derive(Debug)]
struct Sensor {
    modality: ModalityId,
    format: Format,
    drops: Vec<DropSpec>,
    /// The picture that a frozen camera goes on showing.
    shown: Option<Frame>,
}

impl Sensor {
    fn new(output: &Output) -> Self {
        Self { modality: output.modality, format: output.format, drops: Vec::new(), shown: None }
    }

    fn apply_to_frame(&mut self, mut frame: Frame) -> Option<Frame> {
        let away = |at| move |drop: &&DropSpec| drop.from <= at && at < drop.to;
        let reasons: Vec<_> = self.drops.iter().filter(away(frame.at)).map(|drop| drop.reason).collect();
        if reasons.contains(&Reason::NoBuffers) {
            return None;
        }
        match &self.shown {
            Some(shown) if reasons.contains(&Reason::Frozen) => {
                frame = Frame { at: frame.at, ..shown.clone() }
            }
            _ if self.drops.iter().any(|drop| drop.reason == Reason::Frozen) => {
                self.shown = Some(frame.clone())
            }
            _ => {}
        }
        if reasons.contains(&Reason::Black) {
            frame.rgb.fill(0);
        }
        Some(frame)
    }

    fn apply_to_block(&self, block: AudioBlock) -> Vec<AudioBlock> {
        let Format::Audio { rate_hz } = self.format else { return vec![block] };
        let mut parts = vec![block];
        for drop in &self.drops {
            parts = parts.into_iter().flat_map(|part| without(part, drop, rate_hz)).collect();
        }
        parts
    }
}

/// `block` without what `drop` takes: before it, silence in its place if that is the reason, after it.
fn without(mut block: AudioBlock, drop: &DropSpec, rate_hz: u32) -> Vec<AudioBlock> {
    let length = block.samples.len();
    let first = samples_until(&block, drop.from, rate_hz).min(length);
    let last = samples_until(&block, drop.to, rate_hz).min(length);
    if drop.reason == Reason::Silent {
        block.samples[first..last].fill(0.0);
        return vec![block];
    }
    let after =
        AudioBlock { at: block.at + duration(last, rate_hz), samples: block.samples[last..].to_vec() };
    block.samples.truncate(first);
    [block, after].into_iter().filter(|part| !part.samples.is_empty()).collect()
}

/// How many samples of `block` start before `at`.
fn samples_until(block: &AudioBlock, at: Timestamp, rate_hz: u32) -> usize {
    let samples = (at.saturating_since(block.at).as_nanos() * u128::from(rate_hz)).div_ceil(1_000_000_000);
    usize::try_from(samples).unwrap_or(usize::MAX)
}

fn duration(samples: usize, rate_hz: u32) -> Duration {
    let nanos = samples as u128 * 1_000_000_000 / u128::from(rate_hz);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn seconds(text: &str, found: &str) -> Result<Timestamp, DropError> {
    let duration = found.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match duration {
        Some(duration) => Ok(Timestamp::ZERO + duration),
        None => Err(DropError::Seconds { text: text.to_owned(), found: found.to_owned() }),
    }
}

fn is_for(reason: Reason, format: Format) -> bool {
    match reason {
        Reason::NoBuffers => true,
        Reason::Silent => matches!(format, Format::Audio { .. }),
        _ => matches!(format, Format::Video { .. }),
    }
}

fn name(reason: Reason) -> &'static str {
    reason.name()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIO: ModalityId = ModalityId(0);
    const VIDEO: ModalityId = ModalityId(1);

    fn filter(drops: &[&str]) -> Result<DropFilter, DropError> {
        let outputs = [
            Output { modality: AUDIO, name: "audio".into(), format: Format::Audio { rate_hz: 1000 } },
            Output { modality: VIDEO, name: "video".into(), format: Format::Video { max_edge: 240 } },
        ];
        let drops: Vec<_> = drops.iter().map(|drop| drop.parse().unwrap()).collect();
        DropFilter::new(&drops, &outputs)
    }

    /// Frames at 0, 100, ... ms whose pixels say when; what is left, as (ms, pixel).
    fn frames_left(drops: &[&str]) -> Vec<(i64, u8)> {
        let mut filter = filter(drops).unwrap();
        let frame = |tenth: u8| Frame {
            at: Timestamp::from_millis(i64::from(tenth) * 100),
            width: 1,
            height: 1,
            rgb: vec![tenth + 1; 3],
        };
        (0..6)
            .flat_map(|tenth| filter.apply(VIDEO, Sample::Frame(frame(tenth))))
            .map(|sample| match sample {
                Sample::Frame(frame) => (frame.at.as_millis(), frame.rgb[0]),
                Sample::Audio(_) => panic!("a frame became sound"),
            })
            .collect()
    }

    /// One block of 10 samples from 0 ms, 1 ms each; what is left, as (ms, samples).
    fn blocks_left(drops: &[&str]) -> Vec<(i64, Vec<f32>)> {
        let block = AudioBlock { at: Timestamp::ZERO, samples: (1..=10u8).map(f32::from).collect() };
        let left = filter(drops).unwrap().apply(AUDIO, Sample::Audio(block));
        left.into_iter()
            .map(|sample| match sample {
                Sample::Audio(block) => (block.at.as_millis(), block.samples),
                Sample::Frame(_) => panic!("sound became a frame"),
            })
            .collect()
    }

    #[test]
    fn a_drop_is_parsed_and_buffers_vanish_by_default() {
        let parsed: DropSpec = "video@1.5..40".parse().unwrap();
        let (from, to) = (Timestamp::from_millis(1500), Timestamp::from_millis(40_000));
        assert_eq!(parsed, DropSpec { modality: "video".into(), from, to, reason: Reason::NoBuffers });
        let parsed: DropSpec = "audio@0..1:silent".parse().unwrap();
        assert_eq!(parsed.reason, Reason::Silent);
    }

    #[test]
    fn what_is_wrong_with_a_drop_is_said() {
        for (text, message) in [
            ("video", "parse `video`: expected MODALITY@FROM..TO[:REASON], such as video@20..40:black"),
            ("@1..2", "parse `@1..2`: expected MODALITY@FROM..TO[:REASON], such as video@20..40:black"),
            (
                "video@1-2",
                "parse `video@1-2`: expected MODALITY@FROM..TO[:REASON], such as video@20..40:black",
            ),
            ("video@x..2", "parse `video@x..2`: expected seconds from 0 on, such as 1.5, found `x`"),
            ("video@-1..2", "parse `video@-1..2`: expected seconds from 0 on, such as 1.5, found `-1`"),
            ("video@1..inf", "parse `video@1..inf`: expected seconds from 0 on, such as 1.5, found `inf`"),
            ("video@3..2", "parse `video@3..2`: TO must be later than FROM"),
            ("video@2..2", "parse `video@2..2`: TO must be later than FROM"),
            (
                "video@1..2:eos",
                "parse `video@1..2:eos`: expected reason no_buffers, black, frozen or silent, found `eos`",
            ),
        ] {
            assert_eq!(text.parse::<DropSpec>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_drop_must_fit_the_stream() {
        for (drop, message) in [
            ("lidar@1..2", "drop modality `lidar`: the stream has audio, video"),
            ("video@1..2:silent", "drop modality `video`: reason silent is not for video"),
            ("audio@1..2:frozen", "drop modality `audio`: reason frozen is not for audio"),
        ] {
            assert_eq!(filter(&[drop]).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn frames_vanish_or_are_replaced_from_from_until_just_before_to() {
        for (drops, left) in [
            (&["video@0.2..0.4"][..], &[(0, 1), (100, 2), (400, 5), (500, 6)][..]),
            (&["video@0.2..0.4:black"], &[(0, 1), (100, 2), (200, 0), (300, 0), (400, 5), (500, 6)]),
            (&["video@0.2..0.4:frozen"], &[(0, 1), (100, 2), (200, 2), (300, 2), (400, 5), (500, 6)]),
            (&["video@0..0.2:frozen"], &[(0, 1), (100, 1), (200, 3), (300, 4), (400, 5), (500, 6)]),
            (&["video@0..0.1", "video@0.5..9:black"], &[(100, 2), (200, 3), (300, 4), (400, 5), (500, 0)]),
            (&["audio@0..9"], &[(0, 1), (100, 2), (200, 3), (300, 4), (400, 5), (500, 6)]),
        ] {
            assert_eq!(frames_left(drops), left, "{drops:?}");
        }
    }

    #[test]
    fn sound_is_cut_or_silenced_to_the_sample() {
        let all = (1..=10u8).map(f32::from).collect::<Vec<_>>();
        for (drops, left) in [
            (&[][..], vec![(0, all.clone())]),
            (&["audio@0.003..0.007"], vec![(0, all[..3].to_vec()), (7, all[7..].to_vec())]),
            (&["audio@0..0.004"], vec![(4, all[4..].to_vec())]),
            (&["audio@0.0085..9"], vec![(0, all[..9].to_vec())]),
            (&["audio@0..9"], vec![]),
            (&["audio@0.002..0.009:silent"], vec![(0, vec![1., 2., 0., 0., 0., 0., 0., 0., 0., 10.])]),
        ] {
            assert_eq!(blocks_left(drops), left, "{drops:?}");
        }
    }

    #[test]
    fn a_block_ends_with_its_last_sample_and_a_frame_when_it_is_taken() {
        let filter = filter(&[]).unwrap();
        let block = AudioBlock { at: Timestamp::from_millis(5), samples: vec![0.0; 20] };
        assert_eq!(filter.end_of(AUDIO, &Sample::Audio(block)), Timestamp::from_millis(25));
        let frame = Frame { at: Timestamp::from_millis(5), width: 0, height: 0, rgb: vec![] };
        assert_eq!(filter.end_of(VIDEO, &Sample::Frame(frame)), Timestamp::from_millis(5));
    }
}
