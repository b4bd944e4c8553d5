//! A bundle as one `.tar.zst` is the same bundle.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use cmpt_bundle::{Bundle, BundleError, testing};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

fn write(path: &Path, fill: impl FnOnce(&mut Builder<Vec<u8>>)) {
    let mut builder = Builder::new(Vec::new());
    fill(&mut builder);
    let tar = builder.into_inner().unwrap();
    fs::write(path, compress_to_vec(tar.as_slice(), CompressionLevel::Fastest)).unwrap();
}

fn tiny() -> (TempDir, PathBuf, PathBuf) {
    let folder = TempDir::new().unwrap();
    let (bundle, archive) = (folder.path().join("tiny"), folder.path().join("tiny.tar.zst"));
    testing::write_tiny(&bundle).unwrap();
    (folder, bundle, archive)
}

fn message(path: &Path) -> String {
    match Bundle::open(path) {
        Err(error @ BundleError::Invalid { .. }) => error.to_string(),
        other => panic!("expected an invalid bundle, found {other:?}"),
    }
}

#[test]
fn an_archive_opens_as_its_folder_does_and_cleans_up() {
    let (_folder, bundle, archive) = tiny();
    write(&archive, |tar| tar.append_dir_all(".", &bundle).unwrap());
    let (from_folder, from_archive) = (Bundle::open(&bundle).unwrap(), Bundle::open(&archive).unwrap());
    assert_eq!(from_archive.digest(), from_folder.digest());
    assert_eq!(from_archive.golden(), from_folder.golden());
    let fusion = from_archive.fusion_path();
    let clone = from_archive.clone();
    drop(from_archive);
    assert!(fusion.is_file(), "a clone still needs it");
    drop(clone);
    assert!(!fusion.exists());
}

#[test]
fn an_archive_without_a_manifest_is_not_found() {
    let (_folder, _, archive) = tiny();
    write(&archive, |_| {});
    assert!(matches!(Bundle::open(&archive), Err(BundleError::NotFound { path }) if path == archive));
}

#[test]
fn what_is_no_archive_is_called_that() {
    let (_folder, bundle, archive) = tiny();
    let onnx = message(&bundle.join("audio.onnx"));
    assert!(onnx.contains("audio.onnx: not a .tar.zst that can be unpacked: "), "{onnx}");
    write(&archive, |tar| tar.append_dir_all(".", &bundle).unwrap());
    let whole = fs::read(&archive).unwrap();
    fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
    let cut = message(&archive);
    assert!(cut.contains("tiny.tar.zst: not a .tar.zst that can be unpacked: "), "{cut}");
}

#[test]
fn links_and_paths_that_leave_the_bundle_are_refused() {
    let (_folder, _, archive) = tiny();
    let entry = |kind, name: &str| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o644);
        // Past the checks of `set_path`, as an attacker would.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_link_name("/etc/passwd").unwrap();
        header.set_cksum();
        header
    };
    for (kind, name) in [
        (EntryType::Symlink, "audio.onnx"),
        (EntryType::Link, "audio.onnx"),
        (EntryType::Regular, "../audio.onnx"),
        (EntryType::Regular, "/tmp/audio.onnx"),
        (EntryType::Directory, "../models"),
    ] {
        write(&archive, |tar| tar.append(&entry(kind, name), &[][..]).unwrap());
        let found = message(&archive);
        assert!(found.contains(&format!("has {name:?} in it, expected files and folders")), "{found}");
    }
}
