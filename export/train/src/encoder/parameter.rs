//! Names, shapes and beginnings of parameters.

/// Name and shape of one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name, relative to the encoder.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// What it holds before anything was learned.
    pub init: Init,
}

/// What a parameter holds before anything was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// 0.
    Zeros,
    /// 1.
    Ones,
    /// Normal with mean 0 and standard deviation 0.02, as in ViT.
    Normal,
    /// Uniform within the square root of 6 over inputs plus outputs (Glorot and Bengio). At widths of a
    /// few hundred ViT's 0.02 is so small that a short training never leaves its start.
    Glorot,
    /// Zeros for so many class tokens, then sines and cosines of row and column of each patch
    /// (Vaswani et al.; in two dimensions as in MAE).
    SineCosine {
        /// Class tokens.
        class_tokens: usize,
        /// Rows and columns of patches.
        grid: [usize; 2],
    },
    /// Uniform within one over the square root of the inputs, as LoRA's `A`.
    FanIn,
}

impl Parameter {
    pub(crate) fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>, init: Init) -> Self {
        Self { name: name.into(), shape: shape.into(), init }
    }

    /// How many numbers it holds.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}
