//! WAV files, and sound at another rate.

use std::f64::consts::PI;
use std::path::Path;

use hound::{SampleFormat, WavReader};

use super::error::DataError;

/// Mono sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// Sample rate.
    pub rate_hz: u32,
    /// Samples in [-1, 1].
    pub samples: Vec<f32>,
}

/// Reads a mono 16-bit WAV file.
pub fn read(path: &Path) -> Result<Sound, DataError> {
    let wrong = |error: hound::Error| match error {
        hound::Error::IoError(source) if source.kind() == std::io::ErrorKind::NotFound => {
            DataError::Read { path: path.into(), source }
        }
        error => DataError::malformed(path, format!("{error}, expected a mono 16-bit WAV file")),
    };
    let reader = WavReader::open(path).map_err(wrong)?;
    let spec = reader.spec();
    if (spec.channels, spec.bits_per_sample, spec.sample_format) != (1, 16, SampleFormat::Int) {
        let found = format!("{} channels of {} bits", spec.channels, spec.bits_per_sample);
        return Err(DataError::malformed(path, format!("{found}, expected 1 channel of 16 bits")));
    }
    let expected = reader.len();
    let samples: Result<Vec<i16>, _> = reader.into_samples::<i16>().collect();
    let samples = samples.map_err(|error| {
        DataError::malformed(path, format!("{error}, expected {expected} samples after the header"))
    })?;
    if samples.is_empty() {
        return Err(DataError::malformed(path, "no samples, expected at least 1"));
    }
    let samples = samples.into_iter().map(|sample| f32::from(sample) / 32_768.0).collect();
    Ok(Sound { rate_hz: spec.sample_rate, samples })
}

impl Sound {
    /// The sound at `rate_hz`, without what lies above `cutoff_hz` or half of either rate.
    ///
    /// One windowed-sinc kernel evaluated at every output sample, from a table fine enough for 16 bits.
    pub fn resampled(&self, rate_hz: u32, cutoff_hz: f64) -> Self {
        const ZERO_CROSSINGS: f64 = 16.0;
        const FINENESS: f64 = 128.0;
        let (from, to) = (f64::from(self.rate_hz), f64::from(rate_hz));
        let cutoff = cutoff_hz.min(0.475 * from).min(0.475 * to);
        // Impulse response of the ideal low-pass in input samples, under a Hann window.
        let bandwidth = 2.0 * cutoff / from;
        let reach = ZERO_CROSSINGS / bandwidth;
        let kernel = |distance: f64| {
            let window = 0.5 + 0.5 * (PI * distance / reach).cos();
            let phase = PI * bandwidth * distance;
            (bandwidth * window * if phase < 1e-9 { 1.0 } else { phase.sin() / phase }) as f32
        };
        let table: Vec<f32> =
            (0..=(reach * FINENESS) as usize + 2).map(|i| kernel(i as f64 / FINENESS)).collect();
        let length = (self.samples.len() as f64 * to / from).round() as usize;
        let at = |index: usize| {
            let centre = index as f64 * from / to;
            let first = (centre - reach).ceil().max(0.0) as usize;
            let last = ((centre + reach).floor() as usize).min(self.samples.len() - 1);
            let taps = (first..=last).map(|i| {
                let position = (i as f64 - centre).abs() * FINENESS;
                let (entry, share) = (position as usize, position.fract() as f32);
                self.samples[i] * (table[entry] + share * (table[entry + 1] - table[entry]))
            });
            taps.sum::<f32>()
        };
        Self { rate_hz, samples: (0..length).map(at).collect() }
    }

    /// The sound without its quiet ends: from the first to the last block of 10 ms that is louder
    /// than `below_peak_db` below the loudest block, and `margin_ms` on either side.
    pub fn trimmed(&self, below_peak_db: f32, margin_ms: usize) -> Self {
        let block = (self.rate_hz as usize / 100).max(1);
        let energies: Vec<f32> =
            self.samples.chunks(block).map(|block| block.iter().map(|x| x * x).sum()).collect();
        let floor = energies.iter().copied().fold(0.0, f32::max) * 10f32.powf(-below_peak_db / 10.0);
        let first = energies.iter().position(|&energy| energy > floor).unwrap_or(0);
        let last = energies.iter().rposition(|&energy| energy > floor).unwrap_or(energies.len() - 1);
        let margin = margin_ms * self.rate_hz as usize / 1000;
        let start = (first * block).saturating_sub(margin);
        let end = ((last + 1) * block + margin).min(self.samples.len());
        Self { rate_hz: self.rate_hz, samples: self.samples[start..end].to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, rate_hz: u32, length: usize) -> Sound {
        let sample = |i: usize| (0.5 * (2.0 * PI * hz * i as f64 / f64::from(rate_hz)).sin()) as f32;
        Sound { rate_hz, samples: (0..length).map(sample).collect() }
    }

    fn rms(samples: &[f32]) -> f32 {
        (samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32).sqrt()
    }

    #[test]
    fn resampling_keeps_a_tone_and_its_phase() {
        for rate_hz in [8000, 22_050, 32_000] {
            let found = sine(440.0, rate_hz, rate_hz as usize / 2).resampled(16_000, 4000.0);
            let expected = sine(440.0, 16_000, 8000);
            assert_eq!(found.samples.len(), 8000);
            for i in 1000..7000 {
                assert!((found.samples[i] - expected.samples[i]).abs() < 2e-3, "{rate_hz} Hz, sample {i}");
            }
        }
    }

    #[test]
    fn resampling_leaves_nothing_above_the_cutoff() {
        let found = sine(5500.0, 22_050, 11_025).resampled(16_000, 4000.0);
        assert!(rms(&found.samples[1000..7000]) < 1e-3);
        // 3000 Hz at 8 kHz has its mirror at 5000 Hz; what remains is the tone alone.
        let found = sine(3000.0, 8000, 4000).resampled(16_000, 4000.0);
        let expected = sine(3000.0, 16_000, 8000);
        let rest: Vec<f32> = (1000..7000).map(|i| found.samples[i] - expected.samples[i]).collect();
        assert!(rms(&rest) < 5e-3, "{}", rms(&rest));
    }

    #[test]
    fn trimming_removes_quiet_ends_but_the_margin() {
        let mut sound = sine(400.0, 8000, 800);
        sound.samples.splice(0..0, vec![1e-4; 1600]);
        sound.samples.extend([0.0; 2400]);
        assert_eq!(sound.trimmed(40.0, 20).samples.len(), 800 + 2 * 160);
        let silence = Sound { rate_hz: 8000, samples: vec![0.0; 800] };
        assert_eq!(silence.trimmed(40.0, 20), silence);
    }

    #[test]
    fn a_broken_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7_theo_1.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        (0..100).for_each(|_| writer.write_sample(16_384i16).unwrap());
        writer.finalize().unwrap();
        assert_eq!(read(&path).unwrap(), Sound { rate_hz: 8000, samples: vec![0.5; 100] });

        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 31]).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("7_theo_1.wav") && error.contains("expected 100 samples"), "{error}");
        std::fs::write(&path, b"RIFF").unwrap();
        assert!(matches!(read(&path).unwrap_err(), DataError::Malformed { .. }));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read(&path).unwrap_err(), DataError::Read { .. }));
    }
}
