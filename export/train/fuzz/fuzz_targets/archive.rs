//! Whatever MM-IMDb's HDF5 file contains: films and posters, or errors, no panic.
//!
//! Nothing that is drawn by chance is an HDF5 file: `make fuzz` begins with those that the loader's tests read.
#![no_main]

use std::fs;

use cmpt_train::data::published::{Content, Form, Holdout};
use libfuzzer_sys::fuzz_target;

/// `numpy.save` of an object: `{"ix_to_word": {0: "a", 1: "b"}}` in the list at the end of an array's state.
const WORDS: &[u8] =
    b"\x93NUMPY\x01\x00\x0f\x00{'descr': '|O'}(I1\n(l(dVix_to_word\n(dI0\nVa\nsI1\nVb\nssat.";

fuzz_target!(|file: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("multimodal_imdb.hdf5"), file).expect("a writable folder");
    fs::write(folder.path().join("metadata.npy"), WORDS).expect("a writable folder");
    let holdout = Holdout { validation: 0.1, seed: 0 };
    let Ok(listing) = Form::MmImdb.list(folder.path(), holdout) else { return };
    for content in listing.items.iter().flat_map(|item| item.contents.iter().flatten()) {
        if let Content::Poster(poster) = content {
            let _ = poster.read();
        }
    }
});
