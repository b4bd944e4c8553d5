//! Sets of media from a manifest to batches, of files that need no GStreamer.

use std::fs;

use cmpt_bundle::manifest::WordPieceSpec;
use cmpt_core::features::{MelSpec, PictureSpec};
use cmpt_core::modality::Kind;

use super::super::still::testing::png;
use super::super::{Gathering, LeftOut, Limits, gather};
use super::*;
use crate::data::published::{Form, Holdout};

const SPOKEN: usize = 4000;

fn modalities() -> Vec<ModalityInfo> {
    let sound = MelSpec {
        sample_rate_hz: 8000,
        window_samples: 200,
        hop_samples: 100,
        fft_samples: 256,
        n_mels: 8,
        low_hz: 20.0,
        high_hz: 4000.0,
        steps: 9,
        mean: 0.0,
        divisor: 1.0,
        range_db: None,
    };
    let info = |name: &str, kind, front_end| ModalityInfo { name: name.into(), kind, front_end, frames: 1 };
    vec![
        info("audio", Kind::Audio, FrontEnd::LogMel(sound)),
        info(
            "image",
            Kind::Image,
            FrontEnd::Picture(PictureSpec { edge: 4, mean: vec![0.0; 3], std: vec![1.0; 3] }),
        ),
        info("text", Kind::Text, FrontEnd::WordPiece(WordPieceSpec { tokens: 3, padding: 0 })),
    ]
}

fn tokenize(text: &str) -> Vec<u32> {
    let mut tokens: Vec<u32> = text.bytes().map(u32::from).collect();
    tokens.resize(3, 0);
    tokens
}

fn write_sound(path: &Path, number: usize) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    (0..SPOKEN).for_each(|i| writer.write_sample((i * i * (number + 1) % 6007) as i16).unwrap());
    writer.finalize().unwrap();
}

/// A picture of 8 x 4 pixels, brighter from left to right.
fn write_picture(path: &Path, number: usize) {
    let values: Vec<u8> = (0..32).map(|at| (at % 8 * 20 + number) as u8).collect();
    fs::write(path, png(0, 8, &[], &values)).unwrap();
}

/// Eight samples, six of them to train on; the second has no picture.
fn raw(root: &Path) {
    let mut lines = String::new();
    for number in 0..8 {
        write_sound(&root.join(format!("{number}.wav")), number);
        write_picture(&root.join(format!("{number}.png")), number);
        let split = if number < 6 { "train" } else { "test" };
        let image = if number == 1 { "null".into() } else { format!("\"{number}.png\"") };
        let label = ["no", "yes"][number % 2];
        lines += &format!(
            "{{\"split\": \"{split}\", \"label\": \"{label}\", \"audio\": \"{number}.wav\", \"image\": {image}, \
             \"text\": \"t{number}\"}}\n"
        );
    }
    fs::write(root.join("m.jsonl"), lines).unwrap();
}

fn prepare(root: &Path, out: &Path, limits: Limits) -> Result<Vec<LeftOut>, DataError> {
    let form = Form::Manifest(root.join("m.jsonl"));
    let listing = form.list(root, Holdout { validation: 0.0, seed: 1 })?;
    let gathering = Gathering {
        listing: &listing,
        modalities: &modalities(),
        tokenize: Some(&tokenize),
        kept: 4,
        mirror: true,
        limits,
        workers: 3,
    };
    let (store, left_out) = gather(&gathering, out)?;
    store.write(out)?;
    Ok(left_out)
}

const NONE: Limits = Limits { corrupt: 0, absent: 0 };

fn batches(dataset: &MediaDataset, request: BatchRequest) -> Vec<Batch> {
    dataset.batches(request).unwrap().map(Result::unwrap).collect()
}

fn request(split: Split) -> BatchRequest {
    BatchRequest { split, batch_size: 4, seed: 3, epoch: 0, skip: 0 }
}

#[test]
fn samples_keep_together_what_belongs_together() {
    let folder = tempfile::tempdir().unwrap();
    raw(folder.path());
    let out = folder.path().join("out");
    assert_eq!(prepare(folder.path(), &out, NONE).unwrap(), []);
    let dataset = MediaDataset::open(&out).unwrap();
    assert_eq!((dataset.labels(), dataset.samples(Split::Train)), (&["no".into(), "yes".into()][..], 6));
    for epoch in 0..2 {
        let all = batches(&dataset, BatchRequest { epoch, ..request(Split::Train) });
        assert_eq!(all.iter().map(Batch::len).collect::<Vec<_>>(), [4, 2]);
        assert_eq!(all[0].shapes, [vec![9, 8], vec![3, 4, 4], vec![3]]);
        for batch in &all {
            let Targets::Classes(classes) = &batch.targets else { panic!("samples have one class each") };
            for (index, sample) in batch.samples.iter().enumerate() {
                assert_eq!(classes[index], *sample as i64 % 2);
                assert_eq!(batch.features[2][3 * index..][..2], [116.0, 48.0 + *sample as f32]);
                let picture = &batch.features[1][48 * index..][..48];
                assert_eq!(batch.present[1][index], *sample != 1);
                // The columns differ by 20, so what is left is the picture's own number.
                let number = (picture[0] * 255.0).round() as usize % 20;
                assert_eq!(number, if *sample == 1 { 0 } else { *sample });
                assert!(*sample != 1 || picture.iter().all(|value| *value == 0.0));
            }
        }
    }
}

#[test]
fn batches_follow_the_request_and_not_the_workers() {
    let folder = tempfile::tempdir().unwrap();
    raw(folder.path());
    let out = folder.path().join("out");
    prepare(folder.path(), &out, NONE).unwrap();
    let dataset = MediaDataset::open(&out).unwrap();
    let one = dataset.clone().with_workers(1);
    let many = dataset.with_workers(3);
    let small = BatchRequest { batch_size: 1, ..request(Split::Train) };
    let whole = batches(&one, small);
    assert_eq!(whole, batches(&many, small));
    assert_eq!(whole[2..], batches(&many, BatchRequest { skip: 2, ..small }));
    assert_ne!(whole, batches(&many, BatchRequest { epoch: 1, ..small }));
    assert_ne!(whole, batches(&many, BatchRequest { seed: 4, ..small }));
    let test = batches(&one, request(Split::Test));
    assert_eq!(test, batches(&many, BatchRequest { epoch: 5, seed: 9, ..request(Split::Test) }));
    assert_eq!(test[0].samples, [0, 1]);
    assert_eq!(batches(&one, request(Split::Validation)), []);
    let text = many.with_modalities(&["text".into()]).unwrap();
    assert_eq!(batches(&text, request(Split::Test))[0].features, [test[0].features[2].clone()]);
    let error = text.with_modalities(&["smell".into()]).unwrap_err().to_string();
    assert!(error.contains("no modality `smell`"), "{error}");
}

#[test]
fn the_test_sees_the_centre_and_training_any_part_perhaps_mirrored() {
    let folder = tempfile::tempdir().unwrap();
    raw(folder.path());
    let out = folder.path().join("out");
    prepare(folder.path(), &out, NONE).unwrap();
    let dataset = MediaDataset::open(&out).unwrap();
    let row = |batch: &Batch, index: usize| {
        let row = &batch.features[1][48 * index..][..4];
        row.iter().map(|value| ((value * 255.0).round() as usize) / 20).collect::<Vec<_>>()
    };
    assert_eq!(row(&batches(&dataset, request(Split::Test))[0], 0), [2, 3, 4, 5]);
    let mut seen = std::collections::BTreeSet::new();
    for epoch in 0..40 {
        let all = batches(&dataset, BatchRequest { epoch, batch_size: 6, ..request(Split::Train) });
        seen.extend((0..6).filter(|index| all[0].samples[*index] != 1).map(|index| row(&all[0], index)));
    }
    let forward = (0..=4).map(|start| (start..start + 4).collect::<Vec<_>>());
    let expected = forward.flat_map(|row| [row.iter().rev().copied().collect(), row]);
    assert_eq!(seen, expected.collect());
}

#[test]
fn what_was_decoded_is_not_decoded_again_and_a_finished_set_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    raw(folder.path());
    let out = folder.path().join("out");
    prepare(folder.path(), &out, NONE).unwrap();
    assert!(matches!(prepare(folder.path(), &out, NONE), Err(DataError::Exists { .. })));
    let first = MediaStore::read(&out).unwrap();
    fs::remove_file(out.join("dataset.json")).unwrap();
    let entry = fs::read_dir(out.join("cache")).unwrap().next().unwrap().unwrap().path();
    let entry = fs::read_dir(entry).unwrap().next().unwrap().unwrap().path();
    let before = fs::metadata(&entry).unwrap().modified().unwrap();
    prepare(folder.path(), &out, NONE).unwrap();
    assert_eq!(fs::metadata(&entry).unwrap().modified().unwrap(), before);
    let second = MediaStore::read(&out).unwrap();
    assert_eq!((first.header, first.rows), (second.header, second.rows));
    assert!(MediaStore::is_at(&out) && !MediaStore::is_at(folder.path()));
}

#[test]
fn corrupt_and_absent_files_are_counted_named_and_left_out_within_their_limits() {
    let folder = tempfile::tempdir().unwrap();
    raw(folder.path());
    fs::write(folder.path().join("2.png"), "not a picture").unwrap();
    fs::write(folder.path().join("3.wav"), "RIFF").unwrap();
    fs::remove_file(folder.path().join("4.wav")).unwrap();
    let out = folder.path().join("out");
    let refused = |limits| {
        let error = prepare(folder.path(), &out, limits).unwrap_err().to_string();
        assert!(!out.join("dataset.json").exists());
        error
    };
    let error = refused(Limits { corrupt: 1, absent: 1 });
    assert!(error.contains("more than 1 samples are corrupt (--max-corrupt)"), "{error}");
    assert!(
        error.contains("line 3: ") && error.contains("2.png cannot be decoded: neither JPEG nor PNG"),
        "{error}"
    );
    let error = refused(Limits { corrupt: 2, absent: 0 });
    assert!(error.contains("absent (--max-absent)") && error.contains("4.wav is not there"), "{error}");
    let left_out = prepare(folder.path(), &out, Limits { corrupt: 2, absent: 1 }).unwrap();
    let names: Vec<&str> = left_out.iter().map(|sample| sample.name.as_str()).collect();
    assert_eq!(names, ["line 3", "line 4", "line 5"]);
    let dataset = MediaDataset::open(&out).unwrap();
    assert_eq!((dataset.samples(Split::Train), dataset.inner.store.header.left_out), (3, 3));
}

#[test]
fn a_damaged_set_is_an_error_that_says_where() {
    let folder = tempfile::tempdir().unwrap();
    raw(folder.path());
    let out = folder.path().join("out");
    prepare(folder.path(), &out, NONE).unwrap();
    let samples = fs::read_to_string(out.join("samples.jsonl")).unwrap();
    let damage = |from: &str, to: &str, expected: &str| {
        fs::write(out.join("samples.jsonl"), samples.replacen(from, to, 1)).unwrap();
        let error = MediaDataset::open(&out).unwrap_err().to_string();
        assert!(error.contains("samples.jsonl") && error.contains(expected), "{error}");
    };
    damage("{", "[", "line 1");
    damage("\"labels\":[0]", "\"labels\":[2]", "line 1 does not fit the dataset: sample line 1");
    damage("\"labels\":[0]", "\"labels\":[0,1]", "line 1 does not fit");
    damage("{\"tokens\":[116", "{\"tokens\":[1,116", "line 1 does not fit");
    damage("{\"cached\":\"", "{\"cached\":\"../", "line 1 does not fit");
    // A key of the second modality under the first.
    let row: Row = serde_json::from_str(samples.lines().next().unwrap()).unwrap();
    let mut swapped = row.clone();
    swapped.parts.swap(0, 1);
    let [old, new] = [&row, &swapped].map(|row| serde_json::to_string(row).unwrap());
    fs::write(out.join("samples.jsonl"), samples.replacen(&old, &new, 1)).unwrap();
    let dataset = MediaDataset::open(&out).unwrap();
    let failed = dataset.batches(request(Split::Train)).unwrap().find_map(Result::err).unwrap().to_string();
    assert!(
        failed.contains("sample line 1") && failed.contains("which its modality does not take"),
        "{failed}"
    );
    fs::remove_dir_all(out.join("cache")).unwrap();
    let failed = dataset.batches(request(Split::Test)).unwrap().find_map(Result::err);
    assert!(matches!(failed, Some(DataError::Read { .. })));
}
