//! Statistics of a sample of either kind.

use super::{BlockStatistics, FrameStatistics};

/// What was measured of one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistics {
    /// Of a picture.
    Frame(FrameStatistics),
    /// Of a block of sound.
    Block(BlockStatistics),
}
