//! Offline trainer: frozen encoders, LoRA, cross-modal proxy tokens.

pub mod commands;
pub mod data;
pub mod encoder;
pub mod evaluation;
pub mod exit_code;
pub mod experiment;
pub mod export;
pub mod method;
pub mod report;
pub mod training;
pub mod weights;
