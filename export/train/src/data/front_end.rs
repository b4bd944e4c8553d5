//! The front ends of avdigits. Encoders pretrained elsewhere on the same front ends fit its streams.

use cmpt_bundle::manifest::FrontEnd;
use cmpt_core::features::{MelSpec, PictureSpec};
use cmpt_core::modality::Kind;

use super::batch::ModalityInfo;

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

/// Length of a window of avdigits in milliseconds.
pub const WINDOW_MS: u64 = 1000;
