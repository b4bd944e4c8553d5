//! The file as it is written: every key known, every type right, nothing judged.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use cmpt_core::dropout::{
    BadTimestampsThreshold, BlackThreshold, BrightThreshold, ClippedThreshold, FrozenThreshold, Region,
    SilentThreshold, StuckThreshold, TrickleThreshold,
};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::problem::{Document, Fault, Problem};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub node: Option<Spanned<String>>,
    pub model: RawModel,
    pub engine: RawEngine,
    pub publish: RawPublish,
    pub health: RawHealth,
    pub stream: Vec<Spanned<RawStream>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawModel {
    pub bundle: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawEngine {
    pub device: Option<Spanned<String>>,
    pub library: Option<Spanned<String>>,
    pub threads: Option<Spanned<i64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPublish {
    pub stdout: Option<bool>,
    pub mqtt: Option<Spanned<RawMqtt>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMqtt {
    pub url: Option<Spanned<String>>,
    pub base: Option<Spanned<String>>,
    pub client_id: Option<Spanned<String>>,
    pub username: Option<Spanned<String>>,
    pub password_file: Option<Spanned<String>>,
    pub ca_file: Option<Spanned<String>>,
    pub outbox: Option<Spanned<i64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHealth {
    pub listen: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStream {
    pub id: Option<Spanned<String>>,
    pub lateness_ms: Option<Spanned<i64>>,
    pub align: Option<Spanned<String>>,
    pub source: Vec<Spanned<RawSource>>,
    pub sensor: BTreeMap<String, Spanned<RawSensor>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSource {
    pub uri: Option<Spanned<String>>,
    pub pipeline: Option<Spanned<String>>,
    pub provides: Option<Spanned<Vec<Spanned<String>>>>,
    pub credentials_file: Option<Spanned<String>>,
    pub transport: Option<Spanned<String>>,
    pub offset_ms: Option<Spanned<i64>>,
    pub stall_after_ms: Option<Spanned<i64>>,
    pub retry_max_ms: Option<Spanned<i64>>,
}

/// Thresholds of a sensor of any kind; which of them apply is known with the bundle.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSensor {
    pub no_buffers_after_ms: Option<Spanned<i64>>,
    pub recover_after_ms: Option<Spanned<i64>>,
    pub min_coverage: Option<Spanned<f64>>,
    pub trickle: Option<Spanned<Switch<TrickleThreshold>>>,
    pub bad_timestamps: Option<Spanned<Switch<BadTimestampsThreshold>>>,
    pub error: Option<bool>,
    pub eos: Option<bool>,
    pub black: Option<Spanned<Switch<BlackThreshold>>>,
    pub bright: Option<Spanned<Switch<BrightThreshold>>>,
    pub frozen: Option<Spanned<Switch<FrozenThreshold>>>,
    pub ignore: Option<Spanned<Vec<Spanned<Region>>>>,
    pub silent: Option<Spanned<Switch<SilentThreshold>>>,
    pub clipped: Option<Spanned<Switch<ClippedThreshold>>>,
    pub stuck: Option<Spanned<Switch<StuckThreshold>>>,
}

/// `false`, or a table of thresholds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Switch<T> {
    Off,
    On(T),
}

impl<T> Switch<T> {
    pub fn into_option(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::On(threshold) => Some(threshold),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Switch<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SwitchVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for SwitchVisitor<T> {
            type Value = Switch<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("false or a table of thresholds")
            }

            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<Self::Value, E> {
                if on {
                    Err(E::invalid_value(serde::de::Unexpected::Bool(on), &self))
                } else {
                    Ok(Switch::Off)
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Switch::On)
            }
        }

        deserializer.deserialize_any(SwitchVisitor(PhantomData))
    }
}

/// Reads `document`, setting every misfit aside so that one mistake does not hide the next.
///
/// The deserializer stops at the first error; so what it points at is taken out of the tree and the
/// rest is read again.
pub(super) fn read(document: &Document<'_>) -> (Raw, Vec<Problem>) {
    let (mut tree, errors) = DeTable::parse_recoverable(document.text);
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| {
            document.problem(&error.span().unwrap_or_default(), "", Fault::Syntax(error.message().into()))
        })
        .collect();
    if !problems.is_empty() {
        return (Raw::default(), problems);
    }
    loop {
        let error = match Raw::deserialize(toml::de::Deserializer::from(tree.clone())) {
            Ok(raw) => return (raw, problems),
            Err(error) => error,
        };
        let span = error.span().unwrap_or_default();
        let misfit = take_from_table(tree.get_mut(), &span);
        let key = misfit.clone().unwrap_or_default();
        // The deserializer names the types of this program, not those of TOML.
        let message = error.message().replace("expected i64", "expected a whole number");
        let message = message.replace("expected f64", "expected a number");
        problems.push(document.problem(&span, key, Fault::Shape(message)));
        if misfit.is_none() {
            return (Raw::default(), problems);
        }
    }
}

/// Removes the entry that `span` points at, key or value, and returns its path.
fn take_from_table(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    for (key, value) in table.iter_mut() {
        let inner = match value.get_mut() {
            DeValue::Table(inner) => take_from_table(inner, span).map(|path| format!(".{path}")),
            DeValue::Array(inner) => take_from_array(inner, span),
            _ => None,
        };
        if let Some(path) = inner {
            return Some(format!("{}{path}", key.get_ref()));
        }
    }
    let misfit = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    let key = misfit?.0.get_ref().to_string();
    table.remove(key.as_str());
    Some(key)
}

fn take_from_array<'i>(array: &mut DeArray<'i>, span: &Range<usize>) -> Option<String> {
    for (index, value) in array.iter_mut().enumerate() {
        let path = match value.get_mut() {
            DeValue::Table(inner) => take_from_table(inner, span).map(|path| format!("[{index}].{path}")),
            DeValue::Array(inner) => take_from_array(inner, span).map(|path| format!("[{index}]{path}")),
            _ => None,
        };
        if path.is_some() {
            return path;
        }
    }
    let index = array.iter().position(|value| value.span() == *span)?;
    *array = std::mem::replace(array, DeArray::new())
        .into_iter()
        .enumerate()
        .filter(|(i, _)| *i != index)
        .map(|(_, v)| v)
        .collect();
    Some(format!("[{index}]"))
}
