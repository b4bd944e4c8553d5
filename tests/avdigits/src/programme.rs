//! What is shown and said in each second of a clip.

use std::f32::consts::TAU;
use std::path::Path;

use crate::digits::{Digits, EDGE, Picture};
use crate::speech::{self, RATE_HZ, SpeechError, Voice};

/// Width of a frame.
pub const WIDTH: usize = 320;
/// Height of a frame.
pub const HEIGHT: usize = 240;
/// Frames a second.
pub const FRAMES: usize = 10;
/// Edge of the square that holds the digit.
const SQUARE: usize = 224;

/// One second of an avdigits stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Second {
    /// The digit that is shown and said.
    pub digit: u8,
    /// The frame that is shown all through it: luma, row-major, [`HEIGHT`] x [`WIDTH`].
    pub frame: Vec<u8>,
    /// Its sound, [`RATE_HZ`] samples in [-1, 1].
    pub sound: Vec<f32>,
}

impl Second {
    /// One that is made up, for tests that need a clip and no digits: a pattern of its own for each
    /// `digit`, and a tone.
    pub fn made_up(digit: u8) -> Self {
        let side = u32::try_from(EDGE).unwrap_or(u32::MAX);
        let picture: Vec<u8> = (0..side * side).map(|n| (n * 7 + u32::from(digit) * 31) as u8).collect();
        let sound = (0..RATE_HZ).map(|n| 0.5 * (n as f32 * 0.08).sin()).collect();
        Self { digit, frame: frame(&picture), sound }
    }
}

/// How a programme is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// How many seconds.
    pub seconds: usize,
    /// The seed: equal seeds on equal material make equal programmes.
    pub seed: u64,
    /// Ratio of speech to white noise, in decibels; `None` is without noise.
    pub snr_db: Option<f32>,
}

/// Draws a programme: each digit equally often, each picture and take as seldom as possible.
///
/// Errors: a take that cannot be decoded.
pub fn draw(digits: &Digits, voice: &Voice, draw: Draw) -> Result<Vec<Second>, SpeechError> {
    let mut rng = fastrand::Rng::with_seed(draw.seed);
    let mut order: Vec<u8> = (0..10u8).cycle().take(draw.seconds).collect();
    rng.shuffle(&mut order);
    let mut pictures: [Vec<&Picture>; 10] = Default::default();
    let mut takes: [Vec<&Path>; 10] = Default::default();
    let mut second = |digit: u8| {
        let class = usize::from(digit);
        let picture = next(&mut pictures[class], digits.of(digit).iter(), &mut rng);
        let take = next(&mut takes[class], voice.of(digit).iter().map(AsRef::as_ref), &mut rng);
        let take = speech::decode(take)?;
        let mut sound = centred(&take);
        if let Some(snr_db) = draw.snr_db {
            add_noise(&mut sound, rms(&take) / 10f32.powf(snr_db / 20.0), &mut rng);
        }
        Ok(Second { digit, frame: frame(picture), sound })
    };
    order.into_iter().map(&mut second).collect()
}

/// The next of `all` in an order shuffled anew whenever all have had their turn.
fn next<T>(left: &mut Vec<T>, all: impl Iterator<Item = T>, rng: &mut fastrand::Rng) -> T {
    if left.is_empty() {
        left.extend(all);
        rng.shuffle(left);
    }
    left.pop().expect("there is one of each digit")
}

/// The digit, scaled bilinearly to a centred square on black.
pub fn frame(picture: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; WIDTH * HEIGHT];
    let (left, top) = ((WIDTH - SQUARE) / 2, (HEIGHT - SQUARE) / 2);
    for y in 0..SQUARE {
        for x in 0..SQUARE {
            frame[(top + y) * WIDTH + left + x] = bilinear(picture, x, y);
        }
    }
    frame
}

/// The picture at pixel (x, y) of the square, pixel centres aligned, edges continued.
fn bilinear(picture: &[u8], x: usize, y: usize) -> u8 {
    let position = |pixel: usize| {
        let at = (pixel as f32 + 0.5) * EDGE as f32 / SQUARE as f32 - 0.5;
        let at = at.clamp(0.0, (EDGE - 1) as f32);
        // At most EDGE - 1 by the clamp.
        (at as usize, (at as usize + 1).min(EDGE - 1), at.fract())
    };
    let ((left, right, across), (above, below, down)) = (position(x), position(y));
    let row = |y: usize| {
        let (left, right) = (f32::from(picture[y * EDGE + left]), f32::from(picture[y * EDGE + right]));
        left + (right - left) * across
    };
    (row(above) + (row(below) - row(above)) * down).round() as u8
}

/// One second with `take` in its middle; of a longer take, its middle.
pub fn centred(take: &[f32]) -> Vec<f32> {
    let mut sound = vec![0.0; RATE_HZ];
    if take.len() > RATE_HZ {
        let cut = (take.len() - RATE_HZ) / 2;
        sound.copy_from_slice(&take[cut..cut + RATE_HZ]);
    } else {
        let lead = (RATE_HZ - take.len()) / 2;
        sound[lead..lead + take.len()].copy_from_slice(take);
    }
    sound
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
}

/// Adds white Gaussian noise (Box-Muller) of `deviation`.
fn add_noise(sound: &mut [f32], deviation: f32, rng: &mut fastrand::Rng) {
    for sample in sound {
        let (radius, angle) = ((-2.0 * (1.0 - rng.f32()).ln()).sqrt(), TAU * rng.f32());
        *sample = (*sample + deviation * radius * angle.cos()).clamp(-1.0, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digit_fills_the_centred_square_and_nothing_else() {
        let frame = frame(&[200; EDGE * EDGE]);
        let lit = |x: usize, y: usize| frame[y * WIDTH + x];
        assert_eq!(frame.iter().filter(|luma| **luma == 200).count(), SQUARE * SQUARE);
        assert_eq!([lit(48, 8), lit(271, 231), lit(47, 8), lit(272, 231), lit(48, 7)], [200, 200, 0, 0, 0]);
    }

    #[test]
    fn scaling_keeps_the_middle_of_each_pixel_group_between_its_neighbours() {
        let mut picture = [0; EDGE * EDGE];
        picture[14 * EDGE + 14] = 160;
        let frame = frame(&picture);
        // The source pixel's centre lies between two target pixels, each a sixteenth off in both axes.
        let peak = (160.0f32 * (15.0 / 16.0) * (15.0 / 16.0)).round() as u8;
        assert_eq!(frame.iter().max(), Some(&peak));
        assert_eq!(frame[(8 + 14 * 8 + 3) * WIDTH + 48 + 14 * 8 + 4], peak);
    }

    #[test]
    fn takes_are_centred_and_long_ones_cut_around_their_middle() {
        let sound = centred(&[1.0; 1000]);
        assert_eq!((sound[7499], sound[7500], sound[8499], sound[8500]), (0.0, 1.0, 1.0, 0.0));
        let long: Vec<f32> = (0..20_000u16).map(f32::from).collect();
        let sound = centred(&long);
        assert_eq!((sound.len(), sound[0], sound[15_999]), (16_000, 2000.0, 17_999.0));
    }

    #[test]
    fn noise_has_the_stated_level() {
        let mut sound = vec![0.0; RATE_HZ];
        add_noise(&mut sound, 0.1, &mut fastrand::Rng::with_seed(1));
        assert!((rms(&sound) - 0.1).abs() < 0.002, "{}", rms(&sound));
    }

    #[test]
    fn all_have_their_turn_before_one_comes_again() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut left = Vec::new();
        let drawn: Vec<_> = (0..10).map(|_| next(&mut left, 0..5, &mut rng)).collect();
        for half in drawn.chunks(5) {
            let mut half = half.to_vec();
            half.sort_unstable();
            assert_eq!(half, [0, 1, 2, 3, 4]);
        }
    }
}
