//! Batches as tensors, reduced to the modalities a model has.

use cmpt_bundle::manifest::Task;
use tch::{Device, Tensor};

use crate::data::batch::{Batch, Dataset, Targets};
use crate::method::spec::ModelSpec;
use crate::weights::dimensions;

/// A batch in the order of the model's modalities. Samples without any of them are left out.
pub struct Inputs {
    /// Per modality, `[batch, ..input shape]`.
    pub features: Vec<Tensor>,
    /// `[batch, modalities]`, 1 or 0.
    pub present: Tensor,
    /// `[batch]` classes, or `[batch, classes]` of 1 and 0 where a sample has any number of labels.
    pub targets: Tensor,
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
    #[error("encode {modality}: features have shape {found:?}, the encoder takes {expected:?}")]
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
        let kept: Vec<i64> = (0..batch.len())
            .filter(|sample| self.columns.iter().any(|column| batch.present[column.index][*sample]))
            .map(|sample| sample as i64)
            .collect();
        let kept = (kept.len() < batch.len()).then(|| Tensor::from_slice(&kept));
        let keep = |tensor: Tensor| match &kept {
            Some(kept) => tensor.index_select(0, kept),
            None => tensor,
        };
        let mut features = Vec::with_capacity(self.columns.len());
        let mut present = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let found = &batch.shapes[column.index];
            if *found != column.shape {
                return Err(InputsError::Shape {
                    modality: column.name.clone(),
                    found: found.clone(),
                    expected: column.shape.clone(),
                });
            }
            let shape = [&[batch.len() as i64], &dimensions(found)[..]].concat();
            let tensor = Tensor::from_slice(&batch.features[column.index]).view(&shape[..]);
            features.push(keep(tensor).to_device(device));
            let flags: Vec<f32> =
                batch.present[column.index].iter().map(|p| f32::from(u8::from(*p))).collect();
            present.push(Tensor::from_slice(&flags));
        }
        Ok(Inputs {
            features,
            present: keep(Tensor::stack(&present, 1)).to_device(device),
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
