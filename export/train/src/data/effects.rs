//! Effects on sound that keep the word: what rooms, microphones, lines and other speakers do to it.

use std::f32::consts::PI;

use fastrand::Rng;

/// Uniform in [low, high).
pub fn uniform(rng: &mut Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.f32()
}

/// Log-uniform in [low, high): a factor and its inverse are equally likely around 1.
pub fn log_uniform(rng: &mut Rng, low: f32, high: f32) -> f32 {
    uniform(rng, low.ln(), high.ln()).exp()
}

/// Root mean square.
pub fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|x| x * x).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}

/// Plays `samples` `speed` times as fast: pitch, formants and tempo together. Cubic interpolation, which
/// suffices because the sound is band-limited to half of its Nyquist frequency.
pub fn play_at_speed(samples: &[f32], speed: f32) -> Vec<f32> {
    let length = (samples.len() as f32 / speed) as usize;
    let at = |i: isize| samples.get(i.max(0) as usize).copied().unwrap_or(0.0);
    let interpolate = |index: usize| {
        let position = index as f32 * speed;
        let (i, t) = (position as isize, position.fract());
        let (a, b, c, d) = (at(i - 1), at(i), at(i + 1), at(i + 2));
        b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))
    };
    (0..length).map(interpolate).collect()
}

/// A second-order filter.
#[derive(Clone, Copy, Debug)]
pub struct Biquad {
    feed_forward: [f32; 3],
    feed_back: [f32; 2],
}

/// What a [`Biquad`] does.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Passes what is below.
    LowPass,
    /// Passes what is above.
    HighPass,
    /// Raises or lowers the surroundings by so many decibels.
    Peak(f32),
}

impl Biquad {
    /// Source: R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients".
    pub fn new(shape: Shape, hz: f32, q: f32, rate_hz: f32) -> Self {
        let (sin, cos) = (2.0 * PI * hz / rate_hz).sin_cos();
        let alpha = sin / (2.0 * q);
        let (b, a) = match shape {
            Shape::LowPass => {
                ([(1.0 - cos) / 2.0, 1.0 - cos, (1.0 - cos) / 2.0], [1.0 + alpha, -2.0 * cos, 1.0 - alpha])
            }
            Shape::HighPass => {
                ([(1.0 + cos) / 2.0, -1.0 - cos, (1.0 + cos) / 2.0], [1.0 + alpha, -2.0 * cos, 1.0 - alpha])
            }
            Shape::Peak(decibels) => {
                let gain = 10f32.powf(decibels / 40.0);
                let numerator = [1.0 + alpha * gain, -2.0 * cos, 1.0 - alpha * gain];
                (numerator, [1.0 + alpha / gain, -2.0 * cos, 1.0 - alpha / gain])
            }
        };
        Self { feed_forward: b.map(|b| b / a[0]), feed_back: [a[1] / a[0], a[2] / a[0]] }
    }

    /// Filters in place, from rest.
    pub fn apply(&self, samples: &mut [f32]) {
        let ([b0, b1, b2], [a1, a2]) = (self.feed_forward, self.feed_back);
        let (mut s1, mut s2) = (0.0, 0.0);
        for sample in samples {
            let input = *sample;
            let output = b0 * input + s1;
            s1 = b1 * input - a1 * output + s2;
            s2 = b2 * input - a2 * output;
            *sample = output;
        }
    }
}

/// Adds a short room: sparse random echoes that die away over `seconds`.
pub fn reverberate(samples: &[f32], seconds: f32, rate_hz: f32, rng: &mut Rng) -> Vec<f32> {
    const ECHOES: usize = 40;
    let reach = (seconds * rate_hz) as usize;
    let mut output = samples.to_vec();
    output.resize(samples.len() + reach, 0.0);
    for _ in 0..ECHOES {
        let delay = rng.usize(1..reach.max(2));
        // Down by 60 dB at the end of the reach.
        let decay = 10f32.powf(-3.0 * delay as f32 / reach as f32);
        let gain = 0.35 * decay * uniform(rng, -1.0, 1.0);
        for (output, sample) in output[delay..].iter_mut().zip(samples) {
            *output += gain * sample;
        }
    }
    output
}

/// What lies between the first and the last 10 ms whose level is at most `below_db` below the loudest's.
pub fn trim(samples: &[f32], below_db: f32, rate_hz: f32) -> &[f32] {
    let length = (0.01 * rate_hz) as usize;
    let levels: Vec<f32> = samples.chunks(length).map(rms).collect();
    let least =
        levels.iter().fold(0.0, |loudest: f32, level| loudest.max(*level)) * 10f32.powf(-below_db / 20.0);
    let is_kept = |level: &f32| *level >= least;
    let first = levels.iter().position(is_kept).unwrap_or_default();
    let last = levels.iter().rposition(is_kept).map_or(0, |last| last + 1);
    &samples[first * length..(last * length).min(samples.len())]
}

/// Noise whose spectrum falls by between 0 (white) and 6 dB (brown) an octave, at rms 1.
pub fn coloured_noise(length: usize, rng: &mut Rng) -> Vec<f32> {
    // A third is white, as of an amplifier that is turned up.
    let pole = uniform(rng, -0.5, 0.97).max(0.0);
    let mut state = 0.0;
    // A sum of three uniform numbers is close enough to a Gaussian one.
    let mut white = || rng.f32() + rng.f32() + rng.f32() - 1.5;
    let mut noise: Vec<f32> = (0..length)
        .map(|_| {
            state = pole * state + white();
            state
        })
        .collect();
    let level = rms(&noise).max(f32::MIN_POSITIVE);
    noise.iter_mut().for_each(|x| *x /= level);
    noise
}

/// A mains frequency, or what is left of one by a microphone: a tone of 20 to 120 Hz and its octave.
pub fn hum(length: usize, rate_hz: f32, rng: &mut Rng) -> Vec<f32> {
    let (hz, octave) = (log_uniform(rng, 20.0, 120.0), rng.f32());
    let phase = |index: usize| 2.0 * PI * hz * index as f32 / rate_hz;
    (0..length).map(|index| phase(index).sin() + octave * (2.0 * phase(index)).sin()).collect()
}

/// Stretches a spectrogram about its centre in time, and its frequencies as another vocal tract would.
///
/// Shapes: `energies` is [steps, n_mels], and so is the result. `mel_of_bin` and `bin_of_mel` take a
/// bin's number to the frequency in Hz and back.
pub fn warp(energies: &[f32], n_mels: usize, tempo: f32, source_bins: &[f32]) -> Vec<f32> {
    let steps = energies.len() / n_mels;
    let centre = (steps - 1) as f32 / 2.0;
    let mut warped = Vec::with_capacity(energies.len());
    for step in 0..steps {
        let position = (centre + (step as f32 - centre) * tempo).clamp(0.0, (steps - 1) as f32);
        let (first, share) = (position as usize, position.fract());
        let second = (first + 1).min(steps - 1);
        let (first, second) = (&energies[first * n_mels..][..n_mels], &energies[second * n_mels..][..n_mels]);
        let at = |bin: usize| first[bin] + share * (second[bin] - first[bin]);
        warped.extend(source_bins.iter().map(|&bin| {
            let bin = bin.clamp(0.0, (n_mels - 1) as f32);
            let (low, share) = (bin as usize, bin.fract());
            let (below, above) = (at(low), at((low + 1).min(n_mels - 1)));
            below + share * (above - below)
        }));
    }
    warped
}

/// Overwrites some steps and some bins with `value` (SpecAugment).
pub fn mask(energies: &mut [f32], n_mels: usize, value: f32, rng: &mut Rng) {
    const WIDEST_BAND: usize = 10;
    const LONGEST_GAP: usize = 12;
    let steps = energies.len() / n_mels;
    for _ in 0..rng.usize(0..=2) {
        let width = rng.usize(1..=WIDEST_BAND.min(n_mels));
        let low = rng.usize(0..=n_mels - width);
        energies.chunks_exact_mut(n_mels).for_each(|step| step[low..low + width].fill(value));
    }
    for _ in 0..rng.usize(0..=2) {
        let length = rng.usize(1..=LONGEST_GAP.min(steps));
        let start = rng.usize(0..=steps - length);
        energies[start * n_mels..(start + length) * n_mels].fill(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE_HZ: f32 = 16_000.0;

    fn tone(hz: f32, length: usize) -> Vec<f32> {
        (0..length).map(|i| (2.0 * PI * hz * i as f32 / RATE_HZ).sin()).collect()
    }

    fn crossings(samples: &[f32]) -> usize {
        samples.windows(2).filter(|pair| pair[0] <= 0.0 && pair[1] > 0.0).count()
    }

    #[test]
    fn speed_raises_the_pitch_and_shortens() {
        let fast = play_at_speed(&tone(400.0, 16_000), 1.25);
        assert_eq!(fast.len(), 12_800);
        assert!(crossings(&fast).abs_diff(400) <= 1, "{}", crossings(&fast));
        assert!((rms(&fast) - 0.5f32.sqrt()).abs() < 0.01);
    }

    #[test]
    fn filters_pass_what_they_should() {
        let gain = |shape, hz| {
            let mut samples = tone(hz, 16_000);
            Biquad::new(shape, 1000.0, 0.7, RATE_HZ).apply(&mut samples);
            20.0 * (rms(&samples[4000..]) / 0.5f32.sqrt()).log10()
        };
        assert!(gain(Shape::LowPass, 100.0).abs() < 0.1 && gain(Shape::LowPass, 6000.0) < -30.0);
        assert!(gain(Shape::HighPass, 6000.0).abs() < 0.1 && gain(Shape::HighPass, 100.0) < -30.0);
        assert!(
            (gain(Shape::Peak(6.0), 1000.0) - 6.0).abs() < 0.1 && gain(Shape::Peak(6.0), 50.0).abs() < 0.3
        );
    }

    #[test]
    fn noise_has_unit_level_and_echoes_die_away() {
        let mut rng = Rng::with_seed(1);
        assert!((rms(&coloured_noise(16_000, &mut rng)) - 1.0).abs() < 1e-3);
        let mut click = vec![0.0; 100];
        click[0] = 1.0;
        let room = reverberate(&click, 0.2, RATE_HZ, &mut rng);
        assert_eq!((room.len(), room[0]), (3300, 1.0));
        assert!(
            rms(&room[1..800]) > 5.0 * rms(&room[1600..]),
            "{} {}",
            rms(&room[1..800]),
            rms(&room[1600..])
        );
    }

    #[test]
    fn hum_is_low() {
        let mut rng = Rng::with_seed(3);
        for _ in 0..20 {
            let second = hum(16_000, RATE_HZ, &mut rng);
            assert!((20..=241).contains(&crossings(&second)), "{}", crossings(&second));
        }
    }

    #[test]
    fn trimming_keeps_what_is_loud_and_all_between() {
        let mut word = tone(400.0, 16_000);
        for (index, sample) in word.iter_mut().enumerate() {
            *sample *=
                if (4000..6000).contains(&index) || (9000..12_000).contains(&index) { 1.0 } else { 0.05 };
        }
        let kept = trim(&word, 20.0, RATE_HZ);
        assert!(kept.len().abs_diff(8000) <= 320, "{}", kept.len());
        assert_eq!(trim(&word, 40.0, RATE_HZ).len(), 16_000);
        assert_eq!(trim(&[], 20.0, RATE_HZ).len(), 0);
    }

    #[test]
    fn warping_by_nothing_changes_nothing_and_otherwise_moves_about_the_centre() {
        let energies: Vec<f32> = (0..15).map(|x| x as f32).collect();
        assert_eq!(warp(&energies, 3, 1.0, &[0.0, 1.0, 2.0]), energies);
        assert_eq!(warp(&energies, 3, 2.0, &[0.0, 0.5, 9.0])[6..9], [6.0, 6.5, 8.0]);
        assert_eq!(warp(&energies, 3, 2.0, &[0.0, 1.0, 2.0])[..6], [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
    }

    #[test]
    fn masks_cover_a_minority() {
        let mut rng = Rng::with_seed(2);
        let covered: usize = (0..100)
            .map(|_| {
                let mut energies = vec![1.0; 98 * 64];
                mask(&mut energies, 64, 0.0, &mut rng);
                energies.iter().filter(|&&x| x == 0.0).count()
            })
            .sum();
        let share = covered as f32 / (100 * 98 * 64) as f32;
        assert!((0.05..0.4).contains(&share), "{share}");
    }
}
