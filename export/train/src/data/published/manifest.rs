//! A manifest of one's own: a sample a line, as JSON or as CSV with a header.
//!
//! `split`, `label` (or `labels`, any number of them) and optionally `name` say what a sample is. Every other
//! key is a modality, `audio`, `video`, `image` or `text`, with a name of its own where there are two of a
//! kind: `image:left`. Its value is a path, relative to the root, or the text itself; where it is null or
//! empty the sample lacks the modality. In CSV, labels are separated by `|`.

use std::collections::BTreeMap;
use std::path::Path;

use cmpt_bundle::manifest::Task;
use cmpt_core::modality::Kind;
use serde_json::Value;

use super::columns::{self, Record};
use super::{Content, FieldError, Item, Listing, place_of, read_text, sorted};
use crate::data::batch::Split;
use crate::data::error::DataError;

/// How a manifest is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// An object a line.
    JsonLines,
    /// Comma-separated values under a header.
    Csv,
}

/// A line of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its line, from 1.
    pub line: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its split.
    pub split: Split,
    /// What its labels are of.
    pub task: Task,
    /// Its labels.
    pub labels: Vec<String>,
    /// Per modality by name: its kind, and a path or a text if there is one.
    pub contents: BTreeMap<String, (Kind, Option<String>)>,
}

/// A line that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {source}")]
pub struct LineError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub source: FieldError,
}

/// The lines of a manifest. All have the same task, and a modality has one kind.
pub fn parse(text: &str, syntax: Syntax) -> Result<Vec<Row>, LineError> {
    let rows = match syntax {
        Syntax::JsonLines => parse_json(text)?,
        Syntax::Csv => parse_csv(text)?,
    };
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    for row in &rows {
        let wrong = |source| LineError { line: row.line, source };
        if row.task != rows[0].task {
            let expected = format!("the same as on line {}: `label` or `labels`", rows[0].line);
            return Err(wrong(FieldError::new("labels", format!("{:?}", row.labels), expected)));
        }
        for (name, (kind, _)) in &row.contents {
            let known = *kinds.entry(name).or_insert(*kind);
            if known != *kind {
                let expected = format!("modality {name} to be {known:?} as before");
                return Err(wrong(FieldError::new("modality", format!("{kind:?}"), expected)));
            }
        }
    }
    Ok(rows)
}

pub(super) fn list(path: &Path, root: &Path) -> Result<Listing, DataError> {
    let syntax = match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Syntax::Csv,
        Some("jsonl" | "json") => Syntax::JsonLines,
        _ => return Err(DataError::malformed(path, "file name, expected one that ends with .jsonl or .csv")),
    };
    let text = read_text(path)?;
    let rows = parse(&text, syntax).map_err(|error| DataError::malformed(path, error.to_string()))?;
    let Some(first) = rows.first() else {
        return Err(DataError::malformed(path, "no sample, expected at least one"));
    };
    let labels = sorted(rows.iter().flat_map(|row| row.labels.iter().map(String::as_str)));
    let modalities: BTreeMap<&String, Kind> =
        rows.iter().flat_map(|row| row.contents.iter().map(|(name, (kind, _))| (name, *kind))).collect();
    let content = |row: &Row, name: &String| {
        let (kind, content) = row.contents.get(name)?;
        let content = content.clone()?;
        Some(if *kind == Kind::Text { Content::Text(content) } else { Content::File(root.join(content)) })
    };
    let item = |row: &Row| Item {
        name: row.name.clone().unwrap_or_else(|| format!("line {}", row.line)),
        split: row.split,
        labels: row.labels.iter().map(|label| place_of(&labels, label)).collect(),
        listed: format!("line {}", row.line),
        contents: modalities.keys().map(|name| content(row, name)).collect(),
    };
    Ok(Listing {
        description: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        task: first.task,
        items: rows.iter().map(item).collect(),
        modalities: modalities.iter().map(|(name, kind)| ((*name).clone(), *kind)).collect(),
        labels,
    })
}

/// What a line says before it is known whether it says enough.
#[derive(Default)]
struct Draft {
    name: Option<String>,
    split: Option<Split>,
    label: Option<String>,
    labels: Option<Vec<String>>,
    contents: BTreeMap<String, (Kind, Option<String>)>,
}

impl Draft {
    fn set(&mut self, key: &str, value: Option<String>) -> Result<(), FieldError> {
        match key {
            "name" => self.name = value,
            "split" => self.split = Some(parse_split(&value.unwrap_or_default())?),
            "label" => self.label = value,
            _ => {
                let (name, kind) = parse_modality(key)?;
                self.contents.insert(name, (kind, value));
            }
        }
        Ok(())
    }

    fn finish(self, line: usize) -> Result<Row, FieldError> {
        let (task, labels) = match (self.label, self.labels) {
            (Some(label), None) => (Task::Multiclass, vec![label]),
            (None, Some(labels)) => (Task::Multilabel, labels),
            (Some(_), Some(_)) => {
                return Err(FieldError::new("labels", "both", "either `label` or `labels`"));
            }
            (None, None) => return Err(FieldError::new("label", "", "a label, or `labels`")),
        };
        if let Some(empty) = labels.iter().find(|label| label.is_empty()) {
            return Err(FieldError::new("label", empty, "a name"));
        }
        if self.contents.values().all(|(_, content)| content.is_none()) {
            return Err(FieldError::new("modality", "", "at least one, such as `audio`"));
        }
        let split = self.split.ok_or_else(|| FieldError::new("split", "", SPLIT))?;
        Ok(Row { line, name: self.name, split, task, labels, contents: self.contents })
    }
}

fn parse_json(text: &str) -> Result<Vec<Row>, LineError> {
    let filled = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let row =
        |(text, line): (&str, usize)| parse_object(text, line).map_err(|source| LineError { line, source });
    filled.map(row).collect()
}

fn parse_object(text: &str, line: usize) -> Result<Row, FieldError> {
    let object: serde_json::Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| FieldError::new("line", text, format!("a JSON object ({error})")))?;
    let mut draft = Draft::default();
    for (key, value) in object {
        match (key.as_str(), value) {
            ("labels", Value::Array(labels)) => {
                let label = |label: Value| match label {
                    Value::String(label) => Ok(label),
                    other => Err(FieldError::new("labels", other.to_string(), "texts")),
                };
                draft.labels = Some(labels.into_iter().map(label).collect::<Result<_, _>>()?);
            }
            ("labels", other) => return Err(FieldError::new("labels", other.to_string(), "a list of texts")),
            (key, Value::String(value)) => draft.set(key, Some(value))?,
            (key, Value::Null) => draft.set(key, None)?,
            (key, other) => {
                return Err(FieldError::new("value", other.to_string(), format!("a text under `{key}`")));
            }
        }
    }
    draft.finish(line)
}

fn parse_csv(text: &str) -> Result<Vec<Row>, LineError> {
    let mut records = columns::parse(text).into_iter();
    let Some(Record { fields: keys, .. }) = records.next() else { return Ok(Vec::new()) };
    let row = |record: Record| {
        parse_record(&keys, &record).map_err(|source| LineError { line: record.line, source })
    };
    records.map(row).collect()
}

fn parse_record(keys: &[String], record: &Record) -> Result<Row, FieldError> {
    if record.fields.len() != keys.len() {
        let expected = format!("{} as in the header", keys.len());
        return Err(FieldError::new("number of fields", record.fields.len().to_string(), expected));
    }
    let mut draft = Draft::default();
    for (key, value) in keys.iter().zip(&record.fields) {
        let value = (!value.is_empty()).then(|| value.clone());
        if key == "labels" {
            let labels =
                value.as_deref().map(|labels| labels.split('|').map(|label| label.trim().to_owned()));
            draft.labels = Some(labels.into_iter().flatten().collect());
        } else {
            draft.set(key, value)?;
        }
    }
    draft.finish(record.line)
}

const SPLIT: &str = "`train`, `validation` or `test`";

fn parse_split(text: &str) -> Result<Split, FieldError> {
    match text {
        "train" => Ok(Split::Train),
        "validation" | "val" | "dev" => Ok(Split::Validation),
        "test" => Ok(Split::Test),
        _ => Err(FieldError::new("split", text, SPLIT)),
    }
}

/// Name and kind of a modality: `image`, or `image:left`.
fn parse_modality(key: &str) -> Result<(String, Kind), FieldError> {
    let (kind, name) = key.split_once(':').unwrap_or((key, key));
    let of_kind = match kind {
        "audio" => Kind::Audio,
        "video" => Kind::Video,
        "image" => Kind::Image,
        "text" => Kind::Text,
        _ => return Err(FieldError::new("key", key, "`audio`, `video`, `image` or `text`, or `image:name`")),
    };
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match !name.is_empty() && name.bytes().all(is_of_name) {
        true => Ok((name.to_owned(), of_kind)),
        false => Err(FieldError::new("key", key, "a name of letters, digits, `-` and `_`")),
    }
}
