//! Published data sets as they lie on disk: each form gives a listing, and decodes nothing.

mod ave;
mod columns;
mod crema_d;
mod food101;
mod holdout;
mod kinetics;
mod manifest;
mod mm_imdb;

use std::path::{Path, PathBuf};

use cmpt_bundle::manifest::Task;
use cmpt_core::modality::Kind;

use super::batch::Split;
use super::error::DataError;

pub use ave::parse_line as parse_ave_line;
pub use crema_d::parse_name as parse_crema_d_name;
pub use manifest::{Syntax, parse as parse_manifest};
pub use mm_imdb::{Poster, parse_words as parse_mm_imdb_words};

/// What a set contains.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// What the data are, in words.
    pub description: String,
    /// Whether a sample has one class or any number of labels.
    pub task: Task,
    /// Class names.
    pub labels: Vec<String>,
    /// Names and kinds of the modalities.
    pub modalities: Vec<(String, Kind)>,
    /// The samples.
    pub items: Vec<Item>,
}

/// One sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name within the set.
    pub name: String,
    /// Its split.
    pub split: Split,
    /// Its labels; exactly one where the task is multi-class.
    pub labels: Vec<usize>,
    /// Where it is listed, such as `texts/train_titles.csv line 3`.
    pub listed: String,
    /// For each modality of the listing what there is of it.
    pub contents: Vec<Option<Content>>,
}

/// One modality of a sample, not yet read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file of sound, of one picture or of moving pictures.
    File(PathBuf),
    /// A picture in a file of many.
    Poster(Poster),
    /// The text itself.
    Text(String),
}

/// How the splits are made where a set does not say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holdout {
    /// The part of the training samples that is cut off for validation, where the set has no such split.
    pub validation: f64,
    /// Decides which.
    pub seed: u64,
}

/// A published form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// `AudioWAV/*.wav` and `VideoFlash/*.flv`, named `{actor}_{sentence}_{emotion}_{level}`.
    CremaD,
    /// `Annotations.txt`, `trainSet.txt`, `valSet.txt`, `testSet.txt` and `AVE/{video}.mp4`.
    Ave,
    /// Kinetics' CSV files and `{video}_{start}_{end}.mp4`, of the 31 classes of Kinetics-Sounds.
    KineticsSounds,
    /// `texts/{train,test}_titles.csv` and `images/{train,test}/{class}/*.jpg`.
    UpmcFood101,
    /// `split.json`, `dataset/{film}.json` and `dataset/{film}.jpeg`, or `multimodal_imdb.hdf5` and `metadata.npy`.
    MmImdb,
    /// A manifest, JSON lines or CSV: a path for each modality, labels, split.
    Manifest(PathBuf),
}

impl Form {
    /// What lies under `root`.
    ///
    /// Errors: an annotation that is missing or malformed, by file, line, field, value and what was expected.
    /// Media files are not looked for.
    pub fn list(&self, root: &Path, holdout: Holdout) -> Result<Listing, DataError> {
        let mut listing = match self {
            Self::CremaD => return crema_d::list(root, holdout),
            Self::Ave => ave::list(root)?,
            Self::KineticsSounds => kinetics::list(root)?,
            Self::UpmcFood101 => food101::list(root)?,
            Self::MmImdb => mm_imdb::list(root)?,
            Self::Manifest(path) => manifest::list(path, root)?,
        };
        holdout.cut(&mut listing);
        Ok(listing)
    }
}

/// What is wrong with one field of an annotation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value:?}, expected {expected}")]
pub struct FieldError {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What it should be.
    pub expected: String,
}

impl FieldError {
    fn new(field: &'static str, value: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { field, value: value.into(), expected: expected.into() }
    }

    fn at(&self, path: &Path, line: usize) -> DataError {
        DataError::malformed(path, format!("line {line}: {self}"))
    }
}

fn read_text(path: &Path) -> Result<String, DataError> {
    std::fs::read_to_string(path).map_err(|source| DataError::Read { path: path.into(), source })
}

/// The place of each name in a sorted list of all of them.
fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let names: std::collections::BTreeSet<&str> = names.collect();
    names.into_iter().map(str::to_owned).collect()
}

fn place_of(labels: &[String], name: &str) -> usize {
    labels.iter().position(|label| label == name).expect("labels were collected from the same names")
}

#[cfg(test)]
mod tests;
