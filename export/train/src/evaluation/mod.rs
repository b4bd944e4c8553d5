//! How good a model is, and how sure it may be.

pub mod calibration;
pub mod evaluate;
pub mod f1;
pub mod precision;
