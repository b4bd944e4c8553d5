//! The front ends of avdigits. Encoders pretrained elsewhere on the same front ends fit its streams.

use std::fmt::Display;

use cmpt_bundle::manifest::FrontEnd;
use cmpt_core::features::{MelSpec, PictureSpec};
use cmpt_core::modality::Kind;

use super::batch::ModalityInfo;
use super::error::DataError;

/// Sound: one second at 16 kHz, 64 mel bins up to 4 kHz, since all recorded digits are 8 kHz material.
pub fn audio() -> ModalityInfo {
    let front_end = FrontEnd::LogMel(MelSpec {
        sample_rate_hz: 16_000,
        window_samples: 400,
        hop_samples: 160,
        // Twice AST's: with 512 points the lowest of the narrow triangles would be empty.
        fft_samples: 1024,
        n_mels: 64,
        low_hz: 20.0,
        high_hz: 4000.0,
        steps: 98,
        // About the mean and twice the standard deviation over augmented training digits.
        mean: -6.0,
        divisor: 5.0,
        // What recordings have below this is their rooms and microphones.
        range_db: Some(35.0),
    });
    ModalityInfo { name: "audio".into(), kind: Kind::Audio, front_end, frames: 1 }
}

/// Pictures: luma, 28 pixels; three a second at run time.
pub fn video() -> ModalityInfo {
    let front_end = FrontEnd::Picture(PictureSpec {
        edge: 28,
        // Of MNIST's digits within the whole 4:3 frame, rounded.
        mean: vec![0.12],
        std: vec![0.24],
    });
    ModalityInfo { name: "video".into(), kind: Kind::Video, front_end, frames: 3 }
}

/// Sound of the experiments on pairs: one second at 8 kHz in 39 steps of 25 ms, `n_mels` bins between two
/// frequencies. Coarser than avdigits', so that an experiment is a matter of seconds.
pub fn band(name: &str, n_mels: usize, [low_hz, high_hz]: [f32; 2]) -> ModalityInfo {
    let front_end = FrontEnd::LogMel(MelSpec {
        sample_rate_hz: 8000,
        window_samples: 256,
        hop_samples: 200,
        // With 256 points the lowest of the narrow triangles would be empty.
        fft_samples: 512,
        n_mels,
        low_hz,
        high_hz,
        steps: 39,
        mean: -6.0,
        divisor: 5.0,
        range_db: Some(35.0),
    });
    ModalityInfo { name: name.into(), kind: Kind::Audio, front_end, frames: 1 }
}

/// Pictures of the experiments on pairs: 28 pixels as they are, no frame around them.
pub fn camera(name: &str) -> ModalityInfo {
    let front_end = FrontEnd::Picture(PictureSpec {
        edge: 28,
        // About those of MNIST and Fashion-MNIST together.
        mean: vec![0.2],
        std: vec![0.33],
    });
    ModalityInfo { name: name.into(), kind: Kind::Image, front_end, frames: 1 }
}

/// Length of a window of avdigits in milliseconds.
pub const WINDOW_MS: u64 = 1000;

/// What loads a modality of packed sound or pictures, made by `sound` or by `picture`.
///
/// Errors: text; what the maker says, with the modality's name.
pub(super) fn loader<L, S: Display, P: Display>(
    modality: &ModalityInfo,
    sound: impl FnOnce(&MelSpec) -> Result<L, S>,
    picture: impl FnOnce(&PictureSpec) -> Result<L, P>,
) -> Result<L, DataError> {
    let made = match &modality.front_end {
        FrontEnd::LogMel(spec) => sound(spec).map_err(|error| error.to_string()),
        FrontEnd::Picture(spec) => picture(spec).map_err(|error| error.to_string()),
        FrontEnd::WordPiece(_) => Err("text, expected sound or pictures".into()),
    };
    made.map_err(|error| DataError::unusable(format!("modality {}: {error}", modality.name)))
}
