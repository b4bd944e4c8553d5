//! Statistics of one frame or block, computed once.

use crate::samples::Frame;

/// Statistics of one picture, luma in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameStatistics {
    /// Mean luma.
    pub luma_mean: f32,
    /// Share of pixels whose luma exceeds the black threshold's `luma`.
    pub lit_share: f32,
    /// Mean absolute luma difference to the reference picture (the first of a possibly frozen run),
    /// `None` for the very first frame or after a change of size.
    pub difference: Option<f32>,
}

/// The luma plane that following frames are compared with.
#[derive(Clone, Debug, Default)]
pub struct ReferencePicture {}

impl ReferencePicture {
    /// Statistics of `frame`; takes it as the new reference when it differs by more than `tolerance`.
    pub fn measure(&mut self, frame: &Frame, black_luma: f32, tolerance: f32) -> FrameStatistics {
        let _ = (frame, black_luma, tolerance);
        todo!()
    }
}

/// Statistics of one block of sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockStatistics {
    /// Root mean square relative to full scale, in decibels; `f32::NEG_INFINITY` for digital silence.
    pub rms_dbfs: f32,
    /// Largest absolute sample.
    pub peak: f32,
}

impl BlockStatistics {
    /// Statistics of `samples`.
    pub fn measure(samples: &[f32]) -> Self {
        let _ = samples;
        todo!()
    }
}
