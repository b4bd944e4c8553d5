//! The IDX files of MNIST and Fashion-MNIST, gzipped.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::error::DataError;

/// An array of bytes, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Vec<u8>,
}

/// Reads `path`, which must hold unsigned bytes in `dimensions` dimensions.
///
/// Errors: the file, the offset in the decompressed stream, what was found and what was expected.
/// Source: the format's description on the MNIST page: bytes 0, 0, type, dimensions, then each extent
/// as a big-endian u32, then the values.
pub fn read(path: &Path, dimensions: usize) -> Result<Idx, DataError> {
    let file = File::open(path).map_err(|source| DataError::Read { path: path.into(), source })?;
    let mut bytes = Vec::new();
    let read = GzDecoder::new(file).read_to_end(&mut bytes);
    read.map_err(|error| {
        DataError::malformed(path, format!("gzip stream breaks off at offset {}: {error}", bytes.len()))
    })?;
    parse(&bytes, dimensions).map_err(|reason| DataError::malformed(path, reason))
}

/// One of the two sets of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `train-*`.
    Train,
    /// `t10k-*` or, of half the size, `t5k-*`.
    Test,
}

impl Part {
    /// What its files' names begin with.
    pub fn name(self, folder: &Path) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test if images_of(folder, "t10k").exists() => "t10k",
            Self::Test => "t5k",
        }
    }
}

/// Reads the images and labels of one set of `folder`.
///
/// Shape: images are [n, height, width], one for each label.
pub fn read_part(folder: &Path, part: Part) -> Result<(Idx, Vec<u8>), DataError> {
    let name = part.name(folder);
    read_labelled(&images_of(folder, name), &folder.join(format!("{name}-labels-idx1-ubyte.gz")))
}

fn images_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}-images-idx3-ubyte.gz"))
}

/// Reads images and labels that belong together.
fn read_labelled(images: &Path, labels: &Path) -> Result<(Idx, Vec<u8>), DataError> {
    let pictures = read(images, 3)?;
    let classes = read(labels, 1)?;
    if classes.shape[0] != pictures.shape[0] {
        let found = classes.shape[0];
        let reason = format!("{found} labels, expected {} as in {}", pictures.shape[0], images.display());
        return Err(DataError::malformed(labels, reason));
    }
    if let Some((index, label)) = classes.values.iter().enumerate().find(|(_, label)| **label > 9) {
        let reason = format!("label {label} at offset {}, expected 0 to 9", 8 + index);
        return Err(DataError::malformed(labels, reason));
    }
    Ok((pictures, classes.values))
}

/// Reads a decompressed stream, as [`read`] does. Errors: offset, what was found and what was expected.
pub fn parse(bytes: &[u8], dimensions: usize) -> Result<Idx, String> {
    const UNSIGNED_BYTE: u8 = 8;
    let header = 4 + 4 * dimensions;
    if bytes.len() < header {
        return Err(format!("header ends at offset {}, expected {header} bytes", bytes.len()));
    }
    let magic = [0, 0, UNSIGNED_BYTE, dimensions as u8];
    if bytes[..4] != magic {
        return Err(format!("{:02x?} at offset 0, expected {magic:02x?}", &bytes[..4]));
    }
    let extents = bytes[4..header].as_chunks().0;
    let shape: Vec<usize> = extents.iter().map(|&extent| u32::from_be_bytes(extent) as usize).collect();
    let values = &bytes[header..];
    let expected = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    if expected != Some(values.len()) {
        let found = values.len();
        return Err(format!("{found} values from offset {header}, expected the product of {shape:?}"));
    }
    Ok(Idx { shape, values: values.to_vec() })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    const LABELS: [u8; 11] = [0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9];

    fn check(file: &[u8], dimensions: usize, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.gz");
        std::fs::write(&path, file).unwrap();
        let error = read(&path, dimensions).unwrap_err().to_string();
        assert!(error.contains("labels.gz") && error.contains(expected), "{error}");
    }

    #[test]
    fn values_and_shape_are_read() {
        let idx = parse(&[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 5, 6], 2).unwrap();
        assert_eq!(idx, Idx { shape: vec![2, 1], values: vec![5, 6] });
    }

    #[test]
    fn a_broken_file_is_an_error_that_says_where() {
        check(&gzip(&LABELS[..10]), 1, "2 values from offset 8, expected the product of [3]");
        check(&gzip(&LABELS[..6]), 1, "header ends at offset 6, expected 8 bytes");
        check(&gzip(&LABELS), 3, "header ends at offset 11, expected 16 bytes");
        check(&gzip(&[0, 0, 9, 1, 0, 0, 0, 0]), 1, "at offset 0, expected [00, 00, 08, 01]");
        let whole = gzip(&LABELS);
        check(&whole[..whole.len() - 9], 1, "gzip stream breaks off");
        check(b"no gzip at all", 1, "gzip stream breaks off at offset 0");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("nowhere/labels.gz"), 1).unwrap_err();
        assert!(matches!(&error, DataError::Read { .. }), "{error}");
        assert!(error.to_string().contains("nowhere/labels.gz"));
    }
}
