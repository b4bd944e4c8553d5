//! Training data: recordings and pictures in, batches out.

pub mod batch;
pub mod error;
