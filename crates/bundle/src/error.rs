//! What can be wrong with a bundle, all of it at once.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a bundle cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is no bundle at this path.
    #[error("open bundle {}: no folder with a manifest.json there, and no .tar.zst", path.display())]
    NotFound {
        /// The path that was tried, absolute where the system could say.
        path: PathBuf,
    },
    /// There is one, and it is not sound.
    #[error("open bundle {}: {problems}", path.display())]
    Invalid {
        /// The bundle.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: Problems,
    },
}

/// One thing that is wrong with a bundle.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A `.tar.zst` cannot be unpacked.
    #[error("{file}: not a .tar.zst that can be unpacked: {source}")]
    Archive {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A `.tar.zst` has something in it that is neither folder nor file, or lies outside.
    #[error("{file}: has {entry:?} in it, expected files and folders with plain relative paths")]
    ArchiveEntry {
        /// The file.
        file: String,
        /// What is in it.
        entry: String,
    },
    /// The manifest is not JSON of the right form; `source` has line and column.
    #[error("manifest.json: `{field}`: {source}")]
    Parse {
        /// Path of the value, such as `modalities[0].front_end`.
        field: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A value of the manifest is out of its range or refers to nothing.
    #[error("manifest.json: `{field}` is {value}, expected {expected}")]
    Field {
        /// Path of the value, such as `patterns[2].temperature`.
        field: String,
        /// The value.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// A file is longer or shorter than the manifest says.
    #[error("{file}: has {found} bytes, expected {expected}")]
    Size {
        /// The file.
        file: String,
        /// Its size.
        found: u64,
        /// The size in the manifest.
        expected: u64,
    },
    /// A file is not the one the manifest was written for.
    #[error("{file}: sha256 is {found}, expected {expected}")]
    Digest {
        /// The file.
        file: String,
        /// Its digest.
        found: String,
        /// The digest in the manifest.
        expected: String,
    },
    /// The golden file is not a safetensors file.
    #[error("{file}: not a safetensors file: {source}")]
    Safetensors {
        /// The file.
        file: String,
        /// Why.
        source: safetensors::SafeTensorError,
    },
    /// A golden tensor is missing.
    #[error("{file}: tensor `{tensor}` is missing, expected shape {expected}")]
    TensorMissing {
        /// The golden file.
        file: String,
        /// Name of the tensor.
        tensor: String,
        /// The shape it should have.
        expected: String,
    },
    /// A golden tensor has another type or shape.
    #[error("{file}: tensor `{tensor}` is {found}, expected {expected}")]
    TensorForm {
        /// The golden file.
        file: String,
        /// Name of the tensor.
        tensor: String,
        /// Its type or shape.
        found: String,
        /// What it should be.
        expected: String,
    },
}

/// Everything that is wrong with a bundle, one line each.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Records a value of the manifest that is not what it should be.
    pub(crate) fn field(
        &mut self,
        field: impl Into<String>,
        value: impl fmt::Display,
        expected: impl Into<String>,
    ) {
        self.push(Problem::Field {
            field: field.into(),
            value: value.to_string(),
            expected: expected.into(),
        });
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "{one}"),
            many => {
                write!(f, "{} problems", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}
