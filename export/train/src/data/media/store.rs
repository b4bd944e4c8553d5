//! A prepared set of samples that belong together: `dataset.json`, a line per sample in `samples.jsonl`, and
//! the decoded media in `cache`. Version 2 of the prepared dataset's format, read beside version 1.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use cmpt_bundle::manifest::{FrontEnd, Task};
use serde::{Deserialize, Serialize};

use super::cache::Cache;
use crate::data::batch::{ModalityInfo, Split};
use crate::data::error::DataError;
use crate::data::store::read_header;

/// The version of this form.
pub const FORMAT_VERSION: u32 = 2;
const HEADER: &str = "dataset.json";
const SAMPLES: &str = "samples.jsonl";
const CACHE: &str = "cache";

/// `dataset.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the format.
    pub format_version: u32,
    /// What the data are, in words, for the bundle's provenance.
    pub description: String,
    /// Whether a sample has one class or any number of labels.
    pub task: Task,
    /// Class names.
    pub labels: Vec<String>,
    /// Modalities.
    pub modalities: Vec<ModalityInfo>,
    /// Whether training may mirror pictures.
    pub mirror: bool,
    /// Samples that were listed and left out, because a file of theirs was absent or corrupt.
    pub left_out: usize,
}

/// A line of `samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its name within the set.
    pub name: String,
    /// Its split.
    pub split: Split,
    /// Its labels.
    pub labels: Vec<usize>,
    /// For each modality what the sample has of it.
    pub parts: Vec<Option<Part>>,
}

/// One modality of a sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Decoded media under this key of the cache.
    Cached(String),
    /// Numbers of a text's tokens, padding included.
    Tokens(Vec<u32>),
}

/// The set in memory, its media on disk.
#[derive(Clone, Debug)]
pub struct MediaStore {
    /// What it is.
    pub header: Header,
    /// Its samples.
    pub rows: Vec<Row>,
    /// Its media.
    pub cache: Cache,
}

impl MediaStore {
    /// Whether `folder` is of this form.
    pub fn is_at(folder: &Path) -> bool {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let version = fs::read(folder.join(HEADER)).ok();
        let version = version.and_then(|bytes| serde_json::from_slice::<Version>(&bytes).ok());
        version.is_some_and(|version| version.format_version == FORMAT_VERSION)
    }

    /// Where the media of the set in `folder` lie.
    pub fn cache_at(folder: &Path) -> PathBuf {
        folder.join(CACHE)
    }

    /// Errors: there is a finished set in `folder`. Media alone are what an interrupted run left.
    pub fn refuse_existing(folder: &Path) -> Result<(), DataError> {
        match folder.join(HEADER).exists() {
            true => Err(DataError::Exists { path: folder.into() }),
            false => Ok(()),
        }
    }

    /// Writes header and samples beside the media. The header comes last: without it there is no set.
    pub fn write(&self, folder: &Path) -> Result<(), DataError> {
        Self::refuse_existing(folder)?;
        self.check(folder)?;
        self.write_files(folder).map_err(|source| DataError::Write { path: folder.into(), source })
    }

    fn write_files(&self, folder: &Path) -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut lines = BufWriter::new(File::create(folder.join(SAMPLES))?);
        for row in &self.rows {
            serde_json::to_writer(&mut lines, row)?;
            writeln!(lines)?;
        }
        lines.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        let partial = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder)?;
        fs::write(partial.path(), serde_json::to_vec_pretty(&self.header)?)?;
        partial.persist(folder.join(HEADER)).map_err(|failed| failed.error)?;
        Ok(())
    }

    /// Reads the folder that [`MediaStore::write`] wrote.
    pub fn read(folder: &Path) -> Result<Self, DataError> {
        let header = read_header(folder, FORMAT_VERSION, |header: &Header| header.format_version)?;
        let path = folder.join(SAMPLES);
        let error = |source| DataError::Read { path: path.clone(), source };
        let lines = BufReader::new(File::open(&path).map_err(error)?).lines().zip(1..);
        let parse = |(line, number): (std::io::Result<String>, usize)| {
            serde_json::from_str(&line.map_err(error)?)
                .map_err(|error| DataError::malformed(&path, format!("line {number}: {error}")))
        };
        let rows = lines.map(parse).collect::<Result<_, _>>()?;
        let store = Self { header, rows, cache: Cache::new(Self::cache_at(folder)) };
        store.check(folder)?;
        Ok(store)
    }

    fn check(&self, folder: &Path) -> Result<(), DataError> {
        let fits = |(part, modality): (&Option<Part>, &ModalityInfo)| match (part, &modality.front_end) {
            (None, _) => true,
            (Some(Part::Cached(key)), FrontEnd::LogMel(_) | FrontEnd::Picture(_)) => {
                !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_hexdigit())
            }
            (Some(Part::Tokens(tokens)), FrontEnd::WordPiece(spec)) => tokens.len() == spec.tokens,
            _ => false,
        };
        for (row, number) in self.rows.iter().zip(1..) {
            let labelled = self.header.task == Task::Multilabel || row.labels.len() == 1;
            let known = row.labels.iter().all(|label| *label < self.header.labels.len());
            let as_many = row.parts.len() == self.header.modalities.len();
            if !(labelled && known && as_many && row.parts.iter().zip(&self.header.modalities).all(fits)) {
                let reason = format!("line {number} does not fit the dataset: sample {}", row.name);
                return Err(DataError::malformed(folder.join(SAMPLES), reason));
            }
        }
        Ok(())
    }
}
