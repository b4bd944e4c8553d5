//! Whatever became of a configuration: it is valid, or every mistake has a line that is there, no panic.
//!
//! Run with `cargo +nightly fuzz run --sanitizer none config`.
#![no_main]

use std::path::Path;

use arbitrary::Arbitrary;
use cmpt::config::Config;
use libfuzzer_sys::fuzz_target;

/// What is shipped, which has every key but those of another modality.
const WHOLE: [&str; 2] =
    [include_str!("../../config/cmptd.toml"), include_str!("../../config/avdigits.toml")];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    whole: bool,
    edits: Vec<Edit<'a>>,
}

/// What became of a few lines.
#[derive(Arbitrary, Debug)]
struct Edit<'a> {
    at: u16,
    removed: u8,
    inserted: &'a str,
}

fuzz_target!(|input: Input| {
    let mut text = WHOLE[usize::from(input.whole)].to_owned();
    for edit in &input.edits {
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).chain([text.len()]).collect();
        let start = usize::from(edit.at) % places.len();
        let end = (start + usize::from(edit.removed)).min(places.len() - 1);
        text.replace_range(places[start]..places[end], edit.inserted);
    }
    let Err(error) = Config::parse(Path::new("c.toml"), &text) else { return };
    let told = error.to_string();
    assert!(told.lines().any(|line| line.starts_with("c.toml")), "{told}");
});
