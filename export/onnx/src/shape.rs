//! Shapes with a dynamic batch dimension.

use std::fmt;

/// One dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// The batch: known when the graph runs.
    Batch,
    /// A known size.
    Fixed(usize),
}

impl Dim {
    /// The size, if it is known.
    pub fn fixed(self) -> Option<usize> {
        match self {
            Self::Batch => None,
            Self::Fixed(size) => Some(size),
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch => f.write_str("batch"),
            Self::Fixed(size) => write!(f, "{size}"),
        }
    }
}

/// A shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(pub Vec<Dim>);

impl Shape {
    /// A shape of known sizes.
    pub fn fixed(sizes: &[usize]) -> Self {
        Self(sizes.iter().copied().map(Dim::Fixed).collect())
    }

    /// `[batch, sizes...]`.
    pub fn batched(sizes: &[usize]) -> Self {
        let batch = std::iter::once(Dim::Batch);
        Self(batch.chain(sizes.iter().copied().map(Dim::Fixed)).collect())
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The shape that two operands broadcast to, if they do.
    pub(crate) fn broadcast(&self, other: &Self) -> Option<Self> {
        let rank = self.rank().max(other.rank());
        let one = Dim::Fixed(1);
        let padded = |shape: &Self| {
            let ones = std::iter::repeat_n(one, rank - shape.rank());
            ones.chain(shape.0.iter().copied()).collect::<Vec<_>>()
        };
        let pairs = padded(self).into_iter().zip(padded(other));
        let merged = pairs.map(|(a, b)| match (a, b) {
            (a, b) if a == b || b == one => Some(a),
            (a, b) if a == one => Some(b),
            _ => None,
        });
        merged.collect::<Option<_>>().map(Self)
    }
}

impl<const N: usize> From<[Dim; N]> for Shape {
    fn from(dims: [Dim; N]) -> Self {
        Self(dims.to_vec())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.0.iter().map(Dim::to_string).collect();
        write!(f, "[{}]", dims.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_broadcast_as_numpy_has_it() {
        let tokens = Shape::batched(&[5, 8]);
        assert_eq!(tokens.broadcast(&Shape::fixed(&[8])), Some(tokens.clone()));
        assert_eq!(Shape::fixed(&[1, 5, 1]).broadcast(&tokens), Some(tokens.clone()));
        assert_eq!(tokens.broadcast(&Shape::fixed(&[4])), None);
        assert_eq!(tokens.broadcast(&Shape::fixed(&[3, 5, 8])), None, "a batch is not three");
        assert_eq!(tokens.to_string(), "[batch, 5, 8]");
    }
}
