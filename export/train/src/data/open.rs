//! Whatever `prepare` wrote, as a dataset.

use std::path::Path;

use super::batch::Dataset;
use super::dataset::PreparedDataset;
use super::error::DataError;
use super::media::{MediaDataset, MediaStore};
use super::paired::PairedDataset;
use super::store::{Pairing, Store};

/// How a dataset is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Modalities by name, in the order that is wanted; all of them where none is named.
    pub modalities: Vec<String>,
    /// The seed that draws the pairs of a class-level training split once for good; without one they are
    /// drawn anew every epoch. Pairs that belong together stay together either way.
    pub fixed_pairs: Option<u64>,
}

/// Opens the folder that `prepare` wrote.
pub fn open(folder: &Path, opening: &Opening) -> Result<Box<dyn Dataset>, DataError> {
    let names = &opening.modalities;
    if MediaStore::is_at(folder) {
        let all = MediaDataset::open(folder)?;
        return Ok(Box::new(if names.is_empty() { all } else { all.with_modalities(names)? }));
    }
    let store = Store::read(folder)?;
    if store.header.pairing == Pairing::Instance {
        let all = PairedDataset::new(&store)?;
        return Ok(Box::new(if names.is_empty() { all } else { all.with_modalities(names)? }));
    }
    let all = PreparedDataset::new(store)?;
    let some = if names.is_empty() { all } else { all.with_modalities(names)? };
    Ok(Box::new(match opening.fixed_pairs {
        Some(seed) => some.with_fixed_pairs(seed),
        None => some,
    }))
}
