//! A bundle appears whole or not at all, and reads back as it was written.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;

use cmpt_bundle::{Bundle, BundleWriter, WriteError, testing};
use cmpt_core::modality::{ModalityId, ModalitySet};
use tempfile::TempDir;

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_is_written_reads_back() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("models/tiny");
    let written = testing::write_tiny(&path).unwrap();
    let bundle = Bundle::open(&path).unwrap();
    assert_eq!(bundle.manifest(), written.manifest());
    assert_eq!(bundle.digest(), written.digest());
    assert_eq!(bundle.golden(), written.golden());
    assert_eq!(bundle.digest().len(), 64);
    assert_eq!(bundle.manifest().files.len(), 5);
    assert!(bundle.fusion_path().is_file());

    let manifest = bundle.manifest();
    assert_eq!(manifest.modality("video"), Some(ModalityId(1)));
    assert_eq!(manifest.modality("touch"), None);
    assert_eq!(manifest.modalities[0].part_shape(), [98, 16]);
    assert_eq!(manifest.modalities[1].part_shape(), [1, 8, 8]);
    let sound_only = ModalitySet::from_iter([ModalityId(0)]);
    assert_eq!(manifest.pattern(sound_only).unwrap().temperature, 1.5);
    assert_eq!(manifest.pattern(ModalitySet::empty()), None);
    assert_eq!(bundle.golden().features("video").unwrap().shape, [2, 1, 8, 8]);
    assert_eq!(bundle.golden().logits(&manifest.patterns[2]).unwrap().shape, [2, 2]);
}

#[test]
fn any_number_of_modalities_is_written() {
    let folder = TempDir::new().unwrap();
    let mut manifest = testing::manifest();
    let mut depth = manifest.modalities[1].clone();
    depth.name = "depth".to_owned();
    depth.encoder = "depth.onnx".to_owned();
    manifest.modalities.push(depth);
    let names: Vec<String> = manifest.modalities.iter().map(|m| m.name.clone()).collect();
    for modality in &mut manifest.modalities {
        modality.proxies = names.iter().filter(|name| **name != modality.name).cloned().collect();
    }
    manifest.patterns[0].available = names;
    let bundle = testing::write(folder.path().join("three"), manifest).unwrap();
    let pattern = bundle.manifest().pattern(ModalitySet::all(3)).unwrap();
    assert_eq!(pattern.key(), "audio+video+depth");
    assert!(bundle.golden().proxy("depth", "audio").is_some());
}

#[test]
fn a_bundle_is_never_overwritten() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bundle");
    testing::write_tiny(&path).unwrap();
    assert!(matches!(BundleWriter::create(&path), Err(WriteError::Exists { .. })));
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let mut writer = BundleWriter::create(folder.path().join("bundle")).unwrap();
    writer.add("audio.onnx", b"half a model").unwrap();
    assert_eq!(names(&folder).len(), 1);
    drop(writer);
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[test]
fn what_would_not_open_is_not_written() {
    let folder = TempDir::new().unwrap();
    let mut manifest = testing::manifest();
    manifest.patterns[1].temperature = 0.0;
    let error = testing::write(folder.path().join("bundle"), manifest).unwrap_err();
    assert!(error.to_string().contains("`patterns[1].temperature` is 0"), "{error}");
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[test]
fn file_names_that_leave_the_bundle_are_refused() {
    let folder = TempDir::new().unwrap();
    let mut writer = BundleWriter::create(folder.path().join("bundle")).unwrap();
    for name in ["../audio.onnx", "/audio.onnx", "", "manifest.json"] {
        assert!(matches!(writer.add(name, b""), Err(WriteError::Name { .. })), "{name}");
    }
}
