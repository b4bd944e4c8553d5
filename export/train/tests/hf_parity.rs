//! Encoders and front ends give what PyPI's `transformers` gives: from the same weights and inputs, on
//! libtorch and, exported, on ONNX Runtime and on tract.
//!
//! `parity/reference.py` writes the reference; `make setup-test` runs it. With `CMPT_PARITY` another folder
//! is compared with, such as that of `make parity-full`.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod engines;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cmpt_bundle::Bundle;
use cmpt_core::features::{LogMel, PictureFrontEnd};
use cmpt_train::data::batch::ModalityInfo;
use cmpt_train::data::word_piece::WordPiece;
use cmpt_train::encoder::Mode;
use cmpt_train::encoder::family::Family;
use cmpt_train::encoder::pretrained::{Pretrained, PretrainedError};
use cmpt_train::encoder::spec::{EncoderSpec, Size};
use cmpt_train::encoder::transformer::Encoder;
use cmpt_train::export::graph;
use cmpt_train::method::model::Model;
use cmpt_train::method::spec::{Lora, Missing, ModalitySpec, ModelSpec, Tune};
use cmpt_train::weights::{self, Tensors};
use tch::{Device, Kind, Tensor};

use cmpt_bundle::manifest::{FrontEnd, Task, WordPieceSpec};
use engines::ENGINES;

/// Largest difference that passes, relative to the largest value.
const TOLERANCE: f64 = 1e-4;

/// Tokens of the texts in the reference.
const TOKENS: usize = 40;

fn reference() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv-parity/reference");
    let folder = std::env::var_os("CMPT_PARITY").map_or(default, PathBuf::from);
    assert!(folder.is_dir(), "no {}; run make setup-test", folder.display());
    folder
}

fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    (found - expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[])
}

fn assert_close(what: &str, found: &Tensor, expected: &Tensor) {
    let difference = difference(found, expected);
    println!("{what}: {difference:.1e}");
    // Not `>`, which would let NaN pass.
    assert!(difference <= TOLERANCE, "{what}: {difference:e}");
}

/// A model whose first modality has the encoder as it was pretrained; with `missing` proxies, one for a small
/// second modality.
fn model(family: Family, encoder: &Pretrained, missing: Missing) -> Model {
    let modality = |name: &str, kind, front_end: &FrontEnd, encoder: EncoderSpec| ModalitySpec {
        info: ModalityInfo { name: name.into(), kind, front_end: front_end.clone(), frames: 1 },
        encoder,
    };
    let mut modalities = vec![modality("it", family.kind(1), &encoder.front_end, encoder.spec.clone())];
    if missing == Missing::Proxies {
        let size = Size { width: encoder.spec.width, depth: 1, heads: 1, mlp: 1 };
        let (_, sight) = Family::Vit.base(0).unwrap();
        modalities.push(modality("other", Family::Vit.kind(1), &sight, EncoderSpec::vit(size, 1, 8, 8)));
    }
    let model = Model::new(
        &ModelSpec {
            task: Task::Multiclass,
            labels: vec!["only".into()],
            modalities,
            width: encoder.spec.width,
            tune: Tune::Lora(Lora::default()),
            missing,
        },
        Device::Cpu,
    );
    encoder.load(&model.encoder_weights(0)).unwrap();
    model
}

fn check(name: &str, family: Family) {
    let _guard = tch::no_grad_guard();
    let folder = reference().join(name);
    let expected = weights::read(&folder.join("reference.safetensors")).unwrap();
    let encoder = Pretrained::open(family, &folder, TOKENS).unwrap();
    let model = self::model(family, &encoder, Missing::Zeros);
    let features = &expected["features"];

    let own = model.encoder_weights(0);
    let network = Encoder::new(&encoder.spec, &[], None, &|name| own[name].shallow_clone());
    let tokens = network.tokens(features, None, Mode::Infer);
    // Padding is nobody's token, and transformers computes it otherwise on some machines.
    let counted = match family {
        Family::Bert => features.ne(0).unsqueeze(2).to_kind(Kind::Float),
        _ => Tensor::from(1.0f32),
    };
    assert_close(
        &format!("{name}: tokens, libtorch"),
        &(tokens * &counted),
        &(&expected["tokens"] * &counted),
    );
    check_outputs(name, &model, &expected, &[("cls", "cls")]);
    if let Some(proxy) = expected.get("proxy") {
        let model = self::model(family, &encoder, Missing::Proxies);
        model.weights()["it.proxy.other"].shallow_clone().copy_(proxy);
        let outputs = [("cls", "proxied.cls"), ("proxy_other", "proxied.proxy")];
        check_outputs(&format!("{name} behind a proxy"), &model, &expected, &outputs);
    }
}

/// The first modality's outputs, on libtorch and exported, against the tensors of the reference.
fn check_outputs(name: &str, model: &Model, expected: &Tensors, outputs: &[(&str, &str)]) {
    let features = &expected["features"];
    let read = model.encode(0, features, Mode::Infer);
    let read = std::iter::once(&read.cls).chain(&read.proxies);
    for (found, (output, reference)) in read.zip(outputs) {
        assert_close(&format!("{name}: {output}, libtorch"), found, &expected[*reference]);
    }
    let file = graph::encoder(model, 0).unwrap().to_bytes();
    for (engine, run) in ENGINES {
        let found = run(&file, "features", features);
        assert_eq!(found.len(), outputs.len());
        for ((found, value), (output, reference)) in found.iter().zip(outputs) {
            assert_eq!(found, output);
            assert_close(&format!("{name}: {output}, {engine}"), value, &expected[*reference]);
        }
    }
}

#[test]
fn clip_vit_agrees_with_transformers() {
    check("clip-vit", Family::ClipVit);
}

#[test]
fn clip_with_both_towers_gives_its_vision_tower() {
    check("clip-whole", Family::ClipVit);
}

#[test]
fn weights_in_several_files_are_found_by_their_index() {
    assert!(reference().join("clip-shards/model.safetensors.index.json").exists());
    check("clip-shards", Family::ClipVit);
}

#[test]
fn ast_agrees_with_transformers() {
    check("ast", Family::Ast);
}

#[test]
fn bert_agrees_with_transformers() {
    check("bert", Family::Bert);
}

#[test]
fn real_weights_of_the_bert_family_agree_with_transformers() {
    check("minilm", Family::Bert);
}

#[test]
fn vit_and_deit_agree_with_transformers() {
    check("vit", Family::Vit);
    check("deit", Family::Vit);
}

#[test]
fn an_exported_untrained_model_reads_what_its_encoders_were_trained_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, [checkpoint, bundle]) =
        (reference(), ["checkpoint", "bundle"].map(|name| folder.path().join(name)));
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cmpt-train")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let encoders = [("audio", "ast"), ("video", "clip-vit"), ("text", "bert")]
        .map(|(modality, family)| format!("{modality}={family}:{}", reference.join(family).display()));
    let [checkpoint, bundle] = [&checkpoint, &bundle].map(|path| path.to_str().unwrap());
    let [first, second, third] = &encoders;
    run(&[
        "init",
        "--encoder",
        first,
        "--encoder",
        second,
        "--encoder",
        third,
        "--classes",
        "4",
        "--proxies",
        "none",
        "--out",
        checkpoint,
    ]);
    run(&["export", "--checkpoint", checkpoint, "--out", bundle, "--name", "untrained", "--version", "0"]);
    let bundle = Bundle::open(Path::new(bundle)).unwrap();
    for (modality, name) in bundle.manifest().modalities.iter().zip(["ast", "clip-vit", "bert"]) {
        let expected = weights::read(&reference.join(name).join("reference.safetensors")).unwrap();
        let file = fs::read(bundle.encoder_path(modality)).unwrap();
        // The other engine has run these graphs above.
        let (engine, run) = ENGINES[0];
        let outputs = run(&file, "features", &expected["features"]);
        assert_close(&format!("{name}: cls of the bundle, {engine}"), &outputs[0].1, &expected["cls"]);
    }
}

/// The small model with both towers, with its tensors changed.
fn changed(change: impl FnOnce(&mut Tensors)) -> String {
    let original = reference().join("clip-whole");
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = weights::read(&original.join("model.safetensors")).unwrap();
    change(&mut tensors);
    weights::save(&folder.path().join("model.safetensors"), &tensors).unwrap();
    fs::copy(original.join("config.json"), folder.path().join("config.json")).unwrap();
    let encoder = Pretrained::open(Family::ClipVit, folder.path(), TOKENS).unwrap();
    let fresh = encoder.spec.parameters().into_iter().map(|parameter| {
        let tensor = weights::init(&parameter, Device::Cpu);
        (parameter.name, tensor)
    });
    let error = encoder.load(&fresh.collect()).unwrap_err().to_string();
    error.replace(folder.path().to_str().unwrap(), "X")
}

#[test]
fn tensors_that_do_not_fit_are_named_with_file_and_shapes() {
    let name = "vision_model.encoder.layers.0.mlp.fc1.weight";
    assert_eq!(
        changed(|tensors| drop(tensors.remove(name))),
        format!("read X/model.safetensors: no tensor {name}, expected one of shape [128, 64]")
    );
    assert_eq!(
        changed(|tensors| drop(
            tensors.insert(name.into(), Tensor::zeros([64, 128], (Kind::Float, Device::Cpu)))
        )),
        format!("read X/model.safetensors: tensor {name} has shape [64, 128], expected [128, 64]")
    );
    let more = "vision_model.encoder.layers.1.mlp.fc1.weight";
    assert_eq!(
        changed(|tensors| drop(tensors.insert(more.into(), Tensor::zeros([2], (Kind::Float, Device::Cpu))))),
        format!("read X/model.safetensors: tensor {more} of shape [2] has no place in the model")
    );
}

#[test]
fn a_configuration_of_another_family_is_refused() {
    let folder = reference().join("clip-whole");
    let Err(PretrainedError::Config(error)) = Pretrained::open(Family::Bert, &folder, TOKENS) else {
        panic!("CLIP is no BERT")
    };
    let file = folder.join("config.json");
    let expected = format!("read {}: `model_type` is \"clip\", expected one of [\"bert\"]", file.display());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn log_mel_agrees_with_the_processor_of_ast() {
    let (_, FrontEnd::LogMel(spec)) = Family::Ast.base(0).unwrap() else { panic!("AST hears") };
    let mut front_end = LogMel::new(&spec).unwrap();
    let tensors = weights::read(&reference().join("front_ends.safetensors")).unwrap();
    for name in ["sweep", "noise", "long", "short"] {
        let samples = engines::values(&tensors[&format!("sound.{name}.samples")]);
        let expected = &tensors[&format!("sound.{name}.features")];
        let found = Tensor::from_slice(&front_end.features(&samples)).view_as(expected);
        let largest = (&found - expected).abs().max().double_value(&[]);
        let mean = (found - expected).abs().mean(Kind::Double).double_value(&[]);
        println!("log-mel {name}: largest {largest:.1e}, mean {mean:.1e}");
        // f32 sums of nearly cancelling powers differ in the quietest bins; the mean shows the rest.
        assert!(largest <= 5e-3 && mean <= 2e-5, "{name}: largest {largest:e}, mean {mean:e}");
    }
}

#[test]
fn word_pieces_agree_with_the_tokenizer_of_bert() {
    let text = fs::read_to_string(reference().join("texts.json")).unwrap();
    let groups: serde_json::Value = serde_json::from_str(&text).unwrap();
    for group in groups.as_array().unwrap() {
        let tokens = group["tokens"].as_u64().unwrap() as usize;
        let spec = WordPieceSpec { tokens, padding: 0 };
        let word_piece = WordPiece::open(&reference().join("vocab.txt"), &spec).unwrap();
        let texts = group["texts"].as_array().unwrap();
        for text in texts {
            let expected: Vec<u64> =
                text["ids"].as_array().unwrap().iter().flat_map(|id| id.as_u64()).collect();
            let text = text["text"].as_str().unwrap();
            let found: Vec<u64> = word_piece.features(text).into_iter().map(|id| id as u64).collect();
            assert_eq!(found, expected, "{text:?}");
        }
        println!("word pieces: {} texts of {tokens} tokens", texts.len());
    }
}

#[test]
fn pictures_agree_with_the_processor_of_clip() {
    let (_, FrontEnd::Picture(spec)) = Family::ClipVit.base(0).unwrap() else { panic!("CLIP sees") };
    let mut front_end = PictureFrontEnd::new(&spec).unwrap();
    let tensors = weights::read(&reference().join("front_ends.safetensors")).unwrap();
    // One step of a byte, in the channel with the smallest deviation.
    let step = 1.0 / 255.0 / f64::from(spec.std[1]);
    for name in ["240x320", "480x270", "224x224", "100x150", "1080x1920"] {
        let pixels = &tensors[&format!("picture.{name}.pixels")];
        let [height, width, _] = pixels.size()[..] else { panic!("rows, columns, colours") };
        let bytes: Vec<u8> = pixels.contiguous().view(-1).try_into().unwrap();
        let found = front_end.features(&bytes, width as u32, height as u32).unwrap();
        let off = |reference: &str| {
            let expected = &tensors[&format!("picture.{name}.{reference}")];
            (Tensor::from_slice(&found).view_as(expected) - expected).abs() / step
        };
        // Pillow's arithmetic but for the bits of a coefficient, of which the resizer has 16: exactly that.
        let unexplained = off("short").max().double_value(&[]);
        assert!(unexplained <= 0.01, "{name}: {unexplained} steps");
        let off = off("features");
        let largest = off.max().double_value(&[]);
        let differ = off.gt(0.5).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
        println!(
            "picture {name}: largest {largest:.2} steps of a byte, {:.3} % of pixels differ",
            differ * 100.0
        );
        // Each of the two passes may round a byte otherwise.
        assert!(largest <= 2.01, "{name}: {largest} steps");
        assert!(differ <= 0.003, "{name}: {differ} of the pixels");
    }
}
