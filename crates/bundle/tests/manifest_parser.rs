//! No manifest, however broken, gets past the parser or breaks it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::sync::LazyLock;

use cmpt_bundle::{Bundle, BundleError, MANIFEST, testing};
use proptest::prelude::*;
use tempfile::TempDir;

/// Opens a folder that holds only this manifest: no bytes make a sound bundle there.
fn open(bytes: &[u8]) -> Result<Bundle, BundleError> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(MANIFEST), bytes).unwrap();
    Bundle::open(folder.path())
}

static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bundle");
    testing::write_tiny(&path).unwrap();
    fs::read(path.join(MANIFEST)).unwrap()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_refused_with_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let error = open(&bytes).unwrap_err();
        prop_assert!(error.to_string().contains(": "));
    }

    #[test]
    fn a_spliced_manifest_is_refused_with_a_reason(
        cut in 0.0..1.0f64,
        length in 0..40usize,
        insert in "[\\[\\]{}\",:0-9a-z.\\-e ]{0,12}",
    ) {
        let mut json = SOUND.clone();
        let start = (cut * json.len() as f64) as usize;
        let end = (start + length).min(json.len());
        json.splice(start..end, insert.bytes());
        let error = open(&json).unwrap_err();
        prop_assert!(matches!(error, BundleError::Invalid { .. }), "{error}");
    }
}
