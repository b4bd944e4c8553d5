use cmpt_bundle::manifest::FrontEnd;
use cmpt_core::features::PictureSpec;
use cmpt_core::modality::Kind;
use fastrand::Rng;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// As many modalities as there are shares, in parts of a million.
fn available(shares: &[u32]) -> Vec<Available> {
    let one =
        |(index, share): (usize, &u32)| Available { modality: format!("m{index}"), share: Share(*share) };
    shares.iter().enumerate().map(one).collect()
}

fn shares() -> impl Strategy<Value = Vec<u32>> {
    let fair = |shares: &Vec<u32>| shares.iter().map(|share| u64::from(*share)).sum::<u64>() >= MILLION;
    vec(0..=MILLION as u32, 1..5).prop_filter("something is left of every sample", fair)
}

fn count(table: &MissingTable, modality: usize) -> usize {
    (0..table.len()).filter(|sample| table.sample(*sample).contains(ModalityId(modality))).count()
}

proptest! {
    #[test]
    fn counts_are_exact_and_no_sample_is_left_with_nothing(
        shares in shares(), samples in 0usize..300, seed: u64,
    ) {
        let table = MissingTable::draw(Split::Train, samples, &available(&shares), seed).unwrap();
        prop_assert_eq!(table.len(), samples);
        for (modality, share) in shares.iter().enumerate() {
            let exact = f64::from(*share) * samples as f64 / MILLION as f64;
            let found = count(&table, modality) as f64;
            prop_assert!((found - exact).abs() < 1.0, "{} of {}, expected {}", found, samples, exact);
        }
        let lengths = || (0..samples).map(|sample| table.sample(sample).len());
        prop_assert!(lengths().all(|length| length >= 1));
        prop_assert!(lengths().max().unwrap_or(0) <= lengths().min().unwrap_or(0) + 1);
    }

    #[test]
    fn a_seed_gives_one_table(shares in shares(), samples in 0usize..100, seed: u64) {
        let draw = || MissingTable::draw(Split::Test, samples, &available(&shares), seed).unwrap();
        prop_assert_eq!(draw(), draw());
    }

    #[test]
    fn tables_of_two_rates_are_nested(low in 0..=MILLION as u32, high in 0..=MILLION as u32, seed: u64) {
        let (low, high) = (low.min(high), low.max(high));
        let draw = |share| {
            let available = available(&[MILLION as u32, share]);
            MissingTable::draw(Split::Test, 97, &available, seed).unwrap()
        };
        let (low, high) = (draw(low), draw(high));
        let has = |table: &MissingTable, sample| table.sample(sample).contains(ModalityId(1));
        prop_assert!((0..97).all(|sample| !has(&low, sample) || has(&high, sample)));
    }

    #[test]
    fn what_is_written_is_read_back(shares in shares(), samples in 0usize..50, seed: u64) {
        let table = MissingTable::draw(Split::Validation, samples, &available(&shares), seed).unwrap();
        let tables = MissingTables { format_version: FORMAT_VERSION, tables: vec![table] };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MissingTables::FILE);
        tables.write(&path).unwrap();
        prop_assert_eq!(MissingTables::read(&path).unwrap(), tables);
    }
}

#[test]
fn the_papers_ratios_come_out() {
    // Tables 1 and 6: (image, text) at a missing rate of 70 %; then both, image alone, text alone.
    for (image, text, expected) in
        [("30%", "100%", (30, 0, 70)), ("65%", "65%", (30, 35, 35)), ("100%", "30%", (30, 70, 0))]
    {
        let available: Vec<Available> =
            [format!("image={image}"), format!("text={text}")].map(|given| given.parse().unwrap()).into();
        let table = MissingTable::draw(Split::Train, 1000, &available, 3).unwrap();
        let both = (0..1000).filter(|sample| table.sample(*sample).len() == 2).count();
        let found = (both / 10, (count(&table, 0) - both) / 10, (count(&table, 1) - both) / 10);
        assert_eq!(found, expected, "image {image}, text {text}");
    }
}

#[test]
fn splits_and_seeds_give_different_tables() {
    let draw =
        |split, seed| MissingTable::draw(split, 200, &available(&[500_000, 500_000]), seed).unwrap().samples;
    assert_ne!(draw(Split::Train, 1), draw(Split::Test, 1));
    assert_ne!(draw(Split::Train, 1), draw(Split::Train, 2));
}

#[test]
fn shares_are_read_as_percent_or_as_a_part_and_checked() {
    assert_eq!("30%".parse(), Ok(Share(300_000)));
    assert_eq!("0.3".parse(), Ok(Share(300_000)));
    assert_eq!("100%".parse(), Ok(Share::ALL));
    assert_eq!("130%".parse::<Share>(), Err("share 1.3, expected 0 to 1".into()));
    assert_eq!("a".parse::<Share>(), Err("share `a`, expected `30%` or `0.3`".into()));
    assert!("text".parse::<Available>().unwrap_err().contains("text=30%"));
    let error = MissingTable::draw(Split::Train, 9, &available(&[300_000, 400_000]), 1).unwrap_err();
    assert!(error.to_string().contains("m0 0.3, m1 0.4 leave samples with nothing"), "{error}");
}

/// Two modalities of one value, which is 1 and never changes.
struct Ones {
    modalities: Vec<ModalityInfo>,
    stable: bool,
}

fn ones(stable: bool) -> Ones {
    let info = |name: &str| ModalityInfo {
        name: name.into(),
        kind: Kind::Image,
        front_end: FrontEnd::Picture(PictureSpec { edge: 1, mean: vec![0.0], std: vec![1.0] }),
        frames: 1,
    };
    Ones { modalities: ["image", "text"].map(info).into(), stable }
}

impl Dataset for Ones {
    fn labels(&self) -> &[String] {
        &[]
    }

    fn task(&self) -> Task {
        Task::Multiclass
    }

    fn modalities(&self) -> &[ModalityInfo] {
        &self.modalities
    }

    fn samples(&self, split: Split) -> usize {
        if split == Split::Validation { 0 } else { 10 }
    }

    fn is_stable(&self, _split: Split) -> bool {
        self.stable
    }

    fn batches(&self, request: BatchRequest) -> Result<Batches, DataError> {
        let mut samples: Vec<usize> = (0..10).collect();
        Rng::with_seed(request.epoch as u64).shuffle(&mut samples);
        let batch = Batch {
            features: vec![vec![1.0; 10]; 2],
            shapes: vec![vec![1]; 2],
            present: vec![vec![true; 10]; 2],
            samples,
            ..Batch::default()
        };
        Ok(Box::new(std::iter::once(Ok(batch))))
    }
}

fn batch(dataset: &dyn Dataset, split: Split, epoch: usize) -> Batch {
    let request = BatchRequest { split, batch_size: 10, seed: 0, epoch, skip: 0 };
    dataset.batches(request).unwrap().next().unwrap().unwrap()
}

fn half(phase: Phase) -> MissingTables {
    MissingTables::none().with(&ones(true), phase, &["text=50%".parse().unwrap()], 4).unwrap()
}

#[test]
fn what_a_table_lacks_is_zero_in_whatever_order_an_epoch_comes() {
    let (ones, tables) = (ones(true), half(Phase::Training));
    let table = tables.of(Split::Train).unwrap();
    let dataset = MissingDataset::new(&ones, &tables).unwrap();
    for epoch in 0..3 {
        let batch = batch(&dataset, Split::Train, epoch);
        for (index, sample) in batch.samples.iter().enumerate() {
            let text = table.sample(*sample).contains(ModalityId(1));
            assert_eq!((batch.present[0][index], batch.features[0][index]), (true, 1.0));
            assert_eq!((batch.present[1][index], batch.features[1][index] == 1.0), (text, text));
        }
        assert_eq!(batch.features[1].iter().sum::<f32>(), 5.0);
    }
    assert_eq!(batch(&dataset, Split::Test, 0).present[1], [true; 10]);
}

#[test]
fn a_phase_has_its_splits_and_empty_ones_have_no_table() {
    let splits = |phase| half(phase).tables.iter().map(MissingTable::split).collect::<Vec<_>>();
    assert_eq!(splits(Phase::Training), [Split::Train]);
    assert_eq!(splits(Phase::Inference), [Split::Test]);
    assert_eq!(splits(Phase::Both), [Split::Train, Split::Test]);
    let again = half(Phase::Both).with(&ones(true), Phase::Training, &[], 9).unwrap();
    assert_eq!(again.of(Split::Train).unwrap().sample(0).len(), 2);
    assert_eq!(again.tables.len(), 2);
}

#[test]
fn a_table_for_other_data_is_refused() {
    let tables = half(Phase::Training);
    let refused = |dataset: &Ones, tables: &MissingTables| {
        MissingDataset::new(dataset, tables).err().expect("it is refused").to_string()
    };
    assert!(refused(&ones(false), &tables).contains("paired anew every epoch"));
    let mut renamed = ones(true);
    renamed.modalities[1].name = "plot".into();
    assert!(refused(&renamed, &tables).contains("[\"image\", \"text\"], expected [\"image\", \"plot\"]"));
    let mut longer = tables.clone();
    longer.tables[0].samples.push(ModalitySet::all(2));
    assert!(refused(&ones(true), &longer).contains("of 11 samples, expected 10"));
    let stray = MissingTables::none().with(&ones(true), Phase::Both, &["smell=1".parse().unwrap()], 1);
    assert!(stray.unwrap_err().to_string().contains("no modality `smell`"));
}

#[test]
fn a_damaged_file_is_an_error_that_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(MissingTables::FILE);
    let check = |json: &str, expected: &str| {
        fs::write(&path, json).unwrap();
        let error = MissingTables::read(&path).unwrap_err().to_string();
        assert!(error.contains("missing.json") && error.contains(expected), "{error}");
    };
    let table = |patterns: &str, samples: &str| {
        let available = r#"[{"modality": "a", "share": 1.0}]"#;
        format!(
            r#"{{"format_version": 1, "tables": [{{"split": "train", "seed": 1,
                "available": {available}, "patterns": {patterns}, "samples": {samples}}}]}}"#
        )
    };
    check("{", "EOF");
    check(r#"{"format_version": 2, "tables": []}"#, "format_version is 2, expected 1");
    check(&table(r#"[["b"]]"#, "[0]"), "pattern with `b`");
    check(&table("[[]]", "[0]"), "an empty pattern");
    check(&table(r#"[["a"]]"#, "[1]"), "pattern 1, expected less than 1");
    check(&table(r#"[["a"]]"#, "[0]").replace("1.0", "1.5"), "share 1.5, expected 0 to 1");
    fs::write(&path, table(r#"[["a"]]"#, "[0, 0]")).unwrap();
    assert_eq!(MissingTables::read(&path).unwrap().of(Split::Train).unwrap().len(), 2);
}
