//! Pictures as CLIP's processor prepares them: shortest edge resized, centre crop, normalise.

use serde::{Deserialize, Serialize};

/// Parameters of the picture front end; data of the bundle manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureSpec {
    /// Edge of the square model input in pixels (CLIP: 224).
    pub edge: usize,
    /// Mean per channel, in [0, 1]. Three entries keep RGB; one entry makes the input luma
    /// (ITU-R BT.601 weights).
    pub mean: Vec<f32>,
    /// Standard deviation per channel, as many as `mean`.
    pub std: Vec<f32>,
}

/// Why a picture front end cannot be built or run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PictureError {
    /// A parameter is out of range.
    #[error("picture front end: `{field}` is {value}, expected {expected}")]
    Field {
        /// The parameter.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A picture's bytes do not match its size.
    #[error("picture of {width} x {height} has {found} bytes, expected {expected}")]
    Bytes {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes given.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
}

/// The picture front end.
pub struct PictureFrontEnd {
    spec: PictureSpec,
}

impl PictureFrontEnd {
    /// Checks the parameters.
    pub fn new(spec: &PictureSpec) -> Result<Self, PictureError> {
        Ok(Self { spec: spec.clone() })
    }

    /// Its parameters.
    pub fn spec(&self) -> &PictureSpec {
        &self.spec
    }

    /// Model input of one picture: antialiased bicubic (a = -0.5) so that the shortest edge is `edge`,
    /// centre crop, divide by 255, then `(x - mean) / std`.
    ///
    /// Shapes: `rgb` is [height, width, 3]; the result is [channels, edge, edge].
    /// Source: CLIP's image processor (PIL bicubic).
    pub fn features(&mut self, rgb: &[u8], width: u32, height: u32) -> Result<Vec<f32>, PictureError> {
        let _ = (rgb, width, height);
        todo!()
    }
}
