//! The posters of MM-IMDb's HDF5 form: cut to one size, blue first, less what VGG was trained less.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data::error::DataError;
use crate::data::hdf5::{Archive, Array, Element, Extent};
use crate::data::rgb::Rgb;

/// Means of blue, green and red that the authors took away before VGG saw a picture.
const MEANS: [f64; 3] = [103.939, 116.779, 123.68];

/// The dataset `images`, [films, 3, height, width].
#[derive(Debug)]
pub(super) struct Posters {
    path: PathBuf,
    images: Array,
}

/// One poster, not yet read.
#[derive(Clone)]
pub struct Poster {
    posters: Arc<Posters>,
    row: usize,
}

impl Posters {
    pub(super) fn open(archive: &Archive) -> Result<Self, DataError> {
        let shape = [Extent::Of("films"), Extent::Is(3), Extent::Of("height"), Extent::Of("width")];
        let images = archive.array("images", &shape, &[Element::Int32, Element::Float32])?;
        Ok(Self { path: archive.path().into(), images })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.images.shape[0]
    }
}

impl Poster {
    pub(super) fn new(posters: &Arc<Posters>, row: usize) -> Self {
        Self { posters: Arc::clone(posters), row }
    }

    /// The file that it is in.
    pub fn path(&self) -> &Path {
        &self.posters.path
    }

    /// Reads it, in RGB. Errors: what is wrong, in words.
    pub fn read(&self) -> Result<Rgb, String> {
        let images = &self.posters.images;
        let unreadable = |error: String| format!("{self:?}: {error}");
        // Exact: both kinds of number fit.
        let planes: Vec<f64> = match images.element {
            Element::Int32 => {
                images.row::<i32>(self.row).map_err(unreadable)?.into_iter().map(f64::from).collect()
            }
            _ => images.row::<f32>(self.row).map_err(unreadable)?.into_iter().map(f64::from).collect(),
        };
        let [height, width] = [images.shape[2], images.shape[3]];
        let pixels = height * width;
        let mut values = vec![0; pixels * 3];
        for (at, kept) in planes.iter().enumerate() {
            let (channel, pixel) = (at / pixels, at % pixels);
            let mean = MEANS[channel];
            values[pixel * 3 + 2 - channel] = restored(*kept, mean).ok_or_else(|| {
                let place = [channel, pixel / width, pixel % width];
                format!("{self:?} is {kept} at {place:?}, expected {} to {}", -mean, 255.0 - mean)
            })?;
        }
        Ok(Rgb { width: width as u32, height: height as u32, values })
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "images[{}]", self.row)
    }
}

impl PartialEq for Poster {
    fn eq(&self, other: &Self) -> bool {
        (self.row, self.path()) == (other.row, other.path())
    }
}

impl Eq for Poster {}

/// The value of a pixel of which a mean was taken away and the fraction of what was left perhaps cut off.
///
/// Cutting goes towards zero, so the integer is the one below the mean for what is negative and the one above for
/// what is positive: exact but for a zero, which two neighbouring values become.
fn restored(kept: f64, mean: f64) -> Option<u8> {
    let value = match kept {
        kept if kept.fract() != 0.0 => (kept + mean).round(),
        kept if kept < 0.0 => kept + mean.floor(),
        kept => kept + mean.ceil(),
    };
    (0.0..=255.0).contains(&value).then_some(value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_whether_its_fraction_was_cut_off_or_not() {
        for (value, mean) in (0..=255u8).flat_map(|value| MEANS.map(|mean| (value, mean))) {
            let kept = f64::from(f32::from(value) - mean as f32);
            assert_eq!(restored(kept, mean), Some(value), "{value} less {mean}");
            let found = restored(kept.trunc(), mean).unwrap();
            // Of the two values next to a mean one stands for both.
            assert!(found == value || (kept.trunc() == 0.0 && found == value + 1), "{value} less {mean}");
        }
        for (kept, mean) in
            [(-104.0, MEANS[0]), (152.0, MEANS[0]), (f64::NAN, MEANS[1]), (f64::INFINITY, MEANS[2])]
        {
            assert_eq!(restored(kept, mean), None, "{kept}");
        }
    }
}
