//! Recorded media in place of a stream's sources: which file stands for which, and where it ends.

use std::time::Duration;

use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;
use cmpt_core::time::Timestamp;
use cmpt_core::window::WindowSchedule;

use crate::config::{StreamPlan, output};
use crate::failure::Failure;
use crate::ingest::{Format, Media, Output, Pace, SourceSpec};
use crate::model::Model;

/// The plan of stream `id`, or of the only stream. Errors: a usage error in the words of `command`.
pub fn choose(plans: Vec<StreamPlan>, id: Option<&str>, command: &str) -> Result<StreamPlan, Failure> {
    let ids = plans.iter().map(|plan| plan.id.clone()).collect::<Vec<_>>().join(", ");
    let count = plans.len();
    let mut candidates = plans.into_iter().filter(|plan| id.is_none_or(|id| id == plan.id));
    match (candidates.next(), id) {
        (Some(plan), Some(_)) => Ok(plan),
        (Some(plan), None) if count == 1 => Ok(plan),
        (_, Some(id)) => Err(Failure::Usage(format!("{command} stream `{id}`: the configuration has {ids}"))),
        (_, None) => Err(Failure::Usage(format!(
            "{command} one of several streams: expected --stream with one of {ids}"
        ))),
    }
}

/// What is played in place of the stream's sources.
pub fn sources(
    plan: &StreamPlan,
    model: &Model,
    media: &[String],
) -> Result<(Vec<SourceSpec>, Vec<Output>), Failure> {
    let ids = (0..model.manifest().modalities.len()).map(ModalityId);
    let provided = plan.sources.iter().flat_map(|source| &source.outputs);
    let provided: Vec<_> = provided.map(|output| output.modality).collect();
    let all: Vec<Output> = ids.filter(|id| provided.contains(id)).map(|id| output(model, id)).collect();
    let media_of_each = media.len() == plan.sources.len();
    let groups = match (media.len(), plan.sources.len()) {
        (1, _) => vec![all.clone()],
        (files, sources) if files == sources => {
            plan.sources.iter().map(|source| source.outputs.clone()).collect()
        }
        (files, sources) => {
            return Err(Failure::Usage(format!(
                "play {files} files on stream `{}`: expected one file, or one for each of its {sources} sources",
                plan.id
            )));
        }
    };
    let specs = media.iter().zip(groups).enumerate().map(|(index, (media, outputs))| {
        // One file for each source stands in for it, offset included; one file for all is one clock.
        let offset_ms = if media_of_each { plan.sources[index].offset_ms } else { 0 };
        let spec = SourceSpec::new(Media::Uri(media.clone()), outputs, Pace::Replay);
        SourceSpec { offset_ms, ..spec }
    });
    Ok((specs.collect(), all))
}

/// How far the media reaches, by modality.
pub struct Extent {
    sensors: Vec<Reach>,
}

struct Reach {
    output: Output,
    /// End of the latest sample. A picture is taken to last as long as the one before it.
    end: Timestamp,
    latest: Option<Timestamp>,
    ended: bool,
}

impl Extent {
    /// Nothing has been seen of `outputs`.
    pub fn new(outputs: &[Output]) -> Self {
        let reach = |output: &Output| Reach {
            output: output.clone(),
            end: Timestamp::ZERO,
            latest: None,
            ended: false,
        };
        Self { sensors: outputs.iter().map(reach).collect() }
    }

    /// A sample has been seen.
    pub fn saw(&mut self, modality: ModalityId, sample: &Sample) {
        let Some(reach) = self.sensors.iter_mut().find(|reach| reach.output.modality == modality) else {
            return;
        };
        let at = sample.at();
        let lasts = match (sample, reach.output.format) {
            (Sample::Audio(block), Format::Audio { rate_hz }) => {
                Duration::from_secs_f64(block.samples.len() as f64 / f64::from(rate_hz))
            }
            _ => reach.latest.map_or(Duration::ZERO, |latest| at.saturating_since(latest)),
        };
        reach.latest = Some(at);
        reach.end = reach.end.max(at + lasts);
    }

    /// A modality has come to its end.
    pub fn ended(&mut self, modality: ModalityId) {
        for reach in self.sensors.iter_mut().filter(|reach| reach.output.modality == modality) {
            reach.ended = true;
        }
    }

    /// Modalities that ended more than half a window before `now`, each once: the others go on without
    /// them. An end closer to that of the media is only its ragged edge.
    pub fn overdue(&mut self, now: Timestamp, window: Duration) -> Vec<ModalityId> {
        let over = self.sensors.iter_mut().filter(|reach| reach.ended && now > reach.end + window / 2);
        over.map(|reach| {
            reach.ended = false;
            reach.output.modality
        })
        .collect()
    }

    /// End of the media so far.
    pub fn end(&self) -> Timestamp {
        self.sensors.iter().map(|reach| reach.end).max().unwrap_or_default()
    }

    /// How many windows the media holds: a last one that it misses by less than half a hop counts.
    pub fn windows(&self, schedule: &WindowSchedule) -> u64 {
        let end = self.end();
        (0..).take_while(|seq| schedule.end(*seq) <= end + schedule.hop / 2).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use cmpt_core::samples::{AudioBlock, Frame};

    use super::*;

    const AUDIO: ModalityId = ModalityId(0);
    const VIDEO: ModalityId = ModalityId(1);

    fn extent() -> Extent {
        Extent::new(&[
            Output { modality: AUDIO, name: "audio".into(), format: Format::Audio { rate_hz: 1000 } },
            Output { modality: VIDEO, name: "video".into(), format: Format::Video { max_edge: 240 } },
        ])
    }

    fn see_sound_until(extent: &mut Extent, end_ms: i64) {
        let block = AudioBlock { at: Timestamp::from_millis(end_ms - 20), samples: vec![0.0; 20] };
        extent.saw(AUDIO, &Sample::Audio(block));
    }

    fn see_picture(extent: &mut Extent, at_ms: i64) {
        let at = Timestamp::from_millis(at_ms);
        extent.saw(VIDEO, &Sample::Frame(Frame { at, width: 0, height: 0, rgb: vec![] }));
    }

    #[test]
    fn a_ragged_end_neither_loses_nor_adds_a_window() {
        let second = Duration::from_secs(1);
        let schedule = WindowSchedule { length: second, hop: second, lateness: Duration::from_millis(200) };
        for (end_ms, windows) in [(499_970, 500), (500_000, 500), (500_020, 500), (400, 0), (600, 1)] {
            let mut extent = extent();
            see_sound_until(&mut extent, end_ms);
            assert_eq!(extent.windows(&schedule), windows, "{end_ms} ms");
        }
    }

    #[test]
    fn the_last_picture_lasts_as_long_as_the_one_before() {
        let second = Duration::from_secs(1);
        let schedule = WindowSchedule { length: second, hop: second / 10, lateness: Duration::ZERO };
        let mut extent = extent();
        see_picture(&mut extent, 800);
        see_picture(&mut extent, 900);
        assert_eq!(extent.windows(&schedule), 1);
    }

    #[test]
    fn a_modality_that_ends_early_is_told_once_and_one_that_ends_with_the_media_never() {
        let second = Duration::from_secs(1);
        let mut extent = extent();
        see_sound_until(&mut extent, 1000);
        extent.ended(AUDIO);
        assert!(extent.overdue(Timestamp::from_millis(1500), second).is_empty());
        assert_eq!(extent.overdue(Timestamp::from_millis(1501), second), [AUDIO]);
        assert!(extent.overdue(Timestamp::from_millis(1600), second).is_empty());
    }
}
