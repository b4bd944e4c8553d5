//! Whatever MM-IMDb's pickled words contain: words, or an error, no panic.
//!
//! Run with `cargo +nightly fuzz run --sanitizer none words` in `export/train`.
#![no_main]

use cmpt_train::data::published::parse_mm_imdb_words;
use libfuzzer_sys::fuzz_target;

/// What duplicates the last value. The crate copies it, so that forty of them fill a memory; no pickler writes it.
const DUP: u8 = b'2';

fuzz_target!(|pickle: &[u8]| {
    if pickle.contains(&DUP) {
        return;
    }
    let head = b"\x93NUMPY\x01\x00\x0f\x00{'descr': '|O'}";
    let _ = parse_mm_imdb_words(&[head, pickle].concat());
});
