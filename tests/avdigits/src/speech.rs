//! Spoken digits: a folder of `{digit}_{speaker}_{take}.wav`, or of `0.wav` to `9.wav`.

use std::fs;
use std::path::{Path, PathBuf};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

/// Samples a second of an avdigits stream.
pub const RATE_HZ: usize = 16_000;

/// One speaker's takes of each digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    takes: [Vec<PathBuf>; 10],
}

/// Why speech could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    /// The folder cannot be listed.
    #[error("list {}", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A digit has no take.
    #[error("find speech in {}: no {}", path.display(), match speaker {
        Some(speaker) => format!("{digit}_{speaker}_*.wav"),
        None => format!("{digit}.wav"),
    })]
    NoTake {
        /// The folder.
        path: PathBuf,
        /// The speaker asked for.
        speaker: Option<String>,
        /// The digit.
        digit: usize,
    },
    /// A take cannot be decoded.
    #[error("decode {}: {message}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What GStreamer says.
        message: String,
    },
}

impl Voice {
    /// Finds the takes of `speaker` in `folder`; without a speaker, the files `0.wav` to `9.wav`.
    pub fn find(folder: &Path, speaker: Option<&str>) -> Result<Self, SpeechError> {
        let list = |source| SpeechError::List { path: folder.into(), source };
        let mut takes: [Vec<PathBuf>; 10] = Default::default();
        for entry in fs::read_dir(folder).map_err(list)? {
            let path = entry.map_err(list)?.path();
            if let Some(digit) = digit_of(&path, speaker) {
                takes[digit].push(path);
            }
        }
        // A folder lists in any order, and a seed must always mean the same clip.
        takes.iter_mut().for_each(|takes| takes.sort_unstable());
        match takes.iter().position(Vec::is_empty) {
            Some(digit) => {
                Err(SpeechError::NoTake { path: folder.into(), speaker: speaker.map(Into::into), digit })
            }
            None => Ok(Self { takes }),
        }
    }

    /// The takes of a digit.
    pub fn of(&self, digit: u8) -> &[PathBuf] {
        &self.takes[usize::from(digit)]
    }
}

/// Decodes a take to mono at [`RATE_HZ`], in [-1, 1].
pub fn decode(path: &Path) -> Result<Vec<f32>, SpeechError> {
    let fail = |message: String| SpeechError::Decode { path: path.into(), message };
    gst::init().map_err(|error| fail(error.to_string()))?;
    let caps = format!("audio/x-raw,format=F32LE,channels=1,rate={RATE_HZ},layout=interleaved");
    let text = format!(
        "filesrc name=file ! wavparse ! audioconvert ! audioresample quality=10 ! appsink name=sink sync=false caps={caps}"
    );
    let pipeline = gst::parse::launch(&text).map_err(|error| fail(error.to_string()))?;
    let pipeline: gst::Pipeline = pipeline.downcast().expect("several elements make a pipeline");
    pipeline.by_name("file").expect("it is in the text").set_property("location", path);
    let sink: AppSink = pipeline.by_name("sink").and_downcast().expect("it is in the text");
    let started = pipeline.set_state(gst::State::Playing);
    let mut samples = Vec::new();
    while started.is_ok()
        && let Ok(sample) = sink.pull_sample()
    {
        let buffer = sample.buffer().expect("an appsink's sample has a buffer");
        let bytes = buffer.map_readable().map_err(|error| fail(error.to_string()))?;
        samples.extend(bytes.as_chunks().0.iter().map(|sample| f32::from_le_bytes(*sample)));
    }
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let report = bus.pop_filtered(&[gst::MessageType::Error]);
    // Stopping cannot fail in a way that matters once the samples are here.
    let _ = pipeline.set_state(gst::State::Null);
    match report.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(report)) => Err(fail(report.error().message().to_owned())),
        _ if samples.is_empty() => Err(fail("it holds no sound".into())),
        _ => Ok(samples),
    }
}

/// The digit that a file is a take of.
fn digit_of(path: &Path, speaker: Option<&str>) -> Option<usize> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".wav")?;
    let digit = match speaker {
        Some(speaker) => {
            stem.split_once('_')
                .filter(|(_, rest)| {
                    rest.rsplit_once('_')
                        .is_some_and(|(name, take)| name == speaker && take.parse::<u32>().is_ok())
                })?
                .0
        }
        None => stem,
    };
    digit.parse().ok().filter(|digit| *digit < 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_tells_digit_and_speaker() {
        for (name, speaker, digit) in [
            ("7_george_12.wav", Some("george"), Some(7)),
            ("7_george_12.wav", Some("theo"), None),
            ("7_george_12.wav", None, None),
            ("7.wav", None, Some(7)),
            ("10.wav", None, None),
            ("7_george_x.wav", Some("george"), None),
            ("7_george_1.mp3", Some("george"), None),
        ] {
            assert_eq!(digit_of(Path::new(name), speaker), digit, "{name} {speaker:?}");
        }
    }

    #[test]
    fn a_missing_digit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("0_george_0.wav"), []).unwrap();
        let missing = Voice::find(folder.path(), Some("george")).unwrap_err().to_string();
        assert!(missing.ends_with("no 1_george_*.wav"), "{missing}");
    }

    #[test]
    fn what_is_not_a_recording_is_refused() {
        let file = tempfile::Builder::new().suffix(".wav").tempfile().unwrap();
        fs::write(file.path(), b"this is no sound").unwrap();
        assert!(matches!(decode(file.path()), Err(SpeechError::Decode { .. })));
    }
}
