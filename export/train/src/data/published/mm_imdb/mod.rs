//! MM-IMDb (Arevalo et al. 2017): plot and poster of a film, and its genres.
//!
//! It is published in two forms: a JSON and a JPEG file for each film, and one HDF5 file that its authors made of
//! those for their experiments. The files have the plot and the poster as they were, so they come first where both
//! are there.

mod archive;
mod films;
mod posters;
mod splits;
mod words;

use std::path::Path;

use cmpt_bundle::manifest::Task;
use cmpt_core::modality::Kind;

use super::{FieldError, Item, Listing};
use crate::data::batch::Split;
use crate::data::error::DataError;

pub use posters::Poster;
pub use words::parse as parse_words;

pub(super) fn list(root: &Path) -> Result<Listing, DataError> {
    let [films, archive] = [films::SPLITS, archive::FILE].map(|file| root.join(file));
    match (films.exists(), archive.exists()) {
        (true, _) => films::list(root),
        (false, true) => archive::list(&archive),
        (false, false) => {
            let reason = format!("neither {} nor {} is there", films::SPLITS, archive::FILE);
            Err(DataError::malformed(root, reason))
        }
    }
}

fn listing(description: String, labels: Vec<String>, items: Vec<Item>) -> Listing {
    let modalities = vec![("image".into(), Kind::Image), ("text".into(), Kind::Text)];
    Listing { description, task: Task::Multilabel, labels, modalities, items }
}

/// The split that both forms call `name`.
fn split(name: &str) -> Result<Split, FieldError> {
    match name {
        "train" => Ok(Split::Train),
        "dev" | "val" => Ok(Split::Validation),
        "test" => Ok(Split::Test),
        other => Err(FieldError::new("split", other, "`train`, `dev` or `test`")),
    }
}
