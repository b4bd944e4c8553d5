//! Learning rate over a run.

use serde::{Deserialize, Serialize};

/// Part of the learning rate at the start of the warm-up.
const WARMUP_FACTOR: f64 = 0.1;

/// Shape of the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// A tenth of the rate throughout, in the paper's words.
    #[default]
    Constant,
    /// From a tenth of the rate up to the rate.
    Linear,
}

/// Warm-up, then polynomial decay to zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate right after the warm-up.
    pub learning_rate: f64,
    /// Shape of the warm-up.
    pub warmup: Warmup,
    /// Steps of the warm-up.
    pub warmup_steps: usize,
    /// Steps of the whole run.
    pub total_steps: usize,
    /// Power of the decay (the paper: 0.9).
    pub power: f64,
}

impl Schedule {
    /// The rate of `step`, counted from 0.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            let progress = step as f64 / self.warmup_steps as f64;
            let factor = match self.warmup {
                Warmup::Constant => WARMUP_FACTOR,
                Warmup::Linear => WARMUP_FACTOR + (1.0 - WARMUP_FACTOR) * progress,
            };
            return self.learning_rate * factor;
        }
        let decay_steps = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let progress = (step - self.warmup_steps) as f64 / decay_steps as f64;
        self.learning_rate * (1.0 - progress).max(0.0).powf(self.power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(warmup: Warmup, power: f64) -> Vec<f64> {
        let schedule = Schedule { learning_rate: 2.0, warmup, warmup_steps: 2, total_steps: 6, power };
        (0..8).map(|step| (schedule.at(step) * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn rate_is_a_tenth_then_falls_to_zero() {
        assert_eq!(rates(Warmup::Constant, 1.0), [0.2, 0.2, 2.0, 1.5, 1.0, 0.5, 0.0, 0.0]);
        // 2 * 0.75^0.9, 2 * 0.5^0.9, 2 * 0.25^0.9
        assert_eq!(rates(Warmup::Constant, 0.9)[3..6], [1.543779, 1.071773, 0.574349]);
    }

    #[test]
    fn linear_warmup_ramps() {
        assert_eq!(rates(Warmup::Linear, 1.0)[..3], [0.2, 1.1, 2.0]);
    }

    #[test]
    fn no_warmup_starts_at_the_rate() {
        let schedule = Schedule {
            learning_rate: 1.0,
            warmup: Warmup::Constant,
            warmup_steps: 0,
            total_steps: 4,
            power: 1.0,
        };
        assert_eq!(schedule.at(0), 1.0);
    }
}
