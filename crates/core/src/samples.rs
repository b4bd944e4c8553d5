//! What a source delivers: timestamped blocks of sound and pictures.

use crate::time::Timestamp;

/// A block of mono sound at the front end's sample rate, in [-1, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct AudioBlock {
    /// Stream time of the first sample, as the source stamped it; never invented from a rate.
    pub at: Timestamp,
    /// The samples.
    pub samples: Vec<f32>,
}

/// One picture, 8-bit RGB.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Stream time of the picture.
    pub at: Timestamp,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Row-major interleaved RGB without padding, `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

/// What a sensor delivers.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// Sound.
    Audio(AudioBlock),
    /// A picture.
    Frame(Frame),
}

impl Sample {
    /// Stream time of the sample's start.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Audio(block) => block.at,
            Self::Frame(frame) => frame.at,
        }
    }

    /// Bytes that its content takes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Audio(block) => size_of_val(block.samples.as_slice()),
            Self::Frame(frame) => frame.rgb.len(),
        }
    }
}
