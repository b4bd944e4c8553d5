//! Which modalities each sample has: tables that are drawn once by a seed and kept beside the run.
//!
//! Knows numbers of samples, not samples: a table is of use where sample *n* of a split is the same in
//! every epoch ([`Dataset::is_stable`]).

use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use clap::ValueEnum;
use cmpt_bundle::manifest::Task;
use cmpt_core::modality::{ModalityId, ModalitySet};
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::batch::{Batch, BatchRequest, Batches, Dataset, ModalityInfo, Split};
use super::error::DataError;
use super::seed;

const FORMAT_VERSION: u32 = 1;
const MILLION: u64 = 1_000_000;

/// When modalities are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// In the training split.
    Training,
    /// In the validation and the test split.
    Inference,
    /// In all splits.
    Both,
}

impl Phase {
    /// The splits in which modalities are missing.
    pub fn splits(self) -> &'static [Split] {
        match self {
            Self::Training => &[Split::Train],
            Self::Inference => &[Split::Validation, Split::Test],
            Self::Both => &[Split::Train, Split::Validation, Split::Test],
        }
    }
}

/// A share of samples in parts of a million, so that counts come out exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u32);

impl Share {
    /// All samples.
    pub const ALL: Self = Self(MILLION as u32);
}

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&share) {
            return Ok(Self((share * MILLION as f64).round() as u32));
        }
        Err(format!("share {share}, expected 0 to 1"))
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        Self::from(share.0) / MILLION as Self
    }
}

impl FromStr for Share {
    type Err = String;

    /// `30%` or `0.3`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 100.0));
        let number: f64 = number.parse().map_err(|_| format!("share `{text}`, expected `30%` or `0.3`"))?;
        Self::try_from(number / whole)
    }
}

/// How many samples have a modality.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Available {
    /// The modality's name.
    pub modality: String,
    /// The part of the samples that have it.
    pub share: Share,
}

impl FromStr for Available {
    type Err = String;

    /// `text=30%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, share) = text.split_once('=').ok_or("no `=`, expected such as `text=30%`")?;
        Ok(Self { modality: name.into(), share: share.parse()? })
    }
}

/// For each sample of one split which modalities it has: at least one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawTable", into = "RawTable")]
pub struct MissingTable {
    split: Split,
    seed: u64,
    available: Vec<Available>,
    samples: Vec<ModalitySet>,
}

impl MissingTable {
    /// Draws a table for the `samples` samples of `split`.
    ///
    /// Counts are exact, up to rounding to whole samples. Samples have as even a number of modalities as
    /// the shares allow: of two modalities one is missing where the other is there, as in the paper's
    /// tables 1 and 6 (65 % and 65 % are 30 % with both, 35 % with either). Another share of one modality
    /// moves as few samples as it can, so that curves over a rate are drawn on nested tables.
    ///
    /// Errors: the shares leave a sample with nothing.
    pub fn draw(split: Split, samples: usize, available: &[Available], seed: u64) -> Result<Self, DataError> {
        let total: u64 = available.iter().map(|modality| u64::from(modality.share.0)).sum();
        if total < MILLION {
            let shares: Vec<String> = available
                .iter()
                .map(|Available { modality, share }| format!("{modality} {}", f64::from(*share)))
                .collect();
            let found = format!("shares {} leave samples with nothing", shares.join(", "));
            return Err(DataError::unusable(format!("{found}, expected a sum of 1 or more")));
        }
        let mut places: Vec<usize> = (0..samples).collect();
        Rng::with_seed(seed::mix(&[seed, split as u64])).shuffle(&mut places);
        let patterns = around_the_circle(samples, available);
        Ok(Self {
            split,
            seed,
            available: available.to_vec(),
            samples: places.into_iter().map(|place| patterns[place]).collect(),
        })
    }

    /// The split it is for.
    pub fn split(&self) -> Split {
        self.split
    }

    /// How many samples it is for.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether it is for no sample.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// What it was drawn for; modalities are numbered in this order.
    pub fn available(&self) -> &[Available] {
        &self.available
    }

    /// The modalities of a sample. Panics: there is no such sample.
    pub fn sample(&self, number: usize) -> ModalitySet {
        self.samples[number]
    }
}

/// Lays the modalities' samples end to end around a circle of `count` places. Together they are at
/// least as long as the circle, so none stays empty, and no place has two more than another.
fn around_the_circle(count: usize, available: &[Available]) -> Vec<ModalitySet> {
    let mut places = vec![ModalitySet::empty(); count];
    let (mut millionths, mut start) = (0, 0);
    for (id, modality) in available.iter().enumerate() {
        millionths += u64::from(modality.share.0);
        // Rounding the running sum rounds every count by less than one, and the sum with them.
        let end = ((u128::from(millionths) * count as u128 + u128::from(MILLION / 2)) / u128::from(MILLION))
            as usize;
        (start..end).for_each(|place| places[place % count].insert(ModalityId(id)));
        start = end;
    }
    places
}

/// A table in JSON, legible: patterns by name, and for each sample the number of its pattern.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    split: Split,
    seed: u64,
    available: Vec<Available>,
    patterns: Vec<Vec<String>>,
    samples: Vec<usize>,
}

impl From<MissingTable> for RawTable {
    fn from(table: MissingTable) -> Self {
        let mut patterns = table.samples.clone();
        patterns.sort();
        patterns.dedup();
        let number =
            |set: &ModalitySet| patterns.binary_search(set).expect("patterns are those of the samples");
        let name = |id: ModalityId| table.available[id.0].modality.clone();
        Self {
            samples: table.samples.iter().map(number).collect(),
            patterns: patterns.iter().map(|set| set.iter().map(name).collect()).collect(),
            split: table.split,
            seed: table.seed,
            available: table.available,
        }
    }
}

impl TryFrom<RawTable> for MissingTable {
    type Error = String;

    fn try_from(raw: RawTable) -> Result<Self, String> {
        let id = |name: &String| {
            let known = raw.available.iter().position(|modality| &modality.modality == name);
            known.map(ModalityId).ok_or_else(|| format!("pattern with `{name}`, which `available` lacks"))
        };
        let pattern = |names: &Vec<String>| match names.is_empty() {
            true => Err("an empty pattern, expected at least one modality".into()),
            false => names.iter().map(id).collect::<Result<ModalitySet, String>>(),
        };
        let patterns: Vec<ModalitySet> = raw.patterns.iter().map(pattern).collect::<Result<_, _>>()?;
        let sample = |number: &usize| {
            patterns
                .get(*number)
                .copied()
                .ok_or_else(|| format!("sample with pattern {number}, expected less than {}", patterns.len()))
        };
        let samples = raw.samples.iter().map(sample).collect::<Result<_, _>>()?;
        Ok(Self { split: raw.split, seed: raw.seed, available: raw.available, samples })
    }
}

/// The tables of a run, at most one for each split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissingTables {
    format_version: u32,
    tables: Vec<MissingTable>,
}

impl MissingTables {
    /// Where a run keeps its tables.
    pub const FILE: &str = "missing.json";

    /// No tables yet: nothing is missing.
    pub fn none() -> Self {
        Self { format_version: FORMAT_VERSION, tables: Vec::new() }
    }

    /// Adds tables for the splits of `phase`, drawn for the samples of `dataset`; a split's earlier table
    /// is replaced. Modalities that `available` does not name are always there. Splits without samples
    /// get none.
    ///
    /// Errors: a modality that the dataset lacks; shares that leave a sample with nothing.
    pub fn with(
        mut self,
        dataset: &dyn Dataset,
        phase: Phase,
        available: &[Available],
        seed: u64,
    ) -> Result<Self, DataError> {
        let known = dataset.modalities();
        if let Some(stray) =
            available.iter().find(|given| known.iter().all(|info| info.name != given.modality))
        {
            let names: Vec<_> = known.iter().map(|info| &info.name).collect();
            let reason = format!("no modality `{}`, expected one of {names:?}", stray.modality);
            return Err(DataError::unusable(reason));
        }
        let share = |info: &ModalityInfo| {
            let given = available.iter().find(|given| given.modality == info.name);
            Available { modality: info.name.clone(), share: given.map_or(Share::ALL, |given| given.share) }
        };
        let available: Vec<Available> = known.iter().map(share).collect();
        for split in phase.splits() {
            self.tables.retain(|table| table.split != *split);
            if dataset.samples(*split) > 0 {
                self.tables.push(MissingTable::draw(*split, dataset.samples(*split), &available, seed)?);
            }
        }
        Ok(self)
    }

    /// The table of a split, if something is missing there.
    pub fn of(&self, split: Split) -> Option<&MissingTable> {
        self.tables.iter().find(|table| table.split == split)
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        let json = serde_json::to_vec(self).expect("tables have string keys only");
        fs::write(path, json).map_err(|source| DataError::Write { path: path.into(), source })
    }

    /// Reads the file that [`MissingTables::write`] wrote.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let json = fs::read(path).map_err(|source| DataError::Read { path: path.into(), source })?;
        let malformed = |reason: String| DataError::malformed(path, reason);
        let tables: Self = serde_json::from_slice(&json).map_err(|error| malformed(error.to_string()))?;
        if tables.format_version != FORMAT_VERSION {
            let found = tables.format_version;
            return Err(malformed(format!("format_version is {found}, expected {FORMAT_VERSION}")));
        }
        for (index, table) in tables.tables.iter().enumerate() {
            if tables.tables[..index].iter().any(|earlier| earlier.split == table.split) {
                return Err(malformed(format!("two tables for {:?}, expected one", table.split)));
            }
        }
        Ok(tables)
    }
}

/// A dataset some of whose samples lack modalities, by table. What is missing is zero in every batch.
pub struct MissingDataset<'a> {
    inner: &'a dyn Dataset,
    tables: Vec<Arc<MissingTable>>,
}

impl<'a> MissingDataset<'a> {
    /// `inner` as `tables` leave it.
    ///
    /// Errors: a table of other modalities or of another number of samples; a dataset that pairs anew every
    /// epoch, for which "missing" would have no meaning.
    pub fn new(inner: &'a dyn Dataset, tables: &MissingTables) -> Result<Self, DataError> {
        let names: Vec<&str> = inner.modalities().iter().map(|info| info.name.as_str()).collect();
        for table in &tables.tables {
            let found: Vec<&str> =
                table.available.iter().map(|available| available.modality.as_str()).collect();
            let split = table.split;
            if found != names {
                let reason = format!("missing table for {split:?} is of {found:?}, expected {names:?}");
                return Err(DataError::unusable(reason));
            }
            let samples = inner.samples(split);
            if table.len() != samples {
                let reason =
                    format!("missing table for {split:?} is of {} samples, expected {samples}", table.len());
                return Err(DataError::unusable(reason));
            }
            if !inner.is_stable(split) {
                let reason =
                    format!("samples of {split:?} are paired anew every epoch, expected fixed pairs");
                return Err(DataError::unusable(reason));
            }
        }
        Ok(Self { inner, tables: tables.tables.iter().cloned().map(Arc::new).collect() })
    }
}

impl Dataset for MissingDataset<'_> {
    fn description(&self) -> &str {
        self.inner.description()
    }

    fn labels(&self) -> &[String] {
        self.inner.labels()
    }

    fn task(&self) -> Task {
        self.inner.task()
    }

    fn modalities(&self) -> &[ModalityInfo] {
        self.inner.modalities()
    }

    fn samples(&self, split: Split) -> usize {
        self.inner.samples(split)
    }

    fn is_stable(&self, split: Split) -> bool {
        self.inner.is_stable(split)
    }

    fn batches(&self, request: BatchRequest) -> Result<Batches, DataError> {
        let batches = self.inner.batches(request)?;
        let Some(table) = self.tables.iter().find(|table| table.split == request.split) else {
            return Ok(batches);
        };
        let table = Arc::clone(table);
        let reduce = move |batch: Result<Batch, DataError>| batch.map(|batch| reduced(batch, &table));
        Ok(Box::new(batches.map(reduce)))
    }
}

/// The batch without what the table lacks.
fn reduced(mut batch: Batch, table: &MissingTable) -> Batch {
    for modality in 0..batch.present.len() {
        let length: usize = batch.shapes[modality].iter().product();
        for (index, sample) in batch.samples.iter().enumerate() {
            if !table.sample(*sample).contains(ModalityId(modality)) {
                batch.present[modality][index] = false;
                batch.features[modality][index * length..][..length].fill(0.0);
            }
        }
    }
    batch
}

#[cfg(test)]
mod tests;
