//! Pictures as CLIP's processor prepares them: shortest edge resized, centre crop, normalise.

use cmpt_kernels::{Channels, Filter, Scaler, Size};
use serde::{Deserialize, Serialize};

/// The largest model input: 200 MB in three channels. What is beyond is a mistake.
const MOST_EDGE: usize = 4096;

/// Parameters of the picture front end; data of the bundle manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureSpec {
    /// Edge of the square model input in pixels (CLIP: 224).
    pub edge: usize,
    /// Mean per channel, in [0, 1]. Three entries keep RGB; one entry makes the input luma
    /// (ITU-R BT.601 weights).
    pub mean: Vec<f32>,
    /// Standard deviation per channel, as many as `mean`.
    pub std: Vec<f32>,
}

/// A picture of which only the centre crop and the normalisation are left to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resized {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// 3 of RGB or 1 of luma.
    pub channels: usize,
    /// [height, width, channels].
    pub pixels: Vec<u8>,
}

impl Resized {
    /// The pixels in three channels. Shape: [height, width, 3].
    pub fn rgb(&self) -> Vec<u8> {
        match self.channels {
            1 => self.pixels.iter().flat_map(|value| [*value; 3]).collect(),
            _ => self.pixels.clone(),
        }
    }
}

/// Why a picture front end cannot be built or run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PictureError {
    /// A parameter is out of range.
    #[error("picture front end: `{field}` is {value}, expected {expected}")]
    Field {
        /// The parameter.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A picture has no pixels.
    #[error("picture of {width} x {height} has no pixels")]
    Empty {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A picture's bytes do not match its size.
    #[error("picture of {width} x {height} has {found} bytes, expected {expected}")]
    Bytes {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes given.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
}

/// The picture front end.
pub struct PictureFrontEnd {
    spec: PictureSpec,
    scaler: Scaler,
    luma: Vec<u8>,
}

impl PictureFrontEnd {
    /// Checks the parameters.
    pub fn new(spec: &PictureSpec) -> Result<Self, PictureError> {
        check(spec)?;
        Ok(Self { spec: spec.clone(), scaler: Scaler::new(), luma: Vec::new() })
    }

    /// Its parameters.
    pub fn spec(&self) -> &PictureSpec {
        &self.spec
    }

    /// Model input of one picture: antialiased bicubic (a = -0.5) so that the shortest edge is `edge`,
    /// centre crop, divide by 255, then `(x - mean) / std`.
    ///
    /// Shapes: `rgb` is [height, width, 3]; the result is [channels, edge, edge].
    /// Errors: a picture that is empty or whose bytes do not match its size.
    /// Source: CLIP's image processor (PIL bicubic).
    pub fn features(&mut self, rgb: &[u8], width: u32, height: u32) -> Result<Vec<f32>, PictureError> {
        let resized = self.resized(rgb, width, height)?;
        Ok(self.crop(&resized.pixels, resized.width as usize, resized.height as usize))
    }

    /// The first half of the work, to be kept: the picture with its shortest edge at `edge`, not yet cropped.
    /// Its [`Resized::rgb`] gives the features that the picture itself gives.
    ///
    /// Shapes: `rgb` is [height, width, 3].
    /// Errors: as [`PictureFrontEnd::features`].
    pub fn resized(&mut self, rgb: &[u8], width: u32, height: u32) -> Result<Resized, PictureError> {
        if width == 0 || height == 0 {
            return Err(PictureError::Empty { width, height });
        }
        let expected = width as usize * height as usize * 3;
        if rgb.len() != expected {
            return Err(PictureError::Bytes { width, height, found: rgb.len(), expected });
        }
        let size = Size { width, height };
        let edge = self.spec.edge as u32;
        let channels = self.spec.mean.len();
        // Luma before resizing: a third of the work, and what PIL does with a grey picture.
        let (pixels, size) = if channels == 1 {
            self.luma.clear();
            self.luma.extend(rgb.as_chunks().0.iter().map(luma));
            scale(&mut self.scaler, &self.luma, Channels::Grey, size, edge)
        } else {
            scale(&mut self.scaler, rgb, Channels::Rgb, size, edge)
        };
        Ok(Resized { width: size.width, height: size.height, channels, pixels })
    }

    /// The centre of interleaved `pixels`, as normalised planes.
    fn crop(&self, pixels: &[u8], width: usize, height: usize) -> Vec<f32> {
        let (edge, channels) = (self.spec.edge, self.spec.mean.len());
        let (left, top) = ((width - edge) / 2, (height - edge) / 2);
        let mut planes = Vec::with_capacity(channels * edge * edge);
        for (channel, (&mean, &std)) in self.spec.mean.iter().zip(&self.spec.std).enumerate() {
            for y in top..top + edge {
                let row = &pixels[(y * width + left) * channels..][..edge * channels];
                let column = row.iter().skip(channel).step_by(channels);
                planes.extend(column.map(|&value| (f32::from(value) / 255.0 - mean) / std));
            }
        }
        planes
    }
}

/// `pixels` with the shortest edge at `edge`, and the new size.
fn scale(scaler: &mut Scaler, pixels: &[u8], channels: Channels, size: Size, edge: u32) -> (Vec<u8>, Size) {
    let (width, height) = shortest_edge(size.width, size.height, edge);
    let (narrowed, scaled) = (Size { width, ..size }, Size { width, height });
    // PIL's order of the two passes. It matters where a sharp edge overshoots, because bytes saturate
    // in between; in one call the scaler would take the vertical pass first.
    let narrow = scaler.scale(pixels, channels, [size, narrowed], Filter::CatmullRom);
    (scaler.scale(&narrow, channels, [narrowed, scaled], Filter::CatmullRom), scaled)
}

/// Size with the shortest edge at `edge`, the other rounded down as CLIP's processor does.
fn shortest_edge(width: u32, height: u32, edge: u32) -> (u32, u32) {
    let scale = |long: u32, short: u32| (u64::from(edge) * u64::from(long) / u64::from(short)) as u32;
    if width <= height { (edge, scale(height, width)) } else { (scale(width, height), edge) }
}

/// ITU-R BT.601 luma, in PIL's fixed-point arithmetic.
fn luma(&[red, green, blue]: &[u8; 3]) -> u8 {
    ((19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + 0x8000) >> 16) as u8
}

fn check(spec: &PictureSpec) -> Result<(), PictureError> {
    let error = |field, value: String, expected| Err(PictureError::Field { field, value, expected });
    if !(1..=MOST_EDGE).contains(&spec.edge) {
        return error("edge", spec.edge.to_string(), "1 to 4096 pixels");
    }
    if ![1, 3].contains(&spec.mean.len()) || spec.mean.iter().any(|mean| !mean.is_finite()) {
        return error("mean", format!("{:?}", spec.mean), "1 or 3 finite numbers");
    }
    if spec.std.len() != spec.mean.len() || spec.std.iter().any(|std| !std.is_finite() || *std <= 0.0) {
        return error("std", format!("{:?}", spec.std), "finite numbers above 0, as many as `mean`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(edge: usize, channels: usize) -> PictureSpec {
        PictureSpec { edge, mean: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// A picture without symmetry, with edges sharp enough to make the filter overshoot.
    fn pattern(width: u32, height: u32) -> Vec<u8> {
        let pixel = |x: u32, y: u32| {
            [(x * 7 + y * 3) % 256, (x * x / 5 + y) % 256, if (x / 9 + y / 7) & 1 == 0 { 255 } else { 0 }]
        };
        (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).map(|v| v as u8).collect()
    }

    /// `golden`: (index into the features, value of 255), from PIL's bicubic resize.
    fn check_golden(channels: usize, (width, height): (u32, u32), golden: &[(usize, f32)]) {
        let mut front_end = PictureFrontEnd::new(&spec(28, channels)).unwrap();
        let features = front_end.features(&pattern(width, height), width, height).unwrap();
        assert_eq!(features.len(), channels * 28 * 28);
        for &(index, expected) in golden {
            let found = features[index] * 255.0;
            assert!((found - expected).abs() <= 1.001, "index {index}: {found}, expected {expected}");
        }
    }

    #[test]
    fn colours_match_pil() {
        check_golden(3, (320, 240), &COLOUR_GOLDEN);
    }

    #[test]
    fn luma_matches_pil() {
        check_golden(1, (320, 240), &LUMA_GOLDEN);
    }

    #[test]
    fn enlarging_an_upright_picture_matches_pil() {
        check_golden(3, (15, 20), &ENLARGED_GOLDEN);
    }

    #[test]
    fn what_was_resized_before_gives_the_same_features() {
        for (channels, width, height) in [(1, 320, 240), (3, 37, 61), (3, 28, 90)] {
            let mut front_end = PictureFrontEnd::new(&spec(28, channels)).unwrap();
            let rgb = pattern(width, height);
            let kept = front_end.resized(&rgb, width, height).unwrap();
            assert_eq!(kept.width.min(kept.height), 28);
            let expected = front_end.features(&rgb, width, height).unwrap();
            assert_eq!(front_end.features(&kept.rgb(), kept.width, kept.height).unwrap(), expected);
        }
    }

    #[test]
    fn a_constant_picture_stays_constant_and_is_normalised() {
        let spec = PictureSpec { edge: 8, mean: vec![0.5, 0.25, 0.0], std: vec![0.5, 1.0, 2.0] };
        let rgb = [255, 51, 102].repeat(30 * 20);
        let features = PictureFrontEnd::new(&spec).unwrap().features(&rgb, 30, 20).unwrap();
        for (channel, expected) in [1.0, -0.05, 0.2].into_iter().enumerate() {
            let plane = &features[channel * 64..][..64];
            assert!(plane.iter().all(|value| (value - expected).abs() < 1e-6), "{plane:?}");
        }
    }

    #[test]
    fn the_crop_is_the_centre_of_either_orientation() {
        // Bright in the middle third, dark outside: a centre crop sees nothing but the middle.
        let band = |long: u32| if (10..20).contains(&long) { 255 } else { 0 };
        let wide: Vec<u8> = (0..10).flat_map(|_| (0..30).flat_map(|x| [band(x); 3])).collect();
        let tall: Vec<u8> = (0..30).flat_map(|y| [band(y); 30]).collect();
        let mut front_end = PictureFrontEnd::new(&spec(10, 1)).unwrap();
        for (rgb, width, height) in [(wide, 30, 10), (tall, 10, 30)] {
            let features = front_end.features(&rgb, width, height).unwrap();
            assert!(features.iter().all(|&value| value == 1.0), "{width} x {height}");
        }
    }

    #[test]
    fn the_longer_edge_is_rounded_down() {
        assert_eq!(shortest_edge(320, 240, 28), (37, 28));
        assert_eq!(shortest_edge(240, 320, 28), (28, 37));
        assert_eq!(shortest_edge(640, 480, 224), (298, 224));
        assert_eq!(shortest_edge(5, 5, 28), (28, 28));
    }

    #[test]
    fn a_picture_of_the_wrong_size_is_an_error() {
        let mut front_end = PictureFrontEnd::new(&spec(4, 3)).unwrap();
        let found = front_end.features(&[0; 11], 2, 2).unwrap_err();
        assert_eq!(found, PictureError::Bytes { width: 2, height: 2, found: 11, expected: 12 });
        let found = front_end.features(&[], 0, 2).unwrap_err();
        assert_eq!(found, PictureError::Empty { width: 0, height: 2 });
    }

    #[test]
    fn a_bad_parameter_is_an_error_that_names_it() {
        let cases = [
            ("edge", PictureSpec { edge: 0, ..spec(1, 3) }),
            ("edge", PictureSpec { edge: 4097, ..spec(1, 3) }),
            ("mean", spec(28, 2)),
            ("mean", PictureSpec { mean: vec![f32::NAN], ..spec(28, 1) }),
            ("std", PictureSpec { std: vec![1.0], ..spec(28, 3) }),
            ("std", PictureSpec { std: vec![0.0], ..spec(28, 1) }),
        ];
        for (name, spec) in cases {
            let error = PictureFrontEnd::new(&spec).map(|_| ()).unwrap_err();
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
    }

    const COLOUR_GOLDEN: [(usize, f32); 12] = [
        (57, 136.0),
        (289, 48.0),
        (442, 213.0),
        (666, 157.0),
        (810, 119.0),
        (988, 113.0),
        (1147, 131.0),
        (1235, 131.0),
        (1827, 132.0),
        (2094, 103.0),
        (2255, 128.0),
        (2273, 135.0),
    ];

    const LUMA_GOLDEN: [(usize, f32); 12] = [
        (87, 100.0),
        (219, 98.0),
        (222, 141.0),
        (230, 109.0),
        (432, 124.0),
        (455, 112.0),
        (490, 102.0),
        (500, 125.0),
        (569, 100.0),
        (606, 118.0),
        (742, 124.0),
        (778, 136.0),
    ];

    const ENLARGED_GOLDEN: [(usize, f32); 12] = [
        (142, 20.0),
        (329, 101.0),
        (614, 137.0),
        (1080, 20.0),
        (1337, 36.0),
        (1394, 39.0),
        (1524, 23.0),
        (1781, 5.0),
        (1848, 0.0),
        (1854, 0.0),
        (2304, 255.0),
        (2306, 255.0),
    ];
}
