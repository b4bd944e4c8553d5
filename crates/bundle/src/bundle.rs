//! An opened bundle: nothing in it is unchecked.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tempfile::TempDir;

use crate::MANIFEST;
use crate::archive;
use crate::digest;
use crate::error::{BundleError, Problem, Problems};
use crate::golden::Golden;
use crate::manifest::{FORMAT_VERSION, FileEntry, Manifest, Modality};
use crate::validate::validate;

/// A bundle whose manifest, digests and golden tensors have been checked.
#[derive(Clone, Debug)]
pub struct Bundle {
    root: PathBuf,
    manifest: Manifest,
    digest: String,
    golden: Golden,
    /// Where an archive was unpacked to: goes when the last clone goes.
    _unpacked: Option<Arc<TempDir>>,
}

impl Bundle {
    /// Opens the bundle at `path` and checks all of it: format version, every value of the manifest,
    /// size and digest of every file, presence and shape of every golden tensor. A `.tar.zst` is
    /// unpacked to a temporary folder, which lasts as long as the bundle.
    ///
    /// Errors: [`BundleError::NotFound`] without a manifest there, else [`BundleError::Invalid`] with
    /// everything that is wrong.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BundleError> {
        let path = path.as_ref();
        if !path.is_file() {
            return Self::open_folder(path, path);
        }
        let folder = archive::unpack(path)
            .map_err(|problem| BundleError::Invalid { path: path.to_owned(), problems: problem.into() })?;
        let bundle = Self::open_folder(path, folder.path())?;
        Ok(Self { _unpacked: Some(Arc::new(folder)), ..bundle })
    }

    /// Opens folder `root`; errors call it `path`.
    fn open_folder(path: &Path, root: &Path) -> Result<Self, BundleError> {
        let mut problems = Problems::default();
        let invalid = |problems: Problems| BundleError::Invalid { path: path.to_owned(), problems };
        let Some(bytes) = read_manifest(root).map_err(|problem| invalid(problem.into()))? else {
            return Err(BundleError::NotFound { path: absolute(path) });
        };
        let manifest = parse_manifest(&bytes).map_err(|problem| invalid(problem.into()))?;
        validate(&manifest, &mut problems);
        let sound_manifest = problems.is_empty();
        for file in &manifest.files {
            if let Err(problem) = check_file(root, file) {
                problems.push(problem);
            }
        }
        // The names and shapes that a golden file must have follow from a sound manifest only.
        let mut golden = Golden::new();
        if sound_manifest {
            match fs::read(root.join(&manifest.golden.file)) {
                Ok(bytes) => golden = Golden::parse(&bytes, &manifest, &mut problems),
                // Reported above already, unless the file went away since.
                Err(_) if !problems.is_empty() => {}
                Err(source) => problems.push(Problem::Read { file: manifest.golden.file.clone(), source }),
            }
        }
        if !problems.is_empty() {
            return Err(invalid(problems));
        }
        let digest = digest::of_bytes(&bytes);
        Ok(Self { root: root.to_owned(), manifest, digest, golden, _unpacked: None })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of `manifest.json`, lowercase hexadecimal. It pins every file, because the manifest
    /// has the digest of each.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The golden inputs and outputs.
    pub fn golden(&self) -> &Golden {
        &self.golden
    }

    /// The folder, or where the archive was unpacked to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// File of a modality's encoder graph.
    pub fn encoder_path(&self, modality: &Modality) -> PathBuf {
        self.root.join(&modality.encoder)
    }

    /// File of the fusion graph.
    pub fn fusion_path(&self) -> PathBuf {
        self.root.join(&self.manifest.fusion)
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The bytes of the manifest, `None` if there is none.
fn read_manifest(root: &Path) -> Result<Option<Vec<u8>>, Problem> {
    match fs::read(root.join(MANIFEST)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Problem::Read { file: MANIFEST.to_owned(), source }),
    }
}

/// Parses a manifest. The version is read first and alone: a manifest of another version should be
/// called that, not be blamed for the fields it has on top.
pub(crate) fn parse_manifest(bytes: &[u8]) -> Result<Manifest, Problem> {
    #[derive(Deserialize)]
    struct Version {
        format_version: u64,
    }
    let Version { format_version } = parse(bytes)?;
    if format_version != u64::from(FORMAT_VERSION) {
        return Err(Problem::Field {
            field: "format_version".to_owned(),
            value: format_version.to_string(),
            expected: FORMAT_VERSION.to_string(),
        });
    }
    parse(bytes)
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| Problem::Parse { field: error.path().to_string(), source: error.into_inner() })?;
    deserializer.end().map_err(|source| Problem::Parse { field: ".".to_owned(), source })?;
    Ok(value)
}

fn check_file(root: &Path, entry: &FileEntry) -> Result<(), Problem> {
    // A path that leaves the bundle has been reported; it is not followed.
    if !crate::path::is_plain(&entry.path) {
        return Ok(());
    }
    let file = entry.path.clone();
    let read = File::open(root.join(&entry.path)).and_then(digest::of_reader);
    match read {
        Err(source) => Err(Problem::Read { file, source }),
        Ok((_, found)) if found != entry.bytes => Err(Problem::Size { file, found, expected: entry.bytes }),
        Ok((found, _)) if found != entry.sha256 => {
            Err(Problem::Digest { file, found, expected: entry.sha256.clone() })
        }
        Ok(_) => Ok(()),
    }
}
