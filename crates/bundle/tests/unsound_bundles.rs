//! Whatever is wrong with a bundle is found when it is opened, all of it at once, and named.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use cmpt_bundle::manifest::Manifest;
use cmpt_bundle::{Bundle, BundleError, MANIFEST, Problem, testing};
use serde_json::{Value, json};
use tempfile::TempDir;

fn tiny() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bundle");
    testing::write_tiny(&path).unwrap();
    (folder, path)
}

fn problems(path: &Path) -> Vec<Problem> {
    match Bundle::open(path) {
        Err(BundleError::Invalid { problems, .. }) => problems.into_iter().collect(),
        other => panic!("expected an invalid bundle, found {other:?}"),
    }
}

/// The messages for a bundle whose manifest was edited.
fn after_edit(edit: impl FnOnce(&mut Value)) -> Vec<String> {
    let (_folder, path) = tiny();
    let file = path.join(MANIFEST);
    let mut manifest: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    edit(&mut manifest);
    fs::write(&file, manifest.to_string()).unwrap();
    problems(&path).iter().map(Problem::to_string).collect()
}

fn check(pointer: &str, value: Value, expected: &str) {
    let messages = after_edit(|manifest| *manifest.pointer_mut(pointer).unwrap() = value);
    assert!(messages.iter().any(|m| m == expected), "{pointer}: {messages:#?}\nlacks {expected}");
}

#[test]
fn a_flipped_byte_anywhere_is_detected() {
    let (_folder, path) = tiny();
    let manifest: Manifest = serde_json::from_slice(&fs::read(path.join(MANIFEST)).unwrap()).unwrap();
    for entry in &manifest.files {
        let file = path.join(&entry.path);
        let sound = fs::read(&file).unwrap();
        for at in (0..sound.len()).step_by(sound.len() / 20 + 1).chain([sound.len() - 1]) {
            for bit in [1, 0x80] {
                let mut flipped = sound.clone();
                flipped[at] ^= bit;
                fs::write(&file, &flipped).unwrap();
                let found = problems(&path);
                assert!(
                    found.iter().any(|p| matches!(p, Problem::Digest { file, .. } if *file == entry.path)),
                    "byte {at} of {}: {found:?}",
                    entry.path
                );
            }
        }
        fs::write(&file, &sound).unwrap();
    }
    assert!(Bundle::open(&path).is_ok());
}

/// Within the manifest a flip can only leave another manifest, so what must change is the digest.
#[test]
fn a_flipped_byte_of_the_manifest_is_refused_or_changes_the_digest() {
    let (_folder, path) = tiny();
    let file = path.join(MANIFEST);
    let digest = Bundle::open(&path).unwrap().digest().to_owned();
    let sound = fs::read(&file).unwrap();
    for at in (0..sound.len()).step_by(7) {
        let mut flipped = sound.clone();
        flipped[at] ^= 1;
        fs::write(&file, &flipped).unwrap();
        if let Ok(bundle) = Bundle::open(&path) {
            assert_ne!(bundle.digest(), digest, "byte {at}");
        }
    }
}

#[test]
fn a_truncated_a_missing_and_a_changed_file_are_reported_together() {
    let (_folder, path) = tiny();
    fs::remove_file(path.join("audio.onnx")).unwrap();
    let fusion = fs::read(path.join("fusion.onnx")).unwrap();
    fs::write(path.join("fusion.onnx"), &fusion[1..]).unwrap();
    fs::write(path.join("README.md"), fs::read_to_string(path.join("README.md")).unwrap().to_uppercase())
        .unwrap();
    let found = problems(&path);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(matches!(&found[0], Problem::Read { file, .. } if file == "audio.onnx"));
    assert!(matches!(&found[1], Problem::Size { file, found, expected }
        if file == "fusion.onnx" && found + 1 == *expected));
    assert!(matches!(&found[2], Problem::Digest { file, .. } if file == "README.md"));
}

#[test]
fn a_folder_without_a_manifest_is_not_found() {
    let folder = TempDir::new().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("nowhere")] {
        assert!(matches!(Bundle::open(&path), Err(BundleError::NotFound { .. })), "{path:?}");
    }
    let error = Bundle::open("nowhere").unwrap_err().to_string();
    let tried = std::env::current_dir().unwrap().join("nowhere");
    assert_eq!(
        error,
        format!("open bundle {}: no folder with a manifest.json there, and no .tar.zst", tried.display())
    );
}

#[test]
fn each_wrong_value_is_named_with_what_was_expected() {
    check("/format_version", json!(2), "manifest.json: `format_version` is 2, expected 1");
    check("/name", json!("a/b"), "manifest.json: `name` is \"a/b\", expected [A-Za-z0-9_-]+");
    check("/version", json!(""), "manifest.json: `version` is \"\", expected [A-Za-z0-9_.+-]+");
    check(
        "/labels/1",
        json!("low"),
        "manifest.json: `labels[1]` is \"low\", expected a name that is not taken",
    );
    check("/window/hop_ms", json!(0), "manifest.json: `window.hop_ms` is 0, expected 1 to 3600000");
    check(
        "/window/length_ms",
        json!(3_600_001),
        "manifest.json: `window.length_ms` is 3600001, expected 1 to 3600000",
    );
    check("/modalities/0/width", json!(0), "manifest.json: `modalities[0].width` is 0, expected at least 1");
    // What no memory holds is told before it is allocated.
    check(
        "/modalities/0/front_end/n_mels",
        json!(1_u64 << 48),
        "manifest.json: `modalities[0].front_end.n_mels` is 281474976710656, expected 1 to half of `fft_samples`",
    );
    check(
        "/modalities/0/frames",
        json!(3),
        "manifest.json: `modalities[0].frames` is 3, expected 1, because only video has several",
    );
    check(
        "/modalities/0/kind",
        json!("video"),
        "manifest.json: `modalities[0].front_end.type` is log_mel, \
         expected picture, because the modality is video or image",
    );
    check(
        "/modalities/1/proxies/0",
        json!("touch"),
        "manifest.json: `modalities[1].proxies[0]` is \"touch\", expected the name of another modality",
    );
    check(
        "/modalities/1/proxies",
        json!([]),
        "manifest.json: `modalities[1].proxies` is [], \
         expected a proxy for every other modality, here also \"audio\"",
    );
    check(
        "/modalities/0/encoder",
        json!("../audio.onnx"),
        "manifest.json: `modalities[0].encoder` is \"../audio.onnx\", expected a path that `files` lists",
    );
    check(
        "/files/0/path",
        json!("../audio.onnx"),
        "manifest.json: `files[0].path` is \"../audio.onnx\", expected a plain relative path inside the bundle",
    );
    check(
        "/patterns/0/available",
        json!(["video", "audio"]),
        "manifest.json: `patterns[0].available` is [\"video\", \"audio\"], \
         expected one or more of [\"audio\", \"video\"], in this order",
    );
    check(
        "/patterns/1/available",
        json!(["video"]),
        "manifest.json: `patterns[2].available` is [\"video\"], expected a pattern that is not listed before",
    );
    check(
        "/patterns/1/temperature",
        json!(-1.0),
        "manifest.json: `patterns[1].temperature` is -1, expected a positive number",
    );
    check(
        "/patterns/1/per_class",
        json!([0.5]),
        "manifest.json: `patterns[1].per_class` is a list of 1, expected 2 values, one per label",
    );
    check(
        "/patterns/2/metric/value",
        json!(97.5),
        "manifest.json: `patterns[2].metric.value` is 97.5, expected a number in [0, 1]",
    );
    check(
        "/golden/tolerance",
        json!(0.0),
        "manifest.json: `golden.tolerance` is 0, expected a positive number",
    );
}

#[test]
fn front_end_parameters_are_those_that_core_accepts() {
    let messages = after_edit(|manifest| {
        manifest["modalities"][0]["front_end"]["fft_samples"] = json!(500);
        manifest["modalities"][1]["front_end"]["edge"] = json!(0);
    });
    assert!(
        messages.iter().any(|m| m.contains("`modalities[0].front_end.fft_samples` is 500")),
        "{messages:?}"
    );
    assert!(messages.iter().any(|m| m.contains("`modalities[1].front_end.edge` is 0")), "{messages:?}");
}

#[test]
fn the_pattern_of_all_modalities_is_required() {
    let messages = after_edit(|manifest| drop(manifest["patterns"].as_array_mut().unwrap().remove(0)));
    assert_eq!(
        messages,
        [
            "manifest.json: `patterns` is [\"audio\", \"video\"], expected at least the pattern of all modalities"
        ]
    );
}

#[test]
fn a_misspelt_key_is_named_with_its_place() {
    let messages = after_edit(|manifest| manifest["modalities"][1]["encodre"] = json!("video.onnx"));
    assert_eq!(messages.len(), 1);
    assert!(messages[0].starts_with("manifest.json: `modalities[1].encodre`: unknown field"), "{messages:?}");
}

#[test]
fn a_manifest_of_another_version_is_called_that_whatever_else_it_has() {
    let messages = after_edit(|manifest| {
        manifest["format_version"] = json!(7);
        manifest["hologram"] = json!(true);
    });
    assert_eq!(messages, ["manifest.json: `format_version` is 7, expected 1"]);
}

#[test]
fn golden_tensors_must_be_there_with_their_shapes() {
    use safetensors::tensor::{Dtype, TensorView};
    let (_folder, path) = tiny();
    let mut manifest: Manifest = serde_json::from_slice(&fs::read(path.join(MANIFEST)).unwrap()).unwrap();
    let bytes = fs::read(path.join("golden.safetensors")).unwrap();
    let sound = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let nan = f32::NAN.to_le_bytes().repeat(8);
    let tensors = sound.iter().filter(|(name, _)| *name != "audio.cls").map(|(name, view)| match name {
        "video.cls" => (name, TensorView::new(Dtype::F32, vec![4, 2], view.data()).unwrap()),
        "audio.proxy_video" => (name, TensorView::new(Dtype::F32, vec![2, 4], &nan).unwrap()),
        "audio.token" => (name, TensorView::new(Dtype::I32, vec![2, 4], view.data()).unwrap()),
        _ => (name, view),
    });
    let unsound = safetensors::serialize(tensors.collect::<Vec<_>>(), None).unwrap();

    // A bundle that was made so, digests and all.
    let remade = path.with_file_name("remade");
    fs::create_dir(&remade).unwrap();
    for entry in &mut manifest.files {
        let bytes = match entry.path.as_str() {
            "golden.safetensors" => unsound.clone(),
            other => fs::read(path.join(other)).unwrap(),
        };
        fs::write(remade.join(&entry.path), &bytes).unwrap();
        entry.bytes = bytes.len() as u64;
        entry.sha256 = format!("{:x}", <sha2::Sha256 as sha2::Digest>::digest(&bytes));
    }
    fs::write(remade.join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
    let found: Vec<String> = problems(&remade).iter().map(Problem::to_string).collect();
    assert_eq!(
        found,
        [
            "golden.safetensors: tensor `audio.cls` is missing, expected shape [2, 4]",
            "golden.safetensors: tensor `audio.proxy_video` is NaN at 0, expected finite values",
            "golden.safetensors: tensor `video.cls` is [4, 2], expected [2, 4]",
            "golden.safetensors: tensor `audio.token` is I32, expected F32",
        ]
    );
}
