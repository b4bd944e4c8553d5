//! Pretrained weights on disk: one safetensors file, or several with an index beside them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::weights::{self, Tensors, WeightsError};

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Tensors by name, and the files they came from.
pub(super) struct Shards {
    /// The file, or the index of the files.
    pub path: PathBuf,
    /// All tensors.
    pub tensors: Tensors,
    /// The file of each tensor.
    files: BTreeMap<String, PathBuf>,
}

/// `model.safetensors.index.json`, as far as it is of use.
#[derive(Deserialize)]
struct Index {
    /// From a tensor to the name of its file.
    weight_map: BTreeMap<String, String>,
}

impl Shards {
    /// Reads what `path` is: a safetensors file, the index of several, or the folder with either.
    ///
    /// Errors: files that cannot be read, an index that is none, a tensor that is not where it says.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let path = match path.is_dir() {
            true if !path.join(WEIGHTS).exists() && path.join(INDEX).exists() => path.join(INDEX),
            true => path.join(WEIGHTS),
            false => path.to_owned(),
        };
        if path.extension().is_some_and(|extension| extension == "json") {
            return Self::open_index(path);
        }
        let tensors = weights::read(&path)?;
        let files = tensors.keys().map(|name| (name.clone(), path.clone())).collect();
        Ok(Self { path, tensors, files })
    }

    fn open_index(path: PathBuf) -> Result<Self, WeightsError> {
        let malformed = |reason: String| WeightsError::Index { path: path.clone(), reason };
        let text = fs::read_to_string(&path).map_err(|error| malformed(error.to_string()))?;
        let index: Index = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        let (mut tensors, mut files) = (Tensors::new(), BTreeMap::new());
        for (name, file) in &index.weight_map {
            if Path::new(file).file_name() != Some(file.as_ref()) {
                return Err(malformed(format!("tensor {name} is in `{file}`, expected the name of a file")));
            }
            let shard = path.with_file_name(file);
            if !files.values().any(|read| *read == shard) {
                let read = weights::read(&shard)?;
                files.extend(read.keys().map(|name| (name.clone(), shard.clone())));
                tensors.extend(read);
            }
            if files.get(name) != Some(&shard) {
                let (name, index) = (name.clone(), path.clone());
                return Err(WeightsError::NotInShard { path: shard, name, index });
            }
        }
        Ok(Self { path, tensors, files })
    }

    /// The file that has a tensor, or else should have it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.get(name).unwrap_or(&self.path).clone()
    }
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;

    /// Opens a folder with two shards, which hold `a` and `b`, and this index.
    fn open(weight_map: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (file, name) in [("1.safetensors", "a"), ("2.safetensors", "b")] {
            let tensors = Tensors::from([(name.to_owned(), Tensor::from_slice(&[1f32]))]);
            weights::save(&folder.path().join(file), &tensors).unwrap();
        }
        let index = format!("{{\"metadata\": {{\"total_size\": 8}}, \"weight_map\": {weight_map}}}");
        fs::write(folder.path().join(INDEX), index).unwrap();
        let error = |error: WeightsError| error.to_string().replace(folder.path().to_str().unwrap(), "X");
        let shards = Shards::open(folder.path()).map_err(error)?;
        assert_eq!(shards.file("b"), folder.path().join("2.safetensors"));
        assert_eq!(shards.file("c"), folder.path().join(INDEX));
        Ok(shards.tensors.into_keys().collect())
    }

    #[test]
    fn an_index_leads_to_the_tensors_of_all_its_shards() {
        assert_eq!(open(r#"{"a": "1.safetensors", "b": "2.safetensors"}"#).unwrap(), ["a", "b"]);
    }

    #[test]
    fn a_tensor_that_is_not_where_the_index_says_is_named_with_its_shard() {
        assert_eq!(
            open(r#"{"a": "1.safetensors", "b": "1.safetensors"}"#).unwrap_err(),
            "read X/1.safetensors: no tensor b, which X/model.safetensors.index.json says is there"
        );
        assert_eq!(open(r#"{"a": "3.safetensors"}"#).unwrap_err(), "read X/3.safetensors");
        assert_eq!(
            open(r#"{"a": "../1.safetensors"}"#).unwrap_err(),
            "read X/model.safetensors.index.json: tensor a is in `../1.safetensors`, expected the name of a file"
        );
    }
}
