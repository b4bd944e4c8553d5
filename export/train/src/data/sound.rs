//! From a recording to the input of the sound encoder, as it is or made strange for training.

use cmpt_core::features::{LogMel, MelError, MelSpec};
use fastrand::Rng;

use super::effects::{self, Biquad, Shape, log_uniform, rms, uniform};
use super::front_end::WINDOW_MS;

/// Puts recordings into the centre of a window and takes their features.
pub struct SoundLoader {
    mel: LogMel,
}

impl SoundLoader {
    /// A loader for one front end.
    pub fn new(spec: &MelSpec) -> Result<Self, MelError> {
        Ok(Self { mel: LogMel::new(spec)? })
    }

    /// Shape of one sample's features.
    pub fn shape(&self) -> Vec<usize> {
        vec![self.mel.spec().steps, self.mel.spec().n_mels]
    }

    /// Features of the recording as it is.
    pub fn load(&mut self, recording: &[i16]) -> Vec<f32> {
        let window = self.place(&to_float(recording), 0);
        self.mel.features(&window)
    }

    /// Features of the recording as another speaker in another place might have made it. `babble`
    /// gives recordings of others for the background.
    pub fn load_augmented<'a>(
        &mut self,
        recording: &[i16],
        babble: &mut dyn FnMut(&mut Rng) -> &'a [i16],
        rng: &mut Rng,
    ) -> Vec<f32> {
        // From untouched to hardly recognisable, more often the latter: the easy ones are what a fresh
        // encoder starts to learn from, the hard ones are what makes up for few speakers.
        let strength = rng.f32().sqrt();
        let mut window = self.speak(recording, strength, rng);
        self.add_background(&mut window, babble, strength, rng);
        let level = log_uniform(rng, 0.01, 0.95) / peak(&window);
        // One in eight is overdriven a little.
        let ceiling = if rng.u8(..8) == 0 { uniform(rng, 0.3, 0.9) } else { 1.0 };
        let clip = ceiling * level * peak(&window);
        window.iter_mut().for_each(|sample| *sample = (*sample * level).clamp(-clip, clip));
        self.strange_features(&window, strength, rng)
    }

    /// The word at another pitch and pace, through another room and microphone, cut out of its recording
    /// by another hand, off the centre.
    fn speak(&self, recording: &[i16], strength: f32, rng: &mut Rng) -> Vec<f32> {
        let rate_hz = self.mel.spec().sample_rate_hz as f32;
        let speed = log_uniform(rng, 0.7, 1.4).powf(strength);
        let mut word = effects::play_at_speed(&to_float(recording), speed);
        for _ in 0..rng.usize(0..=3) {
            let shape = Shape::Peak(strength * uniform(rng, -12.0, 12.0));
            let (hz, q) = (log_uniform(rng, 150.0, 3800.0), uniform(rng, 0.4, 1.5));
            Biquad::new(shape, hz, q, rate_hz).apply(&mut word);
        }
        if rng.f32() < 0.3 * strength {
            Biquad::new(Shape::HighPass, uniform(rng, 100.0, 400.0), 0.7, rate_hz).apply(&mut word);
        }
        if rng.f32() < 0.3 * strength {
            Biquad::new(Shape::LowPass, uniform(rng, 2200.0, 3600.0), 0.7, rate_hz).apply(&mut word);
        }
        if rng.f32() < 0.4 * strength {
            word = effects::reverberate(&word, uniform(rng, 0.05, 0.3), rate_hz, rng);
        }
        let (length, level) = (word.len(), rms(&word));
        // The recording's own noise and hum, which end where the recording does.
        if rng.f32() < 0.75 {
            mix(&mut word, level, &effects::coloured_noise(length, rng), uniform(rng, 10.0, 45.0));
        }
        if rng.f32() < 0.3 {
            mix(&mut word, level, &effects::hum(length, rate_hz, rng), uniform(rng, 5.0, 40.0));
        }
        if rng.f32() < 0.6 {
            // Recordings are cut at some level below their peak, and weak beginnings and ends are lost.
            word = effects::trim(&word, uniform(rng, 12.0, 45.0), rate_hz).to_vec();
        }
        let furthest = 0.1 * rate_hz * strength;
        self.place(&word, uniform(rng, -furthest, furthest) as isize)
    }

    fn add_background<'a>(
        &self,
        window: &mut [f32],
        babble: &mut dyn FnMut(&mut Rng) -> &'a [i16],
        strength: f32,
        rng: &mut Rng,
    ) {
        let speech = rms(window);
        let mut mix = |noise: &[f32], below_db: f32| mix(window, speech, noise, below_db);
        let length = (self.mel.spec().sample_rate_hz as u64 * WINDOW_MS / 1000) as usize;
        // A third stays digitally silent around the word, as in a composed clip.
        if rng.u8(..3) > 0 {
            let below_db = uniform(rng, 40.0 - 35.0 * strength, 60.0);
            mix(&effects::coloured_noise(length, rng), below_db);
        }
        if rng.f32() < 0.2 * strength {
            let mut voices = vec![0.0; length];
            for _ in 0..3 {
                let voice = to_float(babble(rng));
                let start = rng.usize(0..length);
                voices[start..].iter_mut().zip(&voice).for_each(|(sum, voice)| *sum += voice);
            }
            mix(&voices, uniform(rng, 10.0, 30.0));
        }
    }

    /// Features under another vocal tract and tempo, with parts masked.
    fn strange_features(&mut self, window: &[f32], strength: f32, rng: &mut Rng) -> Vec<f32> {
        let spec = self.mel.spec().clone();
        let steps = (window.len() - spec.window_samples) / spec.hop_samples + 1;
        let mut energies = vec![0.0; steps * spec.n_mels];
        for (step, energies) in energies.chunks_exact_mut(spec.n_mels).enumerate() {
            self.mel.step(&window[step * spec.hop_samples..][..spec.window_samples], energies);
        }
        let tempo = log_uniform(rng, 0.75, 1.7).powf(strength);
        let tract = log_uniform(rng, 0.8, 1.25).powf(strength);
        let energies = effects::warp(&energies, spec.n_mels, tempo, &tract_bins(&spec, tract));
        let mut features = self.mel.model_input(&energies);
        if rng.f32() < strength {
            effects::mask(&mut features, spec.n_mels, 0.0, rng);
        }
        features
    }

    /// A window with the word in its centre, `shift` samples later; a longer word loses both ends.
    fn place(&self, word: &[f32], shift: isize) -> Vec<f32> {
        let length = (self.mel.spec().sample_rate_hz as u64 * WINDOW_MS / 1000) as usize;
        let mut window = vec![0.0; length];
        let offset = (length as isize - word.len() as isize) / 2 + shift;
        let (skip, start) = ((-offset).max(0) as usize, offset.max(0) as usize);
        window.iter_mut().skip(start).zip(word.iter().skip(skip)).for_each(|(to, from)| *to = *from);
        window
    }
}

/// For each mel bin the (fractional) bin whose frequency is `factor` times its own.
fn tract_bins(spec: &MelSpec, factor: f32) -> Vec<f32> {
    let mel = |hz: f32| (hz / 700.0).ln_1p();
    let spacing = (mel(spec.high_hz) - mel(spec.low_hz)) / (spec.n_mels + 1) as f32;
    let bin_at = |bin: usize| {
        let hz = 700.0 * (mel(spec.low_hz) + (bin + 1) as f32 * spacing).exp_m1();
        (mel(hz * factor) - mel(spec.low_hz)) / spacing - 1.0
    };
    (0..spec.n_mels).map(bin_at).collect()
}

/// Adds `noise` so many decibels below `level`, which is an rms.
pub(super) fn mix(samples: &mut [f32], level: f32, noise: &[f32], below_db: f32) {
    let gain = level * 10f32.powf(-below_db / 20.0) / rms(noise).max(f32::MIN_POSITIVE);
    samples.iter_mut().zip(noise).for_each(|(sample, noise)| *sample += gain * noise);
}

fn to_float(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|&sample| f32::from(sample) / 32_768.0).collect()
}

fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(1e-4, |peak, sample| peak.max(sample.abs()))
}

#[cfg(test)]
mod tests {
    use super::super::front_end;
    use super::*;
    use cmpt_bundle::manifest::FrontEnd;

    fn loader() -> SoundLoader {
        let FrontEnd::LogMel(spec) = front_end::audio().front_end else { panic!("avdigits hears by mel") };
        SoundLoader::new(&spec).unwrap()
    }

    fn tone(length: usize) -> Vec<i16> {
        (0..length).map(|i| (8000.0 * (i as f32 * 0.3).sin()) as i16).collect()
    }

    #[test]
    fn a_word_is_centred_and_a_long_one_loses_both_ends() {
        let loader = loader();
        let window = loader.place(&[1.0; 100], 0);
        assert_eq!(window.len(), 16_000);
        assert!(window.iter().enumerate().all(|(i, &x)| x == f32::from((7950..8050).contains(&i))));
        let long: Vec<f32> = (0..20_000).map(|x| x as f32).collect();
        assert_eq!(loader.place(&long, 0)[0], 2000.0);
        assert_eq!(loader.place(&long, 500)[0], 1500.0);
        assert_eq!(loader.place(&[1.0; 100], -7000)[950], 1.0);
    }

    #[test]
    fn features_have_the_shape_of_the_model_input() {
        let mut loader = loader();
        let shape = loader.shape();
        assert_eq!(shape, [98, 64]);
        assert_eq!(loader.load(&tone(4000)).len(), 98 * 64);
    }

    #[test]
    fn augmentation_follows_its_seed_and_stays_finite() {
        let mut loader = loader();
        let (word, other) = (tone(5000), tone(900));
        let mut features = |seed| loader.load_augmented(&word, &mut |_| &other, &mut Rng::with_seed(seed));
        assert_eq!(features(7), features(7));
        assert_ne!(features(7), features(8));
        for seed in 0..200 {
            assert!(features(seed).iter().all(|x| x.is_finite() && x.abs() < 4.0), "seed {seed}");
        }
    }

    #[test]
    fn an_unchanged_vocal_tract_leaves_bins_where_they_are() {
        let FrontEnd::LogMel(spec) = front_end::audio().front_end else { panic!("avdigits hears by mel") };
        for (index, bin) in tract_bins(&spec, 1.0).into_iter().enumerate() {
            assert!((bin - index as f32).abs() < 1e-3);
        }
        assert!(tract_bins(&spec, 1.1)[20] > 20.5);
    }
}
