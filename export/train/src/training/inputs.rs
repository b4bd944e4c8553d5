//! Batches as tensors, reduced to the modalities a model has.

use cmpt_bundle::manifest::Task;
use tch::{Device, Kind, Tensor};

use crate::data::batch::{Batch, Dataset, Targets};
use crate::encoder::Mode;
use crate::encoder::transformer::Tokens;
use crate::method::model::Model;
use crate::method::spec::ModelSpec;
use crate::weights::dimensions;

/// A batch in the order of the model's modalities. Samples without any of them are left out.
pub struct Inputs {
    /// Per modality, what the samples that have it are encoded from.
    pub features: Vec<Features>,
    /// `[batch, modalities]`, 1 or 0.
    pub present: Tensor,
    /// `[batch]` classes, or `[batch, classes]` of 1 and 0 where a sample has any number of labels.
    pub targets: Tensor,
}

/// Features of the samples that have a modality.
pub struct Features {
    /// `[samples, ..input shape]` or `[samples, parts, ..input shape]`.
    pub values: Tensor,
    /// Their places in the batch, `[samples]`; `None` where every sample has it.
    pub places: Option<Tensor>,
}

/// Data that does not fit the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputsError {
    /// A modality of the model is not in the data.
    #[error("find modality {wanted} in the data, which has {found:?}")]
    Modality {
        /// The modality.
        wanted: String,
        /// Those of the data.
        found: Vec<String>,
    },
    /// The data has other classes than the model.
    #[error("match labels: the data has {found:?}, the model {expected:?}")]
    Labels {
        /// Those of the data.
        found: Vec<String>,
        /// Those of the model.
        expected: Vec<String>,
    },
    /// Samples have one class each, or any number of labels, and the model is of the other kind.
    #[error("match targets: the data is {found:?}, the model {expected:?}")]
    Task {
        /// That of the data.
        found: Task,
        /// That of the model.
        expected: Task,
    },
    /// A row of targets has more or fewer labels than the model.
    #[error("match targets: a sample has {found} of them, the model {expected}")]
    Targets {
        /// Length of the row.
        found: usize,
        /// Labels of the model.
        expected: usize,
    },
    /// Features have another shape than the encoder's input.
    #[error(
        "encode {modality}: features have shape {found:?}, the encoder takes {expected:?}, or several of that"
    )]
    Shape {
        /// The modality.
        modality: String,
        /// Shape of the features.
        found: Vec<usize>,
        /// Shape the encoder takes.
        expected: Vec<usize>,
    },
}

/// Where a model's modalities lie in a dataset's batches.
pub struct Columns {
    columns: Vec<Column>,
    task: Task,
    labels: usize,
}

struct Column {
    index: usize,
    name: String,
    shape: Vec<usize>,
}

impl Columns {
    /// Finds the modalities of `spec` in `dataset`, and compares labels.
    pub fn find(spec: &ModelSpec, dataset: &dyn Dataset) -> Result<Self, InputsError> {
        if spec.labels != dataset.labels() {
            return Err(InputsError::Labels {
                found: dataset.labels().to_vec(),
                expected: spec.labels.clone(),
            });
        }
        if spec.task != dataset.task() {
            return Err(InputsError::Task { found: dataset.task(), expected: spec.task });
        }
        let find = |wanted: &str| {
            dataset.modalities().iter().position(|found| found.name == wanted).ok_or_else(|| {
                let found = dataset.modalities().iter().map(|info| info.name.clone());
                InputsError::Modality { wanted: wanted.into(), found: found.collect() }
            })
        };
        let columns = spec.modalities.iter().map(|modality| {
            Ok(Column {
                index: find(&modality.info.name)?,
                name: modality.info.name.clone(),
                shape: modality.encoder.input_shape(),
            })
        });
        Ok(Self { columns: columns.collect::<Result<_, _>>()?, task: spec.task, labels: spec.labels.len() })
    }

    /// The tensors of `batch`.
    pub fn inputs(&self, batch: &Batch, device: Device) -> Result<Inputs, InputsError> {
        let has = |column: &Column, sample: usize| batch.present[column.index][sample];
        let kept: Vec<usize> = (0..batch.len())
            .filter(|sample| self.columns.iter().any(|column| has(column, *sample)))
            .collect();
        let keep = |tensor: Tensor| match kept.len() == batch.len() {
            true => tensor,
            false => tensor.index_select(0, &places(kept.iter().copied())),
        };
        let mut features = Vec::with_capacity(self.columns.len());
        let mut present = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let found = &batch.shapes[column.index];
            let parts = found.len() == column.shape.len() + 1 && found[0] > 0;
            if *found != column.shape && !(parts && found[1..] == column.shape) {
                return Err(InputsError::Shape {
                    modality: column.name.clone(),
                    found: found.clone(),
                    expected: column.shape.clone(),
                });
            }
            let shape = [&[batch.len() as i64], &dimensions(found)[..]].concat();
            let all = Tensor::from_slice(&batch.features[column.index]).view(&shape[..]);
            let flags: Vec<bool> = kept.iter().map(|sample| has(column, *sample)).collect();
            let own = kept.iter().copied().filter(|sample| has(column, *sample));
            let complete = flags.iter().all(|has| *has);
            features.push(match complete {
                true => Features { values: keep(all).to_device(device), places: None },
                false => Features {
                    values: all.index_select(0, &places(own)).to_device(device),
                    places: Some(places((0..kept.len()).filter(|place| flags[*place])).to_device(device)),
                },
            });
            let flags: Vec<f32> = flags.into_iter().map(|has| f32::from(u8::from(has))).collect();
            present.push(Tensor::from_slice(&flags));
        }
        Ok(Inputs {
            features,
            present: Tensor::stack(&present, 1).to_device(device),
            targets: keep(self.targets(&batch.targets)?).to_device(device),
        })
    }

    fn targets(&self, targets: &Targets) -> Result<Tensor, InputsError> {
        if targets.task() != self.task {
            return Err(InputsError::Task { found: targets.task(), expected: self.task });
        }
        match targets {
            Targets::Classes(classes) => Ok(Tensor::from_slice(classes)),
            Targets::MultiHot(rows) => {
                if let Some(row) = rows.iter().find(|row| row.len() != self.labels) {
                    return Err(InputsError::Targets { found: row.len(), expected: self.labels });
                }
                let flags: Vec<f32> = rows.iter().flatten().map(|has| f32::from(u8::from(*has))).collect();
                Ok(Tensor::from_slice(&flags).view([rows.len() as i64, self.labels as i64]))
            }
        }
    }
}

fn places(samples: impl Iterator<Item = usize>) -> Tensor {
    Tensor::from_slice(&samples.map(|sample| sample as i64).collect::<Vec<_>>())
}

impl Inputs {
    /// How many samples.
    pub fn samples(&self) -> usize {
        self.present.size()[0] as usize
    }

    /// Tokens of every sample and modality. A modality that a sample lacks is not encoded: its tokens are
    /// zeros, which neither the gate nor the alignment reads.
    pub fn encode(&self, model: &Model, mode: Mode) -> Vec<Tokens> {
        let encode = |(index, features): (usize, &Features)| {
            let Some(places) = &features.places else { return model.encode(index, &features.values, mode) };
            let room = || {
                let shape = [self.samples() as i64, model.spec().width as i64];
                Tensor::zeros(shape, (Kind::Float, model.device()))
            };
            if places.numel() == 0 {
                let proxies = model.spec().proxies(index).iter().map(|_| room()).collect();
                return Tokens { cls: room(), proxies };
            }
            model.encode(index, &features.values, mode).map(|token| room().index_add(0, places, token))
        };
        self.features.iter().enumerate().map(encode).collect()
    }
}
