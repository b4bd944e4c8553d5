//! Offline trainer: frozen encoders, LoRA, cross-modal proxy tokens.

pub mod data;
pub mod encoder;
pub mod method;
