//! Each form on a fixture as it is published, and with what may be wrong in it.

use std::fs;

use proptest::prelude::*;

use super::*;

const HOLDOUT: Holdout = Holdout { validation: 0.25, seed: 1 };

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn count(listing: &Listing) -> [usize; 3] {
    let of = |split| listing.items.iter().filter(|item| item.split == split).count();
    [of(Split::Train), of(Split::Validation), of(Split::Test)]
}

/// Spoils a fixture and checks that the error says all of `expected`.
fn check_error(form: &Form, fixture: fn(&Path), spoil: &dyn Fn(&Path), expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    fixture(folder.path());
    spoil(folder.path());
    let error = form.list(folder.path(), HOLDOUT).unwrap_err();
    let chain = format!("{:#}", anyhow::Error::from(error));
    for part in expected {
        assert!(chain.contains(part), "{chain} does not say {part}");
    }
}

fn crema_d(root: &Path) {
    for actor in 1001..1021 {
        for emotion in ["ANG", "SAD"] {
            write(root, &format!("AudioWAV/{actor}_DFA_{emotion}_XX.wav"), "");
            write(root, &format!("VideoFlash/{actor}_DFA_{emotion}_XX.flv"), "");
        }
    }
}

#[test]
fn crema_d_is_split_by_actor() {
    let folder = tempfile::tempdir().unwrap();
    crema_d(folder.path());
    let listing = Form::CremaD.list(folder.path(), HOLDOUT).unwrap();
    // Of 20 actors 2 are tested on; a quarter of the other 18, rounded up from 4.5, validates.
    assert_eq!(count(&listing), [26, 10, 4]);
    assert_eq!(listing.labels, ["angry", "disgust", "fear", "happy", "neutral", "sad"]);
    let actors = |split| {
        let of = listing.items.iter().filter(move |item| item.split == split);
        of.map(|item| item.name[..4].to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(actors(Split::Train).is_disjoint(&actors(Split::Test)));
    assert!(actors(Split::Train).is_disjoint(&actors(Split::Validation)));
    assert!(actors(Split::Validation).is_disjoint(&actors(Split::Test)));
    let item = listing.items.iter().find(|item| item.name == "1003_DFA_SAD_XX").unwrap();
    assert_eq!(item.labels, [5]);
    let file = |path: &str| Some(Content::File(folder.path().join(path)));
    let expected = [file("AudioWAV/1003_DFA_SAD_XX.wav"), file("VideoFlash/1003_DFA_SAD_XX.flv")];
    assert_eq!(item.contents, expected);
    assert_eq!(Form::CremaD.list(folder.path(), HOLDOUT).unwrap(), listing, "a seed gives one split");
}

#[test]
fn a_wrong_name_of_crema_d_is_named() {
    let wrong = |name: &'static str, expected: &[&str]| {
        let spoil = move |root: &Path| write(root, &format!("AudioWAV/{name}.wav"), "");
        check_error(&Form::CremaD, crema_d, &spoil, &[&[name], expected].concat());
    };
    wrong("1001_DFA_XXX_XX", &["emotion is \"XXX\", expected one of"]);
    wrong("101_DFA_ANG_XX", &["actor is \"101\", expected four digits"]);
    wrong("1001_dfa_ANG_XX", &["sentence is \"dfa\""]);
    wrong("1001_DFA_ANG_YY", &["level is \"YY\""]);
    wrong("1001_DFA_ANG", &["file name is", "actor_sentence_emotion_level"]);
    check_error(&Form::CremaD, |_| (), &|_| (), &["AudioWAV", "No such file"]);
    check_error(&Form::CremaD, |_| (), &|root| write(root, "AudioWAV/a.txt", ""), &["no .wav file"]);
}

fn ave(root: &Path) {
    let header = "Category&VideoID&Quality&StartTime&EndTime\n";
    let train = "Church bell&RUhOCu3LNXM&good&0&10\nBark&a-_45678901&good&2&8\n";
    let (val, test) = ("Bark&b2345678901&good&0&5\n", "Church bell&a-_45678901&good&1&3\n");
    write(root, "Annotations.txt", &[header, train, val, test].concat());
    write(root, "trainSet.txt", train);
    write(root, "valSet.txt", val);
    write(root, "testSet.txt", test);
}

#[test]
fn ave_has_its_published_splits_and_a_video_may_have_two_events() {
    let folder = tempfile::tempdir().unwrap();
    ave(folder.path());
    let listing = Form::Ave.list(folder.path(), HOLDOUT).unwrap();
    assert_eq!(count(&listing), [2, 1, 1]);
    assert_eq!(listing.labels, ["Bark", "Church bell"]);
    let labels: Vec<usize> = listing.items.iter().flat_map(|item| item.labels.clone()).collect();
    assert_eq!(labels, [1, 0, 0, 1]);
    assert_eq!(listing.items[1].name, "a-_45678901 Bark");
    assert_eq!(listing.items[3].name, "a-_45678901 Church bell");
    assert_eq!(listing.items[3].listed, "testSet.txt line 1");
    let video = Some(Content::File(folder.path().join("AVE/a-_45678901.mp4")));
    assert_eq!(listing.items[3].contents, [video.clone(), video]);
}

#[test]
fn a_wrong_line_of_ave_is_named() {
    let wrong = |line: &'static str, expected: &[&str]| {
        let spoil = move |root: &Path| write(root, "valSet.txt", &format!("Bark&b2&good&0&5\n\n{line}\n"));
        check_error(&Form::Ave, ave, &spoil, &[&["valSet.txt", "line 3"], expected].concat());
    };
    wrong("Bark,b2", &["line is \"Bark,b2\", expected `Category&VideoID"]);
    wrong("Bark&b 2&good&0&5", &["VideoID is \"b 2\""]);
    wrong("Bark&b2&good&x&5", &["StartTime is \"x\", expected 0 to 10 seconds"]);
    wrong("Bark&b2&good&6&5", &["EndTime is \"5\", expected 6 or later"]);
    wrong("Meow&b2&good&0&5", &["Category is \"Meow\", expected one that Annotations.txt has"]);
    check_error(
        &Form::Ave,
        ave,
        &|root| fs::remove_file(root.join("testSet.txt")).unwrap(),
        &["testSet.txt"],
    );
}

fn kinetics(root: &Path) {
    let header = "label,youtube_id,time_start,time_end,split\n";
    let rows = |split: &str, first: usize, count: usize| {
        let row = |index| format!("\"tap dancing\",id{index:09},10,20,{split}\n");
        format!(
            "{header}abseiling,other000000,0,10,{split}\n{}",
            (first..first + count).map(row).collect::<String>()
        )
    };
    write(root, "annotations/train.csv", &rows("train", 0, 8));
    write(root, "annotations/test.csv", &rows("test", 8, 3));
    write(root, "train/id000000000_000010_000020.mp4", "");
    write(root, "train/tap dancing/id000000001_000010_000020.mp4", "");
    write(root, "test/tap_dancing/id000000008_000010_000020.mp4", "");
}

#[test]
fn kinetics_sounds_is_its_classes_alone_and_validates_on_training_clips() {
    let folder = tempfile::tempdir().unwrap();
    kinetics(folder.path());
    let listing = Form::KineticsSounds.list(folder.path(), HOLDOUT).unwrap();
    assert_eq!(listing.labels.len(), 31);
    assert_eq!(count(&listing), [6, 2, 3], "a quarter of eight is held out, and nothing of the test");
    assert!(listing.items.iter().all(|item| listing.labels[item.labels[0]] == "tap dancing"));
    let path = |index: usize| match &listing.items[index].contents[1] {
        Some(Content::File(path)) => path.strip_prefix(folder.path()).unwrap().to_string_lossy().into_owned(),
        other => panic!("a clip is a file, not {other:?}"),
    };
    assert_eq!(path(0), "train/id000000000_000010_000020.mp4");
    assert_eq!(path(1), "train/tap dancing/id000000001_000010_000020.mp4");
    assert_eq!(path(2), "train/id000000002_000010_000020.mp4", "where a clip is missing");
    assert_eq!(path(8), "test/tap_dancing/id000000008_000010_000020.mp4");
    // With a file of its own, validation is what Kinetics says.
    let val = "label,youtube_id,time_start,time_end,split\nsinging,val00000000,0,10,val\n";
    write(folder.path(), "annotations/val.csv", val);
    assert_eq!(count(&Form::KineticsSounds.list(folder.path(), HOLDOUT).unwrap()), [8, 1, 3]);
}

#[test]
fn a_wrong_line_of_kinetics_is_named() {
    let wrong = |line: &'static str, expected: &[&str]| {
        let spoil = move |root: &Path| {
            write(
                root,
                "annotations/test.csv",
                &format!("label,youtube_id,time_start,time_end,split\n{line}\n"),
            )
        };
        check_error(&Form::KineticsSounds, kinetics, &spoil, &[&["test.csv", "line 2"], expected].concat());
    };
    wrong("singing,short,0,10,test", &["youtube_id is \"short\", expected 11"]);
    wrong("singing,id000000000,a,10,test", &["time_start is \"a\", expected whole seconds"]);
    wrong("singing,id000000000,10,10,test", &["time_end is \"10\", expected more than 10"]);
    wrong("singing,id000000000", &["time_start is \"\", expected at least 3 fields"]);
    let without = |root: &Path| fs::remove_file(root.join("annotations/train.csv")).unwrap();
    check_error(&Form::KineticsSounds, kinetics, &without, &["train.csv"]);
}

fn food101(root: &Path) {
    let rows =
        |count: usize| (0..count).map(|index| format!("tacos_{index}.jpg,\"Tacos, the best\",tacos\n"));
    write(root, "texts/train_titles.csv", &rows(4).chain(["pho_0.jpg,Pho,pho\n".into()]).collect::<String>());
    write(root, "texts/test_titles.csv", &rows(2).collect::<String>());
}

#[test]
fn food101_pairs_a_title_with_a_picture_of_its_class() {
    let folder = tempfile::tempdir().unwrap();
    food101(folder.path());
    let listing = Form::UpmcFood101.list(folder.path(), HOLDOUT).unwrap();
    assert_eq!(listing.labels, ["pho", "tacos"]);
    assert_eq!(count(&listing), [4, 1, 2], "the only picture of pho stays in training");
    let item = listing.items.last().unwrap();
    let image = folder.path().join("images/test/tacos/tacos_1.jpg");
    let expected = [Some(Content::File(image)), Some(Content::Text("Tacos, the best".into()))];
    assert_eq!((&item.contents[..], &item.labels[..]), (&expected[..], &[1][..]));
    let wrong = |line: &'static str, expected: &[&str]| {
        let spoil = move |root: &Path| {
            write(root, "texts/test_titles.csv", &format!("a.jpg,\"A\nlong title\",a\n{line}\n"))
        };
        check_error(
            &Form::UpmcFood101,
            food101,
            &spoil,
            &[&["test_titles.csv", "line 3"], expected].concat(),
        );
    };
    wrong("b.jpg,B", &["class is \"\", expected at least 3 fields"]);
    wrong("../b.jpg,B,b", &["picture is \"../b.jpg\", expected a file name"]);
    wrong("b.jpg,B,", &["class is \"\", expected a folder's name"]);
}

fn mm_imdb(root: &Path) {
    write(root, "split.json", r#"{"train": ["0001", "0002"], "dev": ["0003"], "test": ["0004"]}"#);
    for film in 1..5 {
        let json =
            r#"{"title": "A", "genres": ["Drama", "Adult", "War"], "plot": ["short", "a longer one"]}"#;
        write(root, &format!("dataset/000{film}.json"), json);
    }
}

#[test]
fn mm_imdb_has_many_genres_and_the_longest_plot() {
    let folder = tempfile::tempdir().unwrap();
    mm_imdb(folder.path());
    let listing = Form::MmImdb.list(folder.path(), HOLDOUT).unwrap();
    assert_eq!((count(&listing), listing.labels.len()), ([2, 1, 1], 23));
    assert_eq!(listing.task, Task::Multilabel);
    let item = listing.items.iter().find(|item| item.name == "0003").unwrap();
    assert_eq!(item.split, Split::Validation);
    let genres: Vec<&str> = item.labels.iter().map(|label| listing.labels[*label].as_str()).collect();
    assert_eq!(genres, ["Drama", "War"], "a genre that is not told apart is left out");
    let image = folder.path().join("dataset/0003.jpeg");
    assert_eq!(item.contents, [Some(Content::File(image)), Some(Content::Text("a longer one".into()))]);
    let wrong = |path: &'static str, text: &'static str, expected: &[&str]| {
        check_error(
            &Form::MmImdb,
            mm_imdb,
            &move |root| write(root, path, text),
            &[&[path], expected].concat(),
        );
    };
    wrong("split.json", "[]", &["expected lists of films by split"]);
    wrong("split.json", r#"{"trial": ["1"]}"#, &["split is \"trial\", expected `train`, `dev` or `test`"]);
    wrong("split.json", r#"{"test": ["../1"]}"#, &["film is \"../1\", expected a number"]);
    wrong("dataset/0002.json", r#"{"genres": []}"#, &["missing field `plot`"]);
}

const JSON: &str = r#"{"split": "train", "label": "b", "audio": "1.wav", "video:face": "1.mp4", "name": "one"}

{"split": "test", "label": "a", "audio": null, "video:face": "2.mp4"}
"#;

#[test]
fn a_manifest_is_json_or_csv() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "m.jsonl", JSON);
    write(root, "m.csv", "split,label,audio,video:face,name\ntrain,b,1.wav,1.mp4,one\ntest,a,,2.mp4,\n");
    let json = Form::Manifest(root.join("m.jsonl")).list(root, HOLDOUT).unwrap();
    let csv = Form::Manifest(root.join("m.csv")).list(root, HOLDOUT).unwrap();
    assert_eq!(json.modalities, [("audio".into(), Kind::Audio), ("face".into(), Kind::Video)]);
    assert_eq!((&json.labels, json.task), (&vec!["a".into(), "b".into()], Task::Multiclass));
    let file = |name: &str| Some(Content::File(root.join(name)));
    assert_eq!(json.items[0].contents, [file("1.wav"), file("1.mp4")]);
    assert_eq!(json.items[1].contents, [None, file("2.mp4")]);
    assert_eq!((&json.items[0].name[..], &json.items[1].name[..]), ("one", "line 3"));
    assert_eq!(csv.modalities, json.modalities);
    let contents =
        |listing: &Listing| listing.items.iter().map(|item| item.contents.clone()).collect::<Vec<_>>();
    assert_eq!(contents(&csv), contents(&json));
    write(root, "m.csv", "split,labels,text\ntrain,war|drama,A plot\ntest,,Another\n");
    let many = Form::Manifest(root.join("m.csv")).list(root, HOLDOUT).unwrap();
    assert_eq!((many.task, &many.items[0].labels), (Task::Multilabel, &vec![1, 0]));
    assert_eq!(many.items[1].labels, [0; 0]);
}

#[test]
fn a_wrong_line_of_a_manifest_is_named() {
    let wrong = |text: &str, expected: &str| {
        let error = parse_manifest(text, Syntax::JsonLines).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    wrong("{", "line 1: line is \"{\", expected a JSON object");
    wrong(r#"{"split": "x", "label": "a", "text": "b"}"#, "split is \"x\", expected `train`");
    wrong(r#"{"label": "a", "text": "b"}"#, "split is \"\"");
    wrong(r#"{"split": "test", "text": "b"}"#, "label is \"\", expected a label");
    wrong(r#"{"split": "test", "label": "a"}"#, "modality is \"\", expected at least one");
    wrong(r#"{"split": "test", "label": "a", "smell": "b"}"#, "key is \"smell\"");
    wrong(r#"{"split": "test", "label": "a", "text:b c": "b"}"#, "key is \"text:b c\"");
    wrong(r#"{"split": "test", "label": 3, "text": "b"}"#, "value is \"3\", expected a text under `label`");
    wrong(r#"{"split": "test", "labels": [3], "text": "b"}"#, "labels is \"3\"");
    let two = "{\"split\": \"test\", \"label\": \"a\", \"text\": \"b\"}\n{\"split\": \"test\", \"labels\": [], \"text\": \"b\"}";
    wrong(two, "line 2: labels is \"[]\", expected the same as on line 1");
    let error = parse_manifest("split,label,text\ntest,a\n", Syntax::Csv).unwrap_err();
    assert_eq!(error.line, 2);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "m.txt", "");
    let error = Form::Manifest(folder.path().join("m.txt")).list(folder.path(), HOLDOUT).unwrap_err();
    assert!(error.to_string().contains("ends with .jsonl or .csv"), "{error}");
}

proptest! {
    #[test]
    fn names_and_lines_that_are_right_are_read(
        actor in 1001u32..1092, emotion in 0usize..6, category in "[A-Za-z ,()]{1,20}", video in "[A-Za-z0-9_-]{1,11}",
        start in 0u32..6, length in 0u32..5,
    ) {
        let code = ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"][emotion];
        prop_assert_eq!(parse_crema_d_name(&format!("{actor}_IEO_{code}_HI")), Ok((actor, emotion)));
        let line = format!("{category}&{video}&good&{start}&{}", start + length);
        prop_assert_eq!(parse_ave_line(&line), Ok((&category[..], &video[..])));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>(), line in "([A-Za-z0-9{}\",:&|\n-]|split|label|text){0,80}") {
        for text in [&text, &line] {
            let _ = parse_crema_d_name(text);
            let _ = parse_ave_line(text);
            let _ = parse_manifest(text, Syntax::JsonLines);
            let _ = parse_manifest(text, Syntax::Csv);
        }
    }

    #[test]
    fn holding_out_takes_the_asked_part_of_every_class_and_no_test_sample(
        splits in proptest::collection::vec((0usize..4, any::<bool>()), 0..200), part in 0.0..1.0f64, seed: u64,
    ) {
        let item = |(index, (class, test)): (usize, &(usize, bool))| Item {
            name: index.to_string(),
            split: if *test { Split::Test } else { Split::Train },
            labels: vec![*class],
            listed: String::new(),
            contents: Vec::new(),
        };
        let items: Vec<Item> = splits.iter().enumerate().map(item).collect();
        let mut listing = Listing {
            description: String::new(), task: Task::Multiclass, labels: Vec::new(), modalities: Vec::new(), items,
        };
        let before = listing.clone();
        Holdout { validation: part, seed }.cut(&mut listing);
        for class in 0..4 {
            let of = |listing: &Listing, split| {
                listing.items.iter().filter(|item| item.labels == [class] && item.split == split).count()
            };
            let trained = of(&before, Split::Train);
            let expected = ((trained as f64 * part).round() as usize).min(trained.saturating_sub(1));
            prop_assert_eq!(of(&listing, Split::Validation), expected);
            prop_assert_eq!(of(&listing, Split::Test), of(&before, Split::Test));
        }
    }
}
