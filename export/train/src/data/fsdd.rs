//! The Free Spoken Digit Dataset on disk.

use std::path::{Path, PathBuf};

use super::error::DataError;

/// A recording of one digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The file.
    pub path: PathBuf,
    /// What is said.
    pub digit: usize,
    /// Who says it.
    pub speaker: String,
    /// The number of the repetition.
    pub take: usize,
}

impl Recording {
    /// The file's name.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// All recordings in `folder` or its `recordings`, by name.
pub fn recordings(folder: &Path) -> Result<Vec<Recording>, DataError> {
    let inner = folder.join("recordings");
    let folder = if inner.is_dir() { inner } else { folder.into() };
    let error = |source| DataError::Read { path: folder.clone(), source };
    let mut paths = Vec::new();
    for file in std::fs::read_dir(&folder).map_err(error)? {
        paths.push(file.map_err(error)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wav"));
    paths.sort();
    paths.into_iter().map(parse).collect()
}

/// Errors: there is no recording of one of `speakers` in `recordings`, which came from `folder`.
pub fn check_speakers<'a>(
    folder: &Path,
    recordings: &[Recording],
    speakers: impl IntoIterator<Item = &'a String>,
) -> Result<(), DataError> {
    let is_heard = |speaker: &&String| recordings.iter().any(|recording| &recording.speaker == *speaker);
    match speakers.into_iter().find(|speaker| !is_heard(speaker)) {
        None => Ok(()),
        Some(speaker) => Err(DataError::malformed(folder, format!("no recording of speaker {speaker}"))),
    }
}

/// `{digit}_{speaker}_{take}.wav`.
fn parse(path: PathBuf) -> Result<Recording, DataError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let parts: Vec<&str> = stem.split('_').collect();
    let parsed = match parts[..] {
        [digit, speaker, take] => digit.parse().ok().zip(take.parse().ok()).map(|(d, t)| (d, speaker, t)),
        _ => None,
    };
    match parsed {
        Some((digit @ 0..10, speaker, take)) => Ok(Recording { digit, speaker: speaker.into(), take, path }),
        _ => Err(DataError::malformed(path, "file name, expected `{digit}_{speaker}_{take}.wav`")),
    }
}
