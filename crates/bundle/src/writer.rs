//! Writing a bundle: whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::MANIFEST;
use crate::bundle::Bundle;
use crate::digest;
use crate::error::BundleError;
use crate::golden::Golden;
use crate::manifest::{FORMAT_VERSION, FileEntry, Manifest};
use crate::path::{PLAIN, is_plain};

/// Why a bundle cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Something is at the destination already; a bundle is never overwritten.
    #[error("write bundle {}: it exists, remove it or choose another version", path.display())]
    Exists {
        /// The destination.
        path: PathBuf,
    },
    /// A file name that would leave the bundle, or is the manifest's.
    #[error("write bundle: file name is {found:?}, expected {PLAIN}, other than {MANIFEST}")]
    Name {
        /// The name.
        found: String,
    },
    /// The file system refused.
    #[error("write {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest cannot be written as JSON.
    #[error("write {MANIFEST}")]
    Json(#[from] serde_json::Error),
    /// A golden tensor's values do not fill its shape.
    #[error("write golden tensors")]
    Golden(#[from] safetensors::SafeTensorError),
    /// What was written would not open.
    #[error(transparent)]
    Unsound(#[from] BundleError),
}

/// Collects a bundle in a temporary folder beside its destination. Dropped before
/// [`finish`](Self::finish), it leaves nothing behind.
#[derive(Debug)]
pub struct BundleWriter {
    destination: PathBuf,
    folder: TempDir,
    files: Vec<FileEntry>,
}

impl BundleWriter {
    /// A writer for a bundle at `destination`, where nothing may be yet.
    pub fn create(destination: impl Into<PathBuf>) -> Result<Self, WriteError> {
        let destination = destination.into();
        if destination.exists() {
            return Err(WriteError::Exists { path: destination });
        }
        let parent = match destination.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let at_parent = |source| WriteError::Io { path: parent.to_owned(), source };
        fs::create_dir_all(parent).map_err(at_parent)?;
        // Beside the destination, so that the last step is a rename within one file system.
        // Temporary folders are private by default; a bundle is read by the daemon's user, as umask says.
        let folder = tempfile::Builder::new()
            .prefix(".bundle-")
            .permissions(fs::Permissions::from_mode(0o777))
            .tempdir_in(parent)
            .map_err(at_parent)?;
        Ok(Self { destination, folder, files: Vec::new() })
    }

    /// Adds a file.
    pub fn add(&mut self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        if !is_plain(path) || path == MANIFEST {
            return Err(WriteError::Name { found: path.to_owned() });
        }
        self.write(path, bytes)?;
        self.files.push(FileEntry {
            path: path.to_owned(),
            sha256: digest::of_bytes(bytes),
            bytes: bytes.len() as u64,
        });
        Ok(())
    }

    /// Adds the golden file that `manifest.golden` names, then the manifest with the files added so
    /// far in place of its `files`, opens the result, and moves it to its destination.
    pub fn finish(mut self, manifest: Manifest, golden: &Golden) -> Result<Bundle, WriteError> {
        self.add(&manifest.golden.file, &golden.to_bytes()?)?;
        let files = std::mem::take(&mut self.files);
        let manifest = Manifest { format_version: FORMAT_VERSION, files, ..manifest };
        let mut json = serde_json::to_vec_pretty(&manifest)?;
        json.push(b'\n');
        self.write(MANIFEST, &json)?;
        Bundle::open(self.folder.path())?;

        let at_destination = |source| WriteError::Io { path: self.destination.clone(), source };
        fs::rename(self.folder.path(), &self.destination).map_err(at_destination)?;
        // Renamed away: there is nothing left to delete.
        drop(self.folder.keep());
        Ok(Bundle::open(&self.destination)?)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let target = self.folder.path().join(path);
        let write = || -> io::Result<()> {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = fs::File::create(&target)?;
            file.write_all(bytes)?;
            // On disk before the rename, or a power cut could leave a whole folder of empty files.
            file.sync_all()
        };
        write().map_err(|source| WriteError::Io { path: target.clone(), source })
    }
}
