//! Transformer encoders: what they are, and the network.

pub mod spec;
