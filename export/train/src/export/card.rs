//! The model card: what a model was made of, how it was measured, and what it is worth.

use std::fmt::{self, Write};

use cmpt_bundle::manifest::{FrontEnd, Manifest, Modality, Pattern, Task};

use super::bundle::Release;
use crate::encoder::spec::{Embedding, EncoderSpec, PatchEmbedding};
use crate::method::spec::{Missing, Tune};

/// The card in Markdown.
pub(super) fn model_card(release: &Release<'_>, manifest: &Manifest) -> String {
    let mut card = String::new();
    write_card(&mut card, release, manifest).expect("a string takes all that is written to it");
    card
}

fn write_card(card: &mut String, release: &Release<'_>, manifest: &Manifest) -> fmt::Result {
    let Manifest { name, version, window, provenance, labels, .. } = manifest;
    let modalities: Vec<&str> = manifest.modalities.iter().map(|m| m.name.as_str()).collect();
    writeln!(card, "# {name} {version}\n")?;
    writeln!(
        card,
        "{} of {} labels for every window of {} ms, a window every {} ms, from {}. When a sensor is \
         missing, {}.\n",
        if manifest.task == Task::Multiclass { "One" } else { "Any number" },
        labels.len(),
        window.length_ms,
        window.hop_ms,
        modalities.join(" and "),
        match release.model.spec().missing {
            Missing::Proxies => "proxy tokens of the others stand in for it",
            Missing::Zeros => "zeros stand in for it",
        }
    )?;
    writeln!(card, "Labels: {}.\n", labels.join(", "))?;
    write_modalities(card, release, manifest)?;
    writeln!(card, "## Data\n\n{}\n", provenance.data)?;
    let measured = release.validation.iter().any(|pattern| pattern.metric.samples > 0);
    if measured {
        write_protocol(card)?;
        write_figures(card, release, manifest)?;
    } else {
        writeln!(card, "## Figures\n\nNone: nobody measured this model.\n")?;
    }
    writeln!(card, "## Training\n")?;
    writeln!(card, "Code {}, seed {}, {}.\n", provenance.code, provenance.seed, provenance.created)?;
    for (key, value) in &provenance.details {
        writeln!(card, "- {key}: `{value}`")?;
    }
    writeln!(
        card,
        "\n## Limits\n\nThe set of labels is closed: a window that shows none of them is still given one. \
         Scores and expected quality hold for windows like those of the validation data. Weights are f32; \
         adapters are merged."
    )?;
    if let Some(notes) = &release.notes {
        writeln!(card, "\n## Notes\n\n{}", notes.trim())?;
    }
    Ok(())
}

fn write_protocol(card: &mut String) -> fmt::Result {
    writeln!(
        card,
        "## Protocol\n\nThe epoch was chosen by the mean of the metric over all availability patterns on \
         validation data, and the temperatures were fitted there, one per pattern. The figures on \
         validation data are in the manifest: the daemon reports them as `expected`. Test data were used \
         for nothing but the tables below.\n"
    )
}

fn write_modalities(card: &mut String, release: &Release<'_>, manifest: &Manifest) -> fmt::Result {
    let spec = release.model.spec();
    writeln!(card, "| modality | input | encoder | adapted |\n| --- | --- | --- | --- |")?;
    let adapted = match spec.tune {
        Tune::Lora(lora) => format!("LoRA of rank {}, alpha {}", lora.rank, lora.alpha),
        Tune::Full => "whole".to_owned(),
    };
    for (modality, description) in manifest.modalities.iter().zip(&spec.modalities) {
        let (input, encoder) = (input(modality), encoder(&description.encoder));
        writeln!(card, "| {} | {input} | {encoder} | {adapted} |", modality.name)?;
    }
    writeln!(card)
}

fn input(modality: &Modality) -> String {
    match &modality.front_end {
        FrontEnd::LogMel(mel) => format!(
            "sound at {} Hz, {} mel bins from {} to {} Hz, {} steps of {} samples",
            mel.sample_rate_hz, mel.n_mels, mel.low_hz, mel.high_hz, mel.steps, mel.hop_samples
        ),
        FrontEnd::Picture(picture) => {
            let colour = if picture.mean.len() == 1 { "luma" } else { "RGB" };
            format!("{} of {edge} x {edge} pixels, {colour}", pictures(modality.frames), edge = picture.edge)
        }
        FrontEnd::WordPiece(words) => format!("text of {} WordPiece tokens", words.tokens),
    }
}

fn pictures(frames: usize) -> String {
    if frames == 1 { "a picture".to_owned() } else { format!("{frames} pictures") }
}

fn encoder(spec: &EncoderSpec) -> String {
    let parameters: usize = spec.parameters().iter().map(|parameter| parameter.count()).sum();
    let tokens = match &spec.embedding {
        Embedding::Patches(PatchEmbedding { patch, stride, .. }) => {
            format!("patches of {} x {} every {} x {}", patch[0], patch[1], stride[0], stride[1])
        }
        Embedding::Words(words) => format!("{} words", words.vocabulary),
    };
    format!(
        "{:.2} M parameters: {tokens}, width {}, {} blocks of {} heads",
        parameters as f64 / 1e6,
        spec.width,
        spec.depth,
        spec.heads
    )
}

fn write_figures(card: &mut String, release: &Release<'_>, manifest: &Manifest) -> fmt::Result {
    writeln!(card, "## Figures\n")?;
    for (split, patterns) in [("Test", &release.test), ("Validation", &release.validation)] {
        if patterns.is_empty() {
            continue;
        }
        writeln!(card, "{split} data:\n")?;
        writeln!(card, "| available | metric | value | samples | calibration error | temperature |")?;
        writeln!(card, "| --- | --- | --- | --- | --- | --- |")?;
        for Pattern { available, temperature, metric, calibration_error, .. } in patterns {
            let error = calibration_error.map_or("not measured".to_owned(), |error| format!("{error:.4}"));
            let (available, value) = (available.join(" + "), metric.value);
            writeln!(
                card,
                "| {available} | {} | {value:.4} | {} | {error} | {temperature:.3} |",
                metric.name, metric.samples
            )?;
        }
        writeln!(card)?;
    }
    write_classes(card, &release.test, &manifest.labels)
}

fn write_classes(card: &mut String, patterns: &[Pattern], labels: &[String]) -> fmt::Result {
    if patterns.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = patterns.iter().map(|pattern| pattern.available.join(" + ")).collect();
    writeln!(card, "Test data, per class:\n")?;
    writeln!(card, "| label | {} |\n| --- |{}", names.join(" | "), " --- |".repeat(names.len()))?;
    for (class, label) in labels.iter().enumerate() {
        let values =
            patterns.iter().map(|p| p.per_class.get(class).map_or(String::new(), |v| format!("{v:.4}")));
        writeln!(card, "| {label} | {} |", values.collect::<Vec<_>>().join(" | "))?;
    }
    writeln!(card)
}
