//! A bundle as one `.tar.zst`.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use ruzstd::decoding::StreamingDecoder;
use tar::{Archive, EntryType};
use tempfile::TempDir;

use crate::error::Problem;
use crate::path::is_plain;

/// Unpacks an archive to a temporary folder. Only folders and files with plain relative paths are
/// taken; a link could point out of the bundle.
pub(crate) fn unpack(file: &Path) -> Result<TempDir, Problem> {
    let name = || file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let broken = |source| Problem::Archive { file: name(), source };
    let folder = tempfile::Builder::new().prefix("cmpt-bundle-").tempdir().map_err(broken)?;
    let reader = BufReader::new(File::open(file).map_err(broken)?);
    let decoder = StreamingDecoder::new(reader).map_err(|error| broken(io::Error::other(error)))?;
    let mut archive = Archive::new(decoder);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        // What `tar -C FOLDER .` writes.
        let inside = path.strip_prefix("./").unwrap_or(&path).trim_end_matches('/');
        let sound = match entry.header().entry_type() {
            EntryType::Directory => matches!(inside, "" | ".") || is_plain(inside),
            EntryType::Regular => is_plain(inside),
            _ => false,
        };
        if !sound {
            return Err(Problem::ArchiveEntry { file: name(), entry: path });
        }
        entry.unpack_in(folder.path()).map_err(broken)?;
    }
    Ok(folder)
}
