//! Transformer encoders: what they are, and the network.

pub mod config;
mod embedder;
pub mod embedding;
pub mod family;
pub mod linear;
pub mod parameter;
pub mod pretrained;
mod shards;
pub mod spec;
pub mod transformer;

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Learning: dropout is on.
    Train,
    /// Anything else.
    Infer,
}
