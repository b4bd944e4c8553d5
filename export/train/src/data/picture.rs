//! From a small picture to the input of the picture encoder, by way of the very frame a camera would
//! deliver.

use cmpt_core::features::{PictureError, PictureFrontEnd, PictureSpec};
use cmpt_kernels::{Channels, Filter, Scaler, Size};
use fastrand::Rng;

use super::effects::uniform;

/// Size of a frame of an avdigits stream.
const FRAME: (usize, usize) = (320, 240);
/// Edge of the centred square that holds the digit.
const SQUARE: usize = 224;

/// Puts pictures into frames and takes their features.
pub struct PictureLoader {
    front_end: PictureFrontEnd,
    scaler: Scaler,
    frame: Vec<u8>,
}

/// A grey picture.
#[derive(Clone, Copy)]
pub struct Grey<'a> {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// [height, width].
    pub values: &'a [u8],
}

impl PictureLoader {
    /// A loader for one front end.
    pub fn new(spec: &PictureSpec) -> Result<Self, PictureError> {
        let front_end = PictureFrontEnd::new(spec)?;
        Ok(Self { front_end, scaler: Scaler::new(), frame: vec![0; FRAME.0 * FRAME.1 * 3] })
    }

    /// Shape of one sample's features.
    pub fn shape(&self) -> Vec<usize> {
        let spec = self.front_end.spec();
        vec![spec.mean.len(), spec.edge, spec.edge]
    }

    /// Features of the picture as it is, enlarged bilinearly.
    pub fn load(&mut self, picture: Grey<'_>) -> Vec<f32> {
        self.features(picture, Filter::Bilinear)
    }

    /// Features of the picture turned, bent, blurred and lit differently.
    pub fn load_augmented(&mut self, picture: Grey<'_>, rng: &mut Rng) -> Vec<f32> {
        let strength = rng.f32();
        let mut values = distort(picture, strength, rng);
        if rng.u8(..4) == 0 {
            values = blur(&values, picture.width, uniform(rng, 0.1, 0.5));
        }
        let (gain, lift) = (uniform(rng, 0.7, 1.1), if rng.bool() { 0.0 } else { uniform(rng, 0.0, 16.0) });
        let noise = if rng.bool() { 0.0 } else { strength * uniform(rng, 0.0, 20.0) };
        let mut speck = || noise * (rng.f32() + rng.f32() - 1.0);
        let lit: Vec<u8> = values.iter().map(|value| (gain * value + lift + speck()) as u8).collect();
        // However the composer of a clip may enlarge.
        let filters = [Filter::Bilinear, Filter::CatmullRom, Filter::Lanczos3, Filter::Nearest];
        self.features(Grey { values: &lit, ..picture }, filters[rng.usize(..filters.len())])
    }

    fn features(&mut self, picture: Grey<'_>, filter: Filter) -> Vec<f32> {
        let size = Size { width: picture.width as u32, height: picture.height as u32 };
        let square = Size { width: SQUARE as u32, height: SQUARE as u32 };
        let square = self.scaler.scale(picture.values, Channels::Grey, [size, square], filter);
        let (left, top) = ((FRAME.0 - SQUARE) / 2, (FRAME.1 - SQUARE) / 2);
        for (y, row) in square.chunks_exact(SQUARE).enumerate() {
            let start = ((top + y) * FRAME.0 + left) * 3;
            let pixels = self.frame[start..start + SQUARE * 3].as_chunks_mut().0;
            pixels.iter_mut().zip(row).for_each(|(pixel, &value)| *pixel = [value; 3]);
        }
        let frame = self.front_end.features(&self.frame, FRAME.0 as u32, FRAME.1 as u32);
        frame.expect("the frame fills its size")
    }
}

/// Turned, sheared, scaled and shifted a little, by bilinear sampling.
fn distort(picture: Grey<'_>, strength: f32, rng: &mut Rng) -> Vec<f32> {
    let (width, height) = (picture.width as f32, picture.height as f32);
    let mut within = |limit: f32| uniform(rng, -limit, limit) * strength;
    let (sin, cos) = within(0.25).sin_cos();
    let shear = within(0.2);
    let (scale_x, scale_y) = (within(0.17).exp(), within(0.17).exp());
    let (shift_x, shift_y) = (within(0.08) * width, within(0.08) * height);
    let at = |x: isize, y: isize| {
        let inside = (0..picture.width as isize).contains(&x) && (0..picture.height as isize).contains(&y);
        if inside { f32::from(picture.values[y as usize * picture.width + x as usize]) } else { 0.0 }
    };
    let sample = |index: usize| {
        let x = (index % picture.width) as f32 - (width - 1.0) / 2.0 - shift_x;
        let y = (index / picture.width) as f32 - (height - 1.0) / 2.0 - shift_y;
        let (x, y) = ((cos * x + sin * y + shear * y) / scale_x, (cos * y - sin * x) / scale_y);
        let (x, y) = (x + (width - 1.0) / 2.0, y + (height - 1.0) / 2.0);
        let (column, row) = (x.floor(), y.floor());
        let (right, down) = (x - column, y - row);
        let (column, row) = (column as isize, row as isize);
        let upper = at(column, row) * (1.0 - right) + at(column + 1, row) * right;
        let lower = at(column, row + 1) * (1.0 - right) + at(column + 1, row + 1) * right;
        upper * (1.0 - down) + lower * down
    };
    (0..picture.width * picture.height).map(sample).collect()
}

/// Mixes every pixel with the mean of its four neighbours.
fn blur(values: &[f32], width: usize, share: f32) -> Vec<f32> {
    let neighbour = |index: usize, step: isize| {
        index.checked_add_signed(step).and_then(|index| values.get(index)).copied().unwrap_or(0.0)
    };
    let steps = [-1, 1, -(width as isize), width as isize];
    let mix = |(index, value): (usize, &f32)| {
        let mean = steps.map(|step| neighbour(index, step)).iter().sum::<f32>() / 4.0;
        value + share * (mean - value)
    };
    values.iter().enumerate().map(mix).collect()
}

#[cfg(test)]
mod tests {
    use cmpt_bundle::manifest::FrontEnd;

    use super::super::front_end;
    use super::*;

    fn loader() -> PictureLoader {
        let FrontEnd::Picture(spec) = front_end::video().front_end else { panic!("avdigits sees pictures") };
        PictureLoader::new(&PictureSpec { mean: vec![0.0], std: vec![1.0], ..spec }).unwrap()
    }

    /// A bright bar in the middle third.
    fn bar() -> Vec<u8> {
        (0..784).map(|i| if (10..18).contains(&(i % 28)) { 255 } else { 0 }).collect()
    }

    fn grey(values: &[u8]) -> Grey<'_> {
        Grey { height: 28, width: 28, values }
    }

    #[test]
    fn the_picture_fills_its_square_of_the_frame() {
        let mut loader = loader();
        assert_eq!(loader.shape(), [1, 28, 28]);
        let features = loader.load(grey(&[255; 784]));
        // 224 of 240 pixels: the outermost of 28 rows mixes picture and border.
        assert!(features[0] < 0.5 && features[2 * 28 + 2] > 0.99 && features[25 * 28 + 25] > 0.99);
        let dark = loader.load(grey(&[0; 784]));
        assert!(dark.iter().all(|&x| x == 0.0), "nothing stays of the picture before");
    }

    #[test]
    fn augmentation_follows_its_seed_and_keeps_the_bar() {
        let (mut loader, bar) = (loader(), bar());
        let mut features = |seed| loader.load_augmented(grey(&bar), &mut Rng::with_seed(seed));
        assert_eq!(features(7), features(7));
        assert_ne!(features(7), features(8));
        for seed in 0..100 {
            let features = features(seed);
            assert!(features.iter().all(|x| (0.0..=1.0).contains(x)), "seed {seed}");
            let centre: f32 = (12..16).map(|y| features[y * 28 + 13]).sum();
            let edge: f32 = (12..16).map(|y| features[y * 28 + 1]).sum();
            assert!(centre > edge + 1.0, "seed {seed}: {centre} against {edge}");
        }
    }
}
