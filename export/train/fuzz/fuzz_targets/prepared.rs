//! Whatever became of a prepared dataset: batches of the shapes that they say, or an error, no panic.
//!
//! Run with `cargo +nightly fuzz run --sanitizer none prepared` in `export/train`.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use cmpt_bundle::manifest::Task;
use cmpt_train::data::batch::{Batch, BatchRequest, ModalityInfo, Split};
use cmpt_train::data::front_end;
use cmpt_train::data::media::{self, Cache, Decoded, MediaStore, Part, Row};
use cmpt_train::data::open::{Opening, open};
use cmpt_train::data::store::{Array, Entry, Header, Store};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    form: Form,
    edits: Vec<Edit<'a>>,
    seed: u64,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Form {
    Classes,
    Pairs,
    Media,
}

/// What became of one file.
#[derive(Arbitrary, Debug)]
struct Edit<'a> {
    file: u8,
    at: u16,
    removed: u8,
    inserted: &'a [u8],
}

/// The files of each form, as they were.
static WHOLE: LazyLock<[Vec<(String, Vec<u8>)>; 3]> =
    LazyLock::new(|| [classes(), pairs(), clips()].map(|folder| files(folder.path())));

fuzz_target!(|input: Input| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut files = WHOLE[input.form as usize].clone();
    for edit in &input.edits {
        let number = usize::from(edit.file) % files.len();
        let bytes = &mut files[number].1;
        let start = usize::from(edit.at) % (bytes.len() + 1);
        let end = bytes.len().min(start + usize::from(edit.removed));
        bytes.splice(start..end, edit.inserted.iter().copied());
    }
    for (path, bytes) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a writable folder");
        fs::write(path, bytes).expect("a writable folder");
    }
    let Ok(dataset) = open(folder.path(), &Opening::default()) else { return };
    for split in [Split::Train, Split::Validation, Split::Test] {
        let request = BatchRequest { split, batch_size: 2, seed: input.seed, epoch: 0, skip: 0 };
        let Ok(batches) = dataset.batches(request) else { continue };
        // An epoch may be as long as it likes.
        batches.take(4).map_while(Result::ok).for_each(|batch| check(&batch, dataset.modalities()));
    }
});

fn check(batch: &Batch, modalities: &[ModalityInfo]) {
    assert_eq!(batch.features.len(), modalities.len());
    for (features, shape) in batch.features.iter().zip(&batch.shapes) {
        assert_eq!(features.len(), batch.len() * shape.iter().product::<usize>());
    }
}

/// Every file below `folder` by its path from there.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder that was written") {
            let path = entry.expect("a folder that was written").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("a file below").to_string_lossy().into_owned();
                found.push((name, fs::read(&path).expect("a file that was written")));
            }
        }
    }
    found.sort();
    found
}

fn written(store: Store) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::remove_dir(folder.path()).expect("an empty folder");
    store.write(folder.path()).expect("a sound store");
    folder
}

fn classes() -> TempDir {
    let modalities = vec![front_end::audio(), front_end::video()];
    let header = Header::new("made up".into(), vec!["no".into(), "yes".into()], modalities, 3);
    written(store(header))
}

fn pairs() -> TempDir {
    let modalities = vec![front_end::band("high", 8, [1000.0, 3900.0]), front_end::camera("left")];
    let header = Header::new("made up".into(), vec!["no".into(), "yes".into()], modalities, 3).paired();
    written(store(header))
}

/// Of each split two samples, of each class one.
fn store(header: Header) -> Store {
    const SOUND: usize = 400;
    const PICTURE: usize = 28 * 28;
    let splits = [Split::Train, Split::Validation, Split::Test];
    let places = splits.into_iter().flat_map(|split| [(split, 0), (split, 1)]);
    let of = |(number, (split, label)): (usize, (Split, usize))| {
        [SOUND, PICTURE].into_iter().enumerate().map(move |(modality, length)| Entry {
            modality,
            split,
            label,
            weight: 1.0,
            source: format!("{label}"),
            start: number * length,
            length,
        })
    };
    Store {
        header,
        entries: places.enumerate().flat_map(of).collect(),
        arrays: vec![
            Array::Sounds(vec![3; 6 * SOUND]),
            Array::Pictures { height: 28, width: 28, values: vec![7; 6 * PICTURE] },
        ],
    }
}

fn clips() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache = Cache::new(MediaStore::cache_at(folder.path()));
    cache.write("ab01", &Decoded::Sound(vec![5; 2000])).expect("a writable folder");
    let pictures = Decoded::Pictures { width: 30, height: 28, channels: 1, values: vec![9; 2 * 30 * 28] };
    cache.write("ab02", &pictures).expect("a writable folder");
    let part = |key: &str| Some(Part::Cached(key.into()));
    let row = |(number, split): (usize, Split)| Row {
        name: number.to_string(),
        split,
        labels: vec![number % 2],
        parts: vec![part("ab01"), (number > 0).then(|| part("ab02")).flatten()],
    };
    let rows = [Split::Train, Split::Train, Split::Validation, Split::Test].into_iter().enumerate().map(row);
    let header = media::Header {
        format_version: media::FORMAT_VERSION,
        description: "made up".into(),
        task: Task::Multiclass,
        labels: vec!["no".into(), "yes".into()],
        modalities: vec![front_end::audio(), front_end::video()],
        mirror: true,
        left_out: 0,
    };
    let store = MediaStore { header, rows: rows.collect(), cache };
    store.write(folder.path()).expect("a writable folder");
    folder
}
