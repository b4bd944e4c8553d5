//! Power spectra of real signals.

use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

/// A transform of one length, with its buffers.
#[derive(Clone)]
pub struct Spectrum {
    transform: Arc<dyn RealToComplex<f32>>,
    bins: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    power: Vec<f32>,
}

impl Spectrum {
    /// A transform of `samples` samples.
    pub fn new(samples: usize) -> Self {
        let transform = RealFftPlanner::new().plan_fft_forward(samples);
        Self {
            bins: transform.make_output_vec(),
            scratch: transform.make_scratch_vec(),
            power: vec![0.0; samples / 2 + 1],
            transform,
        }
    }

    /// Squared magnitudes of the discrete Fourier transform, not scaled. `signal` is used as scratch.
    ///
    /// Shapes: `signal` has the transform's samples, the result half as many and one more.
    /// Panics: on any other length.
    pub fn power(&mut self, signal: &mut [f32]) -> &[f32] {
        self.transform
            .process_with_scratch(signal, &mut self.bins, &mut self.scratch)
            .expect("the signal is as long as the transform");
        for (power, bin) in self.power.iter_mut().zip(&self.bins) {
            *power = bin.norm_sqr();
        }
        &self.power
    }
}

impl fmt::Debug for Spectrum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spectrum").field("samples", &self.transform.len()).finish_non_exhaustive()
    }
}
