//! The exported graphs compute on ONNX Runtime and on tract what the network computes on libtorch.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod engines;

use std::fs;

use cmpt_bundle::manifest::{FrontEnd, Metric, Pattern, Provenance, Task, Window, WordPieceSpec};
use cmpt_bundle::{Bundle, BundleWriter, Manifest, Tensor as Plain};
use cmpt_core::features::{MelSpec, PictureSpec};
use cmpt_core::gate::{self, EncoderTokens};
use cmpt_core::modality::{Kind as Signal, ModalityId, ModalitySet};
use cmpt_train::data::batch::ModalityInfo;
use cmpt_train::encoder::Mode;
use cmpt_train::encoder::spec::{Embedding, EncoderSpec, Size, WordEmbedding};
use cmpt_train::export::bundle::Release;
use cmpt_train::export::graph;
use cmpt_train::method::model::Model;
use cmpt_train::method::spec::{Lora, Missing, ModalitySpec, ModelSpec, Tune};
use tch::{Device, Kind, Tensor, no_grad};

use engines::ENGINES;

/// Largest difference that passes, on tokens and logits alike.
const TOLERANCE: f64 = 1e-4;

const SMALL: Size = Size { width: 96, depth: 3, heads: 3, mlp: 192 };

fn assert_close(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.size(), expected.size(), "{what}");
    let difference = (found - expected).abs().max().double_value(&[]);
    let magnitude = expected.abs().max().double_value(&[]);
    println!("{what}: {difference:.2e} of {magnitude:.2}");
    // Not `>`, which would let NaN pass.
    assert!(difference <= TOLERANCE, "{what}: {difference:e} of {magnitude}");
    assert!(magnitude > 0.1, "{what}: too close to nothing to tell");
}

fn modality(name: &str, kind: Signal, front_end: FrontEnd, encoder: EncoderSpec) -> ModalitySpec {
    ModalitySpec { info: ModalityInfo { name: name.into(), kind, front_end, frames: 1 }, encoder }
}

fn vit(name: &str, encoder: EncoderSpec) -> ModalitySpec {
    let picture = PictureSpec { edge: 28, mean: vec![0.5], std: vec![0.5] };
    modality(name, Signal::Image, FrontEnd::Picture(picture), encoder)
}

fn text() -> ModalitySpec {
    let words = WordEmbedding { vocabulary: 50, positions: 16, types: 2, tokens: 12, padding: 3 };
    let front_end = FrontEnd::WordPiece(WordPieceSpec { tokens: words.tokens, padding: words.padding });
    modality("text", Signal::Text, front_end, EncoderSpec::bert(SMALL, words))
}

fn ast(encoder: EncoderSpec) -> ModalitySpec {
    let mel = MelSpec {
        sample_rate_hz: 16_000,
        window_samples: 400,
        hop_samples: 160,
        fft_samples: 512,
        n_mels: 64,
        low_hz: 20.0,
        high_hz: 4000.0,
        steps: 98,
        mean: -4.27,
        divisor: 9.14,
        range_db: None,
    };
    modality("audio", Signal::Audio, FrontEnd::LogMel(mel), encoder)
}

/// A model whose every weight matters: nothing is left at zero or one.
fn model(modalities: Vec<ModalitySpec>, tune: Tune) -> Model {
    tch::manual_seed(7);
    let labels = (0..10).map(|class| class.to_string()).collect();
    let spec =
        ModelSpec { task: Task::Multiclass, labels, modalities, width: 96, tune, missing: Missing::Proxies };
    spec.validate().unwrap();
    let model = Model::new(&spec, Device::Cpu);
    no_grad(|| {
        for weight in model.weights().values() {
            let _ = weight.shallow_clone().g_add_(&(weight.randn_like() * 0.1));
        }
    });
    model
}

/// Random features; of texts, each ends with more padding than the one before.
fn features(encoder: &EncoderSpec, shape: &[i64]) -> Tensor {
    let Embedding::Words(words) = &encoder.embedding else {
        return Tensor::randn(shape, (Kind::Float, Device::Cpu));
    };
    let numbers = Tensor::randint(words.vocabulary as i64, shape, (Kind::Float, Device::Cpu));
    for sample in 0..shape[0] {
        let _ = numbers.get(sample).narrow(0, shape[1] - 2 * sample, 2 * sample).fill_(words.padding as f64);
    }
    numbers
}

fn check(model: &Model) {
    let _guard = tch::no_grad_guard();
    for (index, modality) in model.spec().modalities.iter().enumerate() {
        let name = &modality.info.name;
        let file = graph::encoder(model, index).unwrap().to_bytes();
        for batch in [1, 3] {
            let shape: Vec<i64> =
                [batch].into_iter().chain(modality.encoder.input_shape()).map(|size| size as i64).collect();
            let features = features(&modality.encoder, &shape);
            let expected = model.encode(index, &features, Mode::Infer);
            let proxies = model.spec().proxies(index);
            let names: Vec<String> = std::iter::once("cls".to_owned())
                .chain(proxies.iter().map(|other| format!("proxy_{other}")))
                .collect();
            let expected: Vec<&Tensor> = std::iter::once(&expected.cls).chain(&expected.proxies).collect();
            for (engine, run) in ENGINES {
                let found = run(&file, "features", &features);
                assert_eq!(
                    found.iter().map(|(name, _)| name).collect::<Vec<_>>(),
                    names.iter().collect::<Vec<_>>()
                );
                for ((output, found), expected) in found.iter().zip(&expected) {
                    assert_close(&format!("{engine}: {name} {output}, batch {batch}"), found, expected);
                }
            }
        }
    }
    let token = Tensor::randn([3, model.spec().width as i64], (Kind::Float, Device::Cpu));
    let file = graph::fusion(model).unwrap().to_bytes();
    for (engine, run) in ENGINES {
        let logits = run(&file, "token", &token);
        assert_eq!(logits[0].0, "logits");
        assert_close(&format!("{engine}: logits"), &logits[0].1, &model.classify(&token));
    }
}

#[test]
fn merged_adapters_give_the_tokens_of_unmerged_ones() {
    let lora = Lora { rank: 4, alpha: 2.0, p_dropout: 0.1 };
    let modalities =
        vec![ast(EncoderSpec::ast(SMALL, 98, 64, 16, 10)), vit("video", EncoderSpec::vit(SMALL, 1, 28, 4))];
    check(&model(modalities, Tune::Lora(lora)));
}

#[test]
fn an_encoder_in_the_manner_of_clip_with_a_width_of_its_own() {
    let mut clip = EncoderSpec::clip_vit(Size { width: 64, heads: 4, ..SMALL }, 28, 7);
    if let Embedding::Patches(patches) = &mut clip.embedding {
        patches.channels = 1;
    }
    check(&model(vec![vit("picture", clip), ast(EncoderSpec::ast(SMALL, 98, 64, 16, 16))], Tune::Full));
}

#[test]
fn one_modality_has_no_proxies_and_three_have_two_each() {
    let encoder = || EncoderSpec::vit(Size { depth: 1, ..SMALL }, 1, 28, 14);
    check(&model(vec![vit("only", encoder())], Tune::Full));
    check(&model(["left", "middle", "right"].map(|name| vit(name, encoder())).into(), Tune::Full));
}

#[test]
fn a_text_carries_a_proxy_and_ignores_its_padding() {
    let model =
        model(vec![text(), vit("picture", EncoderSpec::vit(SMALL, 1, 28, 14))], Tune::Lora(Lora::default()));
    check(&model);
    let _guard = tch::no_grad_guard();
    let encode = |words: &[i64]| {
        let features = Tensor::from_slice(words).to_kind(Kind::Float).unsqueeze(0);
        model.encode(0, &features, Mode::Infer)
    };
    let padded = encode(&[1, 7, 9, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    // A word less is another text; what padding holds in its place is not told by its number.
    let shorter = encode(&[1, 7, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    assert!((&padded.proxies[0] - &shorter.proxies[0]).abs().max().double_value(&[]) > 1e-3);
    let before = &model.weights()["text.embeddings.word_embeddings.weight"];
    let _ = before.get(3).fill_(5.0);
    let after = encode(&[1, 7, 9, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    assert_close("class token, padding changed", &after.cls, &padded.cls);
    assert_close("proxy, padding changed", &after.proxies[0], &padded.proxies[0]);
}

fn release(model: &Model) -> Release<'_> {
    let names: Vec<&String> = model.spec().modalities.iter().map(|modality| &modality.info.name).collect();
    let pattern = |available: ModalitySet| Pattern {
        available: available.iter().map(|id| names[id.0].clone()).collect(),
        temperature: 1.25,
        metric: Metric { name: "accuracy".into(), value: 0.5, samples: 8 },
        per_class: vec![0.5; 10],
        calibration_error: None,
    };
    let patterns: Vec<Pattern> = ModalitySet::patterns(names.len()).map(pattern).collect();
    Release {
        model,
        name: "random".into(),
        version: "1".into(),
        window: Window { length_ms: 1000, hop_ms: 1000 },
        validation: patterns.clone(),
        test: patterns,
        provenance: Provenance {
            code: "test".into(),
            data: "None: the weights are random.".into(),
            seed: 7,
            created: "2026-01-01T00:00:00Z".into(),
            details: Default::default(),
        },
        notes: Some("Of no use.".into()),
    }
}

fn tensor(plain: &Plain) -> Tensor {
    let shape: Vec<i64> = plain.shape.iter().map(|size| *size as i64).collect();
    Tensor::from_slice(&plain.values).view(&shape[..])
}

/// The fused token of one golden sample, as the daemon's gate makes it.
fn gated(bundle: &Bundle, pattern: &Pattern, row: usize) -> Vec<f32> {
    let (manifest, golden): (&Manifest, _) = (bundle.manifest(), bundle.golden());
    let available = manifest.available(pattern);
    let tokens: Vec<Option<EncoderTokens>> = manifest
        .modalities
        .iter()
        .enumerate()
        .map(|(id, modality)| {
            let proxy = |other: &String| {
                let proxy = golden.proxy(&modality.name, other).unwrap();
                (manifest.modality(other).unwrap(), proxy.row(row).to_vec())
            };
            available.contains(ModalityId(id)).then(|| EncoderTokens {
                cls: golden.cls(&modality.name).unwrap().row(row).to_vec(),
                proxies: modality.proxies.iter().map(proxy).collect(),
            })
        })
        .collect();
    gate::fuse(manifest.width, &tokens).unwrap().unwrap()
}

#[test]
fn a_release_opens_and_every_engine_reproduces_its_golden_outputs() {
    let vit = |name| vit(name, EncoderSpec::vit(Size { depth: 2, ..SMALL }, 1, 28, 7));
    let card = check_release(vec![
        ast(EncoderSpec::ast(SMALL, 98, 64, 16, 16).with_patches([64, 4], [64, 2])),
        vit("left"),
        vit("right"),
    ]);
    for line in [
        "# random 1",
        "| audio + left + right | accuracy | 0.5000 | 8 | not measured | 1.250 |",
        "Of no use.",
    ] {
        assert!(card.lines().any(|found| found == line), "no {line:?} in\n{card}");
    }
}

#[test]
fn a_release_that_reads_texts_opens_and_every_engine_reproduces_its_golden_outputs() {
    check_release(vec![text(), vit("picture", EncoderSpec::vit(SMALL, 1, 28, 14))]);
}

/// Releases a model of `modalities`, opens the bundle, replays its golden file. Returns the model card.
fn check_release(modalities: Vec<ModalitySpec>) -> String {
    let patterns = (1 << modalities.len()) - 1;
    let model = model(modalities, Tune::Lora(Lora::default()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("random/1");
    release(&model).write(BundleWriter::create(&path).unwrap()).unwrap();
    let bundle = Bundle::open(&path).unwrap();
    let (manifest, golden) = (bundle.manifest(), bundle.golden());
    assert_eq!(manifest.patterns.len(), patterns);

    for modality in &manifest.modalities {
        let file = fs::read(bundle.encoder_path(modality)).unwrap();
        for (engine, run) in ENGINES {
            let found = run(&file, "features", &tensor(golden.features(&modality.name).unwrap()));
            let proxies = modality.proxies.iter().map(|other| golden.proxy(&modality.name, other));
            let expected = std::iter::once(golden.cls(&modality.name)).chain(proxies);
            for ((output, found), expected) in found.iter().zip(expected) {
                let what = format!("{engine}: golden {} {output}", modality.name);
                assert_close(&what, found, &tensor(expected.unwrap()));
            }
        }
    }
    let fusion = fs::read(bundle.fusion_path()).unwrap();
    for pattern in &manifest.patterns {
        let token = tensor(golden.token(pattern).unwrap());
        let rows = token.size()[0] as usize;
        let fused: Vec<f32> = (0..rows).flat_map(|row| gated(&bundle, pattern, row)).collect();
        assert_close(&format!("gate {}", pattern.key()), &Tensor::from_slice(&fused).view_as(&token), &token);
        let expected = tensor(golden.logits(pattern).unwrap());
        for (engine, run) in ENGINES {
            let logits = &run(&fusion, "token", &token)[0].1;
            assert_close(&format!("{engine}: golden {} logits", pattern.key()), logits, &expected);
        }
    }

    fs::read_to_string(path.join("README.md")).unwrap()
}
