//! Published sets as training data: decoded once into a cache, read back by several workers.
//!
//! What is cached is samples of sound and pictures as they were before anything random, not features: which
//! frames of a clip are seen, what is cropped and mirrored is decided anew in every epoch.

mod cache;
mod dataset;
mod decode;
mod gather;
#[cfg(feature = "gst")]
mod gst;
mod spread;
mod still;
mod store;
#[cfg(feature = "gst")]
mod thinning;

pub use cache::{Cache, Decoded, Decoding};
pub use dataset::MediaDataset;
pub use decode::Decoder;
pub use gather::{Gathering, LeftOut, Limits, Tokenize, gather};
pub use store::{FORMAT_VERSION, Header, MediaStore, Part, Row};
