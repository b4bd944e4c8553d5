//! All answers of an experiment, and what they come to over seeds.

use std::collections::BTreeMap;

use cmpt_bundle::manifest::Task;

use super::answers::{Answers, Bin, Score};
use super::contender::Contender;
use super::error::ExperimentError;
use super::lab::{Lab, Run, TestSet};
use super::mix::Mix;
use super::statistics::Summary;
use crate::data::batch::{ModalityInfo, Split};

/// What competes, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Who competes.
    pub contenders: Vec<Contender>,
    /// Seeds.
    pub seeds: Vec<u64>,
}

impl Field {
    /// All runs on `mixes`. Seeds change slowest, so that an interrupted experiment has compared all
    /// contenders at least once.
    pub fn runs(&self, mixes: &[Mix]) -> Vec<Run> {
        let of_seed = |seed: u64| {
            let of_mix = move |mix: &Mix| {
                let mix = mix.clone();
                let run =
                    move |contender: &Contender| Run { contender: contender.clone(), mix: mix.clone(), seed };
                self.contenders.iter().map(run).collect::<Vec<_>>()
            };
            mixes.iter().flat_map(of_mix).collect::<Vec<_>>()
        };
        self.seeds.iter().copied().flat_map(of_seed).collect()
    }
}

/// All answers of an experiment.
pub struct Study {
    field: Field,
    task: Task,
    labels: Vec<String>,
    modalities: Vec<ModalityInfo>,
    samples: usize,
    /// By training mix, contender and seed.
    answers: BTreeMap<(String, String, u64), Answers>,
}

impl Study {
    /// Asks every run on `mixes` about `test`. All of them must have been trained.
    pub fn of(
        lab: &Lab<'_>,
        test: &TestSet<'_>,
        field: &Field,
        mixes: &[Mix],
    ) -> Result<Self, ExperimentError> {
        let mut answers = BTreeMap::new();
        for run in field.runs(mixes) {
            let key = (run.mix.key(), run.contender.key(), run.seed);
            answers.insert(key, lab.answers(&run, test)?);
        }
        Ok(Self {
            field: field.clone(),
            task: lab.task(),
            labels: test.dataset.labels().to_vec(),
            modalities: test.dataset.modalities().to_vec(),
            samples: test.dataset.samples(Split::Test),
            answers,
        })
    }

    /// Who competes.
    pub fn contenders(&self) -> &[Contender] {
        &self.field.contenders
    }

    /// Seeds.
    pub fn seeds(&self) -> &[u64] {
        &self.field.seeds
    }

    /// Class names.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Modalities.
    pub fn modalities(&self) -> &[ModalityInfo] {
        &self.modalities
    }

    /// How many samples the test has.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// What is measured.
    pub fn metric(&self) -> &'static str {
        match self.task {
            Task::Multiclass => "accuracy (%)",
            Task::Multilabel => "macro F1 (%)",
        }
    }

    /// Whether samples have one class each.
    pub fn is_multiclass(&self) -> bool {
        self.task == Task::Multiclass
    }

    /// Scores of `contender`, trained on `train`, in a test of `test`: one a seed.
    pub fn scores(
        &self,
        contender: &Contender,
        train: &Mix,
        test: &Mix,
    ) -> Result<Vec<Score>, ExperimentError> {
        let score = |seed: &u64| {
            let answers = self.answers(contender, train, *seed);
            Ok(answers.score(&test.table(Split::Test, answers.samples(), *seed)?))
        };
        self.field.seeds.iter().map(score).collect()
    }

    /// Their mean.
    pub fn summary(
        &self,
        contender: &Contender,
        train: &Mix,
        test: &Mix,
    ) -> Result<Summary, ExperimentError> {
        let values: Vec<f64> = self.scores(contender, train, test)?.iter().map(|score| score.value).collect();
        Ok(Summary::of(&values))
    }

    /// What `one` is ahead of `other` by, seed by seed: both saw the same samples in the same order, with
    /// the same missing.
    pub fn gain(
        &self,
        [one, other]: [&Contender; 2],
        train: &Mix,
        test: &Mix,
    ) -> Result<Summary, ExperimentError> {
        let (one, other) = (self.scores(one, train, test)?, self.scores(other, train, test)?);
        let gains: Vec<f64> = one.iter().zip(&other).map(|(one, other)| one.value - other.value).collect();
        Ok(Summary::of(&gains))
    }

    /// A reliability diagram of the first seed.
    pub fn reliability(
        &self,
        contender: &Contender,
        train: &Mix,
        test: &Mix,
    ) -> Result<Vec<Bin>, ExperimentError> {
        let seed = self.field.seeds[0];
        let answers = self.answers(contender, train, seed);
        Ok(answers.reliability(&test.table(Split::Test, answers.samples(), seed)?))
    }

    fn answers(&self, contender: &Contender, train: &Mix, seed: u64) -> &Answers {
        let key = (train.key(), contender.key(), seed);
        self.answers.get(&key).expect("every run of the field was asked")
    }
}
