//! What a run answers to a test set under every availability pattern. One pass over the samples is enough
//! for every missing rate: a rate only decides which answer counts for which sample.

use std::path::Path;

use cmpt_bundle::manifest::Task;
use cmpt_core::modality::{ModalityId, ModalitySet};
use tch::{Kind, Tensor, no_grad};

use super::error::ExperimentError;
use crate::data::batch::{Dataset, Split};
use crate::data::missing::MissingTable;
use crate::evaluation::evaluate::{self, Evaluation};
use crate::method::model::Model;
use crate::method::task;
use crate::training::checkpoint::Calibration;
use crate::weights::Tensors;

/// Bins of a reliability diagram.
const BINS: usize = 10;

/// Answers to every sample of a test split under every pattern.
#[derive(Debug)]
pub struct Answers {
    task: Task,
    patterns: Vec<(ModalitySet, Tensor)>,
    targets: Tensor,
}

/// How good answers are.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Accuracy or macro F1, in %.
    pub value: f64,
    /// The same of each class, in %.
    pub per_class: Vec<f64>,
    /// Expected calibration error, in %.
    pub calibration_error: f64,
}

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Mean of the top scores in it, in %.
    pub confidence: f64,
    /// How often they were right, in %.
    pub right: f64,
    /// How many there are.
    pub samples: usize,
}

impl Answers {
    /// Asks `model`. Logits are divided by the temperatures of `calibration`, by 1 without.
    pub fn ask(
        model: &Model,
        dataset: &dyn Dataset,
        batch_size: usize,
        calibration: Option<&Calibration>,
    ) -> Result<Self, ExperimentError> {
        let evaluation = Evaluation { dataset, split: Split::Test, batch_size };
        let names: Vec<&str> =
            model.spec().modalities.iter().map(|modality| modality.info.name.as_str()).collect();
        let patterns: Vec<ModalitySet> = ModalitySet::patterns(names.len()).collect();
        let temperature = |set: ModalitySet| {
            let available: Vec<&str> = set.iter().map(|id| names[id.0]).collect();
            let patterns = calibration.iter().flat_map(|calibration| &calibration.patterns);
            let mut found = patterns.filter(|pattern| pattern.available == available);
            found.next().map_or(1.0, |pattern| f64::from(pattern.temperature))
        };
        let predictions = evaluate::predict(model, evaluation, &patterns)?;
        let (found, expected) = (predictions[0].targets.size()[0] as usize, dataset.samples(Split::Test));
        if found != expected {
            return Err(ExperimentError::Incomplete { found, expected });
        }
        let targets = predictions[0].targets.shallow_clone();
        let scaled = predictions.into_iter().map(|each| {
            let logits = no_grad(|| each.logits / temperature(each.available));
            (each.available, logits)
        });
        Ok(Self { task: model.spec().task, patterns: scaled.collect(), targets })
    }

    /// Keeps them in a file.
    pub fn write(&self, path: &Path) -> Result<(), ExperimentError> {
        let mut tensors: Tensors =
            self.patterns.iter().map(|(set, logits)| (name(*set), logits.shallow_clone())).collect();
        tensors.insert("targets".into(), self.targets.shallow_clone());
        // Built beside its place, then renamed: an interrupted run leaves nothing that looks whole.
        let partial = path.with_extension("partial");
        let all: Vec<(&String, &Tensor)> = tensors.iter().collect();
        let malformed = |error: tch::TchError| ExperimentError::Malformed {
            path: path.into(),
            reason: error.to_string(),
        };
        Tensor::write_safetensors(&all, &partial).map_err(malformed)?;
        let write = |source| ExperimentError::Write { path: path.into(), source };
        std::fs::rename(&partial, path).map_err(write)
    }

    /// Reads the file that [`Answers::write`] wrote, of a model of `task` on `modalities`.
    pub fn read(path: &Path, task: Task, modalities: usize) -> Result<Self, ExperimentError> {
        let malformed = |reason: String| ExperimentError::Malformed { path: path.into(), reason };
        let tensors = Tensor::read_safetensors(path).map_err(|error| malformed(error.to_string()))?;
        let mut tensors: Tensors = tensors.into_iter().collect();
        let mut take =
            |name: String| tensors.remove(&name).ok_or_else(|| malformed(format!("no tensor `{name}`")));
        let targets = take("targets".into())?;
        let mut patterns = Vec::new();
        for set in ModalitySet::patterns(modalities) {
            let logits = take(name(set))?;
            if logits.dim() != 2 || logits.size()[0] != targets.size()[0] {
                let (found, samples) = (logits.size(), targets.size()[0]);
                return Err(malformed(format!("{} is of {found:?}, expected {samples} rows", name(set))));
            }
            patterns.push((set, logits));
        }
        Ok(Self { task, patterns, targets })
    }

    /// How many samples were asked about.
    pub fn samples(&self) -> usize {
        self.targets.size()[0] as usize
    }

    /// Their quality where `table` says what each sample has.
    pub fn score(&self, table: &MissingTable) -> Score {
        no_grad(|| {
            let logits = self.under(table);
            let scores = task::scores(self.task, &logits, 1.0);
            let figures = evaluate::figures(self.task, &logits, &scores, &self.targets);
            let percent = |value: f32| 100.0 * f64::from(value);
            Score {
                value: percent(figures.metric.value),
                per_class: figures.per_class.into_iter().map(percent).collect(),
                calibration_error: percent(figures.calibration_error),
            }
        })
    }

    /// How sure they are against how often they are right, in ten equal bins of the top score; empty bins
    /// are left out. For samples of one class each.
    pub fn reliability(&self, table: &MissingTable) -> Vec<Bin> {
        no_grad(|| {
            let scores = task::scores(self.task, &self.under(table), 1.0).to_kind(Kind::Double);
            let (confidence, answer) = scores.max_dim(1, false);
            let bin_of =
                (&confidence * BINS as f64).floor().clamp(0.0, BINS as f64 - 1.0).to_kind(Kind::Int64);
            let right = answer.eq_tensor(&self.targets).to_kind(Kind::Double);
            let bins = (0..BINS).filter_map(|bin| {
                let inside = bin_of.eq(bin as i64);
                let samples = inside.sum(Kind::Int64).int64_value(&[]) as usize;
                let mean = |of: &Tensor| 100.0 * of.index(&[Some(&inside)]).mean(None).double_value(&[]);
                (samples > 0).then(|| Bin { confidence: mean(&confidence), right: mean(&right), samples })
            });
            bins.collect()
        })
    }

    /// Logits of every sample under the pattern that `table` has for it.
    fn under(&self, table: &MissingTable) -> Tensor {
        let mut logits = self.patterns[0].1.zeros_like();
        for (set, of_pattern) in &self.patterns {
            let rows: Vec<i64> = (0..table.len())
                .filter(|sample| table.sample(*sample) == *set)
                .map(|row| row as i64)
                .collect();
            let rows = Tensor::from_slice(&rows);
            logits = logits.index_copy(0, &rows, &of_pattern.index_select(0, &rows));
        }
        logits
    }
}

/// Name of a pattern in the file: a 1 for each modality that is there.
fn name(set: ModalitySet) -> String {
    let last = set.iter().map(|id| id.0).max().unwrap_or(0);
    (0..=last).map(|id| if set.contains(ModalityId(id)) { '1' } else { '0' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four samples of two classes, and two modalities: right with both, right about the first class with the
    /// first alone, right about the second with the second alone. Sure of everything.
    fn answers() -> Answers {
        let logits = |classes: [usize; 4]| {
            let row = |class| if class == 0 { [9.0f32, -9.0] } else { [-9.0, 9.0] };
            Tensor::from_slice2(&classes.map(row))
        };
        let of = |classes| move |set| (set, logits(classes));
        let all: Vec<_> = ModalitySet::patterns(2).collect();
        let by = |set: &ModalitySet| match (set.contains(ModalityId(0)), set.contains(ModalityId(1))) {
            (true, true) => of([0, 0, 1, 1])(*set),
            (true, false) => of([0, 0, 0, 0])(*set),
            _ => of([1, 1, 1, 1])(*set),
        };
        Answers {
            task: Task::Multiclass,
            patterns: all.iter().map(by).collect(),
            targets: Tensor::from_slice(&[0i64, 0, 1, 1]),
        }
    }

    fn table(first: f64, second: f64) -> MissingTable {
        let available = [format!("a={first}"), format!("b={second}")].map(|given| given.parse().unwrap());
        MissingTable::draw(Split::Test, 4, &available, 1).unwrap()
    }

    #[test]
    fn each_sample_is_answered_with_what_its_table_has() {
        let answers = answers();
        assert_eq!(answers.score(&table(1.0, 1.0)).value, 100.0);
        let alone = answers.score(&table(1.0, 0.0));
        assert_eq!((alone.value, alone.per_class), (50.0, vec![100.0, 0.0]));
        assert!((alone.calibration_error - 50.0).abs() < 0.01, "{}", alone.calibration_error);
        let half = table(1.0, 0.5);
        let lacking = (0..4).filter(|sample| half.sample(*sample).len() == 1).filter(|sample| *sample >= 2);
        assert_eq!(answers.score(&half).value, 100.0 - 25.0 * lacking.count() as f64);
    }

    #[test]
    fn reliability_sets_sureness_against_truth() {
        let bins = answers().reliability(&table(0.0, 1.0));
        assert_eq!(bins.len(), 1);
        assert!(bins[0].confidence > 99.9 && bins[0].right == 50.0 && bins[0].samples == 4);
    }

    #[test]
    fn what_is_written_is_read_back_and_a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.safetensors");
        answers().write(&path).unwrap();
        let read = Answers::read(&path, Task::Multiclass, 2).unwrap();
        assert_eq!(read.score(&table(0.0, 1.0)), answers().score(&table(0.0, 1.0)));
        let other = Answers::read(&path, Task::Multiclass, 3).unwrap_err().to_string();
        assert!(other.contains("test.safetensors: no tensor `111`"), "{other}");
        std::fs::write(&path, "no tensors").unwrap();
        assert!(
            Answers::read(&path, Task::Multiclass, 2).unwrap_err().to_string().contains("test.safetensors")
        );
    }
}
