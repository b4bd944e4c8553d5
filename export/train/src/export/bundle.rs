//! A release: a model and everything that is told about it, as a bundle.

use cmpt_bundle::manifest::{self, FORMAT_VERSION, Manifest, Modality, Pattern, Provenance, Window};
use cmpt_bundle::{Bundle, BundleWriter};

use super::card::model_card;
use super::error::ExportError;
use super::{golden, graph};
use crate::method::model::Model;

const FUSION: &str = "fusion.onnx";
const GOLDEN: &str = "golden.safetensors";
const CARD: &str = "README.md";

/// Largest difference from the golden outputs that an engine may have. CPUs stay a hundred times
/// below; GPUs that round products to TF32 do not.
const TOLERANCE: f32 = 2e-3;

/// What is released.
pub struct Release<'a> {
    /// The model.
    pub model: &'a Model,
    /// Name, `[A-Za-z0-9_-]+`.
    pub name: String,
    /// Version, `[A-Za-z0-9_.+-]+`.
    pub version: String,
    /// What one prediction looks at.
    pub window: Window,
    /// Temperatures and figures per pattern on validation data, which the daemon reports.
    pub validation: Vec<Pattern>,
    /// Figures per pattern on test data, for the model card.
    pub test: Vec<Pattern>,
    /// Where the model comes from.
    pub provenance: Provenance,
    /// What else the model card should say, in Markdown.
    pub notes: Option<String>,
}

impl Release<'_> {
    /// Writes the bundle.
    pub fn write(self, mut writer: BundleWriter) -> Result<Bundle, ExportError> {
        let manifest = self.manifest();
        for (index, modality) in manifest.modalities.iter().enumerate() {
            writer.add(&modality.encoder, &graph::encoder(self.model, index)?.to_bytes())?;
        }
        writer.add(FUSION, &graph::fusion(self.model)?.to_bytes())?;
        writer.add(CARD, model_card(&self, &manifest).as_bytes())?;
        let golden = golden::golden(self.model, &manifest.patterns)?;
        Ok(writer.finish(manifest, &golden)?)
    }

    fn manifest(&self) -> Manifest {
        let spec = self.model.spec();
        let modalities = spec.modalities.iter().enumerate().map(|(index, modality)| Modality {
            name: modality.info.name.clone(),
            kind: modality.info.kind,
            front_end: modality.info.front_end.clone(),
            encoder: format!("{}.onnx", modality.info.name),
            width: modality.encoder.width,
            proxies: spec.proxies(index).into_iter().map(str::to_owned).collect(),
            frames: modality.info.frames,
        });
        Manifest {
            format_version: FORMAT_VERSION,
            name: self.name.clone(),
            version: self.version.clone(),
            task: spec.task,
            labels: spec.labels.clone(),
            window: self.window,
            modalities: modalities.collect(),
            fusion: FUSION.to_owned(),
            width: spec.width,
            patterns: self.validation.clone(),
            files: Vec::new(),
            golden: manifest::Golden { file: GOLDEN.to_owned(), tolerance: TOLERANCE },
            provenance: self.provenance.clone(),
        }
    }
}
