//! Small runs end to end.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod common;

use cmpt_train::method::model::Model;
use cmpt_train::method::spec::{Lora, ModelSpec, Role, Tune};
use cmpt_train::training::checkpoint;
use cmpt_train::training::settings::Settings;
use cmpt_train::training::stop::Stop;
use cmpt_train::training::trainer::{LAST, Start, TrainError, Trainer};
use common::{Stripes, settings};
use tch::{Device, Tensor};

fn train(dataset: &Stripes, tune: Tune, settings: Settings) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let model = Model::new(&dataset.model(tune), Device::Cpu);
    let outcome = Trainer::new(dataset, model, settings, dir.path(), Start::Fresh)
        .unwrap()
        .run(&Stop::default())
        .unwrap();
    assert_eq!(outcome.stopped, None);
    dir
}

#[test]
fn adapters_leave_the_pretrained_encoder_alone() {
    let dataset = Stripes::new(&["a", "b"], 32);
    let spec = dataset.model(Tune::Lora(Lora::default()));
    let model = Model::new(&spec, Device::Cpu);
    let before: Vec<_> = spec
        .parameters()
        .into_iter()
        .map(|entry| {
            (entry.role, entry.parameter.name.clone(), model.weights()[&entry.parameter.name].copy())
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(2, 1);
    let mut trainer = Trainer::new(&dataset, model, settings, dir.path(), Start::Fresh).unwrap();
    trainer.run(&Stop::default()).unwrap();
    for (role, name, old) in before {
        let same = Tensor::equal(&old, &trainer.model().weights()[&name]);
        assert_eq!(same, role == Role::Encoder, "{name}");
    }
}

#[test]
fn pretrained_encoders_travel_by_folder() {
    let dataset = Stripes::new(&["a"], 32);
    let dir = tempfile::tempdir().unwrap();
    let from = Model::new(&dataset.model(Tune::Full), Device::Cpu);
    checkpoint::save_encoder(dir.path(), &from, 0).unwrap();
    let pretrained = checkpoint::open_encoder(dir.path()).unwrap();
    assert_eq!(pretrained, from.spec().modalities[0]);
    // In a model of two modalities, as its second.
    let mut spec: ModelSpec = Stripes::new(&["x", "y"], 32).model(Tune::Lora(Lora::default()));
    spec.modalities[1].encoder = pretrained.encoder;
    let into = Model::new(&spec, Device::Cpu);
    checkpoint::load_encoder(dir.path(), &into, 1).unwrap();
    for (name, tensor) in from.encoder_weights(0) {
        assert!(Tensor::equal(&tensor, &into.encoder_weights(1)[&name]), "{name}");
    }
    let error = checkpoint::load_encoder(&dir.path().join("missing"), &into, 1).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn a_run_is_neither_overwritten_nor_resumed_with_other_settings() {
    let dataset = Stripes::new(&["a", "b"], 32);
    let dir = train(&dataset, Tune::Full, settings(2, 1));
    let begin = |settings: Settings, start| {
        let model = Model::new(&dataset.model(Tune::Full), Device::Cpu);
        Trainer::new(&dataset, model, settings, dir.path(), start).err()
    };
    assert!(matches!(begin(settings(2, 1), Start::Fresh), Some(TrainError::Exists { .. })));
    let other = Settings { learning_rate: 1.0, ..settings(2, 1) };
    let error = begin(other, Start::Resume).unwrap();
    let expected = "it was begun with settings.learning_rate 0.003, not 1.0";
    assert!(error.to_string().ends_with(expected), "{error}");
    assert!(begin(settings(2, 1), Start::Resume).is_none());
    std::fs::remove_dir_all(dir.path().join(LAST)).unwrap();
    assert!(matches!(begin(settings(2, 1), Start::Resume), Some(TrainError::NothingToResume { .. })));
}
