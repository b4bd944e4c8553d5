//! Whatever became of a bundle's manifest and golden file: a bundle, or every problem with it, no panic.
//!
//! Run with `cargo +nightly fuzz run bundle` in `crates/bundle`.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use cmpt_bundle::{Bundle, BundleError, MANIFEST, testing};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// What became of one file.
#[derive(Arbitrary, Debug)]
struct Edit<'a> {
    golden: bool,
    at: u16,
    removed: u8,
    inserted: &'a [u8],
}

struct Whole {
    _folder: TempDir,
    root: PathBuf,
    manifest: Vec<u8>,
    golden_file: String,
    golden: Vec<u8>,
}

static WHOLE: LazyLock<Whole> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("tiny");
    let bundle = testing::write_tiny(&root).expect("a sound bundle");
    let golden_file = bundle.manifest().golden.file.clone();
    let read = |file: &str| fs::read(root.join(file)).expect("a file of the bundle");
    Whole { manifest: read(MANIFEST), golden: read(&golden_file), golden_file, root, _folder: folder }
});

fuzz_target!(|edits: Vec<Edit>| {
    let mut files = [WHOLE.manifest.clone(), WHOLE.golden.clone()];
    for edit in &edits {
        let bytes = &mut files[usize::from(edit.golden)];
        let start = usize::from(edit.at) % (bytes.len() + 1);
        let end = bytes.len().min(start + usize::from(edit.removed));
        bytes.splice(start..end, edit.inserted.iter().copied());
    }
    let unchanged = files[0] == WHOLE.manifest && files[1] == WHOLE.golden;
    fs::write(WHOLE.root.join(MANIFEST), &files[0]).expect("a writable folder");
    fs::write(WHOLE.root.join(&WHOLE.golden_file), &files[1]).expect("a writable folder");
    match Bundle::open(&WHOLE.root) {
        Ok(_) => assert_eq!(files[1], WHOLE.golden, "its digest says otherwise"),
        Err(error) => {
            assert!(!unchanged, "{error}");
            assert!(!error.to_string().is_empty());
            let BundleError::Invalid { problems, .. } = error else { return };
            assert!(problems.iter().count() > 0);
        }
    }
});
