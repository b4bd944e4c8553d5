use std::path::Path;

use clap::Parser;

use super::super::batch::{BatchRequest, Dataset, Split};
use super::super::paired::PairedDataset;
use super::super::prepare::Prepare;
use super::super::prepare::tests::raw;
use super::super::store::{Array, Store};

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    prepare: Prepare,
}

/// What `prepare WHAT` makes of the made-up recordings and pictures.
fn prepared(what: &str, more: &[&str]) -> Store {
    let folder = tempfile::tempdir().unwrap();
    raw(folder.path(), &["theo", "george"], &[3, 12, 20, 47]);
    let raw = folder.path().to_str().unwrap();
    let out = folder.path().join("out");
    let data: &[&str] = match what {
        "halves" => &["--idx", raw],
        "bands" => &["--fsdd", raw],
        _ => &["--fsdd", raw, "--mnist", raw],
    };
    let out_argument = ["--out", out.to_str().unwrap()];
    let arguments = [&["prepare", what], data, more, &out_argument].concat();
    Command::try_parse_from(arguments).unwrap().prepare.run().unwrap();
    Store::read(Path::new(&out)).unwrap()
}

/// Samples of each split, all of which have both modalities.
fn counts(store: &Store) -> [usize; 3] {
    let dataset = PairedDataset::new(store).unwrap();
    [Split::Train, Split::Validation, Split::Test].map(|split| {
        let request = BatchRequest { split, batch_size: 1000, seed: 0, epoch: 0, skip: 0 };
        for batch in dataset.batches(request).unwrap() {
            assert!(batch.unwrap().present.iter().flatten().all(|present| *present));
        }
        dataset.samples(split)
    })
}

fn sources(store: &Store, split: Split) -> Vec<&str> {
    let entries = store.entries.iter().filter(|entry| (entry.modality, entry.split) == (0, split));
    entries.map(|entry| entry.source.as_str()).collect()
}

#[test]
fn avmnist_tests_on_early_takes_and_validates_on_late_ones() {
    let store = prepared("avmnist", &["--speakers", "theo"]);
    assert_eq!(counts(&store), [10, 10, 20]);
    let is_early = |name: &&str| name.contains("_theo_3.wav, t5k ") || name.contains("_theo_12.wav, t5k ");
    assert!(sources(&store, Split::Test).iter().all(is_early));
    assert!(sources(&store, Split::Train).iter().all(|name| name.contains(", train ")));
    assert_eq!(store, prepared("avmnist", &["--speakers", "theo"]));
    assert_ne!(store, prepared("avmnist", &["--speakers", "theo", "--seed", "2"]));
}

#[test]
fn hard_digits_train_alike_whatever_the_test_sounds_like() {
    let prepare = |noise_db| {
        let sizes = ["--pairs", "30", "--validation-pairs", "10", "--noise-db", noise_db];
        prepared("hard-digits", &[&["--speakers", "theo"][..], &sizes].concat())
    };
    let (clear, noisy) = (prepare("0"), prepare("-10"));
    assert_eq!(counts(&clear), [30, 10, 10]);
    assert!(sources(&clear, Split::Test).iter().all(|name| name.contains("_george_")));
    assert!(
        sources(&clear, Split::Train)
            .iter()
            .all(|name| name.contains("_theo_20") || name.contains("_theo_47"))
    );
    let sounds = |store: &Store, split| -> Vec<i16> {
        let Array::Sounds(values) = &store.arrays[0] else { panic!("the first modality is sound") };
        let entries = store.entries.iter().filter(|entry| (entry.modality, entry.split) == (0, split));
        entries.flat_map(|entry| values[entry.start..][..entry.length].to_vec()).collect()
    };
    assert_eq!(sounds(&clear, Split::Train), sounds(&noisy, Split::Train));
    assert_ne!(sounds(&clear, Split::Test), sounds(&noisy, Split::Test));
    assert_eq!(clear.arrays[1], noisy.arrays[1]);
}

#[test]
fn halves_of_one_picture_are_one_sample() {
    let store = prepared("halves", &["--pairs", "25", "--validation-pairs", "15"]);
    assert_eq!(counts(&store), [25, 15, 10]);
    let mut seen = sources(&store, Split::Train);
    seen.extend(sources(&store, Split::Validation));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 40);
}

#[test]
fn bands_of_one_recording_add_up_to_it() {
    let store = prepared("bands", &["--speakers", "theo", "--copies", "3"]);
    assert_eq!(counts(&store), [60, 10, 40]);
    let dataset = PairedDataset::new(&store).unwrap();
    assert_eq!(
        dataset.modalities().iter().map(|info| info.name.as_str()).collect::<Vec<_>>(),
        ["low", "high"]
    );
    let (Array::Sounds(low), Array::Sounds(high)) = (&store.arrays[0], &store.arrays[1]) else {
        panic!("both modalities are sound")
    };
    // The made-up recording, at speed 1: `i * 37 % 4001 - 2000`.
    for i in 0..400 {
        let whole = i32::from(low[i]) + i32::from(high[i]);
        assert!((whole - (i as i32 * 37 % 4001 - 2000)).abs() <= 1, "sample {i}: {whole}");
    }
}
