//! Whatever an IDX file contains: as many values as its shape has, or an error, no panic.
//!
//! Run with `cargo +nightly fuzz run --sanitizer none idx` in `export/train`.
#![no_main]

use cmpt_train::data::idx::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (dimensions, bytes) = input;
    if let Ok(idx) = parse(bytes, dimensions.into()) {
        assert_eq!(idx.shape.iter().product::<usize>(), idx.values.len());
        assert_eq!(idx.shape.len(), usize::from(dimensions));
    }
});
