//! What competes: the method or an ablation of it, with options.

use std::fmt::{self, Display};
use std::str::FromStr;

use clap::ValueEnum;
use serde::Serialize;

use crate::method::ablation::Method;
use crate::method::alignment::AlignmentTarget;
use crate::method::modality_dropout::Drawing;
use crate::method::spec::{Lora, Missing, ModelSpec, Tune};
use crate::training::settings::Settings;

/// A method with options, as written: `cmpt:lambda=1:drawing=every`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contender {
    name: String,
    method: Method,
    alignment_weight: Option<f64>,
    alignment_target: Option<AlignmentTarget>,
    drawing: Option<Drawing>,
    rank: Option<usize>,
    full: bool,
}

/// Options of a contender.
const OPTIONS: &str =
    "lambda=NUMBER, target=moves|fixed, drawing=batch|sample|every, rank=NUMBER or tune=full";

impl FromStr for Contender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let method = Method::from_str(parts.next().unwrap_or_default(), false)?;
        let mut contender = Self {
            name: text.into(),
            method,
            alignment_weight: None,
            alignment_target: None,
            drawing: None,
            rank: None,
            full: false,
        };
        parts.try_for_each(|option| contender.set(option).map_err(|error| format!("`{option}`: {error}")))?;
        Ok(contender)
    }
}

impl Contender {
    fn set(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once('=').ok_or_else(|| format!("expected {OPTIONS}"))?;
        let aligns = self.method.missing() == Missing::Proxies;
        match name {
            "lambda" | "target" if !aligns => return Err("the method has no proxies to align".into()),
            "drawing" if !self.method.drops() => return Err("the method drops nothing".into()),
            "lambda" => {
                let weight = value.parse().ok().filter(|weight: &f64| *weight >= 0.0 && weight.is_finite());
                self.alignment_weight = Some(weight.ok_or("expected 0 or more")?);
            }
            "target" => self.alignment_target = Some(AlignmentTarget::from_str(value, false)?),
            "drawing" => self.drawing = Some(Drawing::from_str(value, false)?),
            "rank" => {
                let rank = value.parse().ok().filter(|rank| *rank > 0);
                self.rank = Some(rank.ok_or("expected 1 or more")?);
            }
            "tune" if value == "full" => self.full = true,
            _ => return Err(format!("expected {OPTIONS}")),
        }
        Ok(())
    }

    /// Its name in paths.
    pub fn key(&self) -> String {
        self.name.replace(':', "_").replace('=', "-")
    }

    /// Whether proxies stand for what is missing.
    pub fn has_proxies(&self) -> bool {
        self.method.missing() == Missing::Proxies
    }

    /// `model` as it trains it.
    pub fn model(&self, model: &ModelSpec) -> ModelSpec {
        let tune = match (model.tune, self.rank) {
            _ if self.full => Tune::Full,
            // A rank alone does not change how far the factors reach: alpha / rank stays.
            (Tune::Lora(lora), Some(rank)) => {
                Tune::Lora(Lora { rank, alpha: lora.alpha * rank as f64 / lora.rank as f64, ..lora })
            }
            (tune, _) => tune,
        };
        ModelSpec { tune, missing: self.method.missing(), ..model.clone() }
    }

    /// `settings` as it trains with them.
    pub fn settings(&self, settings: &Settings, modalities: usize) -> Settings {
        Settings {
            alignment_weight: self.alignment_weight.unwrap_or(self.method.alignment_weight()),
            alignment_target: self.alignment_target.unwrap_or_default(),
            drawing: self.drawing.unwrap_or(settings.drawing),
            pattern_rates: self.method.pattern_rates(modalities),
            ..settings.clone()
        }
    }
}

impl Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<Contender>().unwrap_err()
    }

    #[test]
    fn options_are_read_and_named_in_paths() {
        let contender: Contender = "cmpt:lambda=1:target=fixed:drawing=every:rank=4".parse().unwrap();
        assert_eq!(contender.key(), "cmpt_lambda-1_target-fixed_drawing-every_rank-4");
        assert_eq!((contender.alignment_weight, contender.rank), (Some(1.0), Some(4)));
        assert!(contender.has_proxies());
        assert!(!"modality-dropout:tune=full".parse::<Contender>().unwrap().has_proxies());
    }

    #[test]
    fn options_of_what_a_method_lacks_are_refused() {
        assert_eq!(refused("baseline:drawing=every"), "`drawing=every`: the method drops nothing");
        assert!(refused("modality-dropout:lambda=1").contains("no proxies to align"));
        assert!(refused("cmpt:lambda=-1").contains("expected 0 or more"));
        assert!(refused("cmpt:speed=1").contains("expected lambda=NUMBER"));
        assert!(refused("cmpt:rank=0").contains("expected 1 or more"));
        assert!(refused("magic").contains("magic") || refused("magic").contains("variant"));
    }
}
