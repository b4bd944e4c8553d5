//! Decoded media on disk, each under a key of what was decoded and how.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data::error::DataError;
use crate::data::rgb::Rgb;

/// Part of every key: raised when decoding gives something else for the same parameters.
const KEY_VERSION: &str = "cmpt media 1";
const SOUND: &str = "sound";
const PICTURES: &str = "pictures";

/// What is made of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Decoding {
    /// Mono sound.
    Sound {
        /// Sample rate.
        rate_hz: u32,
        /// What is longer is cut at the end.
        longest_s: u32,
    },
    /// Pictures with their shortest edge brought to the front end's.
    Pictures {
        /// The shortest edge in pixels.
        edge: usize,
        /// 3 of RGB or 1 of luma.
        channels: usize,
        /// The most pictures that are kept of one file, evenly over its length.
        kept: usize,
    },
}

/// What was made of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Samples at the rate that was asked for.
    Sound(Vec<i16>),
    /// Pictures of one size.
    Pictures {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// 3 of RGB or 1 of luma.
        channels: usize,
        /// [n, height, width, channels].
        values: Vec<u8>,
    },
}

/// A folder of decoded media. Several processes may fill one at a time: an entry appears whole.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in `folder`, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The key of a file's content under `decoding`. The file's name and age do not matter, so that a
    /// cache may be made on one machine and used on another.
    pub fn key(path: &Path, decoding: &Decoding) -> io::Result<String> {
        let mut digest = begun(decoding);
        let mut file = File::open(path)?;
        let mut block = vec![0; 1 << 16];
        loop {
            match file.read(&mut block)? {
                0 => return Ok(hex(digest)),
                length => digest.update(&block[..length]),
            }
        }
    }

    /// The key of a picture under `decoding`, for one that is no file of its own.
    pub fn key_of_picture(picture: &Rgb, decoding: &Decoding) -> String {
        let mut digest = begun(decoding);
        // No file begins like this: neither JPEG nor PNG.
        digest.update(b"rgb");
        digest.update(picture.width.to_le_bytes());
        digest.update(picture.height.to_le_bytes());
        digest.update(&picture.values);
        hex(digest)
    }

    /// Whether there is an entry.
    pub fn contains(&self, key: &str) -> bool {
        self.path(key).exists()
    }

    /// Adds an entry.
    pub fn write(&self, key: &str, decoded: &Decoded) -> Result<(), DataError> {
        let path = self.path(key);
        let error = |source| DataError::Write { path: path.clone(), source };
        let folder = path.parent().expect("an entry lies in a folder");
        fs::create_dir_all(folder).map_err(error)?;
        let (name, dtype, shape, bytes) = raw(decoded);
        let view = TensorView::new(dtype, shape, &bytes).expect("bytes fill the shape");
        let whole = safetensors::serialize([(name, view)], None).map_err(io::Error::other).map_err(error)?;
        let partial = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder).map_err(error)?;
        fs::write(partial.path(), whole).map_err(error)?;
        partial.persist(&path).map_err(|failed| error(failed.error))?;
        Ok(())
    }

    /// Reads an entry.
    pub fn read(&self, key: &str) -> Result<Decoded, DataError> {
        let path = self.path(key);
        let bytes = fs::read(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
        let malformed = |reason: String| DataError::malformed(&path, reason);
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| malformed(error.to_string()))?;
        if let Ok(sound) = tensors.tensor(SOUND)
            && sound.dtype() == Dtype::I16
        {
            let values = sound.data().as_chunks().0;
            return Ok(Decoded::Sound(values.iter().map(|value| i16::from_le_bytes(*value)).collect()));
        }
        let pictures = tensors.tensor(PICTURES).map_err(|error| malformed(error.to_string()))?;
        match (pictures.dtype(), pictures.shape()) {
            (Dtype::U8, &[_, height, width, channels]) => {
                Ok(Decoded::Pictures { width, height, channels, values: pictures.data().to_vec() })
            }
            (dtype, shape) => {
                Err(malformed(format!("pictures are {dtype:?} {shape:?}, expected U8 of four dimensions")))
            }
        }
    }

    /// Spread over 256 folders: no folder grows too long to list.
    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key.get(..2).unwrap_or_default()).join(format!("{key}.safetensors"))
    }
}

fn begun(decoding: &Decoding) -> Sha256 {
    let mut digest = Sha256::new();
    digest.update(KEY_VERSION);
    digest.update(serde_json::to_vec(decoding).expect("a decoding has string keys only"));
    digest
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn raw(decoded: &Decoded) -> (&'static str, Dtype, Vec<usize>, Vec<u8>) {
    match decoded {
        Decoded::Sound(values) => {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (SOUND, Dtype::I16, vec![values.len()], bytes)
        }
        Decoded::Pictures { width, height, channels, values } => {
            let count = values.len() / (width * height * channels);
            (PICTURES, Dtype::U8, vec![count, *height, *width, *channels], values.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOKEN: Decoding = Decoding::Sound { rate_hz: 16_000, longest_s: 30 };

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("cache"));
        let sound = Decoded::Sound(vec![1, -2, 300]);
        let pictures = Decoded::Pictures { width: 2, height: 3, channels: 1, values: (0..12).collect() };
        for (key, decoded) in [("ab01", &sound), ("ab02", &pictures)] {
            assert!(!cache.contains(key));
            cache.write(key, decoded).unwrap();
            assert!(cache.contains(key));
            assert_eq!(cache.read(key).unwrap(), *decoded);
        }
        let names = fs::read_dir(folder.path().join("cache/ab")).unwrap();
        assert_eq!(names.count(), 2, "nothing else is left");
        assert!(matches!(cache.read("cd01"), Err(DataError::Read { .. })));
        fs::write(folder.path().join("cache/ab/ab01.safetensors"), "short").unwrap();
        let error = cache.read("ab01").unwrap_err();
        assert!(error.to_string().contains("ab01.safetensors"), "{error}");
    }

    #[test]
    fn a_key_is_of_content_and_parameters_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let [one, copy, other] = ["one", "copy", "other"].map(|name| folder.path().join(name));
        fs::write(&one, vec![7; 100_000]).unwrap();
        fs::copy(&one, &copy).unwrap();
        fs::write(&other, vec![7; 99_999]).unwrap();
        let key = |path, decoding| Cache::key(path, decoding).unwrap();
        assert_eq!(key(&one, &SPOKEN), key(&copy, &SPOKEN));
        assert_ne!(key(&one, &SPOKEN), key(&other, &SPOKEN));
        assert_ne!(key(&one, &SPOKEN), key(&one, &Decoding::Sound { rate_hz: 8000, longest_s: 30 }));
        assert_eq!(key(&one, &SPOKEN).len(), 64);
        assert!(Cache::key(&folder.path().join("none"), &SPOKEN).is_err());
    }
}
