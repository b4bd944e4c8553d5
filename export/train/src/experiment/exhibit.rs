//! The paper's tables and figures, as what to train, what to test and what to show.

use std::fmt::{self, Display};

use clap::ValueEnum;

use super::error::ExperimentError;
use super::mix::Mix;
use super::sections::{self, Condition};
use super::study::Study;
use crate::data::batch::ModalityInfo;
use crate::data::missing::Share;
use crate::report::html::Section;

/// Share of the samples that lack something in tables 1 and 6.
const MISSING: f64 = 0.7;

/// A table or figure of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Exhibit {
    /// Missing in training and inference, alike.
    Table1,
    /// A modality missing altogether in inference.
    Table2,
    /// Missing in training and inference, each mix against each.
    Table6,
    /// Trained on everything: the second modality missing at any rate.
    Figure2,
    /// Trained on everything: each modality missing at any rate.
    Figure3,
    /// Trained on everything: what proxies bring to each class.
    Figure4,
    /// Trained on everything: which class depends on which modality.
    Figure8,
}

/// Mixes given in place of the paper's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mixes {
    /// Of the training; empty for the paper's.
    pub train: Vec<Mix>,
    /// Of the test; empty for the paper's.
    pub test: Vec<Mix>,
}

impl Display for Exhibit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no exhibit is hidden");
        f.write_str(value.get_name())
    }
}

impl Exhibit {
    /// What to train on.
    pub fn trainings(self, modalities: &[ModalityInfo], mixes: &Mixes) -> Vec<Mix> {
        match self {
            _ if !mixes.train.is_empty() => mixes.train.clone(),
            Self::Table1 | Self::Table6 => paper_mixes(modalities),
            _ => vec![Mix::complete(modalities)],
        }
    }

    /// Under which conditions scores are compared.
    fn conditions(self, study: &Study, mixes: &Mixes) -> Vec<Condition> {
        let modalities = study.modalities();
        let trainings = self.trainings(modalities, mixes);
        let tests = match self {
            _ if !mixes.test.is_empty() => mixes.test.clone(),
            // Tested as trained.
            Self::Table1 => {
                return trainings
                    .iter()
                    .map(|mix| Condition { train: mix.clone(), test: mix.clone() })
                    .collect();
            }
            Self::Table6 => paper_mixes(modalities),
            _ => {
                let lacking = (0..modalities.len()).map(|modality| sections::without(study, modality));
                std::iter::once(Mix::complete(modalities)).chain(lacking).collect()
            }
        };
        let condition = |train: &Mix| {
            let train = train.clone();
            tests
                .iter()
                .map(move |test| Condition { train: train.clone(), test: test.clone() })
                .collect::<Vec<_>>()
        };
        trainings.iter().flat_map(condition).collect()
    }

    /// What to show.
    pub fn sections(self, study: &Study, mixes: &Mixes) -> Result<Vec<Section>, ExperimentError> {
        let conditions = self.conditions(study, mixes);
        let trainings = self.trainings(study.modalities(), mixes);
        let modalities = 0..study.modalities().len();
        let mut all = vec![sections::comparison(study, &conditions)?];
        for train in &trainings {
            match self {
                Self::Table1 | Self::Table2 | Self::Table6 => {}
                Self::Figure2 => all.push(sections::missing_rates(study, train, modalities.end - 1)?),
                Self::Figure3 => {
                    for modality in modalities.clone() {
                        all.push(sections::missing_rates(study, train, modality)?);
                    }
                }
                Self::Figure4 => {
                    for modality in modalities.clone() {
                        all.push(sections::class_gains(study, train, modality)?);
                    }
                }
                Self::Figure8 => all.push(sections::dependence(study, train)?),
            }
        }
        all.push(sections::calibration(study, &conditions)?);
        Ok(all)
    }

    /// What was done, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Table1 => {
                "Table 1 of the paper: modalities are missing in training and in the test, at the same shares. \
                 70 % of the samples lack one modality."
            }
            Self::Table2 => {
                "Table 2 of the paper: training has everything; in the test a modality is missing altogether."
            }
            Self::Table6 => {
                "Table 6 of the paper: modalities are missing in training and in the test, at shares of their \
                 own. 70 % of the samples lack one modality."
            }
            Self::Figure2 => {
                "Figure 2 of the paper: training has everything; in the test the last modality is missing at \
                 any rate, the others never."
            }
            Self::Figure3 => {
                "Figure 3 of the paper: training has everything; in the test each modality is missing at any \
                 rate, the others never."
            }
            Self::Figure4 => {
                "Figure 4 of the paper: training has everything; what proxies bring to each class where a \
                 modality is missing altogether."
            }
            Self::Figure8 => {
                "Figure 8 of the paper: training has everything; which class depends on which modality."
            }
        }
    }
}

/// The paper's mixes at a missing rate of 70 %: each modality in turn lacks in 70 % of the samples, and all
/// of them lack evenly.
fn paper_mixes(modalities: &[ModalityInfo]) -> Vec<Mix> {
    let share = |missing: f64| Share::try_from(1.0 - missing).expect("a rate lies between 0 and 1");
    let complete = || Mix::complete(modalities);
    let count = modalities.len();
    let evenly =
        (0..count).fold(complete(), |mix, modality| mix.with(modality, share(MISSING / count as f64)));
    let mut mixes: Vec<Mix> = (0..count).map(|modality| complete().with(modality, share(MISSING))).collect();
    mixes.insert(1.min(count), evenly);
    mixes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::front_end::{audio, video};

    fn keys(exhibit: Exhibit, mixes: &Mixes) -> Vec<String> {
        exhibit.trainings(&[audio(), video()], mixes).iter().map(Mix::key).collect()
    }

    #[test]
    fn tables_1_and_6_train_on_the_papers_mixes_and_the_rest_on_everything() {
        let paper = ["audio30-video100", "audio65-video65", "audio100-video30"];
        assert_eq!(keys(Exhibit::Table1, &Mixes::default()), paper);
        assert_eq!(keys(Exhibit::Table6, &Mixes::default()), paper);
        for exhibit in
            [Exhibit::Table2, Exhibit::Figure2, Exhibit::Figure3, Exhibit::Figure4, Exhibit::Figure8]
        {
            assert_eq!(keys(exhibit, &Mixes::default()), ["complete"]);
        }
    }

    #[test]
    fn mixes_that_are_given_come_instead() {
        let few = Mix::complete(&[audio(), video()]).with(0, Share::try_from(0.05).unwrap());
        let mixes = Mixes { train: vec![few], test: Vec::new() };
        assert_eq!(keys(Exhibit::Table6, &mixes), ["audio5-video100"]);
    }
}
