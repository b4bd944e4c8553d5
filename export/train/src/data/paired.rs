//! Samples whose modalities belong together, in memory and as they were recorded.
//!
//! Features are computed once, when the data are opened: a pass over them costs the network's time alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use cmpt_bundle::manifest::Task;
use cmpt_core::features::PictureFrontEnd;
use fastrand::Rng;

use super::batch::{Batch, BatchRequest, Batches, Dataset, ModalityInfo, Split, Targets};
use super::error::DataError;
use super::front_end;
use super::seed;
use super::sound::SoundLoader;
use super::store::{Array, Entry, Store};

/// A dataset of fixed pairs, or some of its modalities. Entries of one split and one source are one sample.
#[derive(Clone, Debug)]
pub struct PairedDataset {
    labels: Vec<String>,
    modalities: Vec<ModalityInfo>,
    /// Positions in every sample of the modalities in use.
    selected: Vec<usize>,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    description: String,
    /// Of the features of all modalities.
    shapes: Vec<Vec<usize>>,
    modalities: Vec<ModalityInfo>,
    /// By split.
    samples: [Vec<Sample>; 3],
}

#[derive(Debug)]
struct Sample {
    label: usize,
    /// Per modality, where the sample has it.
    features: Vec<Option<Vec<f32>>>,
}

impl PairedDataset {
    /// Computes the features of everything in `store`.
    pub fn new(store: &Store) -> Result<Self, DataError> {
        let modalities = store.header.modalities.clone();
        let mut loaders = modalities.iter().map(Loader::new).collect::<Result<Vec<_>, _>>()?;
        let mut samples: [Vec<Sample>; 3] = Default::default();
        let mut places = BTreeMap::new();
        for entry in &store.entries {
            let samples = &mut samples[entry.split as usize];
            let place = *places.entry((entry.split, entry.source.as_str())).or_insert_with(|| {
                samples.push(Sample { label: entry.label, features: vec![None; modalities.len()] });
                samples.len() - 1
            });
            let sample = &mut samples[place];
            if sample.label != entry.label || sample.features[entry.modality].is_some() {
                let source = &entry.source;
                return Err(DataError::unusable(format!(
                    "two of a kind, or two classes, in pair `{source}`"
                )));
            }
            let features = loaders[entry.modality].features(&store.arrays[entry.modality], entry);
            sample.features[entry.modality] = Some(features);
        }
        let inner = Inner {
            description: store.header.description.clone(),
            shapes: loaders.iter().map(Loader::shape).collect(),
            modalities: modalities.clone(),
            samples,
        };
        Ok(Self {
            labels: store.header.labels.clone(),
            selected: (0..modalities.len()).collect(),
            modalities,
            inner: Arc::new(inner),
        })
    }

    /// The same data with only these modalities, in the given order.
    pub fn with_modalities(&self, names: &[String]) -> Result<Self, DataError> {
        let all = &self.inner.modalities;
        let position = |name: &String| {
            all.iter().position(|modality| &modality.name == name).ok_or_else(|| {
                let known: Vec<&str> = all.iter().map(|modality| modality.name.as_str()).collect();
                DataError::unusable(format!("no modality `{name}`, expected one of {known:?}"))
            })
        };
        let selected: Vec<usize> = names.iter().map(position).collect::<Result<_, _>>()?;
        let modalities = selected.iter().map(|&index| all[index].clone()).collect();
        Ok(Self { selected, modalities, ..self.clone() })
    }
}

impl Dataset for PairedDataset {
    fn description(&self) -> &str {
        &self.inner.description
    }

    fn labels(&self) -> &[String] {
        &self.labels
    }

    fn task(&self) -> Task {
        Task::Multiclass
    }

    fn modalities(&self) -> &[ModalityInfo] {
        &self.modalities
    }

    fn samples(&self, split: Split) -> usize {
        self.inner.samples[split as usize].len()
    }

    fn batches(&self, request: BatchRequest) -> Result<Batches, DataError> {
        let mut order: Vec<usize> = (0..self.samples(request.split)).collect();
        if request.split == Split::Train {
            Rng::with_seed(seed::of_sample(&request, order.len())).shuffle(&mut order);
        }
        let dataset = self.clone();
        let size = request.batch_size.max(1);
        let batches = order.len().div_ceil(size);
        let batch = move |number: usize| {
            let end = order.len().min((number + 1) * size);
            Ok(dataset.batch(request.split, &order[number * size..end]))
        };
        Ok(Box::new((request.skip..batches).map(batch)))
    }
}

impl PairedDataset {
    fn batch(&self, split: Split, places: &[usize]) -> Batch {
        let samples = &self.inner.samples[split as usize];
        let samples = || places.iter().map(|&place| &samples[place]);
        let mut features = Vec::with_capacity(self.selected.len());
        let mut present = Vec::with_capacity(self.selected.len());
        for &modality in &self.selected {
            let length: usize = self.inner.shapes[modality].iter().product();
            let mut all = Vec::with_capacity(length * places.len());
            for sample in samples() {
                match &sample.features[modality] {
                    Some(features) => all.extend(features),
                    None => all.resize(all.len() + length, 0.0),
                }
            }
            features.push(all);
            present.push(samples().map(|sample| sample.features[modality].is_some()).collect());
        }
        Batch {
            samples: places.to_vec(),
            features,
            shapes: self.selected.iter().map(|&modality| self.inner.shapes[modality].clone()).collect(),
            present,
            targets: Targets::Classes(samples().map(|sample| sample.label as i64).collect()),
        }
    }
}

/// The front end of one modality.
enum Loader {
    Picture(PictureFrontEnd),
    Sound(SoundLoader),
}

impl Loader {
    fn new(modality: &ModalityInfo) -> Result<Self, DataError> {
        front_end::loader(
            modality,
            |spec| SoundLoader::new(spec).map(Self::Sound),
            |spec| PictureFrontEnd::new(spec).map(Self::Picture),
        )
    }

    fn shape(&self) -> Vec<usize> {
        match self {
            Self::Picture(front_end) => {
                let spec = front_end.spec();
                vec![spec.mean.len(), spec.edge, spec.edge]
            }
            Self::Sound(loader) => loader.shape(),
        }
    }

    fn features(&mut self, array: &Array, entry: &Entry) -> Vec<f32> {
        match (self, array) {
            (Self::Picture(front_end), Array::Pictures { height, width, values }) => {
                let grey = &values[entry.start..][..entry.length];
                let rgb: Vec<u8> = grey.iter().flat_map(|value| [*value; 3]).collect();
                let features = front_end.features(&rgb, *width as u32, *height as u32);
                features.expect("the store checks that a picture fills its size")
            }
            (Self::Sound(loader), Array::Sounds(values)) => {
                loader.load(&values[entry.start..][..entry.length])
            }
            (Self::Picture(_), Array::Sounds(_)) | (Self::Sound(_), Array::Pictures { .. }) => {
                unreachable!("the store checks arrays against kinds")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::front_end;
    use super::super::open::{Opening, open};
    use super::super::store::Header;
    use super::*;

    /// Six pairs to train on, one of which lacks its second picture; two to test on.
    fn store() -> Store {
        let mut entries = Vec::new();
        for (number, split) in [(0..6, Split::Train), (6..8, Split::Test)]
            .into_iter()
            .flat_map(|(numbers, split)| numbers.map(move |number| (number, split)))
        {
            for modality in 0..2 {
                if (number, modality) != (3, 1) {
                    let source = format!("pair {number}");
                    let (label, start) = (number % 2, 784 * number);
                    entries.push(Entry { modality, split, label, weight: 1.0, source, start, length: 784 });
                }
            }
        }
        let picture = |modality: usize| Array::Pictures {
            height: 28,
            width: 28,
            values: (0..8 * 784).map(|at| (at / 784 * 20 + modality * 10) as u8).collect(),
        };
        let modalities = vec![front_end::camera("a"), front_end::camera("b")];
        let header = Header::new("made up".into(), vec!["no".into(), "yes".into()], modalities, 6);
        Store { header: header.paired(), entries, arrays: vec![picture(0), picture(1)] }
    }

    fn batches(dataset: &dyn Dataset, split: Split, epoch: usize, skip: usize) -> Vec<Batch> {
        let request = BatchRequest { split, batch_size: 4, seed: 3, epoch, skip };
        dataset.batches(request).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn what_was_recorded_together_stays_together() {
        let dataset = PairedDataset::new(&store()).unwrap();
        for epoch in 0..3 {
            let all = batches(&dataset, Split::Train, epoch, 0);
            assert_eq!(all.iter().map(Batch::len).collect::<Vec<_>>(), [4, 2]);
            let mut lacking = 0;
            for batch in &all {
                for sample in 0..batch.len() {
                    let value = |modality: usize| batch.features[modality][sample * 784];
                    if batch.present[1][sample] {
                        // Ten grey levels apart, over 255 and the deviation.
                        assert!((value(1) - value(0) - 10.0 / 255.0 / 0.33).abs() < 1e-5);
                    } else {
                        lacking += 1;
                        assert_eq!(value(1), 0.0);
                    }
                }
            }
            assert_eq!(lacking, 1);
        }
    }

    #[test]
    fn order_follows_seed_and_epoch_and_a_pass_can_begin_in_its_middle() {
        let dataset = PairedDataset::new(&store()).unwrap();
        let whole = batches(&dataset, Split::Train, 0, 0);
        assert_eq!(whole, batches(&dataset, Split::Train, 0, 0));
        assert_eq!(whole[1..], batches(&dataset, Split::Train, 0, 1));
        assert_ne!(whole, batches(&dataset, Split::Train, 1, 0));
        assert_eq!(batches(&dataset, Split::Test, 0, 0), batches(&dataset, Split::Test, 1, 0));
        assert_eq!(batches(&dataset, Split::Validation, 0, 0), []);
    }

    #[test]
    fn modalities_can_be_selected_and_a_folder_says_how_it_is_paired() {
        let named = |names: &[&str]| Opening {
            modalities: names.iter().map(ToString::to_string).collect(),
            fixed_pairs: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        store().write(&out).unwrap();
        let second = open(&out, &named(&["b"])).unwrap();
        assert_eq!(second.modalities().len(), 1);
        let both = open(&out, &named(&[])).unwrap();
        let first = &batches(&*both, Split::Test, 0, 0)[0];
        assert_eq!(first.features[1], batches(&*second, Split::Test, 0, 0)[0].features[0]);
        assert!(open(&out, &named(&["c"])).err().unwrap().to_string().contains("no modality `c`"));
    }

    #[test]
    fn a_pair_of_two_classes_is_refused() {
        let mut store = store();
        store.entries[1].label = 1;
        let error = PairedDataset::new(&store).unwrap_err().to_string();
        assert!(error.contains("pair `pair 0`"), "{error}");
    }
}
