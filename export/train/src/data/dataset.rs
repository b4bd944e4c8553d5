//! A prepared dataset as batches, made ahead on a worker thread.

use std::path::Path;
use std::sync::Arc;

use cmpt_bundle::manifest::Task;
use fastrand::Rng;

use super::batch::{Batch, BatchRequest, Batches, Dataset, ModalityInfo, Split, Targets};
use super::error::DataError;
use super::front_end;
use super::picture::{Grey, PictureLoader};
use super::prefetch;
use super::seed;
use super::sound::SoundLoader;
use super::store::{Array, Entry, Store};

/// A prepared dataset, or some of its modalities.
///
/// Training draws classes evenly, and for each sample one entry of its class per modality by weight:
/// pairs are class-level, and new every epoch unless they are fixed. The other splits pair entries in
/// order, as often as it takes for each entry to come at least once.
#[derive(Clone, Debug)]
pub struct PreparedDataset {
    modalities: Vec<ModalityInfo>,
    inner: Arc<Inner>,
    pairing: Pairing,
}

/// How long class-level pairs of the training split last.
#[derive(Clone, Debug)]
enum Pairing {
    /// An epoch.
    Epoch,
    /// The dataset's life: the entry of each sample, by modality in use, class and number within the class.
    Fixed(Arc<Vec<Vec<Vec<Option<usize>>>>>),
}

impl PreparedDataset {
    /// Opens the folder that `prepare` wrote.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        Self::new(Store::read(folder)?)
    }

    /// The data of `store`.
    pub(super) fn new(store: Store) -> Result<Self, DataError> {
        let selected = (0..store.header.modalities.len()).collect();
        Self::select(Arc::new(store), selected)
    }

    /// The same data with only these modalities, in the given order.
    pub fn with_modalities(&self, names: &[String]) -> Result<Self, DataError> {
        let all = &self.inner.store.header.modalities;
        let position = |name: &String| {
            all.iter().position(|modality| &modality.name == name).ok_or_else(|| {
                let known: Vec<&str> = all.iter().map(|modality| modality.name.as_str()).collect();
                DataError::unusable(format!("no modality `{name}`, expected one of {known:?}"))
            })
        };
        let selected = names.iter().map(position).collect::<Result<_, _>>()?;
        Self::select(Arc::clone(&self.inner.store), selected)
    }

    /// The same data with the pairs of the training split drawn once, so that its samples are the same in
    /// every epoch (augmentation is not).
    ///
    /// An entry comes as often as its weight has it, rounded up or down: where there are no more samples
    /// than entries of equal weight, none comes twice.
    pub fn with_fixed_pairs(&self, seed: u64) -> Self {
        let samples = self.samples(Split::Train);
        let classes = self.labels().len();
        let pools = self.inner.pools(Split::Train).iter().enumerate();
        let fixed = pools.map(|(modality, pools)| {
            let of_class = |(class, pool): (usize, &Pool)| {
                let count = (samples + classes - 1 - class) / classes;
                let mut rng = Rng::with_seed(seed::mix(&[seed, modality as u64, class as u64]));
                pool.spread(count, &mut rng)
            };
            pools.iter().enumerate().map(of_class).collect()
        });
        let pairing = Pairing::Fixed(Arc::new(fixed.collect()));
        Self { pairing, ..self.clone() }
    }

    fn select(store: Arc<Store>, selected: Vec<usize>) -> Result<Self, DataError> {
        let modalities: Vec<ModalityInfo> =
            selected.iter().map(|&index| store.header.modalities[index].clone()).collect();
        let pools = [Split::Train, Split::Validation, Split::Test].map(|split| {
            let pool = |&modality: &usize| Pool::by_class(&store, modality, split);
            selected.iter().map(pool).collect::<Vec<_>>()
        });
        for (modality, pools) in modalities.iter().zip(&pools[Split::Train as usize]) {
            if let Some(class) = pools.iter().position(|pool| pool.entries.is_empty()) {
                let (name, label) = (&modality.name, &store.header.labels[class]);
                return Err(DataError::unusable(format!("no {name} of class `{label}` to train on")));
            }
        }
        // Fails here rather than on the worker.
        modalities.iter().try_for_each(|modality| Loader::new(modality).map(drop))?;
        let inner = Arc::new(Inner { store, selected, pools });
        Ok(Self { inner, modalities, pairing: Pairing::Epoch })
    }
}

impl Dataset for PreparedDataset {
    fn description(&self) -> &str {
        &self.inner.store.header.description
    }

    fn labels(&self) -> &[String] {
        &self.inner.store.header.labels
    }

    fn task(&self) -> Task {
        Task::Multiclass
    }

    fn modalities(&self) -> &[ModalityInfo] {
        &self.modalities
    }

    fn samples(&self, split: Split) -> usize {
        match split {
            Split::Train => self.inner.store.header.epoch_samples,
            _ => (0..self.labels().len()).map(|class| self.inner.longest(split, class)).sum(),
        }
    }

    fn is_stable(&self, split: Split) -> bool {
        split != Split::Train || matches!(self.pairing, Pairing::Fixed(_))
    }

    fn batches(&self, request: BatchRequest) -> Result<Batches, DataError> {
        let loaders = self.modalities.iter().map(Loader::new).collect::<Result<Vec<_>, _>>()?;
        let (inner, pairing) = (Arc::clone(&self.inner), self.pairing.clone());
        let mut worker = Worker { inner, pairing, loaders, request };
        let order = self.inner.order(&request);
        let size = request.batch_size.max(1);
        let batches = order.len().div_ceil(size);
        let make = move |number: usize| {
            let end = order.len().min((number + 1) * size);
            Ok(worker.batch(number * size, &order[number * size..end]))
        };
        prefetch::ahead(vec![make], request.skip.min(batches)..batches)
    }
}

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    /// Positions in the store of the modalities in use.
    selected: Vec<usize>,
    /// By split, modality in use, and class.
    pools: [Vec<Vec<Pool>>; 3],
}

impl Inner {
    fn pools(&self, split: Split) -> &[Vec<Pool>] {
        &self.pools[split as usize]
    }

    /// The most entries that any modality has of a class.
    fn longest(&self, split: Split, class: usize) -> usize {
        self.pools(split).iter().map(|pools| pools[class].entries.len()).max().unwrap_or(0)
    }

    /// The samples of the split in the order of the epoch.
    fn order(&self, request: &BatchRequest) -> Vec<Place> {
        let count = self.store.header.labels.len();
        if request.split != Split::Train {
            let of_class = |class| (0..self.longest(request.split, class)).map(move |number| (class, number));
            let places = (0..count).flat_map(of_class).enumerate();
            return places.map(|(sample, (class, number))| Place { sample, class, number }).collect();
        }
        let samples = self.store.header.epoch_samples;
        let place = |sample| Place { sample, class: sample % count, number: sample / count };
        let mut places: Vec<Place> = (0..samples).map(place).collect();
        Rng::with_seed(seed::of_sample(request, samples)).shuffle(&mut places);
        places
    }
}

/// A sample of a split: its number, its class, and its number within the class.
#[derive(Clone, Copy, Debug)]
struct Place {
    sample: usize,
    class: usize,
    number: usize,
}

/// Entries of one split, modality and class.
#[derive(Debug)]
struct Pool {
    entries: Vec<usize>,
    /// Running sums of the weights.
    cumulative: Vec<f32>,
}

impl Pool {
    fn by_class(store: &Store, modality: usize, split: Split) -> Vec<Self> {
        let of_class = |class| {
            let belongs =
                |entry: &Entry| (entry.modality, entry.split, entry.label) == (modality, split, class);
            let entries: Vec<usize> =
                (0..store.entries.len()).filter(|&index| belongs(&store.entries[index])).collect();
            let weights = entries.iter().map(|&index| store.entries[index].weight);
            let cumulative = weights.scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            });
            Self { cumulative: cumulative.collect(), entries }
        };
        (0..store.header.labels.len()).map(of_class).collect()
    }

    fn draw(&self, rng: &mut Rng) -> Option<usize> {
        self.at(rng.f32())
    }

    /// The entry at a share of the whole weight.
    fn at(&self, share: f32) -> Option<usize> {
        let point = share * self.cumulative.last()?;
        let index = self.cumulative.partition_point(|&sum| sum <= point);
        self.entries.get(index).or(self.entries.last()).copied()
    }

    /// Entries for `count` samples in random order, spread evenly over the weight (systematic sampling).
    fn spread(&self, count: usize, rng: &mut Rng) -> Vec<Option<usize>> {
        let offset = rng.f32();
        let mut entries: Vec<_> =
            (0..count).map(|number| self.at((number as f32 + offset) / count as f32)).collect();
        rng.shuffle(&mut entries);
        entries
    }
}

/// Makes the batches of one request.
struct Worker {
    inner: Arc<Inner>,
    pairing: Pairing,
    loaders: Vec<Loader>,
    request: BatchRequest,
}

impl Worker {
    fn batch(&mut self, first: usize, places: &[Place]) -> Batch {
        let mut batch = Batch {
            samples: places.iter().map(|place| place.sample).collect(),
            features: vec![Vec::new(); self.loaders.len()],
            shapes: self.loaders.iter().map(Loader::shape).collect(),
            present: vec![Vec::new(); self.loaders.len()],
            targets: Targets::Classes(places.iter().map(|place| place.class as i64).collect()),
        };
        for (index, place) in places.iter().enumerate() {
            let mut rng = Rng::with_seed(seed::of_sample(&self.request, first + index));
            for modality in 0..self.loaders.len() {
                let features = self.sample(modality, *place, &mut rng);
                batch.present[modality].push(features.is_some());
                let zeros = || vec![0.0; batch.shapes[modality].iter().product()];
                batch.features[modality].extend(features.unwrap_or_else(zeros));
            }
        }
        batch
    }

    /// Features of one modality of a sample, `None` where the split has none of the class.
    fn sample(&mut self, modality: usize, place: Place, rng: &mut Rng) -> Option<Vec<f32>> {
        let Place { class, number, .. } = place;
        let pool = &self.inner.pools(self.request.split)[modality][class];
        let train = self.request.split == Split::Train;
        let chosen = match &self.pairing {
            _ if !train => *pool.entries.get(number.checked_rem(pool.entries.len())?)?,
            Pairing::Epoch => pool.draw(rng)?,
            Pairing::Fixed(entries) => entries[modality][class][number]?,
        };
        let store = &self.inner.store;
        let array = &store.arrays[self.inner.selected[modality]];
        let entry = &store.entries[chosen];
        Some(match (&mut self.loaders[modality], array) {
            (Loader::Picture(loader), Array::Pictures { height, width, values }) => {
                let values = &values[entry.start..entry.start + entry.length];
                let picture = Grey { height: *height, width: *width, values };
                if train { loader.load_augmented(picture, rng) } else { loader.load(picture) }
            }
            (Loader::Sound(loader), Array::Sounds(values)) => {
                let recording = |entry: &Entry| &values[entry.start..entry.start + entry.length];
                if !train {
                    return Some(loader.load(recording(entry)));
                }
                // Background voices come from the training split too.
                let pools = &self.inner.pools(Split::Train)[modality];
                let mut babble = |rng: &mut Rng| {
                    let other = pools[rng.usize(..pools.len())].draw(rng).unwrap_or(chosen);
                    recording(&store.entries[other])
                };
                loader.load_augmented(recording(entry), &mut babble, rng)
            }
            (Loader::Picture(_), Array::Sounds(_)) | (Loader::Sound(_), Array::Pictures { .. }) => {
                unreachable!("the store checks arrays against kinds")
            }
        })
    }
}

enum Loader {
    Picture(PictureLoader),
    Sound(SoundLoader),
}

impl Loader {
    fn new(modality: &ModalityInfo) -> Result<Self, DataError> {
        front_end::loader(
            modality,
            |spec| SoundLoader::new(spec).map(Self::Sound),
            |spec| PictureLoader::new(spec).map(Self::Picture),
        )
    }

    fn shape(&self) -> Vec<usize> {
        match self {
            Self::Picture(loader) => loader.shape(),
            Self::Sound(loader) => loader.shape(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::front_end;
    use super::super::store::Header;
    use super::*;

    /// Two classes; in training two sounds and three pictures a class, in validation one and three.
    fn dataset() -> PreparedDataset {
        let mut entries = Vec::new();
        for (split, sounds) in [(Split::Train, 2), (Split::Validation, 1)] {
            for label in 0..2 {
                let entry = |modality, start, length| Entry {
                    modality,
                    split,
                    label,
                    weight: 1.0,
                    source: "made up".into(),
                    start,
                    length,
                };
                entries.extend((0..sounds).map(|i| entry(0, 900 * i + 450 * label, 4000)));
                entries.extend((0..3).map(|i| entry(1, 784 * i, 784)));
            }
        }
        let sound = (0..8000).map(|i: i32| (i * i % 20_011 - 10_000) as i16).collect();
        let values = (0..3 * 784).map(|i| (i * 31 % 256) as u8).collect();
        let arrays = vec![Array::Sounds(sound), Array::Pictures { height: 28, width: 28, values }];
        let modalities = vec![front_end::audio(), front_end::video()];
        let header = Header::new("made up".into(), vec!["no".into(), "yes".into()], modalities, 10);
        PreparedDataset::new(Store { header, entries, arrays }).unwrap()
    }

    fn request(split: Split) -> BatchRequest {
        BatchRequest { split, batch_size: 4, seed: 3, epoch: 1, skip: 0 }
    }

    fn all(request: BatchRequest) -> Vec<Batch> {
        dataset().batches(request).unwrap().map(Result::unwrap).collect()
    }

    fn targets(batches: &[Batch]) -> Vec<i64> {
        let classes = batches.iter().flat_map(|batch| match &batch.targets {
            Targets::Classes(classes) => classes.clone(),
            Targets::MultiHot(_) => panic!("prepared data has classes"),
        });
        classes.collect()
    }

    #[test]
    fn an_epoch_is_balanced_and_complete() {
        let batches = all(request(Split::Train));
        assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [4, 4, 2]);
        let ones: i64 = targets(&batches).iter().sum();
        assert_eq!(ones, 5);
        assert_eq!(batches[0].shapes, [vec![98, 64], vec![1, 28, 28]]);
        assert_eq!(batches[0].features[0].len(), 4 * 98 * 64);
        assert!(batches[0].present.iter().flatten().all(|&present| present));
    }

    #[test]
    fn equal_requests_give_equal_batches_and_skipping_leaves_the_rest_as_it_was() {
        let whole = all(request(Split::Train));
        assert_eq!(whole, all(request(Split::Train)));
        assert_eq!(whole[1..], all(BatchRequest { skip: 1, ..request(Split::Train) }));
        assert_ne!(whole, all(BatchRequest { epoch: 2, ..request(Split::Train) }));
        assert_ne!(whole, all(BatchRequest { seed: 4, ..request(Split::Train) }));
    }

    #[test]
    fn validation_uses_every_entry_in_order_whatever_the_epoch() {
        let batches = all(request(Split::Validation));
        assert_eq!(batches, all(BatchRequest { epoch: 2, seed: 9, ..request(Split::Validation) }));
        assert_eq!(targets(&batches), [0, 0, 0, 1, 1, 1]);
        assert_eq!(dataset().samples(Split::Validation), 6);
        // One sound a class, repeated beside the three pictures.
        let sounds: Vec<&[f32]> = batches[0].features[0].chunks(98 * 64).collect();
        assert!(sounds[0] == sounds[2] && sounds[0] != sounds[3]);
    }

    #[test]
    fn numbers_of_samples_last_and_fixed_pairs_with_them() {
        let by_number = |dataset: &PreparedDataset, epoch| {
            let request = BatchRequest { epoch, ..request(Split::Train) };
            let numbers = dataset.batches(request).unwrap().flat_map(|batch| batch.unwrap().samples);
            let mut numbers: Vec<usize> = numbers.collect();
            numbers.sort();
            numbers
        };
        let fixed = dataset().with_fixed_pairs(5);
        assert_eq!(by_number(&fixed, 0), (0..10).collect::<Vec<_>>());
        assert_eq!(by_number(&fixed, 1), by_number(&dataset(), 0));
        assert!(fixed.is_stable(Split::Train) && !dataset().is_stable(Split::Train));
        assert!(dataset().is_stable(Split::Validation));
    }

    #[test]
    fn fixed_pairs_use_every_entry_as_often_as_its_weight_has_it() {
        let Pairing::Fixed(entries) = dataset().with_fixed_pairs(5).pairing else {
            panic!("pairs are fixed")
        };
        let Pairing::Fixed(others) = dataset().with_fixed_pairs(6).pairing else { panic!("pairs are fixed") };
        assert_ne!(entries, others);
        for (modality, kinds) in [(0, 2), (1, 3)] {
            // Five samples a class, of two sounds and of three pictures.
            for of_class in &entries[modality] {
                let mut counts = std::collections::BTreeMap::new();
                of_class.iter().for_each(|entry| *counts.entry(entry.unwrap()).or_insert(0) += 1);
                assert_eq!((of_class.len(), counts.len()), (5, kinds));
                assert!(
                    counts.values().all(|count| (5 / kinds..=5 / kinds + 1).contains(count)),
                    "{counts:?}"
                );
            }
        }
    }

    #[test]
    fn modalities_can_be_selected() {
        let pictures = dataset().with_modalities(&["video".into()]).unwrap();
        let batch = pictures.batches(request(Split::Train)).unwrap().next().unwrap().unwrap();
        assert_eq!(batch.shapes, [vec![1, 28, 28]]);
        let error = dataset().with_modalities(&["smell".into()]).unwrap_err().to_string();
        assert!(error.contains("no modality `smell`, expected one of [\"audio\", \"video\"]"), "{error}");
    }

    #[test]
    fn a_pass_can_be_given_up_early() {
        let mut batches = dataset().batches(BatchRequest { batch_size: 1, ..request(Split::Train) }).unwrap();
        assert!(batches.next().is_some());
        drop(batches);
    }

    #[test]
    fn a_class_without_training_data_is_refused() {
        let mut store = Store::clone(&dataset().inner.store);
        store.entries.retain(|entry| (entry.modality, entry.label) != (1, 1));
        let error = PreparedDataset::new(store).unwrap_err().to_string();
        assert!(error.contains("no video of class `yes`"), "{error}");
    }
}
