//! Cross-modal proxy tokens: adapters, gate, alignment (equations 1 to 7 of the paper).

pub mod ablation;
pub mod alignment;
pub mod gate;
pub mod modality_dropout;
pub mod model;
pub mod precision;
pub mod recipe;
pub mod spec;
pub mod task;
