//! `cmpt-train fit` as a process: killed, interrupted, resumed, and told what cannot be.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cmpt_bundle::manifest::Task;
use cmpt_core::modality::Kind;
use cmpt_train::data::batch::{ModalityInfo, Split};
use cmpt_train::data::front_end;
use cmpt_train::data::store::{Array, Entry, Header, Store};
use cmpt_train::encoder::spec::{EncoderSpec, Size};
use cmpt_train::method::model::Model;
use cmpt_train::method::spec::{Lora, Missing, ModalitySpec, ModelSpec, Tune};
use cmpt_train::training::checkpoint;
use cmpt_train::training::device::DeviceChoice;
use tch::Device;

const EDGE: usize = 28;
const PIXELS: usize = EDGE * EDGE;

/// A dataset of two cameras and an untrained checkpoint for it.
struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let camera = |name: &str| ModalityInfo {
            name: name.into(),
            kind: Kind::Image,
            frames: 1,
            ..front_end::video()
        };
        let cameras = [camera("left"), camera("right")];
        let picture = |at: usize| (0..PIXELS).map(move |pixel| (pixel * (at + 3) * 7 % 256) as u8);
        let entry = |modality, split, label| Entry {
            modality,
            split,
            label,
            weight: 1.0,
            source: "made up".into(),
            start: label * PIXELS,
            length: PIXELS,
        };
        let splits = [Split::Train, Split::Validation];
        let entries = splits.into_iter().flat_map(|split| {
            (0..2).flat_map(move |label| (0..2).map(move |modality| entry(modality, split, label)))
        });
        let array =
            || Array::Pictures { height: EDGE, width: EDGE, values: (0..2).flat_map(picture).collect() };
        let labels = vec!["no".to_owned(), "yes".to_owned()];
        let store = Store {
            header: Header::new("made up".into(), labels, cameras.to_vec(), 56),
            entries: entries.collect(),
            arrays: vec![array(), array()],
        };
        store.write(&folder.path().join("data")).unwrap();
        let size = Size { width: 16, depth: 1, heads: 2, mlp: 32 };
        let encoder = EncoderSpec::vit(size, 1, EDGE, 7);
        let modality = |info: ModalityInfo| ModalitySpec { info, encoder: encoder.clone() };
        // As `init` makes it: classes are numbers, and adapters are there.
        let spec = ModelSpec {
            task: Task::Multiclass,
            labels: vec!["0".into(), "1".into()],
            modalities: cameras.map(modality).into(),
            width: 16,
            tune: Tune::Lora(Lora::default()),
            missing: Missing::Proxies,
        };
        checkpoint::save_untrained(&folder.path().join("untrained"), &Model::new(&spec, Device::Cpu))
            .unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fit(&self, out: &str, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmpt-train"));
        command.arg("fit").arg("--data").arg(self.path("data")).arg("--model").arg(self.path("untrained"));
        command.arg("--out").arg(self.path(out)).args(["--threads", "1"]).args(options);
        command
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

/// Starts a run, sends it `signal` as soon as its first epoch is over, and returns how it ended and what it
/// said from then on.
fn cut(command: &mut Command, signal: &str) -> (std::process::ExitStatus, String) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("epoch 1:")), "no epoch was finished");
    succeed(Command::new("kill").args([signal, &child.id().to_string()]));
    let rest = lines.collect::<Vec<_>>().join("\n");
    (child.wait().unwrap(), rest)
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    ["model.safetensors", "optimizer.safetensors", "training.json"]
        .map(|file| fs::read(folder.join("last").join(file)).unwrap())
        .into()
}

#[test]
fn a_run_that_was_killed_or_interrupted_ends_with_the_same_weights_as_one_that_was_not() {
    let fixture = Fixture::new();
    // Seven batches in threes: the last step of an epoch has one.
    let options = ["--epochs", "12", "--warmup-epochs", "0.5", "--batch-size", "8", "--accumulate", "3"];
    let options = [&options[..], &["--device", "cpu"]].concat();
    succeed(&mut fixture.fit("whole", &options));
    let expected = files(&fixture.path("whole"));
    let resume = [&options[..], &["--resume"]].concat();

    let (status, _) = cut(&mut fixture.fit("killed", &options), "-KILL");
    assert_eq!(status.signal(), Some(9));
    assert_ne!(files(&fixture.path("killed")), expected);
    succeed(&mut fixture.fit("killed", &resume));
    assert!(files(&fixture.path("killed")) == expected, "killed and resumed, the run ends elsewhere");

    let (status, said) = cut(&mut fixture.fit("interrupted", &options), "-INT");
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.ends_with("interrupted: saved, `--resume` goes on"), "{said}");
    assert_ne!(files(&fixture.path("interrupted")), expected);
    succeed(&mut fixture.fit("interrupted", &resume));
    assert!(
        files(&fixture.path("interrupted")) == expected,
        "interrupted and resumed, the run ends elsewhere"
    );

    let is_events = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().contains("tfevents");
    let entries = fs::read_dir(fixture.path("killed")).unwrap().map(Result::unwrap);
    assert_eq!(entries.filter(is_events).count(), 2);
}

#[test]
fn a_recipe_gives_what_no_option_does() {
    let fixture = Fixture::new();
    let options = ["--recipe", "upmc-food101", "--epochs", "1", "--warmup-epochs", "0", "--batch-size", "16"];
    let output = succeed(&mut fixture.fit("run", &options));
    assert!(stderr(&output).starts_with("computing on "), "{}", stderr(&output));
    assert!(stderr(&output).lines().any(|line| line.starts_with("epoch 1:") && line.ends_with(", done")));
    let settings = checkpoint::open_training(&fixture.path("run/last")).unwrap().settings;
    assert_eq!((settings.epochs, settings.batch_size, settings.learning_rate), (1, 16, 1e-3));
    assert_eq!(settings.weight_decay, 0.02);
    // The labels are the data's, and what was trained is what was there.
    let spec = checkpoint::open_spec(&fixture.path("run/best")).unwrap();
    assert_eq!(spec.labels, ["no", "yes"]);
    assert_eq!(spec.missing, Missing::Proxies);
}

#[test]
fn an_ablation_starts_from_the_same_checkpoint() {
    let fixture = Fixture::new();
    for method in ["baseline", "modality-dropout"] {
        succeed(&mut fixture.fit(method, &["--method", method, "--epochs", "1", "--warmup-epochs", "0"]));
        let best = fixture.path(method).join("best");
        assert_eq!(checkpoint::open_spec(&best).unwrap().missing, Missing::Zeros);
        let settings = checkpoint::open_training(&best).unwrap().settings;
        assert_eq!(settings.alignment_weight, 0.0);
        assert_eq!(settings.pattern_rates.len(), if method == "baseline" { 1 } else { 3 });
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let fixture = Fixture::new();
    for (options, code, reason) in [
        (&["--epochs", "1", "--method", "baseline", "--lambda", "0.1"][..], 64, "--method baseline"),
        (
            &["--recipe", "ave", "--epochs", "3"],
            64,
            "--warmup-epochs: 5, expected 0 or more, and less than the epochs",
        ),
        (&["--epochs", "1", "--lora-rank", "4"], 64, "cannot be used with"),
        (&[], 64, "there is no recipe that says"),
        (&["--epochs", "9", "--patience", "0"], 64, "--patience: 0, expected at least 1"),
        (&["--epochs", "9", "--select-by", "sonar"], 64, "no modality `sonar`"),
    ] {
        let output = fixture.fit("run", options).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(reason), "no {reason:?} in {}", stderr(&output));
        assert!(output.stdout.is_empty());
        assert!(!fixture.path("run").exists());
    }
}

#[test]
fn a_gpu_that_is_not_there_is_refused_by_name() {
    let fixture = Fixture::new();
    let options = ["--device", "cuda", "--epochs", "1", "--warmup-epochs", "0"];
    let output = fixture.fit("run", &options).output().unwrap();
    match DeviceChoice::Cuda.open() {
        Ok(_) => assert!(output.status.success(), "{}", stderr(&output)),
        Err(error) => {
            assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
            assert!(stderr(&output).contains(&error.to_string()), "{}", stderr(&output));
        }
    }
}
