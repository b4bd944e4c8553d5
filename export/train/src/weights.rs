//! Named tensors: what a checkpoint holds and what networks borrow.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::{Device, Kind, TchError, Tensor, no_grad};

use crate::encoder::spec::{Init, Parameter};

/// Standard deviation of [`Init::Normal`].
const INIT_STD: f64 = 0.02;

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// Why weights could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A file that is no safetensors, or cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TchError,
    },
    /// An index of several files that is none.
    #[error("read {}: {reason}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor is not in the file where the index says it is.
    #[error("read {}: no tensor {name}, which {} says is there", path.display(), index.display())]
    NotInShard {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The index.
        index: PathBuf,
    },
    /// A file that cannot be written.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TchError,
    },
    /// A tensor that should be there is not.
    #[error("read {}: no tensor {name}, expected one of shape {expected:?}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape the model needs.
        expected: Vec<i64>,
    },
    /// A tensor has no place in the model.
    #[error("read {}: tensor {name} of shape {found:?} has no place in the model", path.display())]
    Surplus {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<i64>,
    },
    /// A tensor has the wrong shape.
    #[error("read {}: tensor {name} has shape {found:?}, expected {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<i64>,
        /// The shape the model needs.
        expected: Vec<i64>,
    },
}

/// A fresh tensor for `parameter`, drawn from libtorch's generator.
pub fn init(parameter: &Parameter, device: Device) -> Tensor {
    let shape = dimensions(&parameter.shape);
    let options = (Kind::Float, device);
    match parameter.init {
        Init::Zeros => Tensor::zeros(&shape, options),
        Init::Ones => Tensor::ones(&shape, options),
        Init::Normal => Tensor::zeros(&shape, options).normal_(0.0, INIT_STD),
        Init::Glorot => {
            let inputs: i64 = shape[1..].iter().product();
            let bound = (6.0 / (inputs + shape[0]) as f64).sqrt();
            Tensor::zeros(&shape, options).uniform_(-bound, bound)
        }
        Init::SineCosine { class_tokens, grid } => {
            let codes = sine_cosine(class_tokens, grid, parameter.shape[2]);
            Tensor::from_slice(&codes).view(shape.as_slice()).to_device(device)
        }
        Init::FanIn => {
            let inputs: i64 = shape[1..].iter().product();
            let bound = 1.0 / (inputs as f64).sqrt();
            Tensor::zeros(&shape, options).uniform_(-bound, bound)
        }
    }
}

/// Position codes, [class tokens + rows x columns, width]: a quarter of the width each for sine and
/// cosine of the row, then of the column, at wavelengths from 2 pi to 20000 pi.
fn sine_cosine(class_tokens: usize, [rows, columns]: [usize; 2], width: usize) -> Vec<f32> {
    let waves = width / 4;
    let mut codes = vec![0.0; (class_tokens + rows * columns) * width];
    for (patch, code) in codes.chunks_exact_mut(width).skip(class_tokens).enumerate() {
        for (axis, place) in [patch / columns, patch % columns].into_iter().enumerate() {
            for wave in 0..waves {
                let phase = place as f32 / 10_000f32.powf(wave as f32 / waves as f32);
                let first = 2 * axis * waves + wave;
                (code[first], code[first + waves]) = phase.sin_cos();
            }
        }
    }
    codes
}

/// Overwrites each of `wanted` with the tensor of the same name in the safetensors file `path`.
/// Other tensors of the file are ignored.
///
/// Errors: [`WeightsError::Read`], [`WeightsError::Missing`], [`WeightsError::Shape`].
pub fn load(path: &Path, wanted: &Tensors) -> Result<(), WeightsError> {
    let found = read(path)?;
    for (name, tensor) in wanted {
        let Some(value) = found.get(name) else {
            let (path, name) = (path.into(), name.clone());
            return Err(WeightsError::Missing { path, name, expected: tensor.size() });
        };
        if value.size() != tensor.size() {
            return Err(WeightsError::Shape {
                path: path.into(),
                name: name.clone(),
                found: value.size(),
                expected: tensor.size(),
            });
        }
        assign(tensor, value).map_err(|source| WeightsError::Read { path: path.into(), source })?;
    }
    Ok(())
}

/// Every tensor of the safetensors file `path`.
///
/// Errors: [`WeightsError::Read`].
pub fn read(path: &Path) -> Result<Tensors, WeightsError> {
    let tensors = Tensor::read_safetensors(path);
    let tensors = tensors.map_err(|source| WeightsError::Read { path: path.into(), source })?;
    Ok(tensors.into_iter().collect())
}

/// Overwrites `tensor` with `value`, of the same shape.
pub(crate) fn assign(tensor: &Tensor, value: &Tensor) -> Result<(), TchError> {
    no_grad(|| tensor.shallow_clone().f_copy_(value)).map(drop)
}

/// Writes `tensors` as safetensors.
///
/// Errors: [`WeightsError::Write`].
pub fn save(path: &Path, tensors: &Tensors) -> Result<(), WeightsError> {
    let named: Vec<_> = tensors.iter().map(|(name, tensor)| (name, tensor.contiguous())).collect();
    Tensor::write_safetensors(&named, path)
        .map_err(|source| WeightsError::Write { path: path.into(), source })
}

/// `shape` as libtorch counts.
pub fn dimensions(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|size| *size as i64).collect()
}
