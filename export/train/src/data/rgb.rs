//! Pictures in colour.

/// A picture in RGB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// [height, width, 3].
    pub values: Vec<u8>,
}
