//! MM-IMDb as `split.json`, and `dataset/{film}.json` and `dataset/{film}.jpeg` for each film.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::data::batch::Split;
use crate::data::error::DataError;
use crate::data::published::{Content, FieldError, Item, Listing, read_text};

/// Which film is of which split.
pub(super) const SPLITS: &str = "split.json";
const FOLDER: &str = "dataset";

/// The genres that are told apart; films have others too, which are too rare to learn.
#[rustfmt::skip] // a genre a line would be 23 lines
const GENRES: [&str; 23] = [
    "Action", "Adventure", "Animation", "Biography", "Comedy", "Crime", "Documentary", "Drama", "Family",
    "Fantasy", "Film-Noir", "History", "Horror", "Music", "Musical", "Mystery", "Romance", "Sci-Fi", "Short",
    "Sport", "Thriller", "War", "Western",
];

/// What is of use in `{film}.json`.
#[derive(Debug, Deserialize)]
struct Film {
    genres: Vec<String>,
    plot: Vec<String>,
}

pub(super) fn list(root: &Path) -> Result<Listing, DataError> {
    let path = root.join(SPLITS);
    let splits: BTreeMap<String, Vec<String>> = serde_json::from_str(&read_text(&path)?)
        .map_err(|error| DataError::malformed(&path, format!("{error}, expected lists of films by split")))?;
    let mut items = Vec::new();
    for (name, films) in &splits {
        let split = super::split(name).map_err(|error| DataError::malformed(&path, error.to_string()))?;
        for film in films {
            items.push(read_film(root, film, split)?);
        }
    }
    let labels = GENRES.map(str::to_owned).into();
    Ok(super::listing("MM-IMDb: posters and plots under 23 genres".into(), labels, items))
}

fn read_film(root: &Path, film: &str, split: Split) -> Result<Item, DataError> {
    if film.is_empty() || !film.bytes().all(|byte| byte.is_ascii_digit()) {
        let error = FieldError::new("film", film, "a number");
        return Err(DataError::malformed(root.join(SPLITS), error.to_string()));
    }
    let folder = root.join(FOLDER);
    let path = folder.join(format!("{film}.json"));
    let parsed: Film = serde_json::from_str(&read_text(&path)?)
        .map_err(|error| DataError::malformed(&path, format!("{error}, expected `genres` and `plot`")))?;
    let genres = (0..GENRES.len()).filter(|index| parsed.genres.iter().any(|genre| genre == GENRES[*index]));
    // The first of the longest, as the set's authors take it.
    let longer =
        |one: String, other: String| if other.chars().count() > one.chars().count() { other } else { one };
    let plot = parsed.plot.into_iter().reduce(longer);
    let image = Content::File(folder.join(format!("{film}.jpeg")));
    Ok(Item {
        name: film.to_owned(),
        split,
        labels: genres.collect(),
        listed: SPLITS.into(),
        contents: vec![Some(image), plot.map(Content::Text)],
    })
}
