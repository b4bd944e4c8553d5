//! Pretrained encoders as Hugging Face keeps them: `model.safetensors`, or its shards and their index, beside
//! `config.json` and `preprocessor_config.json`.

use std::path::Path;

use cmpt_bundle::manifest::FrontEnd;

use super::config::{Config, ConfigError};
use super::family::{Family, Names};
use super::shards::Shards;
use super::spec::{EncoderSpec, Parameter};
use crate::weights::{self, Tensors, WeightsError, dimensions};

const CONFIG: &str = "config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";

/// Why a pretrained encoder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PretrainedError {
    /// What it says about itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// An encoder on disk: what it is, and its tensors under the names of the file.
pub struct Pretrained {
    /// What it is.
    pub spec: EncoderSpec,
    /// What makes its features.
    pub front_end: FrontEnd,
    names: Names,
    prefix: &'static str,
    shards: Shards,
}

impl Pretrained {
    /// Reads the encoder at `path`: a folder as Hugging Face has it, or the safetensors file or the index of
    /// several itself. A text has `tokens` tokens.
    ///
    /// Errors: files that cannot be read, a configuration of something else.
    pub fn open(family: Family, path: &Path, tokens: usize) -> Result<Self, PretrainedError> {
        let beside = |name: &str| if path.is_dir() { path.join(name) } else { path.with_file_name(name) };
        let config = Config::find(&beside(CONFIG))?;
        config.expect_text("model_type", family.model_types())?;
        let mut spec = family.describe(&config, tokens)?;
        let front_end = family.front_end(&spec, &Config::find(&beside(PREPROCESSOR))?)?;
        let shards = Shards::open(path)?;
        let names = family.names();
        let has = |prefix: &&&str| shards.tensors.keys().any(|name| name.starts_with(**prefix));
        let prefix = names.prefixes.iter().find(has).unwrap_or(&names.prefixes[0]);
        // Some models are published without; nothing reads it.
        spec.pooler &= shards.tensors.contains_key(&format!("{prefix}pooler.dense.weight"));
        Ok(Self { spec, front_end, prefix, names, shards })
    }

    /// Overwrites `wanted`, the parameters of [`spec`](Self::spec) by their names.
    ///
    /// Errors: a tensor that is missing, of another shape, or of no use.
    pub fn load(&self, wanted: &Tensors) -> Result<(), WeightsError> {
        let parameters = self.spec.parameters();
        let names: Vec<String> = parameters.iter().map(|parameter| self.name(&parameter.name)).collect();
        for (parameter, name) in parameters.iter().zip(&names) {
            let expected = self.shape(parameter);
            let Some(value) = self.shards.tensors.get(name) else {
                let (path, name) = (self.shards.path.clone(), name.clone());
                return Err(WeightsError::Missing { path, name, expected });
            };
            if value.size() != expected {
                let (path, name) = (self.shards.file(name), name.clone());
                return Err(WeightsError::Shape { path, name, found: value.size(), expected });
            }
            let target = &wanted[&parameter.name];
            weights::assign(target, &value.view_as(target))
                .map_err(|source| WeightsError::Read { path: self.shards.file(name), source })?;
        }
        let skipped = |name: &str| self.names.skipped.iter().any(|start| name.starts_with(start));
        match self.shards.tensors.iter().find(|(name, _)| !names.contains(name) && !skipped(name)) {
            Some((name, tensor)) => {
                let (path, name) = (self.shards.file(name), name.clone());
                Err(WeightsError::Surplus { path, name, found: tensor.size() })
            }
            None => Ok(()),
        }
    }

    /// What the file calls a parameter; where it has several names, the one that is in the file.
    fn name(&self, ours: &str) -> String {
        let renamed = self.names.renamed.iter();
        let name = renamed.fold(ours.to_owned(), |name, (from, to)| name.replace(from, to));
        let name = format!("{}{name}", self.prefix);
        let older = self.names.aliases.iter().find_map(|(now, then)| {
            name.ends_with(now)
                .then(|| name.replace(now, then))
                .filter(|name| self.shards.tensors.contains_key(name))
        });
        older.unwrap_or(name)
    }

    fn shape(&self, parameter: &Parameter) -> Vec<i64> {
        let leading = parameter.shape.iter().take_while(|size| self.names.squeezed && **size == 1).count();
        dimensions(&parameter.shape[leading..])
    }
}
