//! Published sets in their exact forms, with real media: made by GStreamer, listed, decoded, and read back as batches.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod media;

use std::fs;
use std::path::Path;

use clap::Parser;
use cmpt_train::data::batch::{Batch, BatchRequest, Dataset, Split, Targets};
use cmpt_train::data::media::MediaDataset;
use cmpt_train::data::prepare::Prepare;
use media::{play, write_second};

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    prepare: Prepare,
}

fn prepare(form: &str, root: &Path, out: &Path, more: &[&str]) -> Result<(), String> {
    let fixed = ["prepare", form, "--root", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let command = Command::try_parse_from([&fixed, more].concat()).unwrap();
    command.prepare.run().map_err(|error| format!("{error:#}"))
}

const FLASH: &str = "videotestsrc num-buffers=30 pattern=snow ! video/x-raw,width=64,height=48,framerate=30/1 \
                     ! videoconvert ! avenc_flv ! flvmux";
const FILM: &str = "mp4mux name=mux videotestsrc num-buffers=60 pattern=snow \
                    ! video/x-raw,width=48,height=64,framerate=30/1 ! videoconvert ! x264enc speed-preset=ultrafast \
                    ! mux. audiotestsrc num-buffers=100 ! audioconvert ! avenc_aac ! mux. mux.";

fn spoken(path: &Path) {
    write_second(path, |at| (at * at % 6007) as i16);
}

fn first_batch(dataset: &MediaDataset, split: Split) -> Batch {
    let request = BatchRequest { split, batch_size: 2, seed: 1, epoch: 0, skip: 0 };
    dataset.batches(request).unwrap().next().unwrap().unwrap()
}

fn samples(dataset: &MediaDataset) -> [usize; 3] {
    [Split::Train, Split::Validation, Split::Test].map(|split| dataset.samples(split))
}

/// Ten actors, a clip each.
fn crema_d(root: &Path) {
    let (audio, video) = (root.join("one.wav"), root.join("one.flv"));
    spoken(&audio);
    play(FLASH, &video);
    for folder in ["AudioWAV", "VideoFlash"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    for actor in 1001..1011 {
        let emotion = ["ANG", "SAD"][actor % 2];
        fs::copy(&audio, root.join(format!("AudioWAV/{actor}_DFA_{emotion}_XX.wav"))).unwrap();
        fs::copy(&video, root.join(format!("VideoFlash/{actor}_DFA_{emotion}_XX.flv"))).unwrap();
    }
}

#[test]
fn crema_d_gives_the_papers_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("raw"), folder.path().join("out"));
    fs::create_dir(&root).unwrap();
    crema_d(&root);
    prepare("crema-d", &root, &out, &[]).unwrap();
    let dataset = MediaDataset::open(&out).unwrap();
    assert_eq!(samples(&dataset), [8, 1, 1]);
    let batch = first_batch(&dataset, Split::Train);
    // Of AST, and of CLIP three frames.
    assert_eq!(batch.shapes, [vec![1024, 128], vec![3, 3, 224, 224]]);
    let picture = 3 * 224 * 224;
    assert_ne!(batch.features[1][..picture], batch.features[1][picture..2 * picture], "frames differ");
    assert!(batch.features.iter().flatten().all(|value| value.is_finite()));
    // A second of sound, then padding.
    let [loud, padding] = [50 * 128, 500 * 128].map(|at| batch.features[0][at]);
    assert!((padding - 0.467_03).abs() < 1e-4 && (loud - padding).abs() > 0.01, "{loud} {padding}");
    // The test comes alike every time.
    assert_eq!(first_batch(&dataset, Split::Test), first_batch(&dataset, Split::Test));
}

#[test]
fn a_clip_that_is_no_clip_is_left_out_within_the_limit_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("raw"), folder.path().join("out"));
    fs::create_dir(&root).unwrap();
    crema_d(&root);
    fs::write(root.join("VideoFlash/1004_DFA_ANG_XX.flv"), "no clip").unwrap();
    let error = prepare("crema-d", &root, &out, &["--max-corrupt", "0"]).unwrap_err();
    assert!(error.contains("1004_DFA_ANG_XX.flv") && error.contains("--max-corrupt"), "{error}");
    prepare("crema-d", &root, &out, &["--max-corrupt", "1"]).unwrap();
    assert_eq!(samples(&MediaDataset::open(&out).unwrap()).iter().sum::<usize>(), 9);
    let left_out = fs::read_to_string(out.join("left-out.jsonl")).unwrap();
    assert!(left_out.lines().count() == 1 && left_out.contains("1004_DFA_ANG_XX"), "{left_out}");
}

#[test]
fn ave_takes_sound_and_pictures_of_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("raw"), folder.path().join("out"));
    let lines =
        ["Church bell&RUhOCu3LNXM&good&0&10\n", "Bark&b2345678901&good&0&5\n", "Bark&gone5678901&good&0&5\n"];
    play(FILM, &root.join("AVE/RUhOCu3LNXM.mp4"));
    fs::copy(root.join("AVE/RUhOCu3LNXM.mp4"), root.join("AVE/b2345678901.mp4")).unwrap();
    fs::write(root.join("Annotations.txt"), lines.concat()).unwrap();
    for (list, line) in ["trainSet.txt", "valSet.txt", "testSet.txt"].into_iter().zip(lines) {
        fs::write(root.join(list), line).unwrap();
    }
    let error = prepare("ave", &root, &out, &[]).unwrap_err();
    assert!(
        error.contains("testSet.txt line 1") && error.contains("gone5678901.mp4 is not there"),
        "{error}"
    );
    prepare("ave", &root, &out, &["--max-absent", "1"]).unwrap();
    let dataset = MediaDataset::open(&out).unwrap();
    assert_eq!(
        (samples(&dataset), dataset.labels()),
        ([1, 1, 0], &["Bark".into(), "Church bell".into()][..])
    );
    let batch = first_batch(&dataset, Split::Train);
    assert_eq!(batch.shapes, [vec![1024, 128], vec![3, 3, 224, 224]]);
    // 440 Hz at full level: the loudest bin of a step in the middle is far above the padding.
    let step = &batch.features[0][100 * 128..][..128];
    assert!(step.iter().any(|value| *value > 0.6), "{step:?}");
}

#[test]
fn mm_imdb_gives_tokens_pictures_and_many_genres() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("raw"), folder.path().join("out"));
    let picture = "videotestsrc num-buffers=1 ! video/x-raw,width=60,height=90 ! jpegenc";
    play(picture, &root.join("dataset/0001.jpeg"));
    fs::copy(root.join("dataset/0001.jpeg"), root.join("dataset/0002.jpeg")).unwrap();
    for film in ["0001", "0002"] {
        let json = r#"{"genres": ["Drama", "War"], "plot": ["A plot"]}"#;
        fs::write(root.join(format!("dataset/{film}.json")), json).unwrap();
    }
    fs::write(root.join("split.json"), r#"{"train": ["0001"], "dev": [], "test": ["0002"]}"#).unwrap();
    let vocabulary = folder.path().join("vocab.txt");
    fs::write(&vocabulary, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nplot\n").unwrap();
    let error = prepare("mm-imdb", &root, &out, &[]).unwrap_err();
    assert!(error.contains("modality text is text, expected a vocabulary"), "{error}");
    prepare("mm-imdb", &root, &out, &["--vocabulary", vocabulary.to_str().unwrap()]).unwrap();
    let dataset = MediaDataset::open(&out).unwrap();
    assert_eq!((samples(&dataset), dataset.labels().len()), ([1, 0, 1], 23));
    let batch = first_batch(&dataset, Split::Test);
    assert_eq!(batch.shapes, [vec![3, 224, 224], vec![256]]);
    assert_eq!(batch.features[1][..6], [2.0, 5.0, 6.0, 3.0, 0.0, 0.0]);
    let Targets::MultiHot(genres) = &batch.targets else { panic!("films have any number of genres") };
    let named: Vec<&str> =
        genres[0].iter().zip(dataset.labels()).filter(|(has, _)| **has).map(|(_, name)| &name[..]).collect();
    assert_eq!(named, ["Drama", "War"]);
}

#[test]
fn a_picture_may_be_jpeg() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("raw"), folder.path().join("out"));
    let picture = "videotestsrc num-buffers=1 pattern=red ! video/x-raw,width=300,height=200 ! jpegenc";
    play(picture, &root.join("red.jpg"));
    let whole = fs::read(root.join("red.jpg")).unwrap();
    fs::write(root.join("half.jpg"), &whole[..whole.len() / 2]).unwrap();
    let manifest = root.join("set.csv");
    let rows = "split,label,image\ntrain,red,red.jpg\ntrain,red,half.jpg\n";
    fs::write(&manifest, rows).unwrap();
    prepare("manifest", &root, &out, &["--manifest", manifest.to_str().unwrap(), "--validation", "0"])
        .unwrap();
    let dataset = MediaDataset::open(&out).unwrap();
    assert_eq!(samples(&dataset), [1, 0, 0], "half a picture is corrupt");
    let batch = first_batch(&dataset, Split::Train);
    assert_eq!(batch.shapes, [vec![3, 224, 224]]);
    // Pure red is 1.93 and -1.75 after CLIP's normalisation; GStreamer's encoder keeps to the range of video.
    let centre = 112 * 224 + 112;
    let [red, green] = [0, 1].map(|channel| batch.features[0][channel * 224 * 224 + centre]);
    assert!(red > 1.6 && green < -1.4, "{red} {green}");
}
