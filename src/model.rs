//! The model that a daemon runs: an opened bundle, with what is looked up for every window.

use std::path::Path;
use std::time::Duration;

use cmpt_bundle::manifest::{FrontEnd, Pattern};
use cmpt_bundle::{Bundle, BundleError, Golden, Manifest, Problem};
use cmpt_core::assembler;
use cmpt_core::modality::{Kind, ModalityId, ModalitySet};

use crate::inference::Graph;
use crate::inference::engine::GraphFile;

/// An opened bundle.
pub struct Model {
    bundle: Bundle,
    proxies: Vec<Vec<ModalityId>>,
}

impl Model {
    /// Opens and checks the bundle in `folder`.
    pub fn open(folder: &Path) -> Result<Self, BundleError> {
        let bundle = Bundle::open(folder)?;
        let manifest = bundle.manifest();
        if let Some(index) = manifest.modalities.iter().position(|m| m.kind == Kind::Text) {
            let problem = Problem::Field {
                field: format!("modalities[{index}].kind"),
                value: "text".to_owned(),
                expected: "audio, video or image, because no source gives text".to_owned(),
            };
            let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
            return Err(BundleError::Invalid { path, problems: problem.into() });
        }
        let id = |name: &String| manifest.modality(name).expect("an opened bundle knows its modalities");
        let proxies = manifest.modalities.iter().map(|m| m.proxies.iter().map(id).collect()).collect();
        Ok(Self { bundle, proxies })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        self.bundle.manifest()
    }

    /// Digest of the manifest, which pins every file.
    pub fn digest(&self) -> &str {
        self.bundle.digest()
    }

    /// Golden inputs and outputs.
    pub fn golden(&self) -> &Golden {
        self.bundle.golden()
    }

    /// The modalities that the encoder of `id` has proxies for, in the order of its outputs.
    pub fn proxies(&self, id: ModalityId) -> &[ModalityId] {
        &self.proxies[id.0]
    }

    /// Calibration and quality of an availability pattern, if they were measured.
    pub fn pattern(&self, available: ModalitySet) -> Option<&Pattern> {
        self.manifest().pattern(available)
    }

    /// Name of a modality.
    pub fn name(&self, id: ModalityId) -> &str {
        &self.manifest().modalities[id.0].name
    }

    /// Length of a window.
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.manifest().window.length_ms)
    }

    /// Distance between the starts of two windows.
    pub fn hop(&self) -> Duration {
        Duration::from_millis(self.manifest().window.hop_ms)
    }

    /// The front end of a modality, as the assembler wants it.
    pub fn front_end(&self, id: ModalityId) -> assembler::FrontEnd {
        let modality = &self.manifest().modalities[id.0];
        match &modality.front_end {
            FrontEnd::WordPiece(_) => unreachable!("a model with text is not opened"),
            FrontEnd::LogMel(spec) => assembler::FrontEnd::Mel(spec.clone()),
            FrontEnd::Picture(picture) => {
                assembler::FrontEnd::Pictures { picture: picture.clone(), frames: modality.frames }
            }
        }
    }

    /// Every graph and its file.
    pub fn graphs(&self) -> Vec<GraphFile> {
        let manifest = self.manifest();
        let encoders = manifest.modalities.iter().enumerate().map(|(index, modality)| GraphFile {
            graph: Graph::Encoder(ModalityId(index)),
            path: self.bundle.encoder_path(modality),
            input: "features",
            input_shape: modality.part_shape(),
            outputs: ["cls".to_owned()]
                .into_iter()
                .chain(modality.proxies.iter().map(|other| format!("proxy_{other}")))
                .collect(),
        });
        let fusion = GraphFile {
            graph: Graph::Fusion,
            path: self.bundle.fusion_path(),
            input: "token",
            input_shape: vec![manifest.width],
            outputs: vec!["logits".to_owned()],
        };
        encoders.chain([fusion]).collect()
    }
}
