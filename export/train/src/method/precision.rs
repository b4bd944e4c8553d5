//! What encoders compute in.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::Kind;

/// What encoders compute in. Weights that learn, the gate, the head and the losses are f32 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// bfloat16: the range of f32 with 8 bits of precision, so no loss needs scaling.
    Bf16,
}

impl Precision {
    /// Type of the tensors.
    pub fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }
}
