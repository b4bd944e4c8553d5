//! MM-IMDb's HDF5 form, as the authors of the GMU paper publish it: listed, prepared, read back as batches, and named
//! where it is spoilt.
//!
//! `gmu/fixture.py` writes it with h5py; `make setup-test` runs it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use cmpt_bundle::manifest::{FrontEnd, Task};
use cmpt_core::features::PictureFrontEnd;
use cmpt_train::data::batch::{Batch, BatchRequest, Dataset, Split, Targets};
use cmpt_train::data::media::MediaDataset;
use cmpt_train::data::prepare::Prepare;
use cmpt_train::data::published::{Content, Form, Holdout, Item, Listing};
use cmpt_train::data::rgb::Rgb;

const ARCHIVE: &str = "multimodal_imdb.hdf5";
const WORDS: [&str; 16] = [
    "_UNK_", ".", "the", "a", "film", "of", "N", "days", ",", "café", "'", "s", "heist", "déjà", "vu", "ends",
];

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    prepare: Prepare,
}

fn prepare(root: &Path, out: &Path, more: &[&str]) -> Result<(), String> {
    let fixed = ["prepare", "mm-imdb", "--root", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let command = Command::try_parse_from([&fixed, more].concat()).unwrap();
    command.prepare.run().map_err(|error| format!("{error:#}"))
}

fn fixture(case: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv-hdf5/fixture").join(case);
    assert!(folder.is_dir(), "no {}; run make setup-test", folder.display());
    folder
}

fn list(root: &Path) -> Result<Listing, String> {
    let listing = Form::MmImdb.list(root, Holdout { validation: 0.25, seed: 1 });
    listing.map_err(|error| format!("{:#}", anyhow::Error::from(error)))
}

/// The picture of a film, as the fixture draws it.
fn poster(film: usize, width: usize, height: usize) -> Rgb {
    let pixel =
        |(x, y): (usize, usize)| [x + 29 * film, y + x * film, x * y + 7 * film].map(|value| value as u8);
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    Rgb { width: width as u32, height: height as u32, values: places.flat_map(pixel).collect() }
}

fn picture(item: &Item) -> Rgb {
    let Some(Content::Poster(poster)) = &item.contents[0] else {
        panic!("a poster, not {:?}", item.contents[0])
    };
    poster.read().unwrap()
}

/// The plot of a film, as the fixture writes it.
fn plot(film: usize) -> String {
    (0..3 + 40 * film).map(|place| WORDS[1 + (film + place) % 15]).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_published_file_has_names_splits_genres_plots_and_posters() {
    let listing = list(&fixture("whole")).unwrap();
    assert_eq!((listing.task, listing.items.len(), listing.labels.len()), (Task::Multilabel, 10, 23));
    assert!(listing.labels.is_sorted(), "in the order of the other form");
    let of = |split| listing.items.iter().filter(move |item| item.split == split).count();
    assert_eq!([Split::Train, Split::Validation, Split::Test].map(of), [6, 2, 2]);
    let genres = |film: usize| -> Vec<&str> {
        listing.items[film].labels.iter().map(|label| &listing.labels[*label][..]).collect()
    };
    assert_eq!((genres(0), genres(2)), (vec!["Comedy", "Drama"], vec!["Romance", "Thriller"]));
    assert_eq!(genres(9), [""; 0]);
    for (film, item) in listing.items.iter().enumerate() {
        assert_eq!(
            (&item.name, &item.listed),
            (&format!("{:07}", film * 1009), &format!("{ARCHIVE} row {film}"))
        );
        assert_eq!(item.contents[1], Some(Content::Text(plot(film))));
        let (found, drawn) = (picture(item), poster(film, 160, 256));
        assert_eq!((found.width, found.height), (160, 256));
        let near = |(at, (found, drawn)): (usize, (&u8, &u8))| {
            // The one value below each mean is cut to the same zero as the one above it.
            *found == *drawn || (*drawn == [123, 116, 103][at % 3] && *found == *drawn + 1)
        };
        assert!(found.values.iter().zip(&drawn.values).enumerate().all(near), "film {film}");
    }
}

#[test]
fn fractions_and_pickles_of_any_age_are_read_alike() {
    let [now, real] = ["protocol-of-now", "real-pictures"].map(|case| list(&fixture(case)).unwrap());
    assert_eq!(now.items.len(), 4);
    for (film, (now, real)) in now.items.iter().zip(&real.items).enumerate() {
        assert_eq!(now.contents[1], Some(Content::Text(plot(film))));
        assert_eq!(picture(real), poster(film, 5, 8), "nothing was cut off");
        assert_eq!((&now.name, &now.labels, now.split), (&real.name, &real.labels, real.split));
    }
}

fn first_batch(dataset: &MediaDataset, split: Split) -> Batch {
    let request = BatchRequest { split, batch_size: 2, seed: 1, epoch: 0, skip: 0 };
    dataset.batches(request).unwrap().next().unwrap().unwrap()
}

fn vocabulary(folder: &Path) -> PathBuf {
    let path = folder.join("vocab.txt");
    fs::write(&path, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nfilm\ncafe\nn\n,\n'\n").unwrap();
    path
}

#[test]
fn it_trains_as_if_it_had_been_files() {
    let folder = tempfile::tempdir().unwrap();
    let (out, vocabulary) = (folder.path().join("out"), vocabulary(folder.path()));
    prepare(&fixture("whole"), &out, &["--vocabulary", vocabulary.to_str().unwrap()]).unwrap();
    let dataset = MediaDataset::open(&out).unwrap();
    assert_eq!([Split::Train, Split::Validation, Split::Test].map(|split| dataset.samples(split)), [6, 2, 2]);
    let batch = first_batch(&dataset, Split::Test);
    assert_eq!(batch.shapes, [vec![3, 224, 224], vec![256]]);
    let FrontEnd::Picture(spec) = &dataset.modalities()[0].front_end else { panic!("posters are pictures") };
    let film = &list(&fixture("whole")).unwrap().items[8];
    let Rgb { width, height, values } = picture(film);
    let features = PictureFrontEnd::new(spec).unwrap().features(&values, width, height).unwrap();
    assert!(batch.features[0][..features.len()] == features, "as of a picture in a file");
    // Of `café ' s heist ...`, and of as many words as fit.
    assert_eq!(batch.features[1][..6], [2.0, 7.0, 10.0, 1.0, 1.0, 1.0]);
    assert_eq!(batch.features[1][255], 3.0);
    let Targets::MultiHot(genres) = &batch.targets else { panic!("films have any number of genres") };
    assert_eq!(genres[0].iter().filter(|has| **has).count(), 2);
    assert_eq!(genres[1].iter().filter(|has| **has).count(), 0);
}

#[test]
fn a_corrupt_poster_is_left_out_within_the_limit_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out, vocabulary) =
        (fixture("bright-picture"), folder.path().join("out"), vocabulary(folder.path()));
    let words = ["--vocabulary", vocabulary.to_str().unwrap()];
    let error = prepare(&root, &out, &[&words[..], &["--max-corrupt", "0"]].concat()).unwrap_err();
    let expected =
        "multimodal_imdb.hdf5 cannot be decoded: images[1] is 400 at [2, 4, 3], expected -123.68 to 131.32";
    assert!(error.contains("multimodal_imdb.hdf5 row 1") && error.contains(expected), "{error}");
    prepare(&root, &out, &words).unwrap();
    assert_eq!(MediaDataset::open(&out).unwrap().samples(Split::Train), 1);
    let left_out = fs::read_to_string(out.join("left-out.jsonl")).unwrap();
    assert!(left_out.lines().count() == 1 && left_out.contains("0001009"), "{left_out}");
}

#[test]
fn what_is_spoilt_is_named_with_what_was_expected() {
    let wrong = |case: &str, expected: &str| {
        let error = list(&fixture(case)).unwrap_err();
        assert!(error.contains(&format!("{case}/{ARCHIVE}")) && error.contains(expected), "{case}: {error}");
    };
    let pictures = "expected [films, 3, height, width] of int32 or float32";
    wrong("channels-last", &format!("dataset images: shape is [4, 8, 5, 3], {pictures}"));
    wrong("bytes", "dataset images: elements are uint8, expected");
    wrong("bytes", pictures);
    wrong("no-genres", "dataset genres: it is not there, expected [4, genres] of int32");
    wrong("real-genres", "dataset genres: elements are float32, expected [4, genres] of int32");
    wrong("fewer-genres", "dataset genres: attribute target_names has 23 different names in 23, expected 22");
    wrong("genre-of-two", "dataset genres: [2, 5] is 2, expected 0 or 1");
    wrong("no-names", "dataset genres: attribute target_names: it is not there");
    wrong("other-names", "expected a JSON list of names");
    wrong("fewer-ids", "dataset imdb_ids: shape is [3], expected [4] of texts");
    wrong("flat-sequences", "dataset sequences: elements are int32, ");
    wrong("flat-sequences", "expected [4] of sequences of int32");
    wrong("unknown-word", "dataset sequences: row 1 has word 16, expected one of the 16 of metadata.npy");
    wrong("negative-word", "dataset sequences: row 3 has word -1");
    wrong("no-split", "attribute split: it is not there");
    wrong("plain-split", "attribute split: rows are int64, expected split, source");
    wrong("unknown-split", "attribute split: split is \"tiny\", expected `train`, `dev` or `test`");
    wrong("split-beyond", "attribute split: test is 3..5, expected rows out of 4");
    wrong(
        "split-overlaps",
        "attribute split: test is 1..4, expected none of 0..2, which are of another split",
    );
    wrong("split-differs", "attribute split: test has 3..4 of genres, expected 3..3 as of images");
    wrong("split-unavailable", "attribute split: test has no images");
    wrong("split-subset", "attribute split: test has chosen rows of images, expected a range");
}

#[test]
fn a_file_that_breaks_off_or_is_another_or_lacks_its_words_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, words) = (folder.path().join(ARCHIVE), folder.path().join("metadata.npy"));
    let wrong = |expected: &str| {
        let error = list(folder.path()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    let whole = fs::read(fixture("protocol-of-now").join(ARCHIVE)).unwrap();
    fs::write(&archive, &whole).unwrap();
    wrong("metadata.npy: it is not there, and the HDF5 file has numbers of words only");
    fs::write(&words, "no words").unwrap();
    wrong("metadata.npy: it does not begin as a file of numpy");
    fs::copy(fixture("protocol-of-now").join("metadata.npy"), &words).unwrap();
    list(folder.path()).unwrap();
    fs::write(&archive, "no archive").unwrap();
    wrong("expected an HDF5 file");
    // Wherever it breaks off it is an error, and never a shorter set.
    for length in (0..whole.len() - 1).step_by(997) {
        fs::write(&archive, &whole[..length]).unwrap();
        if let Ok(listing) = list(folder.path()) {
            assert!(listing.items.iter().any(|item| matches!(&item.contents[0], Some(Content::Poster(poster)) if poster.read().is_err())), "{length}");
        }
    }
}

#[test]
fn films_in_files_of_their_own_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let error = list(folder.path()).unwrap_err();
    assert!(error.contains("split.json") && error.contains(ARCHIVE), "{error}");
    fs::copy(fixture("protocol-of-now").join(ARCHIVE), folder.path().join(ARCHIVE)).unwrap();
    fs::write(folder.path().join("split.json"), r#"{"test": ["1"]}"#).unwrap();
    fs::create_dir(folder.path().join("dataset")).unwrap();
    fs::write(folder.path().join("dataset/1.json"), r#"{"genres": ["War"], "plot": ["A plot"]}"#).unwrap();
    let listing = list(folder.path()).unwrap();
    assert_eq!((listing.items.len(), &listing.items[0].name[..]), (1, "1"));
}
