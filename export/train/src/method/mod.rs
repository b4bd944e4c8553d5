//! Cross-modal proxy tokens: adapters, gate, alignment (equations 1 to 7 of the paper).

pub mod spec;
