//! A prepared dataset on disk: `dataset.json`, one line per sample in `samples.jsonl`, and the samples
//! themselves packed into `arrays.safetensors`, so that training starts at once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use cmpt_core::modality::Kind;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::batch::{ModalityInfo, Split};
use super::error::DataError;

const FORMAT_VERSION: u32 = 1;
const HEADER: &str = "dataset.json";
const SAMPLES: &str = "samples.jsonl";
const ARRAYS: &str = "arrays.safetensors";
/// The most samples of an epoch, whose order is held in memory.
const MOST_EPOCH_SAMPLES: usize = 100_000_000;

/// A dataset in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// What it is.
    pub header: Header,
    /// Its samples.
    pub entries: Vec<Entry>,
    /// Per modality, what the entries point into.
    pub arrays: Vec<Array>,
}

/// `dataset.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the format.
    pub format_version: u32,
    /// What the data are, in words, for the bundle's provenance.
    pub description: String,
    /// Class names.
    pub labels: Vec<String>,
    /// Modalities.
    pub modalities: Vec<ModalityInfo>,
    /// Samples in one epoch of training.
    pub epoch_samples: usize,
    /// What makes entries of two modalities one sample.
    #[serde(default)]
    pub pairing: Pairing,
}

/// What makes entries of two modalities one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pairing {
    /// Their class: samples are drawn anew in every epoch.
    #[default]
    Class,
    /// Their source: they were recorded together, or put together for good.
    Instance,
}

impl Header {
    /// A header of the present version.
    pub fn new(
        description: String,
        labels: Vec<String>,
        modalities: Vec<ModalityInfo>,
        epoch_samples: usize,
    ) -> Self {
        let pairing = Pairing::Class;
        Self { format_version: FORMAT_VERSION, description, labels, modalities, epoch_samples, pairing }
    }

    /// The same, of pairs by source.
    pub fn paired(self) -> Self {
        Self { pairing: Pairing::Instance, ..self }
    }
}

/// One recording or picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its modality's position in the header.
    pub modality: usize,
    /// Its split.
    pub split: Split,
    /// Its class.
    pub label: usize,
    /// How often training draws it, relative to its modality and class.
    pub weight: f32,
    /// Where it comes from: file, or engine, voice and word.
    pub source: String,
    /// Its first value in the array.
    pub start: usize,
    /// How many values it has.
    pub length: usize,
}

/// Samples of one modality.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Grey pictures of one size, row-major.
    Pictures {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
        /// [n, height, width].
        values: Vec<u8>,
    },
    /// Mono 16-bit sound at the rate of the modality's front end, end to end.
    Sounds(Vec<i16>),
}

impl Array {
    /// Whether an entry lies in it: a whole picture, or some sound.
    fn has(&self, entry: &Entry) -> bool {
        let (whole, length) = match self {
            Self::Pictures { height, width, values } => {
                (height.checked_mul(*width) == Some(entry.length), values.len())
            }
            Self::Sounds(values) => (true, values.len()),
        };
        whole && entry.length > 0 && entry.start.checked_add(entry.length).is_some_and(|end| end <= length)
    }
}

impl Store {
    /// Writes the folder `out`, whole or not at all. Errors: it exists already.
    pub fn write(&self, out: &Path) -> Result<(), DataError> {
        if out.exists() {
            return Err(DataError::Exists { path: out.into() });
        }
        self.check(out)?;
        let error = |source| DataError::Write { path: out.into(), source };
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(error)?;
        // Built beside its place, then renamed: an interrupted run leaves nothing that looks whole.
        let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(parent).map_err(error)?;
        self.write_files(partial.path()).map_err(error)?;
        fs::rename(partial.keep(), out).map_err(error)
    }

    fn write_files(&self, folder: &Path) -> std::io::Result<()> {
        fs::write(folder.join(HEADER), serde_json::to_vec_pretty(&self.header)?)?;
        let mut lines = BufWriter::new(File::create(folder.join(SAMPLES))?);
        for entry in &self.entries {
            serde_json::to_writer(&mut lines, entry)?;
            writeln!(lines)?;
        }
        lines.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        let raw: Vec<(Dtype, Vec<usize>, Vec<u8>)> = self.arrays.iter().map(raw_bytes).collect();
        let views = raw.iter().zip(&self.header.modalities).map(|((dtype, shape, bytes), modality)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).expect("bytes fill the shape");
            (modality.name.as_str(), view)
        });
        let views: BTreeMap<_, _> = views.collect();
        safetensors::serialize_to_file(views, None, &folder.join(ARRAYS)).map_err(std::io::Error::other)
    }

    /// Reads the folder that [`Store::write`] wrote.
    pub fn read(folder: &Path) -> Result<Self, DataError> {
        let header = read_header(folder, FORMAT_VERSION, |header: &Header| header.format_version)?;
        let entries = read_entries(&folder.join(SAMPLES))?;
        let arrays = read_arrays(&folder.join(ARRAYS), &header.modalities)?;
        let store = Self { header, entries, arrays };
        store.check(folder)?;
        Ok(store)
    }

    fn check(&self, folder: &Path) -> Result<(), DataError> {
        let Header { labels, epoch_samples, .. } = &self.header;
        let wrong = |reason: String| DataError::malformed(folder.join(HEADER), reason);
        if labels.is_empty() {
            return Err(wrong("labels is empty, expected at least one".into()));
        }
        if *epoch_samples > MOST_EPOCH_SAMPLES {
            return Err(wrong(format!(
                "epoch_samples is {epoch_samples}, expected at most {MOST_EPOCH_SAMPLES}"
            )));
        }
        for (line, entry) in self.entries.iter().enumerate() {
            let weighs = entry.weight.is_finite() && entry.weight >= 0.0;
            let fits = self.arrays.get(entry.modality).is_some_and(|array| array.has(entry));
            if !(fits && weighs && entry.label < labels.len()) {
                let reason = format!("line {} does not fit the dataset: {entry:?}", line + 1);
                return Err(DataError::malformed(folder.join(SAMPLES), reason));
            }
        }
        Ok(())
    }
}

fn raw_bytes(array: &Array) -> (Dtype, Vec<usize>, Vec<u8>) {
    match array {
        Array::Pictures { height, width, values } => {
            (Dtype::U8, vec![values.len() / (height * width), *height, *width], values.clone())
        }
        Array::Sounds(values) => {
            (Dtype::I16, vec![values.len()], values.iter().flat_map(|value| value.to_le_bytes()).collect())
        }
    }
}

/// Reads `dataset.json` of `folder`, which must be of the version `expected`.
pub(super) fn read_header<H: DeserializeOwned>(
    folder: &Path,
    expected: u32,
    version: impl FnOnce(&H) -> u32,
) -> Result<H, DataError> {
    let path = folder.join(HEADER);
    let bytes = fs::read(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
    let header: H =
        serde_json::from_slice(&bytes).map_err(|error| DataError::malformed(&path, error.to_string()))?;
    let found = version(&header);
    if found != expected {
        return Err(DataError::malformed(path, format!("format_version is {found}, expected {expected}")));
    }
    Ok(header)
}

fn read_entries(path: &Path) -> Result<Vec<Entry>, DataError> {
    let error = |source| DataError::Read { path: path.into(), source };
    let lines = BufReader::new(File::open(path).map_err(error)?).lines();
    let parse = |(index, line): (usize, std::io::Result<String>)| {
        serde_json::from_str(&line.map_err(error)?)
            .map_err(|error| DataError::malformed(path, format!("line {}: {error}", index + 1)))
    };
    lines.enumerate().map(parse).collect()
}

fn read_arrays(path: &Path, modalities: &[ModalityInfo]) -> Result<Vec<Array>, DataError> {
    let bytes = fs::read(path).map_err(|source| DataError::Read { path: path.into(), source })?;
    let tensors =
        SafeTensors::deserialize(&bytes).map_err(|error| DataError::malformed(path, error.to_string()))?;
    let array = |modality: &ModalityInfo| {
        let tensor = tensors
            .tensor(&modality.name)
            .map_err(|error| DataError::malformed(path, format!("{}: {error}", modality.name)))?;
        match (modality.kind, tensor.dtype(), tensor.shape()) {
            (Kind::Video | Kind::Image, Dtype::U8, &[_, height, width]) => {
                Ok(Array::Pictures { height, width, values: tensor.data().to_vec() })
            }
            (Kind::Audio, Dtype::I16, [_]) => {
                let values = tensor.data().as_chunks().0;
                Ok(Array::Sounds(values.iter().map(|&value| i16::from_le_bytes(value)).collect()))
            }
            (kind, dtype, shape) => {
                let reason = format!("{} is {dtype:?} {shape:?}, which does not fit {kind:?}", modality.name);
                Err(DataError::malformed(path, reason))
            }
        }
    };
    modalities.iter().map(array).collect()
}

#[cfg(test)]
mod tests {
    use super::super::front_end;
    use super::*;

    fn store() -> Store {
        let labels = vec!["no".into(), "yes".into()];
        let modalities = vec![front_end::audio(), front_end::video()];
        let entry = |modality, label, start, length| Entry {
            modality,
            split: Split::Train,
            label,
            weight: 1.0,
            source: "made up".into(),
            start,
            length,
        };
        Store {
            header: Header::new("made up".into(), labels, modalities, 4),
            entries: vec![entry(0, 1, 1, 3), entry(1, 0, 4, 4)],
            arrays: vec![
                Array::Sounds(vec![1, -2, 300, -400]),
                Array::Pictures { height: 2, width: 2, values: (0..8).collect() },
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        store().write(&out).unwrap();
        assert_eq!(Store::read(&out).unwrap(), store());
        assert!(matches!(store().write(&out).unwrap_err(), DataError::Exists { .. }));
        assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_sample_outside_its_array_is_refused_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store();
        store.entries[1].length = 5;
        let error = store.write(&folder.path().join("out")).unwrap_err().to_string();
        assert!(error.contains("samples.jsonl") && error.contains("line 2"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_folder_is_an_error_that_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        store().write(&out).unwrap();
        let damage = |file: &str, bytes: &[u8], expected: &str| {
            let path = out.join(file);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, bytes).unwrap();
            let error = Store::read(&out).unwrap_err().to_string();
            assert!(error.contains(file) && error.contains(expected), "{error}");
            fs::write(&path, whole).unwrap();
        };
        damage(SAMPLES, b"{}\n", "line 1: missing field");
        let text = |file: &str| fs::read_to_string(out.join(file)).unwrap();
        let half = text(SAMPLES).replace("\"length\":4", "\"length\":2");
        damage(SAMPLES, half.as_bytes(), "line 2 does not fit the dataset");
        damage(ARRAYS, b"short", "");
        damage(HEADER, b"{\"format_version\": 1, \"extra\": 2}", "unknown field `extra`");
        let endless = text(HEADER).replace("\"epoch_samples\": 4", "\"epoch_samples\": 100000001");
        damage(HEADER, endless.as_bytes(), "epoch_samples is 100000001, expected at most 100000000");
        let header = serde_json::to_vec(&Header { labels: Vec::new(), ..store().header }).unwrap();
        damage(HEADER, &header, "labels is empty, expected at least one");
        fs::remove_file(out.join(HEADER)).unwrap();
        assert!(matches!(Store::read(&out).unwrap_err(), DataError::Read { .. }));
    }
}
