//! The pure half of cmpt: everything between a timestamped sample and a fused token.
//!
//! **Architecture invariant.** Nothing here reads a clock, does I/O or spawns anything. Time is an
//! argument, tensors are `&[f32]` with a shape, and the number of modalities is data.

pub mod assembler;
pub mod drift;
pub mod dropout;
pub mod features;
pub mod gate;
pub mod modality;
pub mod prediction;
pub mod samples;
pub mod survey;
pub mod sync;
pub mod time;
pub mod window;
