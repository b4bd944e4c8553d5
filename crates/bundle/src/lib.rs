//! The model bundle: manifest, digests, golden inputs and outputs; opened by the daemon, written by
//! the trainer.

pub mod manifest;
