//! Means and their spread over seeds.

use crate::report::table::Cell;

/// A mean over repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of a sample (n - 1), where there are two or more.
    pub deviation: Option<f64>,
}

impl Summary {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        Self { mean, deviation }
    }

    /// As a cell of a table.
    pub fn cell(self, best: bool) -> Cell {
        Cell::Spread { mean: self.mean, deviation: self.deviation, best }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviation_is_that_of_a_sample() {
        assert_eq!(Summary::of(&[1.0, 2.0, 3.0]), Summary { mean: 2.0, deviation: Some(1.0) });
        assert_eq!(Summary::of(&[5.0]), Summary { mean: 5.0, deviation: None });
    }
}
