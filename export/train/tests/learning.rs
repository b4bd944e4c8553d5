//! A small run learns what it is shown.
//!
//! The one test of its program: libtorch has one random generator, and another test would draw from it too.

mod common;

use cmpt_bundle::manifest::Task;
use cmpt_core::modality::ModalitySet;
use cmpt_train::data::batch::{Dataset, Split};
use cmpt_train::evaluation::evaluate::{self, Evaluation};
use cmpt_train::method::modality_dropout::Drawing;
use cmpt_train::method::spec::Tune;
use cmpt_train::training::checkpoint;
use cmpt_train::training::job::{self, BEST};
use cmpt_train::training::settings::Settings;
use cmpt_train::training::stop::Stop;
use common::{Stripes, settings};
use tch::Device;

#[test]
fn every_pattern_learns_an_easy_task() {
    for (modalities, drawing, task, epochs) in [
        (&["a", "b"][..], Drawing::Sample, Task::Multiclass, 5),
        (&["a", "b", "c"][..], Drawing::Every, Task::Multiclass, 5),
        (&["a", "b"][..], Drawing::Every, Task::Multilabel, 10),
    ] {
        let dataset = Stripes { task, ..Stripes::new(modalities, 320) };
        let settings = Settings { drawing, ..settings(modalities.len(), epochs) };
        let dir = tempfile::tempdir().unwrap();
        let spec = dataset.model(Tune::Full);
        let outcome =
            job::train(&common::job(&dataset, &spec, &settings, dir.path()), &Stop::default()).unwrap();
        let best = dir.path().join(BEST);
        let model = checkpoint::open_model(&best, Device::Cpu).unwrap();
        let patterns: Vec<_> = ModalitySet::patterns(modalities.len()).collect();
        let evaluation = Evaluation { dataset: &dataset, split: Split::Test, batch_size: 50 };
        for predictions in evaluate::predict(&model, evaluation, &patterns).unwrap() {
            let figures = evaluate::measure(&model, &predictions, 1.0);
            assert_eq!(figures.metric.samples, dataset.samples(Split::Test));
            let name = if task == Task::Multiclass { "accuracy" } else { "f1_macro" };
            assert_eq!(figures.metric.name, name);
            assert!(figures.metric.value > 0.95, "{figures:?}");
        }
        assert_eq!(outcome.calibration.unwrap().patterns.len(), patterns.len());
    }
}
