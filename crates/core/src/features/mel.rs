//! Log-mel filter-bank energies as AST computes them.

use serde::{Deserialize, Serialize};

/// Parameters of the log-mel front end; data of the bundle manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelSpec {
    /// Sample rate of the input.
    pub sample_rate_hz: u32,
    /// Samples in one step's window (AST: 400).
    pub window_samples: usize,
    /// Samples between two steps (AST: 160).
    pub hop_samples: usize,
    /// Length of the zero-padded transform, a power of two (AST: 512).
    pub fft_samples: usize,
    /// Number of mel bins (AST: 128).
    pub n_mels: usize,
    /// Lower edge of the lowest triangle (AST: 20).
    pub low_hz: f32,
    /// Upper edge of the highest triangle (AST: 8000).
    pub high_hz: f32,
    /// Steps of the model input: zero-padded or cut at the end (AST: 1024).
    pub steps: usize,
    /// Subtracted from every log energy, padding included (AST: -4.2677393).
    pub mean: f32,
    /// Divides the difference (AST: 2 * 4.5689974).
    pub divisor: f32,
}

/// Why a mel front end cannot be built or run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MelError {
    /// A parameter is out of range.
    #[error("mel front end: `{field}` is {value}, expected {expected}")]
    Field {
        /// The parameter.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
}

/// The log-mel front end.
#[derive(Clone)]
pub struct LogMel {
    spec: MelSpec,
}

impl LogMel {
    /// Builds window, filters and transform.
    pub fn new(spec: &MelSpec) -> Result<Self, MelError> {
        Ok(Self { spec: spec.clone() })
    }

    /// Its parameters.
    pub fn spec(&self) -> &MelSpec {
        &self.spec
    }

    /// One step: natural-log energies, not normalised.
    ///
    /// Shapes: `samples` has `window_samples`, `energies` has `n_mels`.
    /// Source: `torchaudio.compliance.kaldi.fbank` with AST's arguments.
    pub fn step(&mut self, samples: &[f32], energies: &mut [f32]) {
        let _ = (samples, energies);
        todo!()
    }

    /// Model input from un-normalised steps: padded with zeros or cut to `steps`, then normalised.
    ///
    /// Shapes: `energies` is [n, n_mels] row-major; the result is [steps, n_mels].
    pub fn model_input(&self, energies: &[f32]) -> Vec<f32> {
        let _ = energies;
        todo!()
    }

    /// The whole front end on one window of samples, at least `window_samples` long for one step.
    /// Shape: [steps, n_mels].
    pub fn features(&mut self, samples: &[f32]) -> Vec<f32> {
        let _ = samples;
        todo!()
    }
}
