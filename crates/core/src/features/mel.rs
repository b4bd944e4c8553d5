//! Log-mel filter-bank energies as AST computes them.

use std::f64::consts::PI;

use cmpt_kernels::Spectrum;
use serde::{Deserialize, Serialize};

/// Share of the previous sample that is subtracted from each sample (Kaldi's default).
const PRE_EMPHASIS: f32 = 0.97;

/// The longest transform: five seconds at 48 kHz.
const MOST_FFT_SAMPLES: usize = 1 << 18;
/// The most values of one window, 64 MB: what is beyond is a mistake, and would be allocated before it is told.
const MOST_VALUES: usize = 1 << 24;

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
    /// Where given, energies are relative to the loudest of the window and end so many decibels below
    /// it, before `mean` is subtracted: neither the level of a recording nor its noise below that range
    /// can then be told (AST: none; the floor is that of Whisper's front end, Radford et al. 2022).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_db: Option<f32>,
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
    window: Vec<f32>,
    filters: Vec<Filter>,
    spectrum: Spectrum,
    padded: Vec<f32>,
}

impl LogMel {
    /// Builds window, filters and transform.
    pub fn new(spec: &MelSpec) -> Result<Self, MelError> {
        check(spec)?;
        Ok(Self {
            window: hann(spec.window_samples),
            filters: (0..spec.n_mels).map(|bin| Filter::new(spec, bin)).collect(),
            spectrum: Spectrum::new(spec.fft_samples),
            padded: vec![0.0; spec.fft_samples],
            spec: spec.clone(),
        })
    }

    /// Its parameters.
    pub fn spec(&self) -> &MelSpec {
        &self.spec
    }

    /// One step: natural-log energies, not normalised.
    ///
    /// Shapes: `samples` has `window_samples`, `energies` has `n_mels`.
    /// Panics: on any other length.
    /// Source: `torchaudio.compliance.kaldi.fbank` with AST's arguments.
    pub fn step(&mut self, samples: &[f32], energies: &mut [f32]) {
        assert_eq!(samples.len(), self.spec.window_samples, "samples of one mel step");
        assert_eq!(energies.len(), self.spec.n_mels, "energies of one mel step");
        let mean = samples.iter().sum::<f32>() / samples.len() as f32;
        let mut previous = samples[0] - mean;
        for ((padded, &sample), &weight) in self.padded.iter_mut().zip(samples).zip(&self.window) {
            let centred = sample - mean;
            *padded = (centred - PRE_EMPHASIS * previous) * weight;
            previous = centred;
        }
        // The transform uses its input as scratch, so the padding has to be renewed too.
        self.padded[samples.len()..].fill(0.0);
        let power = self.spectrum.power(&mut self.padded);
        for (energy, filter) in energies.iter_mut().zip(&self.filters) {
            // An empty filter (narrower than the transform's bins) reads as silence.
            *energy = filter.apply(power).max(f32::EPSILON).ln();
        }
    }

    /// Model input from un-normalised steps: padded or cut to `steps`, then normalised. Padding is energy
    /// 0, as AST pads, or the floor of the range where there is one.
    ///
    /// Shapes: `energies` is [n, n_mels] row-major; the result is [steps, n_mels].
    pub fn model_input(&self, energies: &[f32]) -> Vec<f32> {
        let length = self.spec.steps * self.spec.n_mels;
        let energies = &energies[..energies.len().min(length)];
        let range = self.spec.range_db.map(|range_db| range_db / 10.0 * std::f32::consts::LN_10);
        let (loudest, floor, padding) = match range {
            Some(range) => (energies.iter().copied().fold(f32::MIN, f32::max), -range, -range),
            None => (0.0, f32::MIN, 0.0),
        };
        let relative = energies.iter().map(|energy| (energy - loudest).max(floor));
        let padded = relative.chain(std::iter::repeat(padding)).take(length);
        padded.map(|energy| (energy - self.spec.mean) / self.spec.divisor).collect()
    }

    /// The whole front end on one window of samples, at least `window_samples` long for one step.
    /// Shape: [steps, n_mels].
    pub fn features(&mut self, samples: &[f32]) -> Vec<f32> {
        let (window, hop, n_mels) = (self.spec.window_samples, self.spec.hop_samples, self.spec.n_mels);
        let steps = samples.len().checked_sub(window).map_or(0, |rest| 1 + rest / hop).min(self.spec.steps);
        let mut energies = vec![0.0; steps * n_mels];
        for (step, energies) in energies.chunks_exact_mut(n_mels).enumerate() {
            self.step(&samples[step * hop..][..window], energies);
        }
        self.model_input(&energies)
    }
}

/// One triangle, without its zero weights.
#[derive(Clone)]
struct Filter {
    first_bin: usize,
    weights: Vec<f32>,
}

impl Filter {
    /// Triangle number `index` of `spec`, linear in mel. The Nyquist bin belongs to none.
    fn new(spec: &MelSpec, index: usize) -> Self {
        let (low, high) = (mel(f64::from(spec.low_hz)), mel(f64::from(spec.high_hz)));
        let spacing = (high - low) / (spec.n_mels + 1) as f64;
        let (left, centre, right) = (
            low + index as f64 * spacing,
            low + (index + 1) as f64 * spacing,
            low + (index + 2) as f64 * spacing,
        );
        let bin_hz = f64::from(spec.sample_rate_hz) / spec.fft_samples as f64;
        let weight = |bin: usize| {
            let mel = mel(bin as f64 * bin_hz);
            ((mel - left) / (centre - left)).min((right - mel) / (right - centre)).max(0.0) as f32
        };
        let nyquist = spec.fft_samples / 2;
        let first_bin = (0..nyquist).find(|&bin| weight(bin) > 0.0).unwrap_or(nyquist);
        let weights = (first_bin..nyquist).map(weight).take_while(|&weight| weight > 0.0).collect();
        Self { first_bin, weights }
    }

    fn apply(&self, power: &[f32]) -> f32 {
        self.weights.iter().zip(&power[self.first_bin..]).map(|(weight, power)| weight * power).sum()
    }
}

/// Kaldi's mel scale.
fn mel(hz: f64) -> f64 {
    1127.0 * (hz / 700.0).ln_1p()
}

/// The symmetric Hann window.
fn hann(length: usize) -> Vec<f32> {
    let turn = 2.0 * PI / (length - 1) as f64;
    (0..length).map(|i| (0.5 - 0.5 * (turn * i as f64).cos()) as f32).collect()
}

fn check(spec: &MelSpec) -> Result<(), MelError> {
    let nyquist_hz = spec.sample_rate_hz as f32 / 2.0;
    let rules = [
        ("sample_rate_hz", f64::from(spec.sample_rate_hz), spec.sample_rate_hz > 0, "a positive rate"),
        ("window_samples", spec.window_samples as f64, spec.window_samples >= 2, "at least 2 samples"),
        ("hop_samples", spec.hop_samples as f64, spec.hop_samples > 0, "at least 1 sample"),
        (
            "fft_samples",
            spec.fft_samples as f64,
            spec.fft_samples.is_power_of_two()
                && (spec.window_samples..=MOST_FFT_SAMPLES).contains(&spec.fft_samples),
            "a power of two not below `window_samples`, at most 262144",
        ),
        (
            "n_mels",
            spec.n_mels as f64,
            (1..=spec.fft_samples / 2).contains(&spec.n_mels),
            "1 to half of `fft_samples`",
        ),
        ("low_hz", f64::from(spec.low_hz), spec.low_hz >= 0.0, "0 or more"),
        (
            "high_hz",
            f64::from(spec.high_hz),
            spec.high_hz > spec.low_hz && spec.high_hz <= nyquist_hz,
            "above `low_hz` and at most half of `sample_rate_hz`",
        ),
        (
            "steps",
            spec.steps as f64,
            (1..=MOST_VALUES / spec.n_mels.max(1)).contains(&spec.steps),
            "at least 1 step, and at most 16777216 values with `n_mels`",
        ),
        ("mean", f64::from(spec.mean), spec.mean.is_finite(), "a finite number"),
        (
            "divisor",
            f64::from(spec.divisor),
            spec.divisor.is_finite() && spec.divisor > 0.0,
            "a finite number above 0",
        ),
        (
            "range_db",
            f64::from(spec.range_db.unwrap_or_default()),
            spec.range_db.is_none_or(|range_db| range_db.is_finite() && range_db > 0.0),
            "a finite number above 0",
        ),
    ];
    match rules.into_iter().find(|(_, _, holds, _)| !holds) {
        Some((field, value, _, expected)) => Err(MelError::Field { field, value, expected }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ast() -> MelSpec {
        MelSpec {
            sample_rate_hz: 16_000,
            window_samples: 400,
            hop_samples: 160,
            fft_samples: 512,
            n_mels: 128,
            low_hz: 20.0,
            high_hz: 8000.0,
            steps: 1024,
            mean: -4.267_739_3,
            divisor: 2.0 * 4.568_997_4,
            range_db: None,
        }
    }

    fn digits() -> MelSpec {
        MelSpec {
            fft_samples: 1024,
            n_mels: 64,
            high_hz: 4000.0,
            steps: 98,
            mean: 0.0,
            divisor: 1.0,
            ..ast()
        }
    }

    fn sine(hz: f64, samples: usize) -> Vec<f32> {
        (0..samples).map(|i| (0.5 * (2.0 * PI * hz * i as f64 / 16_000.0).sin()) as f32).collect()
    }

    /// A decaying chirp with an offset: every bin and the mean subtraction matter.
    fn chirp() -> Vec<f32> {
        let sample = |i: usize| {
            let t = i as f64 / 16_000.0;
            (0.1 + 0.4 * (-2.0 * t).exp() * (2.0 * PI * (100.0 * t + 3500.0 * t * t)).sin()) as f32
        };
        (0..16_000).map(sample).collect()
    }

    /// `golden`: (step, bin, energy), from a float64 port of `torchaudio.compliance.kaldi.fbank`.
    fn check_golden(spec: MelSpec, golden: &[(usize, usize, f32)]) {
        let spec = MelSpec { mean: 0.0, divisor: 1.0, ..spec };
        let features = LogMel::new(&spec).unwrap().features(&chirp());
        for &(step, bin, expected) in golden {
            let found = features[step * spec.n_mels + bin];
            assert!(
                (found - expected).abs() <= 0.003,
                "step {step}, bin {bin}: {found}, expected {expected}"
            );
        }
    }

    #[test]
    fn matches_the_reference_with_asts_parameters() {
        check_golden(ast(), &AST_GOLDEN);
    }

    #[test]
    fn matches_the_reference_with_other_parameters() {
        check_golden(digits(), &DIGITS_GOLDEN);
    }

    #[test]
    fn a_second_has_98_steps_and_the_rest_is_padding() {
        let spec = MelSpec { steps: 100, ..ast() };
        let features = LogMel::new(&spec).unwrap().features(&sine(440.0, 16_000));
        assert_eq!(features.len(), 100 * 128);
        assert!(features[98 * 128..].iter().all(|&x| (x - 0.467_03).abs() < 1e-5));
        assert!(features[97 * 128..98 * 128].iter().any(|&x| (x - 0.467_03).abs() > 1e-2));
    }

    #[test]
    fn too_many_steps_are_cut_at_the_end() {
        let (long, short) = (chirp(), MelSpec { steps: 3, ..digits() });
        let cut = LogMel::new(&short).unwrap().features(&long);
        assert_eq!(cut, LogMel::new(&digits()).unwrap().features(&long)[..3 * 64]);
    }

    #[test]
    fn a_sine_is_loudest_in_its_own_bin() {
        let spec = digits();
        let spacing = (mel(4000.0) - mel(20.0)) / 65.0;
        for hz in [300.0, 1000.0, 2500.0] {
            let features = LogMel::new(&spec).unwrap().features(&sine(hz, 400));
            let loudest = (0..64).max_by(|&a, &b| features[a].total_cmp(&features[b])).unwrap();
            let centre = mel(20.0) + (loudest + 1) as f64 * spacing;
            assert!((mel(hz) - centre).abs() <= 0.6 * spacing, "{hz} Hz in bin {loudest}");
        }
    }

    #[test]
    fn silence_and_empty_filters_read_as_the_floor() {
        let features = LogMel::new(&digits()).unwrap().features(&[0.0; 400]);
        assert!(features[..64].iter().all(|&x| x == f32::EPSILON.ln()));
        // 31 Hz bins cannot fill triangles 15 Hz wide.
        let narrow = MelSpec { n_mels: 200, high_hz: 4000.0, ..ast() };
        let features = LogMel::new(&narrow).unwrap().features(&chirp());
        assert!(features.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn a_bad_parameter_is_an_error_that_names_it() {
        type Spoil = fn(&mut MelSpec);
        let cases: [(&str, Spoil); 13] = [
            ("sample_rate_hz", |s| s.sample_rate_hz = 0),
            ("window_samples", |s| s.window_samples = 1),
            ("hop_samples", |s| s.hop_samples = 0),
            ("fft_samples", |s| s.fft_samples = 500),
            ("fft_samples", |s| s.fft_samples = 256),
            ("fft_samples", |s| s.fft_samples = 1 << 40),
            ("n_mels", |s| s.n_mels = 0),
            ("n_mels", |s| s.n_mels = 257),
            ("high_hz", |s| s.high_hz = 8001.0),
            ("steps", |s| s.steps = 0),
            ("steps", |s| s.steps = 131_073),
            ("divisor", |s| s.divisor = 0.0),
            ("range_db", |s| s.range_db = Some(0.0)),
        ];
        for (name, spoil) in cases {
            let mut spec = ast();
            spoil(&mut spec);
            let error = LogMel::new(&spec).map(|_| ()).unwrap_err();
            assert!(matches!(error, MelError::Field { field, .. } if field == name), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    const AST_GOLDEN: [(usize, usize, f32); 10] = [
        (0, 0, -5.1708),
        (0, 5, -5.3464),
        (1, 20, -2.5544),
        (10, 64, -15.9424),
        (40, 30, -15.9424),
        (49, 127, -15.9424),
        (60, 50, -15.9424),
        (80, 12, -15.9424),
        (97, 126, -13.2243),
        (97, 40, -15.9424),
    ];

    const DIGITS_GOLDEN: [(usize, usize, f32); 10] = [
        (0, 0, -5.3435),
        (0, 5, 1.7881),
        (1, 20, -11.0231),
        (10, 0, -10.6492),
        (40, 30, -15.9424),
        (49, 63, -1.5769),
        (60, 50, -15.9424),
        (80, 12, -15.9424),
        (97, 62, -15.9424),
        (97, 40, -15.9424),
    ];

    #[test]
    fn within_a_range_neither_level_nor_faint_noise_can_be_told() {
        let spec = MelSpec { range_db: Some(30.0), steps: 120, ..digits() };
        let mut mel = LogMel::new(&spec).unwrap();
        let word: Vec<f32> = sine(700.0, 16_000)
            .into_iter()
            .enumerate()
            .map(|(i, x)| if i < 8000 { x } else { 0.0 })
            .collect();
        let quieter: Vec<f32> = word.iter().map(|x| x * 0.1).collect();
        let noisy: Vec<f32> =
            word.iter().enumerate().map(|(i, x)| x + 1e-3 * (i * i % 17) as f32 / 17.0).collect();
        let features = mel.features(&word);
        let close = |other: &[f32]| features.iter().zip(other).all(|(a, b)| (a - b).abs() < 0.05);
        assert!(close(&mel.features(&quieter)) && close(&mel.features(&noisy)));
        let floor = -30.0 / 10.0 * std::f32::consts::LN_10;
        let (least, most) = features.iter().fold((f32::MAX, f32::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
        assert_eq!((least, most), (floor, 0.0));
        // Padding is silence.
        assert!(features[98 * 64..].iter().all(|x| *x == floor));
    }
}
