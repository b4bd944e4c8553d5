//! Three modalities, some samples with one of them missing, from training to the exported graphs: what the
//! trainer says of every availability pattern, the daemon's gate and both engines say too.

mod common;
mod engines;

use std::fs;

use cmpt_bundle::manifest::{Provenance, Window};
use cmpt_bundle::{Bundle, BundleWriter};
use cmpt_core::gate::{self, EncoderTokens};
use cmpt_core::modality::{ModalityId, ModalitySet};
use cmpt_train::data::batch::{BatchRequest, Dataset, Split};
use cmpt_train::evaluation::evaluate::{self, Evaluation};
use cmpt_train::export::bundle::Release;
use cmpt_train::method::spec::{Lora, Tune};
use cmpt_train::training::checkpoint;
use cmpt_train::training::inputs::Columns;
use cmpt_train::training::job::{self, BEST};
use cmpt_train::training::stop::Stop;
use common::{Stripes, settings};
use engines::ENGINES;
use tch::{Device, Tensor};

const SAMPLES: usize = 12;

fn row(tensor: &Tensor, sample: usize) -> Vec<f32> {
    engines::values(&tensor.get(sample as i64))
}

#[test]
fn every_pattern_of_three_modalities_is_exported_as_it_was_trained() {
    let dataset =
        Stripes { lacking: Some((1, 2, 0.0)), ..Stripes::new(&["left", "middle", "right"], 2 * SAMPLES) };
    let spec = dataset.model(Tune::Lora(Lora { rank: 2, ..Lora::default() }));
    let dir = tempfile::tempdir().unwrap();
    let (settings, out) = (settings(3, 1), dir.path().join("run"));
    let outcome = job::train(&common::job(&dataset, &spec, &settings, &out), &Stop::default()).unwrap();

    let model = checkpoint::open_model(&out.join(BEST), Device::Cpu).unwrap();
    let patterns: Vec<ModalitySet> = ModalitySet::patterns(3).collect();
    let evaluation = Evaluation { dataset: &dataset, split: Split::Test, batch_size: SAMPLES };
    let predictions = evaluate::predict(&model, evaluation, &patterns).unwrap();
    assert_eq!(predictions.len(), 7);

    let writer = BundleWriter::create(dir.path().join("bundle")).unwrap();
    let provenance = Provenance {
        code: "test".into(),
        data: "stripes".into(),
        seed: 7,
        created: "2026-01-01T00:00:00Z".into(),
        details: Default::default(),
    };
    let release = Release {
        model: &model,
        name: "stripes".into(),
        version: "1".into(),
        window: Window { length_ms: 1000, hop_ms: 1000 },
        validation: outcome.calibration.unwrap().patterns,
        test: Vec::new(),
        provenance,
        notes: None,
    };
    let bundle: Bundle = release.write(writer).unwrap();
    let manifest = bundle.manifest();

    let request = BatchRequest { split: Split::Test, batch_size: SAMPLES, seed: 0, epoch: 0, skip: 0 };
    let batch = dataset.batches(request).unwrap().next().unwrap().unwrap();
    let inputs = Columns::find(&spec, &dataset).unwrap().inputs(&batch, Device::Cpu).unwrap();
    for (engine, run) in ENGINES {
        let encoded: Vec<_> = manifest
            .modalities
            .iter()
            .zip(&inputs.features)
            .map(|(modality, features)| {
                run(&fs::read(bundle.encoder_path(modality)).unwrap(), "features", &features.values)
            })
            .collect();
        let fusion = fs::read(bundle.fusion_path()).unwrap();
        for expected in &predictions {
            let fuse = |sample: usize| {
                let tokens: Vec<Option<EncoderTokens>> = (0..3)
                    .map(|id| {
                        let outputs = &encoded[id];
                        let proxies = manifest.modalities[id].proxies.iter().map(|other| {
                            let name = format!("proxy_{other}");
                            let proxy = &outputs.iter().find(|(output, _)| *output == name).unwrap().1;
                            (manifest.modality(other).unwrap(), row(proxy, sample))
                        });
                        let (cls, proxies) = (row(&outputs[0].1, sample), proxies.collect());
                        expected.available.contains(ModalityId(id)).then_some(EncoderTokens { cls, proxies })
                    })
                    .collect();
                gate::fuse(manifest.width, &tokens).unwrap().unwrap()
            };
            let fused: Vec<f32> = (0..SAMPLES).flat_map(fuse).collect();
            let token = Tensor::from_slice(&fused).view([SAMPLES as i64, -1]);
            let logits = &run(&fusion, "token", &token)[0].1;
            let difference = (logits - &expected.logits).abs().max().double_value(&[]);
            assert!(difference < 1e-4, "{engine}, {:?}: {difference}", expected.available);
            assert!(expected.logits.abs().max().double_value(&[]) > 0.01);
        }
    }
}
