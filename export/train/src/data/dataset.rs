//! A prepared dataset as batches, made ahead on a worker thread.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use cmpt_bundle::manifest::FrontEnd;
use fastrand::Rng;

use super::batch::{Batch, BatchRequest, Batches, Dataset, ModalityInfo, Split};
use super::error::DataError;
use super::picture::{Grey, PictureLoader};
use super::sound::SoundLoader;
use super::store::{Array, Entry, Store};

/// Batches ready before they are asked for. The worker waits when so many are.
const READY_BATCHES: usize = 4;

/// A prepared dataset, or some of its modalities.
///
/// Training draws classes evenly, and for each sample one entry of its class per modality by weight:
/// pairs are class-level, and new every epoch. The other splits pair entries in order, as often as it
/// takes for each entry to come at least once.
#[derive(Clone, Debug)]
pub struct PreparedDataset {
    modalities: Vec<ModalityInfo>,
    inner: Arc<Inner>,
}

impl PreparedDataset {
    /// Opens the folder that `prepare` wrote.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        Self::new(Store::read(folder)?)
    }

    fn new(store: Store) -> Result<Self, DataError> {
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

    /// What the data are, in words.
    pub fn description(&self) -> &str {
        &self.inner.store.header.description
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
        Ok(Self { inner: Arc::new(Inner { store, selected, pools }), modalities })
    }
}

impl Dataset for PreparedDataset {
    fn labels(&self) -> &[String] {
        &self.inner.store.header.labels
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

    fn batches(&self, request: BatchRequest) -> Result<Batches, DataError> {
        let loaders = self.modalities.iter().map(Loader::new).collect::<Result<Vec<_>, _>>()?;
        let mut worker = Worker { inner: Arc::clone(&self.inner), loaders, request };
        let classes = self.inner.classes(&request);
        let (sender, receiver) = sync_channel(READY_BATCHES);
        let work = move || {
            let size = request.batch_size.max(1);
            for (number, classes) in classes.chunks(size).enumerate().skip(request.skip) {
                // The reader hung up: nobody wants the rest.
                if sender.send(Ok(worker.batch(number * size, classes))).is_err() {
                    return;
                }
            }
        };
        let worker = thread::Builder::new().name("batches".into()).spawn(work);
        let worker = worker.map_err(|source| DataError::Run { command: "batches".into(), source })?;
        Ok(Box::new(Prefetched { receiver: Some(receiver), worker: Some(worker) }))
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

    /// For each sample of the split its class, and its number within the class.
    fn classes(&self, request: &BatchRequest) -> Vec<(usize, usize)> {
        let count = self.store.header.labels.len();
        if request.split != Split::Train {
            let class = |class| (0..self.longest(request.split, class)).map(move |number| (class, number));
            return (0..count).flat_map(class).collect();
        }
        let samples = self.store.header.epoch_samples;
        let mut classes: Vec<_> = (0..samples).map(|index| (index % count, index / count)).collect();
        Rng::with_seed(seed(request, samples)).shuffle(&mut classes);
        classes
    }
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
        let point = rng.f32() * self.cumulative.last()?;
        let index = self.cumulative.partition_point(|&sum| sum <= point);
        self.entries.get(index).or(self.entries.last()).copied()
    }
}

/// Makes the batches of one request.
struct Worker {
    inner: Arc<Inner>,
    loaders: Vec<Loader>,
    request: BatchRequest,
}

impl Worker {
    fn batch(&mut self, first: usize, classes: &[(usize, usize)]) -> Batch {
        let mut batch = Batch {
            features: vec![Vec::new(); self.loaders.len()],
            shapes: self.loaders.iter().map(Loader::shape).collect(),
            present: vec![Vec::new(); self.loaders.len()],
            targets: classes.iter().map(|&(class, _)| class as i64).collect(),
        };
        for (index, &(class, number)) in classes.iter().enumerate() {
            let mut rng = Rng::with_seed(seed(&self.request, first + index));
            for modality in 0..self.loaders.len() {
                let features = self.sample(modality, class, number, &mut rng);
                batch.present[modality].push(features.is_some());
                let zeros = || vec![0.0; batch.shapes[modality].iter().product()];
                batch.features[modality].extend(features.unwrap_or_else(zeros));
            }
        }
        batch
    }

    /// Features of one modality of a sample, `None` where the split has none of the class.
    fn sample(&mut self, modality: usize, class: usize, number: usize, rng: &mut Rng) -> Option<Vec<f32>> {
        let pool = &self.inner.pools(self.request.split)[modality][class];
        let train = self.request.split == Split::Train;
        let chosen = if train {
            pool.draw(rng)?
        } else {
            *pool.entries.get(number.checked_rem(pool.entries.len())?)?
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
        let wrong = |error: String| DataError::unusable(format!("modality {}: {error}", modality.name));
        match &modality.front_end {
            FrontEnd::LogMel(spec) => {
                SoundLoader::new(spec).map(Self::Sound).map_err(|error| wrong(error.to_string()))
            }
            FrontEnd::Picture(spec) => {
                PictureLoader::new(spec).map(Self::Picture).map_err(|error| wrong(error.to_string()))
            }
            FrontEnd::WordPiece(_) => Err(wrong("text, expected sound or pictures".into())),
        }
    }

    fn shape(&self) -> Vec<usize> {
        match self {
            Self::Picture(loader) => loader.shape(),
            Self::Sound(loader) => loader.shape(),
        }
    }
}

/// Seed of one sample of a request.
fn seed(request: &BatchRequest, index: usize) -> u64 {
    let parts = [request.seed, request.split as u64, request.epoch as u64, index as u64];
    // Finalizer of SplitMix64, so that neighbouring numbers give unrelated seeds.
    parts.into_iter().fold(0x9e37_79b9_7f4a_7c15, |state: u64, part| {
        let mixed = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// Batches that a worker makes ahead.
struct Prefetched {
    receiver: Option<Receiver<Result<Batch, DataError>>>,
    worker: Option<JoinHandle<()>>,
}

impl Iterator for Prefetched {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.receiver.as_ref()?.recv();
        if next.is_err() && self.worker.take().is_some_and(|worker| worker.join().is_err()) {
            // A short epoch must not pass for a whole one.
            panic!("the worker that makes batches panicked");
        }
        next.ok()
    }
}

impl Drop for Prefetched {
    fn drop(&mut self) {
        // Hanging up ends the worker at its next batch.
        drop(self.receiver.take());
        if let Some(worker) = self.worker.take() {
            // Its panic, if any, concerned batches that nobody wanted.
            let _ = worker.join();
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

    #[test]
    fn an_epoch_is_balanced_and_complete() {
        let batches = all(request(Split::Train));
        assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [4, 4, 2]);
        let ones: i64 = batches.iter().flat_map(|batch| &batch.targets).sum();
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
        let targets: Vec<i64> = batches.iter().flat_map(|batch| batch.targets.clone()).collect();
        assert_eq!(targets, [0, 0, 0, 1, 1, 1]);
        assert_eq!(dataset().samples(Split::Validation), 6);
        // One sound a class, repeated beside the three pictures.
        let sounds: Vec<&[f32]> = batches[0].features[0].chunks(98 * 64).collect();
        assert!(sounds[0] == sounds[2] && sounds[0] != sounds[3]);
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
