//! From a folder of films and recordings to a bundle, as a user goes: every command is a process of its own, and
//! hands on nothing but what it wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod media;

use std::f64::consts::TAU;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use cmpt_bundle::Bundle;
use cmpt_train::data::batch::Split;
use cmpt_train::data::front_end;
use cmpt_train::data::missing::MissingTables;
use serde_json::Value;

/// Samples of the training, the validation and the test split, as many of either class.
const SPLITS: [(&str, usize); 3] = [("train", 16), ("validation", 4), ("test", 4)];

struct Work {
    folder: tempfile::TempDir,
}

impl Work {
    /// Low tones with dark films and high tones with bright ones, and a manifest of them.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let media = folder.path().join("media");
        let mut manifest = "split,label,audio,video\n".to_owned();
        for (label, shades, hz) in [("low", ["10", "40"], 250.0), ("high", ["c0", "f0"], 2000.0)] {
            for (film, shade) in shades.into_iter().enumerate() {
                let colour = format!("0xff{shade}{shade}{shade}");
                let source =
                    format!("videotestsrc num-buffers=6 pattern=solid-color foreground-color={colour}");
                let caps = "video/x-raw,width=48,height=36,framerate=6/1";
                media::play(
                    &format!("{source} ! {caps} ! videoconvert ! avenc_flv ! flvmux"),
                    &media.join(format!("{label}-{film}.flv")),
                );
            }
            for (split, samples) in SPLITS {
                for sample in 0..samples / 2 {
                    let name = format!("{split}-{label}-{sample}.wav");
                    let hz = hz + 10.0 * sample as f64;
                    media::write_second(&media.join(&name), |at| {
                        (9000.0 * (TAU * hz * f64::from(at) / 16_000.0).sin()) as i16
                    });
                    manifest += &format!("{split},{label},{name},{label}-{}.flv\n", sample % 2);
                }
            }
        }
        fs::write(folder.path().join("set.csv"), manifest).unwrap();
        let modalities = [front_end::band("audio", 16, [50.0, 4000.0]), front_end::video()];
        let json = serde_json::to_vec(&modalities).unwrap();
        fs::write(folder.path().join("modalities.json"), json).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `cmpt-train` with the words of `line`, paths relative to the folder, and gives what it printed.
    fn run(&self, line: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmpt-train"));
        let output = command.current_dir(&self.folder).args(line.split_whitespace()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cmpt-train {line}\n{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn eval(&self, options: &str) -> Value {
        let line = format!("eval --model fit/best --data data --device cpu --threads 1 {options}");
        serde_json::from_str(&self.run(&line)).unwrap()
    }

    fn tables(&self, run: &str) -> MissingTables {
        MissingTables::read(&self.path(run).join(MissingTables::FILE)).unwrap()
    }
}

/// How many samples each pattern was measured on, by its modalities.
fn samples(report: &Value) -> Vec<(String, u64)> {
    let patterns = report["patterns"].as_array().unwrap().iter().map(|pattern| {
        let names = pattern["available"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        (names.collect::<Vec<_>>().join("+"), pattern["metric"]["samples"].as_u64().unwrap())
    });
    let mut patterns: Vec<_> = patterns.collect();
    patterns.sort();
    patterns
}

fn counts(audio: u64, both: u64, video: u64) -> Vec<(String, u64)> {
    vec![("audio".into(), audio), ("audio+video".into(), both), ("video".into(), video)]
}

#[test]
fn a_folder_of_media_becomes_a_bundle_though_half_of_the_films_were_missing() {
    let work = Work::new();
    work.run("prepare manifest --manifest set.csv --root media --modalities modalities.json --out data");

    let run = "--data data --batch-size 4 --warmup-epochs 0 --lr 3e-3 --device cpu --threads 1";
    let small = "--width 16 --depth 1 --heads 2 --epochs 10";
    work.run(&format!("pretrain {run} {small} --modality audio --patch 16x8 --stride 16x8 --out audio"));
    work.run(&format!("pretrain {run} {small} --modality video --patch 14 --out video"));
    let fit = format!("fit {run} --encoder audio=audio/encoder --encoder video=video/encoder");
    work.run(&format!("{fit} --epochs 5 --available video=50% --missing-in training --out fit"));

    let trained = work.tables("fit");
    let table = trained.of(Split::Train).unwrap();
    assert_eq!((0..16).filter(|sample| table.sample(*sample).len() == 2).count(), 8);
    assert!(trained.of(Split::Validation).is_none() && trained.of(Split::Test).is_none());
    let metrics = fs::read_to_string(work.path("fit/metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let idle: Vec<f64> = lines.filter_map(|line| line["idle_share"].as_f64()).collect();
    assert!(!idle.is_empty() && idle.iter().all(|share| (0.0..=1.0).contains(share)), "{idle:?}");

    // Nothing is missing in the test, and the table of the training split says nothing of it.
    let whole = work.eval("");
    assert_eq!(samples(&whole), counts(4, 4, 4));
    assert_eq!(work.eval("--missing fit/missing.json"), whole);
    assert!(whole["mean"].as_f64().unwrap() > 0.9, "{whole}");
    let training = work.eval("--split train --missing fit/missing.json --as-present");
    assert_eq!(samples(&training), counts(16, 8, 8));
    assert_eq!(training["present"]["metric"]["samples"], 16);

    // What is missing in a test comes out of a table, too.
    work.run(&format!("{fit} --epochs 1 --available audio=50% --missing-in inference --out lacking"));
    assert!(work.tables("lacking").of(Split::Train).is_none());
    let lacking = work.eval("--missing lacking/missing.json --as-present");
    assert_eq!(samples(&lacking), counts(2, 2, 4));
    assert_eq!(lacking["present"]["metric"]["samples"], 4);

    work.run("export --checkpoint fit/best --data data --name tones --version 1 --threads 1 --out bundle");
    let bundle = Bundle::open(work.path("bundle")).unwrap();
    let manifest = bundle.manifest();
    assert_eq!(manifest.labels, ["high", "low"]);
    assert_eq!(
        manifest.modalities.iter().map(|modality| &modality.name[..]).collect::<Vec<_>>(),
        ["audio", "video"]
    );
    assert_eq!(manifest.patterns.len(), 3);
    assert!(manifest.provenance.data.contains("set.csv"), "{}", manifest.provenance.data);
}
