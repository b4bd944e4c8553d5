//! A run that was stopped in the middle of an epoch and resumed gives the very weights of one that was
//! not. Alone in its process, since libtorch has one generator for all threads.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cmpt_train::method::spec::{Lora, Tune};
use cmpt_train::training::checkpoint;
use cmpt_train::training::job::{self, Job, LAST, Outcome, Start};
use cmpt_train::training::settings::Settings;
use cmpt_train::training::stop::{Stop, Stopped};
use cmpt_train::weights::Tensors;
use common::{Stripes, settings};
use tch::{Device, Tensor};

const EPOCHS: usize = 3;
const SAMPLES: usize = 90;

/// Six batches in pairs, the last of ten samples.
fn run(dataset: &Stripes, out: &Path, start: Start, stop: &Stop) -> (Outcome, Tensors) {
    let spec = dataset.model(Tune::Lora(Lora { rank: 2, ..Lora::default() }));
    let settings = Settings { accumulate: 2, ..settings(2, EPOCHS) };
    let job = Job { start, ..common::job(dataset, &spec, &settings, out) };
    let outcome = job::train(&job, stop).unwrap();
    let model = checkpoint::open_model(&out.join(LAST), Device::Cpu).unwrap();
    (outcome, model.weights().iter().map(|(name, weight)| (name.clone(), weight.detach().copy())).collect())
}

#[test]
fn resumed_run_is_bit_identical_to_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut dataset = Stripes::new(&["audio", "video"], SAMPLES);
    let (whole, expected) = run(&dataset, &dir.path().join("whole"), Start::Fresh, &Stop::default());
    assert_eq!(whole.stopped, None);

    let out = dir.path().join("parts");
    let flag = Arc::new(AtomicBool::new(false));
    dataset.interrupt = Some((3, Arc::clone(&flag)));
    let (part, halfway) = run(&dataset, &out, Start::Fresh, &Stop::on_flag(flag));
    assert_eq!(part.stopped, Some(Stopped::Interrupted));
    assert!(differing(&halfway, &expected).next().is_some(), "the first part was the whole run");

    dataset.interrupt = None;
    let (rest, resumed) = run(&dataset, &out, Start::Resume, &Stop::default());
    assert_eq!(rest, whole);
    assert_eq!(differing(&resumed, &expected).collect::<Vec<_>>(), Vec::<&str>::new());
    let metrics = |run: &str| std::fs::read_to_string(dir.path().join(run).join("metrics.jsonl")).unwrap();
    let validations = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains("validation")).map(str::to_owned).collect()
    };
    assert_eq!(validations(&metrics("parts")), validations(&metrics("whole")));
}

fn differing<'a>(left: &'a Tensors, right: &'a Tensors) -> impl Iterator<Item = &'a str> {
    left.iter().filter(|(name, tensor)| !Tensor::equal(tensor, &right[*name])).map(|(name, _)| name.as_str())
}
