//! Golden inputs and outputs: what every graph of a bundle must reproduce on the engine that runs it.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};

use crate::error::{Problem, Problems};
use crate::manifest::{Manifest, Pattern};

/// A golden tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Shape, batch first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

impl Tensor {
    fn from_view(view: &TensorView) -> Self {
        let values = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Self { shape: view.shape().to_vec(), values }
    }

    /// Row `index` of the batch.
    ///
    /// Panics if there is no such row.
    pub fn row(&self, index: usize) -> &[f32] {
        let width = self.shape[1..].iter().product::<usize>();
        &self.values[index * width..][..width]
    }
}

/// The golden tensors of a bundle.
///
/// All have the same batch, and row *i* of each belongs to one sample, with one part per modality:
/// a pattern's `token` is what the gate makes of the encoders' tokens. So an engine can be checked
/// graph by graph and from end to end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Golden(BTreeMap<String, Tensor>);

impl Golden {
    /// An empty set, to be filled with `insert_*`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Input of a modality's encoder. Shape: [batch, ...].
    pub fn features(&self, modality: &str) -> Option<&Tensor> {
        self.0.get(&features_name(modality))
    }

    /// Class tokens of a modality's encoder. Shape: [batch, width].
    pub fn cls(&self, modality: &str) -> Option<&Tensor> {
        self.0.get(&cls_name(modality))
    }

    /// A modality's proxy tokens for `other`. Shape: [batch, width].
    pub fn proxy(&self, modality: &str, other: &str) -> Option<&Tensor> {
        self.0.get(&proxy_name(modality, other))
    }

    /// Fused tokens of a pattern. Shape: [batch, width].
    pub fn token(&self, pattern: &Pattern) -> Option<&Tensor> {
        self.0.get(&token_name(pattern))
    }

    /// Logits of a pattern. Shape: [batch, classes].
    pub fn logits(&self, pattern: &Pattern) -> Option<&Tensor> {
        self.0.get(&logits_name(pattern))
    }

    /// Sets the input of a modality's encoder.
    pub fn insert_features(&mut self, modality: &str, tensor: Tensor) {
        self.0.insert(features_name(modality), tensor);
    }

    /// Sets the class tokens of a modality's encoder.
    pub fn insert_cls(&mut self, modality: &str, tensor: Tensor) {
        self.0.insert(cls_name(modality), tensor);
    }

    /// Sets a modality's proxy tokens for `other`.
    pub fn insert_proxy(&mut self, modality: &str, other: &str, tensor: Tensor) {
        self.0.insert(proxy_name(modality, other), tensor);
    }

    /// Sets the fused tokens of a pattern.
    pub fn insert_token(&mut self, pattern: &Pattern, tensor: Tensor) {
        self.0.insert(token_name(pattern), tensor);
    }

    /// Sets the logits of a pattern.
    pub fn insert_logits(&mut self, pattern: &Pattern, tensor: Tensor) {
        self.0.insert(logits_name(pattern), tensor);
    }

    /// The safetensors file. Errors: a tensor whose values do not fill its shape.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SafeTensorError> {
        let data: Vec<Vec<u8>> =
            self.0.values().map(|t| t.values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let views = (self.0.iter().zip(&data))
            .map(|((name, t), bytes)| Ok((name, TensorView::new(Dtype::F32, t.shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, SafeTensorError>>()?;
        safetensors::serialize(views, None)
    }

    /// Reads the golden file of a sound manifest and checks that every tensor is there, with its shape.
    pub(crate) fn parse(bytes: &[u8], manifest: &Manifest, problems: &mut Problems) -> Self {
        let file = &manifest.golden.file;
        let tensors = match SafeTensors::deserialize(bytes) {
            Ok(tensors) => tensors,
            Err(source) => {
                problems.push(Problem::Safetensors { file: file.clone(), source });
                return Self::default();
            }
        };
        let views: HashMap<_, _> = tensors.iter().collect();
        // The first modality's input says how many samples there are.
        let first = features_name(&manifest.modalities[0].name);
        let batch = views.get(first.as_str()).and_then(|view| view.shape().first().copied());

        let mut golden = Self::new();
        for (tensor, row) in expected_rows(manifest) {
            let expected = display_shape(batch, &row);
            let Some(view) = views.get(tensor.as_str()) else {
                problems.push(Problem::TensorMissing { file: file.clone(), tensor, expected });
                continue;
            };
            let mut form = |found: String, expected: String| {
                problems.push(Problem::TensorForm {
                    file: file.clone(),
                    tensor: tensor.clone(),
                    found,
                    expected,
                });
            };
            let [found_batch, found_row @ ..] = view.shape() else {
                form("[]".to_owned(), expected);
                continue;
            };
            if view.dtype() != Dtype::F32 {
                form(view.dtype().to_string(), "F32".to_owned());
            } else if *found_batch == 0 || batch.is_some_and(|b| b != *found_batch) || found_row != row {
                form(format!("{:?}", view.shape()), expected);
            } else {
                let values = Tensor::from_view(view);
                match values.values.iter().position(|v| !v.is_finite()) {
                    Some(at) => {
                        form(format!("{} at {at}", values.values[at]), "finite values".to_owned());
                    }
                    None => drop(golden.0.insert(tensor, values)),
                }
            }
        }
        golden
    }
}

/// Name and shape, without the batch dimension, of every tensor a bundle's golden file must have.
fn expected_rows(manifest: &Manifest) -> Vec<(String, Vec<usize>)> {
    let token = vec![manifest.width];
    let mut rows = Vec::new();
    for modality in &manifest.modalities {
        rows.push((features_name(&modality.name), modality.part_shape()));
        rows.push((cls_name(&modality.name), token.clone()));
        rows.extend(modality.proxies.iter().map(|other| (proxy_name(&modality.name, other), token.clone())));
    }
    for pattern in &manifest.patterns {
        rows.push((token_name(pattern), token.clone()));
        rows.push((logits_name(pattern), vec![manifest.labels.len()]));
    }
    rows
}

fn display_shape(batch: Option<usize>, row: &[usize]) -> String {
    let batch = batch.filter(|b| *b > 0).map_or_else(|| "batch".to_owned(), |b| b.to_string());
    let row: String = row.iter().map(|n| format!(", {n}")).collect();
    format!("[{batch}{row}]")
}

fn features_name(modality: &str) -> String {
    format!("{modality}.features")
}

fn cls_name(modality: &str) -> String {
    format!("{modality}.cls")
}

fn proxy_name(modality: &str, other: &str) -> String {
    format!("{modality}.proxy_{other}")
}

fn token_name(pattern: &Pattern) -> String {
    format!("{}.token", pattern.key())
}

fn logits_name(pattern: &Pattern) -> String {
    format!("{}.logits", pattern.key())
}
