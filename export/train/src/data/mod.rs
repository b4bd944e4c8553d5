//! Training data: recordings and pictures in, batches out.

pub mod accent;
pub mod batch;
mod collector;
pub mod dataset;
mod effects;
pub mod error;
pub mod front_end;
mod fsdd;
mod idx;
pub mod media;
pub mod missing;
pub mod open;
pub mod paired;
mod pairs;
mod picture;
mod prefetch;
pub mod prepare;
mod prepare_published;
pub mod published;
pub mod seed;
mod sound;
mod speech;
pub mod store;
mod vocabulary;
mod wav;
pub mod word_piece;
