//! Small runs, and what holds for their steps.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cmpt_bundle::manifest::Task;
use cmpt_core::modality::{ModalityId, ModalitySet};
use cmpt_train::data::batch::{BatchRequest, Dataset, Split};
use cmpt_train::encoder::Mode;
use cmpt_train::encoder::transformer::Tokens;
use cmpt_train::evaluation::evaluate::{self, Evaluation};
use cmpt_train::evaluation::precision;
use cmpt_train::method::ablation::Method;
use cmpt_train::method::modality_dropout::Drawing;
use cmpt_train::method::model::Model;
use cmpt_train::method::spec::{Lora, ModelSpec, Role, Tune};
use cmpt_train::training::checkpoint;
use cmpt_train::training::error::TrainError;
use cmpt_train::training::inputs::{Columns, Features, Inputs};
use cmpt_train::training::job::{self, BEST, Job, LAST, Origin, Outcome, Start};
use cmpt_train::training::settings::{Selection, Settings};
use cmpt_train::training::step;
use cmpt_train::training::stop::{Stop, Stopped};
use cmpt_train::weights::Tensors;
use common::{Stripes, settings};
use tch::{Device, Tensor, no_grad};

static GENERATOR: Mutex<()> = Mutex::new(());

/// Held by each test: libtorch has one generator for all threads, and runs are to be repeatable.
fn generator() -> MutexGuard<'static, ()> {
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn train(
    dataset: &dyn Dataset,
    spec: &ModelSpec,
    settings: &Settings,
    out: &Path,
) -> Result<Outcome, TrainError> {
    job::train(&common::job(dataset, spec, settings, out), &Stop::default())
}

fn lora(p_dropout: f64) -> Tune {
    Tune::Lora(Lora { p_dropout, ..Lora::default() })
}

/// The training samples in batches of this size.
fn batches(dataset: &Stripes, spec: &ModelSpec, batch_size: usize) -> Vec<Inputs> {
    let columns = Columns::find(spec, dataset).unwrap();
    let request = BatchRequest { split: Split::Train, batch_size, seed: 1, epoch: 0, skip: 0 };
    let batches = dataset.batches(request).unwrap();
    batches.map(|batch| columns.inputs(&batch.unwrap(), Device::Cpu).unwrap()).collect()
}

/// The loss of one step over `batches`, and its gradients.
fn gradients(spec: &ModelSpec, settings: &Settings, batches: &[Inputs]) -> (f64, Tensors) {
    tch::manual_seed(5);
    let model = Model::new(spec, Device::Cpu);
    // Adapters whose second factor is zero have no gradient in the first.
    no_grad(|| {
        model.learnable().values().for_each(|weight| drop(weight.shallow_clone().g_add_scalar_(0.02)))
    });
    let losses = step::backward(&model, settings, batches);
    let gradients = model.learnable().into_iter().map(|(name, weight)| (name, weight.grad()));
    (losses.loss.double_value(&[]), gradients.collect())
}

fn assert_same(left: &(f64, Tensors), right: &(f64, Tensors)) {
    assert!((left.0 - right.0).abs() < 1e-5 * left.0, "{} {}", left.0, right.0);
    for (name, gradient) in &left.1 {
        let difference = (gradient - &right.1[name]).abs().max().double_value(&[]);
        assert!(difference <= 1e-5, "{name}: {difference}");
    }
    let largest = left.1.values().map(|gradient| gradient.abs().max().double_value(&[])).fold(0.0, f64::max);
    assert!(largest > 1e-3, "{largest} is too little to tell");
}

#[test]
fn a_step_is_the_same_in_one_batch_or_in_several() {
    let _generator = generator();
    for task in [Task::Multiclass, Task::Multilabel] {
        // Samples are drawn batch by batch, so one batch is taken apart.
        let dataset = Stripes { task, lacking: Some((1, 3, 0.0)), ..Stripes::new(&["a", "b", "c"], 14) };
        let spec = dataset.model(lora(0.0));
        let settings = Settings { drawing: Drawing::Every, ..settings(3, 1) };
        let whole = batches(&dataset, &spec, 14);
        let parts = [(0, 5), (5, 5), (10, 4)].map(|(first, count)| part(&whole[0], first, count));
        assert_same(&gradients(&spec, &settings, &whole), &gradients(&spec, &settings, &parts));
    }
}

/// Some samples of a batch.
fn part(whole: &Inputs, first: i64, count: i64) -> Inputs {
    let features = whole.features.iter().map(|features| {
        let all: Vec<i64> = match &features.places {
            Some(places) => places.try_into().unwrap(),
            None => (0..whole.samples() as i64).collect(),
        };
        let own: Vec<usize> =
            (0..all.len()).filter(|at| (first..first + count).contains(&all[*at])).collect();
        let rows: Vec<i64> = own.iter().map(|at| *at as i64).collect();
        let places: Vec<i64> = own.iter().map(|at| all[*at] - first).collect();
        Features {
            values: features.values.index_select(0, &Tensor::from_slice(&rows)),
            places: Some(Tensor::from_slice(&places)),
        }
    });
    Inputs {
        features: features.collect(),
        present: whole.present.narrow(0, first, count),
        targets: whole.targets.narrow(0, first, count),
    }
}

#[test]
fn what_stands_for_a_missing_modality_in_training_changes_nothing() {
    let _generator = generator();
    let settings = Settings { drawing: Drawing::Every, ..settings(2, 1) };
    let of = |filler| {
        let dataset = Stripes { lacking: Some((1, 2, filler)), ..Stripes::new(&["a", "b"], 12) };
        let spec = dataset.model(lora(0.0));
        gradients(&spec, &settings, &batches(&dataset, &spec, 12))
    };
    let zeros = of(0.0);
    assert_same(&zeros, &of(7.0));
    assert_same(&zeros, &of(f32::NAN));
}

#[test]
fn a_batch_may_lack_a_modality_altogether() {
    let _generator = generator();
    for method in [Method::Baseline, Method::ModalityDropout, Method::Cmpt] {
        let dataset = Stripes { lacking: Some((0, 1, 0.0)), ..Stripes::new(&["a", "b"], 24) };
        let spec = ModelSpec { missing: method.missing(), ..dataset.model(lora(0.1)) };
        let settings = Settings {
            pattern_rates: method.pattern_rates(2),
            alignment_weight: method.alignment_weight(),
            ..settings(2, 1)
        };
        let dir = tempfile::tempdir().unwrap();
        let outcome = train(&dataset, &spec, &settings, dir.path()).unwrap();
        assert!(outcome.best.unwrap().score > 0.0, "{method:?}");
    }
}

#[test]
fn samples_are_judged_by_what_they_have() {
    let _generator = generator();
    let dataset = Stripes { lacking: Some((1, 4, 0.0)), ..Stripes::new(&["a", "b"], 40) };
    tch::manual_seed(2);
    let model = Model::new(&dataset.model(lora(0.0)), Device::Cpu);
    let evaluation = Evaluation { dataset: &dataset, split: Split::Train, batch_size: 20 };
    let present = evaluate::predict_present(&model, evaluation).unwrap();
    let both: ModalitySet = [0, 1].map(ModalityId).into_iter().collect();
    let one: ModalitySet = [ModalityId(0)].into_iter().collect();
    let expected: Vec<_> = (0..40).map(|sample| if sample % 4 == 0 { one } else { both }).collect();
    assert_eq!(present.available, expected);
    let by_pattern = evaluate::predict(&model, evaluation, &[both, one]).unwrap();
    assert_eq!(by_pattern.iter().map(|each| each.targets.size()[0]).collect::<Vec<_>>(), [30, 40]);
    // The first sample lacks the second modality: its logits are those of the first alone.
    let difference = (present.logits.get(0) - by_pattern[1].logits.get(0)).abs().max().double_value(&[]);
    assert!(difference < 1e-6, "{difference}");
    let calibrated: Vec<_> = by_pattern.iter().map(|each| evaluate::measure(&model, each, 2.0)).collect();
    assert_eq!(evaluate::measure_present(&model, &present, &calibrated).metric.samples, 40);
    // A pattern of which no sample has all is not measured, and not an error while another is.
    let none = Stripes { lacking: Some((1, 1, 0.0)), ..Stripes::new(&["a", "b"], 8) };
    let evaluation = Evaluation { dataset: &none, ..evaluation };
    let predictions = evaluate::predict(&model, evaluation, &[both, one]).unwrap();
    let figures: Vec<_> = predictions.iter().map(|each| evaluate::calibrate(&model, each)).collect();
    assert_eq!((figures[0].metric.samples, figures[1].metric.samples), (0, 8));
    assert_eq!(evaluate::mean_metric(&figures), f64::from(figures[1].metric.value));
    assert!(evaluate::predict(&model, evaluation, &[both]).is_err());
}

#[test]
fn adapters_leave_the_pretrained_encoder_alone() {
    let _generator = generator();
    let dataset = Stripes::new(&["a", "b"], 32);
    let spec = dataset.model(lora(0.1));
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(2, 1);
    tch::manual_seed(settings.seed as i64);
    let before = Model::new(&spec, Device::Cpu);
    train(&dataset, &spec, &settings, dir.path()).unwrap();
    let after = checkpoint::open_model(&dir.path().join(LAST), Device::Cpu).unwrap();
    for entry in spec.parameters() {
        let name = &entry.parameter.name;
        let same = before.weights()[name].equal(&after.weights()[name]);
        assert_eq!(same, entry.role == Role::Encoder, "{name}");
    }
}

#[test]
fn pretrained_encoders_travel_by_folder() {
    let _generator = generator();
    let dataset = Stripes::new(&["a"], 32);
    let dir = tempfile::tempdir().unwrap();
    let from = Model::new(&dataset.model(Tune::Full), Device::Cpu);
    checkpoint::save_encoder(dir.path(), &from, 0).unwrap();
    let pretrained = checkpoint::open_encoder(dir.path()).unwrap();
    assert_eq!(pretrained, from.spec().modalities[0]);
    // In a model of two modalities, as its second.
    let mut spec: ModelSpec = Stripes::new(&["x", "y"], 32).model(lora(0.1));
    spec.modalities[1].encoder = pretrained.encoder;
    let into = Model::new(&spec, Device::Cpu);
    checkpoint::load_encoder(dir.path(), &into, 1).unwrap();
    for (name, tensor) in from.encoder_weights(0) {
        assert!(tensor.equal(&into.encoder_weights(1)[&name]), "{name}");
    }
    let error = checkpoint::load_encoder(&dir.path().join("missing"), &into, 1).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn a_run_begins_with_the_weights_of_a_checkpoint() {
    let _generator = generator();
    let dataset = Stripes::new(&["a", "b"], 32);
    let spec = dataset.model(lora(0.1));
    let dir = tempfile::tempdir().unwrap();
    tch::manual_seed(99);
    let untrained = Model::new(&spec, Device::Cpu);
    let origin = dir.path().join("untrained");
    checkpoint::save_untrained(&origin, &untrained).unwrap();
    let (settings, out) = (settings(2, 1), dir.path().join("run"));
    let origin = Origin::Checkpoint(origin);
    let job = Job { origin: &origin, ..common::job(&dataset, &spec, &settings, &out) };
    job::train(&job, &Stop::default()).unwrap();
    let trained = checkpoint::open_model(&out.join(BEST), Device::Cpu).unwrap();
    for index in 0..2 {
        for (name, weight) in untrained.encoder_weights(index) {
            assert!(weight.equal(&trained.encoder_weights(index)[&name]), "{name}");
        }
    }
}

#[test]
fn a_run_is_neither_overwritten_nor_resumed_with_other_settings() {
    let _generator = generator();
    let dataset = Stripes::new(&["a", "b"], 32);
    let spec = dataset.model(Tune::Full);
    let dir = tempfile::tempdir().unwrap();
    let first = train(&dataset, &spec, &settings(2, 1), dir.path()).unwrap();
    let begin = |settings: &Settings, start| {
        let job = Job { start, ..common::job(&dataset, &spec, settings, dir.path()) };
        job::train(&job, &Stop::default())
    };
    assert!(matches!(begin(&settings(2, 1), Start::Fresh), Err(TrainError::Exists { .. })));
    let other = Settings { learning_rate: 1.0, ..settings(2, 1) };
    for start in [Start::Resume, Start::Either] {
        let error = begin(&other, start).unwrap_err();
        let expected = "it was begun with settings.learning_rate 0.003, not 1.0";
        assert!(error.to_string().ends_with(expected), "{error}");
        assert_eq!(begin(&settings(2, 1), start).unwrap(), first);
    }
    fs::remove_dir_all(dir.path().join(LAST)).unwrap();
    assert!(matches!(begin(&settings(2, 1), Start::Resume), Err(TrainError::NothingToResume { .. })));
    assert_eq!(begin(&settings(2, 1), Start::Either).unwrap(), first);
}

#[test]
fn a_run_tells_how_long_it_waited_for_data() {
    let _generator = generator();
    let dir = tempfile::tempdir().unwrap();
    let dataset = Stripes::new(&["audio", "video"], 60);
    train(&dataset, &dataset.model(lora(0.1)), &settings(2, 1), dir.path()).unwrap();
    let text = fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let shares: Vec<f64> = events.filter_map(|event| event.get("idle_share")?.as_f64()).collect();
    assert!(!shares.is_empty() && shares.iter().all(|share| *share > 0.0 && *share < 1.0), "{shares:?}");
}

#[test]
fn patience_ends_a_run_that_gets_no_better() {
    let _generator = generator();
    let dataset = Stripes::new(&["a", "b"], 32);
    let spec = dataset.model(lora(0.1));
    let dir = tempfile::tempdir().unwrap();
    // Too little to change any answer.
    let settings = Settings { learning_rate: 1e-12, patience: Some(2), ..settings(2, 9) };
    let outcome = train(&dataset, &spec, &settings, dir.path()).unwrap();
    assert_eq!(outcome.stopped, Some(Stopped::NoImprovement));
    assert_eq!(outcome.best.unwrap().epoch, 0);
    let training = checkpoint::open_training(&dir.path().join(LAST)).unwrap();
    assert_eq!(training.progress.epoch, 3);
    // Resumed, it has no more patience than before.
    let job = Job { start: Start::Resume, ..common::job(&dataset, &spec, &settings, dir.path()) };
    assert_eq!(job::train(&job, &Stop::default()).unwrap(), outcome);
}

#[test]
fn the_best_epoch_may_be_the_best_of_one_pattern() {
    let _generator = generator();
    let dataset = Stripes::new(&["a", "b"], 64);
    let spec = dataset.model(Tune::Full);
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { selection: Selection::Pattern(vec![false, true]), ..settings(2, 2) };
    let outcome = train(&dataset, &spec, &settings, dir.path()).unwrap();
    let patterns = outcome.calibration.unwrap().patterns;
    let chosen = patterns.iter().find(|pattern| pattern.available == ["b"]).unwrap();
    assert_eq!(outcome.best.unwrap().score, f64::from(chosen.metric.value));
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_saves_nothing() {
    let _generator = generator();
    let dataset = Stripes::new(&["a", "b"], 64);
    let spec = dataset.model(Tune::Full);
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { learning_rate: 1e30, clip_norm: None, warmup_epochs: 0.0, ..settings(2, 3) };
    let error = train(&dataset, &spec, &settings, dir.path()).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("--learning-rate"), "{error}");
    assert!(!dir.path().join(LAST).exists());
}

#[test]
fn proxies_weigh_what_they_predict() {
    let _generator = generator();
    let dataset = Stripes::new(&["a", "b", "c"], 24);
    tch::manual_seed(4);
    let model = Model::new(&dataset.model(lora(0.0)), Device::Cpu);
    let evaluation = Evaluation { dataset: &dataset, split: Split::Train, batch_size: 7 };
    let precision = precision::proxy_precision(&model, evaluation).unwrap();
    let all: ModalitySet = (0..3).map(ModalityId).collect();
    let missing: ModalitySet = [0, 1].map(ModalityId).into_iter().collect();
    // By hand, of the proxies for the third modality.
    let request = BatchRequest { split: Split::Train, batch_size: 7, seed: 0, epoch: 0, skip: 0 };
    let columns = Columns::find(model.spec(), &dataset).unwrap();
    let _guard = tch::no_grad_guard();
    let tokens: Vec<_> = dataset
        .batches(request)
        .unwrap()
        .map(|batch| columns.inputs(&batch.unwrap(), Device::Cpu).unwrap().encode(&model, Mode::Infer))
        .collect();
    let cat = |token: &dyn Fn(&[Tokens]) -> Tensor| {
        Tensor::cat(&tokens.iter().map(|t| token(t)).collect::<Vec<_>>(), 0)
    };
    let cls = |id: usize| cat(&|tokens| tokens[id].cls.shallow_clone());
    let proxies = [0, 1].map(|id: usize| cat(&|tokens| tokens[id].proxies[1].shallow_clone()));
    let weights =
        proxies.each_ref().map(|proxy| 1.0 / (proxy - cls(2)).square().mean(None).double_value(&[]));
    for (id, weight) in weights.into_iter().enumerate() {
        let found = precision.double_value(&[id as i64, 2]);
        assert!((found - weight).abs() < 1e-4 * weight, "{found} {weight}");
    }
    let [first, second] = &proxies;
    let mean = (first * weights[0] + second * weights[1]) / (weights[0] + weights[1]);
    let expected = model.classify(&(cls(0) + cls(1) + mean));
    let found = evaluate::predict_weighted(&model, evaluation, &[all, missing], &precision).unwrap();
    let difference = (&found[1].logits - expected).abs().max().double_value(&[]);
    assert!(difference < 1e-5, "{difference}");
    // Where nothing is missing there is nothing to weigh.
    let even = evaluate::predict(&model, evaluation, &[all, missing]).unwrap();
    assert_eq!(even[0].logits, found[0].logits);
}
