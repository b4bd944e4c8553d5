//! What the settings mean for a model: streams with every modality's source, front end and thresholds.

use std::collections::BTreeMap;
use std::time::Duration;

use cmpt_core::assembler::{Assembler, SensorSpec, StreamSpec};
use cmpt_core::dropout::{AudioThresholds, DeliveryThresholds, SensorThresholds, VideoThresholds};
use cmpt_core::modality::{Kind, ModalityId};
use cmpt_core::window::WindowSchedule;
use toml::Spanned;

use super::problem::{ConfigError, Fault, Place, Problem};
use super::raw::{RawSensor, Switch};
use super::settings::{Align, Config, MediaSettings, SensorSettings, StreamSettings};
use crate::ingest::{Format, Media, Output, Pace, SourceSpec};
use crate::model::Model;

/// Pictures are scaled down no further than to this shortest edge before the front end sees them, so
/// that its own resampling, the one that the model was trained with, does the work.
const LEAST_EDGE: u32 = 480;

/// A stream that can be built.
#[derive(Clone, Debug)]
pub struct StreamPlan {
    /// Its id.
    pub id: String,
    /// Where stream time 0 lies.
    pub align: Align,
    /// Windows, front ends and thresholds.
    pub spec: StreamSpec,
    /// Its sources, played live.
    pub sources: Vec<SourceSpec>,
}

impl Config {
    /// What the streams are made of with `model`. Errors: every mistake at once.
    pub fn plan(&self, model: &Model) -> Result<Vec<StreamPlan>, ConfigError> {
        let mut planner = Planner { config: self, model, problems: Vec::new() };
        let streams = self.streams.iter().map(|stream| planner.stream(stream)).collect();
        planner.problems.sort_by_key(|problem| problem.line);
        if planner.problems.is_empty() { Ok(streams) } else { Err(ConfigError::Problems(planner.problems)) }
    }
}

/// What is converted for modality `id` of `model`.
pub(crate) fn output(model: &Model, id: ModalityId) -> Output {
    use cmpt_core::assembler::FrontEnd;
    let format = match model.front_end(id) {
        FrontEnd::Mel(spec) => Format::Audio { rate_hz: spec.sample_rate_hz },
        FrontEnd::Pictures { picture, .. } => {
            let twice = u32::try_from(2 * picture.edge).unwrap_or(u32::MAX);
            Format::Video { max_edge: twice.max(LEAST_EDGE) }
        }
    };
    Output { modality: id, name: model.name(id).to_owned(), format }
}

struct Planner<'a> {
    config: &'a Config,
    model: &'a Model,
    problems: Vec<Problem>,
}

impl Planner<'_> {
    fn stream(&mut self, stream: &StreamSettings) -> StreamPlan {
        let schedule =
            WindowSchedule { length: self.model.window(), hop: self.model.hop(), lateness: stream.lateness };
        let sensors = (0..self.model.manifest().modalities.len())
            .map(ModalityId)
            .map(|id| SensorSpec {
                name: self.model.name(id).to_owned(),
                front_end: self.model.front_end(id),
                thresholds: self.thresholds(id, stream.sensors.get(self.model.name(id))),
            })
            .collect();
        let spec = StreamSpec { schedule, sensors };
        if let Err(error) = Assembler::new(spec.clone()) {
            let found = format!("of a bundle whose {error}");
            self.report(&stream.place, found, "a bundle with windows that can be assembled".into());
        }
        for (name, sensor) in &stream.sensors {
            if self.model.manifest().modality(name).is_none() {
                self.unknown(&sensor.place, name);
            }
        }
        StreamPlan { id: stream.id.clone(), align: stream.align, spec, sources: self.sources(stream) }
    }

    fn sources(&mut self, stream: &StreamSettings) -> Vec<SourceSpec> {
        let mut provided = BTreeMap::new();
        let mut sources = Vec::new();
        for source in &stream.sources {
            let mut outputs = Vec::new();
            for (name, place) in &source.provides {
                let Some(id) = self.model.manifest().modality(name) else {
                    self.unknown(place, name);
                    continue;
                };
                if let Some(line) = provided.insert(id, place.line) {
                    let expected = format!("each modality of a stream once, and line {line} provides it");
                    self.report(place, format!("{name:?}"), expected);
                }
                outputs.push(output(self.model, id));
            }
            let media = match &source.media {
                MediaSettings::Uri(uri) => Media::Uri(uri.clone()),
                MediaSettings::Pipeline(pipeline) => Media::Pipeline(pipeline.clone()),
            };
            let patience = |output: &Output| self.patience(output.modality, stream);
            let stall_after = outputs.iter().map(patience).max().unwrap_or_default();
            sources.push(SourceSpec {
                stall_after: source.stall_after.unwrap_or(stall_after),
                retry_max: source.retry_max,
                offset_ms: source.offset_ms,
                transport: source.transport,
                credentials_file: source.credentials_file.clone(),
                ..SourceSpec::new(media, outputs, Pace::Live)
            });
        }
        sources
    }

    /// A source is given up a while after its sensor is: one that is slow by design is not stalled.
    fn patience(&self, id: ModalityId, stream: &StreamSettings) -> Duration {
        let settings = stream.sensors.get(self.model.name(id));
        let no_buffers = settings.and_then(|settings| settings.thresholds.no_buffers_after_ms.as_ref());
        let no_buffers = no_buffers.and_then(|after| u64::try_from(*after.get_ref()).ok());
        no_buffers.map_or(SourceSpec::STALL_AFTER, |after| {
            Duration::from_millis(2 * after).max(SourceSpec::STALL_AFTER)
        })
    }

    fn thresholds(&mut self, id: ModalityId, settings: Option<&SensorSettings>) -> SensorThresholds {
        let kind = self.model.manifest().modalities[id.0].kind;
        let raw = settings.map(|settings| settings.thresholds.clone()).unwrap_or_default();
        if let Some(settings) = settings {
            let alien: &[(&str, bool)] = match kind {
                Kind::Audio => &[
                    ("black", raw.black.is_some()),
                    ("bright", raw.bright.is_some()),
                    ("frozen", raw.frozen.is_some()),
                    ("ignore", raw.ignore.is_some()),
                ],
                Kind::Video | Kind::Image | Kind::Text => &[
                    ("silent", raw.silent.is_some()),
                    ("clipped", raw.clipped.is_some()),
                    ("stuck", raw.stuck.is_some()),
                ],
            };
            for (name, _) in alien.iter().filter(|(_, set)| *set) {
                let place = Place { key: format!("{}.{name}", settings.place.key), ..settings.place.clone() };
                let kind = if kind == Kind::Audio { "sound" } else { "pictures" };
                self.report(&place, "set".into(), format!("thresholds for {kind} only"));
            }
        }
        match kind {
            Kind::Audio => SensorThresholds::Audio(audio(raw)),
            Kind::Video | Kind::Image | Kind::Text => SensorThresholds::Video(video(raw)),
        }
    }

    fn unknown(&mut self, place: &Place, name: &str) {
        let known: Vec<_> = self.model.manifest().modalities.iter().map(|m| &m.name).collect();
        self.report(place, format!("{name:?}"), format!("a modality of the bundle: {known:?}"));
    }

    fn report(&mut self, place: &Place, found: String, expected: String) {
        self.problems.push(Problem {
            file: self.config.file.clone(),
            line: place.line,
            key: place.key.clone(),
            fault: Fault::Value { found, expected },
        });
    }
}

fn delivery(raw: &RawSensor) -> DeliveryThresholds {
    let default = DeliveryThresholds::default();
    DeliveryThresholds {
        no_buffers_after_ms: whole(raw.no_buffers_after_ms.clone(), default.no_buffers_after_ms),
        trickle: switch(raw.trickle.clone(), default.trickle),
        bad_timestamps: switch(raw.bad_timestamps.clone(), default.bad_timestamps),
        error: raw.error.unwrap_or(default.error),
        eos: raw.eos.unwrap_or(default.eos),
        recover_after_ms: whole(raw.recover_after_ms.clone(), default.recover_after_ms),
        min_coverage: share(raw.min_coverage.clone(), default.min_coverage),
    }
}

fn audio(raw: RawSensor) -> AudioThresholds {
    let default = AudioThresholds::default();
    AudioThresholds {
        delivery: delivery(&raw),
        silent: switch(raw.silent, default.silent),
        clipped: switch(raw.clipped, default.clipped),
        stuck: switch(raw.stuck, default.stuck),
    }
}

fn video(raw: RawSensor) -> VideoThresholds {
    let default = VideoThresholds::default();
    VideoThresholds {
        delivery: delivery(&raw),
        black: switch(raw.black, default.black),
        bright: switch(raw.bright, default.bright),
        frozen: switch(raw.frozen, default.frozen),
        ignore: raw.ignore.map_or(default.ignore, |ignore| {
            ignore.into_inner().into_iter().map(Spanned::into_inner).collect()
        }),
    }
}

fn whole(value: Option<Spanned<i64>>, default: u64) -> u64 {
    value.map_or(default, |value| u64::try_from(value.into_inner()).expect("checked to be in bounds"))
}

fn share(value: Option<Spanned<f64>>, default: f32) -> f32 {
    value.map_or(default, |value| value.into_inner() as f32)
}

fn switch<T>(value: Option<Spanned<Switch<T>>>, default: Option<T>) -> Option<T> {
    value.map_or(default, |value| value.into_inner().into_option())
}
