//! What the kernels compute. Beside the crate, not in it, so that they are generated once only.

use std::f32::consts::TAU;

use cmpt_kernels::{Channels, Filter, Scaler, Size, Spectrum};

#[test]
fn a_tone_is_in_its_bin() {
    let mut tone: Vec<f32> = (0..64).map(|n| (TAU * 5.0 * n as f32 / 64.0).cos()).collect();
    let mut spectrum = Spectrum::new(64);
    let power = spectrum.power(&mut tone);
    assert_eq!(power.len(), 33);
    // Half of the samples, squared.
    assert!((power[5] - 1024.0).abs() < 0.1, "{}", power[5]);
    assert!(power.iter().enumerate().all(|(bin, power)| bin == 5 || *power < 1e-3));
}

const SMALL: Size = Size { width: 2, height: 1 };
const LARGE: Size = Size { width: 4, height: 2 };

#[test]
fn the_nearest_pixel_is_repeated() {
    let scaled = Scaler::new().scale(&[10, 200], Channels::Grey, [SMALL, LARGE], Filter::Nearest);
    assert_eq!(scaled, [10, 10, 200, 200, 10, 10, 200, 200]);
}

#[test]
fn channels_do_not_mix() {
    let mut scaler = Scaler::new();
    for filter in [Filter::Nearest, Filter::Bilinear, Filter::CatmullRom, Filter::Lanczos3] {
        let scaled = scaler.scale(&[9, 0, 255, 9, 0, 255], Channels::Rgb, [SMALL, LARGE], filter);
        assert_eq!(scaled, [9, 0, 255].repeat(8), "{filter:?}");
    }
}
