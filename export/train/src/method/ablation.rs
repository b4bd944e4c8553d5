//! The method and its ablations: what training does about modalities that may be missing.

use clap::ValueEnum;
use cmpt_core::modality::{ModalityId, ModalitySet};
use serde::{Deserialize, Serialize};

use super::modality_dropout::PatternRate;
use super::spec::Missing;

/// Lambda of equation 7 in all experiments of the paper.
const ALIGNMENT_WEIGHT: f64 = 0.20;

/// What training does about modalities that may be missing. Each adds to the one before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Nothing: samples are learned from as they are, zeros stand for what is missing.
    Baseline,
    /// Modalities are dropped at random in training, zeros stand for them.
    ModalityDropout,
    /// The paper's: proxy tokens stand for what is missing, aligned with what they stand for.
    #[default]
    Cmpt,
}

impl Method {
    /// What stands for the class token of a missing modality.
    pub fn missing(self) -> Missing {
        match self {
            Self::Baseline | Self::ModalityDropout => Missing::Zeros,
            Self::Cmpt => Missing::Proxies,
        }
    }

    /// Whether modalities are dropped in training.
    pub fn drops(self) -> bool {
        self != Self::Baseline
    }

    /// Lambda of equation 7.
    pub fn alignment_weight(self) -> f64 {
        match self {
            Self::Baseline | Self::ModalityDropout => 0.0,
            Self::Cmpt => ALIGNMENT_WEIGHT,
        }
    }

    /// Shares of the availability patterns of `modalities` modalities: all of them evenly, or all
    /// modalities always.
    pub fn pattern_rates(self, modalities: usize) -> Vec<PatternRate> {
        let flags =
            |pattern: ModalitySet| (0..modalities).map(|id| pattern.contains(ModalityId(id))).collect();
        let patterns = ModalitySet::patterns(modalities).map(flags);
        let kept = patterns.filter(|available: &Vec<bool>| self.drops() || available.iter().all(|is| *is));
        kept.map(|available| PatternRate { available, rate: 1.0 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baseline_never_drops_and_the_others_drop_evenly() {
        let rates = |method: Method| -> Vec<(Vec<bool>, f64)> {
            method.pattern_rates(2).into_iter().map(|pattern| (pattern.available, pattern.rate)).collect()
        };
        assert_eq!(rates(Method::Baseline), [(vec![true, true], 1.0)]);
        let all = [vec![true, true], vec![true, false], vec![false, true]].map(|available| (available, 1.0));
        for method in [Method::ModalityDropout, Method::Cmpt] {
            let mut found = rates(method);
            found.sort_by(|a, b| b.0.cmp(&a.0));
            assert_eq!(found, all);
        }
        assert_eq!(Method::Cmpt.pattern_rates(3).len(), 7);
    }

    #[test]
    fn only_cmpt_has_proxies_and_aligns_them() {
        for method in [Method::Baseline, Method::ModalityDropout] {
            assert_eq!((method.missing(), method.alignment_weight()), (Missing::Zeros, 0.0));
        }
        assert_eq!((Method::Cmpt.missing(), Method::Cmpt.alignment_weight()), (Missing::Proxies, 0.2));
    }
}
