//! `config.json` and `preprocessor_config.json` as Hugging Face writes them: objects whose absent fields
//! have defaults.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::spec::SpecError;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is no JSON object.
    #[error("read {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A field is not what it should be.
    #[error("read {}: `{field}` is {value}, expected {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        value: Value,
        /// What it should be.
        expected: String,
    },
    /// The fields make no encoder.
    #[error("read {}", path.display())]
    Encoder {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SpecError,
    },
}

/// A configuration; without a file, one that is silent on everything.
#[derive(Clone, Debug)]
pub struct Config {
    path: PathBuf,
    fields: Option<Map<String, Value>>,
}

impl Config {
    /// One that is silent on everything.
    pub fn silent() -> Self {
        Self { path: PathBuf::new(), fields: None }
    }

    /// Reads `path`, if it is there.
    pub fn find(path: &Path) -> Result<Self, ConfigError> {
        let path = path.to_owned();
        match fs::read_to_string(&path) {
            Ok(text) => match serde_json::from_str(&text) {
                Ok(fields) => Ok(Self { path, fields: Some(fields) }),
                Err(source) => Err(ConfigError::Json { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { path, fields: None }),
            Err(source) => Err(ConfigError::Read { path, source }),
        }
    }

    /// Whether there is no file.
    pub fn is_absent(&self) -> bool {
        self.fields.is_none()
    }

    /// The object `name` inside, or all where there is none.
    pub(super) fn section(&self, name: &str) -> Result<Self, ConfigError> {
        match self.get(name) {
            None => Ok(self.clone()),
            Some(Value::Object(fields)) => Ok(Self { path: self.path.clone(), fields: Some(fields.clone()) }),
            Some(_) => Err(self.wrong(name, "an object")),
        }
    }

    pub(super) fn size(&self, field: &str, default: usize) -> Result<usize, ConfigError> {
        match self.index(field, default)? {
            0 => Err(self.wrong(field, "a whole number of at least 1")),
            size => Ok(size),
        }
    }

    pub(super) fn index(&self, field: &str, default: usize) -> Result<usize, ConfigError> {
        let Some(value) = self.get(field) else { return Ok(default) };
        let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
        index.ok_or_else(|| self.wrong(field, "a whole number"))
    }

    pub(super) fn number(&self, field: &str, default: f64) -> Result<f64, ConfigError> {
        let Some(value) = self.get(field) else { return Ok(default) };
        value.as_f64().ok_or_else(|| self.wrong(field, "a number"))
    }

    pub(super) fn text<'a>(&'a self, field: &str, default: &'a str) -> Result<&'a str, ConfigError> {
        let Some(value) = self.get(field) else { return Ok(default) };
        value.as_str().ok_or_else(|| self.wrong(field, "a string"))
    }

    /// One number each for red, green and blue.
    pub(super) fn colours(&self, field: &str, default: [f32; 3]) -> Result<Vec<f32>, ConfigError> {
        let Some(value) = self.get(field) else { return Ok(default.into()) };
        let numbers = value.as_array().map(|all| all.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
        match numbers {
            Some(numbers) if numbers.len() == 3 => Ok(numbers.into_iter().map(|n| n as f32).collect()),
            _ => Err(self.wrong(field, "three numbers")),
        }
    }

    /// Refuses a field that is there and none of `accepted`.
    pub(super) fn expect_text(&self, field: &str, accepted: &[&str]) -> Result<(), ConfigError> {
        match self.get(field) {
            Some(value) if !value.as_str().is_some_and(|text| accepted.contains(&text)) => {
                Err(self.wrong(field, &format!("one of {accepted:?}")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a field that is there and not true.
    pub(super) fn expect_true(&self, field: &str) -> Result<(), ConfigError> {
        match self.get(field) {
            Some(Value::Bool(true)) | None => Ok(()),
            Some(_) => Err(self.wrong(field, "true")),
        }
    }

    pub(super) fn no_encoder(&self, source: SpecError) -> ConfigError {
        ConfigError::Encoder { path: self.path.clone(), source }
    }

    /// A field that is there and not null.
    fn get(&self, field: &str) -> Option<&Value> {
        self.fields.as_ref()?.get(field).filter(|value| !value.is_null())
    }

    fn wrong(&self, field: &str, expected: &str) -> ConfigError {
        ConfigError::Field {
            path: self.path.clone(),
            field: field.to_owned(),
            value: self.get(field).cloned().unwrap_or(Value::Null),
            expected: expected.to_owned(),
        }
    }
}
