//! A small run learns what it is shown.
//!
//! The one test of its program: libtorch has one random generator, and another test would draw from it too.

mod common;

use cmpt_core::modality::ModalitySet;
use cmpt_train::data::batch::{Dataset, Split};
use cmpt_train::evaluation::evaluate::{self, Evaluation};
use cmpt_train::method::modality_dropout::Drawing;
use cmpt_train::method::model::Model;
use cmpt_train::method::spec::Tune;
use cmpt_train::training::checkpoint;
use cmpt_train::training::settings::Settings;
use cmpt_train::training::stop::Stop;
use cmpt_train::training::trainer::{BEST, Start, Trainer};
use common::{Stripes, settings};
use tch::Device;

#[test]
fn every_pattern_learns_an_easy_task() {
    for (modalities, drawing) in [(&["a", "b"][..], Drawing::Sample), (&["a", "b", "c"][..], Drawing::Every)]
    {
        let dataset = Stripes::new(modalities, 320);
        let settings = Settings { drawing, ..settings(modalities.len(), 5) };
        let dir = tempfile::tempdir().unwrap();
        tch::manual_seed(1);
        let model = Model::new(&dataset.model(Tune::Full), Device::Cpu);
        Trainer::new(&dataset, model, settings, dir.path(), Start::Fresh)
            .unwrap()
            .run(&Stop::default())
            .unwrap();
        let best = dir.path().join(BEST);
        let model = checkpoint::open_model(&best, Device::Cpu).unwrap();
        let patterns: Vec<_> = ModalitySet::patterns(modalities.len()).collect();
        let evaluation = Evaluation { dataset: &dataset, split: Split::Test, batch_size: 50 };
        for predictions in evaluate::predict(&model, evaluation, &patterns).unwrap() {
            let figures = evaluate::measure(&model, &predictions, 1.0);
            assert_eq!(figures.metric.samples, dataset.samples(Split::Test));
            assert!(figures.metric.value > 0.95, "{figures:?}");
        }
        let calibration = checkpoint::open_calibration(&best).unwrap();
        assert_eq!(calibration.patterns.len(), patterns.len());
    }
}
