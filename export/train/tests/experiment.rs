//! An experiment through the real command: cut, gone on with, and reported.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Pictures whose brightest rows are the class, in both halves: 200 to train on, 40 to test on.
fn pictures(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (name, count) in [("train", 200usize), ("t10k", 40)] {
        let mut images = vec![0, 0, 8, 3, 0, 0, 0, count as u8, 0, 0, 0, 28, 0, 0, 0, 28];
        let mut labels = vec![0, 0, 8, 1, 0, 0, 0, count as u8];
        for number in 0..count {
            let class = number % 10;
            labels.push(class as u8);
            let pixel = |at: usize| {
                let noise = (at * 7919 + number * 104_729) % 97;
                noise as u8 + if (at / 28 % 14) == class + 2 { 150 } else { 0 }
            };
            images.extend((0..784).map(pixel));
        }
        for (kind, bytes) in [("images-idx3", images), ("labels-idx1", labels)] {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&bytes).unwrap();
            fs::write(folder.join(format!("{name}-{kind}-ubyte.gz")), encoder.finish().unwrap()).unwrap();
        }
    }
}

fn cmpt_train(folder: &Path, arguments: &str) -> Output {
    let arguments = arguments.split_whitespace();
    Command::new(env!("CARGO_BIN_EXE_cmpt-train")).current_dir(folder).args(arguments).output().unwrap()
}

fn succeed(folder: &Path, arguments: &str) -> String {
    let output = cmpt_train(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Weights of all finished runs, and when they were written.
fn weights(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("best/model.safetensors") {
                let written = fs::metadata(&path).unwrap().modified().unwrap();
                found.insert(path.clone(), (fs::read(&path).unwrap(), written));
            }
        }
    }
    found
}

const SIZE: &str = "--width 8 --depth 1 --heads 1 --mlp 8 --patch 14";
const EXPERIMENT: &str = "--recipe halves --data data --encoder upper=upper/encoder --encoder lower=lower/encoder \
                          --epochs 2 --warmup-epochs 0 --batch-size 50 --seeds 1,2 --threads 1";

#[test]
fn an_experiment_goes_on_where_it_was_cut_and_reports_what_it_found() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    pictures(&folder.join("idx"));
    succeed(folder, "prepare halves --idx idx --pairs 150 --validation-pairs 50 --out data");
    for half in ["upper", "lower"] {
        let rest = "--epochs 1 --warmup-epochs 0 --threads 1";
        succeed(folder, &format!("pretrain --data data --modality {half} {SIZE} {rest} --out {half}"));
    }

    // Out of time before the first step is over: saved after one.
    let cut = format!("experiment figure3 {EXPERIMENT} --out cut");
    succeed(folder, &format!("{cut} --max-hours 0"));
    assert!(!folder.join("cut/figure3.html").exists());
    let first = folder.join("cut/runs/complete/baseline/seed-1");
    assert!(first.join("last").exists() && !first.join("done.json").exists());
    // The first three runs are finished, the fourth has hardly begun.
    succeed(folder, &format!("{cut} --seeds 1").replace("--seeds 1,2 ", ""));
    let early = weights(&folder.join("cut"));
    assert_eq!(early.len(), 3);
    succeed(folder, &format!("{cut} --max-hours 0"));
    let report = succeed(folder, &cut);
    assert_eq!(report.trim(), "cut/figure3.html");

    // What was finished was not touched again, and what was cut ends as if it had not been.
    let late = weights(&folder.join("cut"));
    assert_eq!(late.len(), 6);
    assert!(early.iter().all(|(path, run)| late[path] == *run));
    succeed(folder, &format!("experiment figure3 {EXPERIMENT} --out whole"));
    for (path, (bytes, _)) in weights(&folder.join("whole")) {
        let cut = folder.join("cut").join(path.strip_prefix(folder.join("whole")).unwrap());
        assert!(late[&cut].0 == bytes, "{} differs", path.display());
    }
    let reports =
        ["cut", "whole"].map(|name| fs::read_to_string(folder.join(name).join("figure3.html")).unwrap());
    assert_eq!(reports[0], reports[1]);

    check_report(&reports[0]);
    // Other exhibits in the folder use the same runs.
    for exhibit in ["table2", "figure2", "figure4", "figure8"] {
        succeed(folder, &format!("experiment {exhibit} {EXPERIMENT} --out cut"));
        check_report(&fs::read_to_string(folder.join(format!("cut/{exhibit}.html"))).unwrap());
    }
    assert!(weights(&folder.join("cut")).iter().all(|(path, run)| late[path] == *run));
    let scores = fs::read_to_string(folder.join("cut/table2-scores.csv")).unwrap();
    assert_eq!(scores.lines().count(), 4, "{scores}");
    assert!(scores.starts_with("training,test,baseline,baseline (standard deviation),"), "{scores}");

    // Missing in training too: tables are drawn alike for every method.
    succeed(
        folder,
        &format!("experiment table6 {EXPERIMENT} --out cut --train upper=30% --test upper=0%,lower=100%"),
    );
    let runs = folder.join("cut/runs/upper30-lower100");
    let tables = ["baseline", "modality-dropout", "cmpt"]
        .map(|name| fs::read(runs.join(name).join("seed-2/missing.json")).unwrap());
    assert!(tables[0] == tables[1] && tables[1] == tables[2]);

    // Runs of two protocols are not mixed.
    let other = cmpt_train(folder, &format!("{cut} --learning-rate 1"));
    let message = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && message.contains("its runs have another settings"), "{message}");
}

/// Well-formed, with plots, and nothing to load.
fn check_report(html: &str) {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(html, options).unwrap();
    let count = |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).count();
    assert!(count("svg") >= 1 && count("table") >= 2, "{} plots, {} tables", count("svg"), count("table"));
    let refers = |node: &roxmltree::Node<'_, '_>| {
        node.attributes().any(|attribute| ["href", "src"].contains(&attribute.name()))
    };
    assert!(!document.descendants().any(|node| refers(&node)));
    assert!(!html.contains("url("));
}
