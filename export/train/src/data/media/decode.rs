//! Files into decoded media: WAV, JPEG and PNG here, everything else through GStreamer where it is built in.

use std::path::{Path, PathBuf};

use cmpt_bundle::manifest::FrontEnd;
use cmpt_core::features::{PictureFrontEnd, PictureSpec, Resized};
use cmpt_core::modality::Kind;

use super::cache::{Decoded, Decoding};
use super::still;
use crate::data::batch::ModalityInfo;
use crate::data::error::DataError;
use crate::data::rgb::Rgb;
use crate::data::wav;

/// Sound is kept up to so many seconds: more than any encoder here hears.
const LONGEST_S: u32 = 60;

/// Why a file was not decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is listed and not there.
    #[error("{} is not there", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// It is there and of no use.
    #[error("{} cannot be decoded: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// This program was built without what it takes.
    #[error("{} takes GStreamer, which this program was built without (cargo feature `gst`)", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
    },
}

/// Decodes the files of one modality.
pub struct Decoder {
    kind: Kind,
    decoding: Decoding,
    front_end: Option<PictureFrontEnd>,
}

impl Decoder {
    /// A decoder for a modality of sound or pictures, `None` for one of text. Of moving pictures up to
    /// `kept` frames are kept.
    pub fn new(modality: &ModalityInfo, kept: usize) -> Result<Option<Self>, DataError> {
        let wrong = |error: String| DataError::unusable(format!("modality {}: {error}", modality.name));
        let kind = modality.kind;
        Ok(match (&modality.front_end, kind) {
            (FrontEnd::LogMel(spec), Kind::Audio) => {
                let decoding = Decoding::Sound { rate_hz: spec.sample_rate_hz, longest_s: LONGEST_S };
                Some(Self { kind, decoding, front_end: None })
            }
            (FrontEnd::Picture(spec), Kind::Video | Kind::Image) => {
                let kept = if kind == Kind::Image { 1 } else { kept.max(1) };
                let decoding = Decoding::Pictures { edge: spec.edge, channels: spec.mean.len(), kept };
                let front_end = picture_front_end(spec).map_err(wrong)?;
                Some(Self { kind, decoding, front_end: Some(front_end) })
            }
            (FrontEnd::WordPiece(_), Kind::Text) => None,
            (front_end, kind) => return Err(wrong(format!("{kind:?} by way of {front_end:?}"))),
        })
    }

    /// What it makes of a file.
    pub fn decoding(&self) -> &Decoding {
        &self.decoding
    }

    /// What it makes of a picture that was read out of `path`.
    pub fn decode_picture(&mut self, path: &Path, picture: &Rgb) -> Result<Decoded, DecodeError> {
        let Some(front_end) = self.front_end.as_mut() else {
            return Err(corrupt(path, "it is a picture, and no sound"));
        };
        pack(vec![image(path, picture, front_end)?]).ok_or_else(|| corrupt(path, "no picture in it"))
    }

    /// Decodes a file.
    pub fn decode(&mut self, path: &Path) -> Result<Decoded, DecodeError> {
        if !path.exists() {
            return Err(DecodeError::Absent { path: path.into() });
        }
        match self.decoding {
            Decoding::Sound { rate_hz, longest_s } => {
                let longest = rate_hz as usize * longest_s as usize;
                let mut samples = sound(path, rate_hz, longest)?;
                samples.truncate(longest);
                Ok(Decoded::Sound(samples))
            }
            Decoding::Pictures { kept, .. } => {
                let front_end = self.front_end.as_mut().expect("pictures have a front end");
                let pictures = match self.kind {
                    Kind::Image => vec![image(path, &read_still(path)?, front_end)?],
                    _ => frames(path, front_end, kept)?,
                };
                pack(pictures).ok_or_else(|| corrupt(path, "no picture in it"))
            }
        }
    }
}

fn picture_front_end(spec: &PictureSpec) -> Result<PictureFrontEnd, String> {
    PictureFrontEnd::new(spec).map_err(|error| error.to_string())
}

fn corrupt(path: &Path, reason: impl Into<String>) -> DecodeError {
    DecodeError::Corrupt { path: path.into(), reason: reason.into() }
}

/// Mono sound. A plain WAV file is read alike with and without GStreamer.
fn sound(path: &Path, rate_hz: u32, longest: usize) -> Result<Vec<i16>, DecodeError> {
    let is_wav = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav"));
    if is_wav && let Ok(sound) = wav::read(path) {
        let sound = if sound.rate_hz == rate_hz { sound } else { sound.resampled(rate_hz, f64::INFINITY) };
        let quantized = |sample: f32| (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
        return Ok(sound.samples.into_iter().map(quantized).collect());
    }
    #[cfg(feature = "gst")]
    return super::gst::sound(path, rate_hz, longest).map_err(|reason| corrupt(path, reason));
    #[cfg(not(feature = "gst"))]
    {
        let _ = longest;
        // Of a WAV file that is broken its own error says more.
        match wav::read(path) {
            Err(error) if is_wav => Err(corrupt(path, error.to_string())),
            _ => Err(DecodeError::Unsupported { path: path.into() }),
        }
    }
}

fn read_still(path: &Path) -> Result<Rgb, DecodeError> {
    let bytes = std::fs::read(path).map_err(|error| corrupt(path, error.to_string()))?;
    still::decode(&bytes).map_err(|reason| corrupt(path, reason))
}

fn image(path: &Path, picture: &Rgb, front_end: &mut PictureFrontEnd) -> Result<Resized, DecodeError> {
    let resized = front_end.resized(&picture.values, picture.width, picture.height);
    resized.map_err(|error| corrupt(path, error.to_string()))
}

fn frames(path: &Path, front_end: &mut PictureFrontEnd, kept: usize) -> Result<Vec<Resized>, DecodeError> {
    #[cfg(feature = "gst")]
    return super::gst::frames(path, front_end, kept).map_err(|reason| corrupt(path, reason));
    #[cfg(not(feature = "gst"))]
    {
        let _ = (front_end, kept);
        Err(DecodeError::Unsupported { path: path.into() })
    }
}

/// Pictures of one size in a row. `None` without any, or where their sizes differ.
fn pack(pictures: Vec<Resized>) -> Option<Decoded> {
    let first = pictures.first()?;
    let (width, height, channels) = (first.width, first.height, first.channels);
    let values = pictures.iter().map(|picture| match (picture.width, picture.height) == (width, height) {
        true => Some(&picture.pixels[..]),
        false => None,
    });
    let values = values.collect::<Option<Vec<&[u8]>>>()?.concat();
    Some(Decoded::Pictures { width: width as usize, height: height as usize, channels, values })
}
