//! MM-IMDb as one HDF5 file, `multimodal_imdb.hdf5`, and the words that it has the numbers of, `metadata.npy`.
//!
//! Posters are cut to one size. Plots are in lower case, with `N` for every number and a space on either side of every
//! mark: what the authors' experiments read, and all that is left of them here.

use std::path::Path;
use std::sync::Arc;

use super::posters::{Poster, Posters};
use super::{splits, words};
use crate::data::batch::Split;
use crate::data::error::DataError;
use crate::data::hdf5::{Archive, Array, Element, Extent};
use crate::data::published::{Content, Item, Listing};

/// The file's name.
pub(super) const FILE: &str = "multimodal_imdb.hdf5";
const WORDS: &str = "metadata.npy";
/// Where `genres` has its names, as a JSON list.
const NAMES: &str = "target_names";

pub(super) fn list(path: &Path) -> Result<Listing, DataError> {
    let archive = Archive::open(path)?;
    let posters = Arc::new(Posters::open(&archive)?);
    let films = posters.count();
    let genres = Genres::read(&archive, films)?;
    let plots = plots(&archive, films, &words::read(&path.with_file_name(WORDS))?)?;
    let names = archive.array("imdb_ids", &[Extent::Is(films)], &[Element::Text])?.texts()?;
    let splits = splits::read(&archive, films, &["images", "genres", "sequences", "imdb_ids"])?;
    let item = |(row, split): (usize, Split)| Item {
        name: names[row].clone(),
        split,
        labels: genres.of(row),
        listed: format!("{FILE} row {row}"),
        contents: vec![
            Some(Content::Poster(Poster::new(&posters, row))),
            Some(Content::Text(plots[row].clone())),
        ],
    };
    let rows = splits.iter().flat_map(|(split, range)| range.clone().map(|row| (row, *split)));
    let items = rows.map(item).collect();
    let description =
        format!("MM-IMDb: cut posters and normalised plots under {} genres", genres.names.len());
    let mut labels = genres.names.clone();
    labels.sort();
    Ok(super::listing(description, labels, items))
}

/// The plots as texts.
fn plots(archive: &Archive, films: usize, words: &[String]) -> Result<Vec<String>, DataError> {
    let numbers = archive.array("sequences", &[Extent::Is(films)], &[Element::Sequence])?;
    let text = |(row, plot): (usize, Vec<i32>)| {
        let word = |number: &i32| {
            let word = usize::try_from(*number).ok().and_then(|number| words.get(number));
            word.map(String::as_str).ok_or_else(|| {
                let expected = format!("expected one of the {} of {WORDS}", words.len());
                numbers.wrong(format!("row {row} has word {number}, {expected}"))
            })
        };
        Ok(plot.iter().map(word).collect::<Result<Vec<&str>, _>>()?.join(" "))
    };
    numbers.sequences()?.into_iter().enumerate().map(text).collect()
}

/// Which film has which genre.
struct Genres {
    /// In the order of the columns.
    names: Vec<String>,
    /// The places of those names in alphabetical order, which is that of the other form.
    places: Vec<usize>,
    /// [films, genres].
    has: Vec<i32>,
}

impl Genres {
    fn read(archive: &Archive, films: usize) -> Result<Self, DataError> {
        let genres =
            archive.array("genres", &[Extent::Is(films), Extent::Of("genres")], &[Element::Int32])?;
        let names = Self::names(&genres)?;
        let has = genres.numbers::<i32>()?;
        if let Some(at) = has.iter().position(|has| !matches!(has, 0 | 1)) {
            let (row, column) = (at / names.len(), at % names.len());
            return Err(genres.wrong(format!("[{row}, {column}] is {}, expected 0 or 1", has[at])));
        }
        let before = |name: &String| names.iter().filter(|other| *other < name).count();
        Ok(Self { places: names.iter().map(before).collect(), names, has })
    }

    fn names(genres: &Array) -> Result<Vec<String>, DataError> {
        let text = genres.text(NAMES)?;
        let names: Vec<String> = serde_json::from_str(&text).map_err(|error| {
            genres.wrong(format!("attribute {NAMES}: {error}, expected a JSON list of names"))
        })?;
        let different: std::collections::BTreeSet<&String> = names.iter().collect();
        match (names.len(), different.len()) == (genres.shape[1], genres.shape[1]) {
            true => Ok(names),
            false => Err(genres.wrong(format!(
                "attribute {NAMES} has {} different names in {}, expected {} as columns",
                different.len(),
                names.len(),
                genres.shape[1]
            ))),
        }
    }

    fn of(&self, film: usize) -> Vec<usize> {
        let row = &self.has[film * self.names.len()..][..self.names.len()];
        let mut labels: Vec<usize> =
            row.iter().zip(&self.places).filter(|(has, _)| **has == 1).map(|(_, place)| *place).collect();
        labels.sort_unstable();
        labels
    }
}
