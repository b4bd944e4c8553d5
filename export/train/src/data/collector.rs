//! Samples of a dataset as they are read, one after another.

use std::path::Path;

use cmpt_core::modality::Kind;

use super::batch::{ModalityInfo, Split};
use super::error::DataError;
use super::idx::{self, Part};
use super::store::{Array, Entry, Header, Store};
use super::wav::Sound;

/// Where a sample belongs, and where it is from.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// Its split.
    pub split: Split,
    /// Its class.
    pub label: usize,
    /// How often training draws it.
    pub weight: f32,
    /// File, or engine, voice and word.
    pub source: String,
}

/// Entries and arrays of a store in the making.
pub struct Collector {
    entries: Vec<Entry>,
    arrays: Vec<Array>,
}

impl Collector {
    /// No samples yet of `modalities`.
    pub fn new(modalities: &[ModalityInfo]) -> Self {
        let empty = |modality: &ModalityInfo| match modality.kind {
            Kind::Audio => Array::Sounds(Vec::new()),
            _ => Array::Pictures { height: 0, width: 0, values: Vec::new() },
        };
        Self { entries: Vec::new(), arrays: modalities.iter().map(empty).collect() }
    }

    /// Adds a sound to `modality`, which must be one of sound.
    pub fn add_sound(&mut self, modality: usize, labelled: Labelled, sound: &Sound) {
        let Array::Sounds(values) = &mut self.arrays[modality] else {
            panic!("modality {modality} is sound")
        };
        let start = values.len();
        // A band-limited version may overshoot what filled the range.
        values.extend(sound.samples.iter().map(|x| (x * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16));
        self.push(modality, labelled, start, sound.samples.len());
    }

    /// Adds a grey picture to `modality`, which must be one of pictures of this size.
    ///
    /// Shapes: `picture` [height, width].
    pub fn add_picture(&mut self, modality: usize, labelled: Labelled, size: [usize; 2], picture: &[u8]) {
        let Array::Pictures { height, width, values } = &mut self.arrays[modality] else {
            panic!("modality {modality} is pictures")
        };
        [*height, *width] = size;
        let start = values.len();
        values.extend(picture);
        self.push(modality, labelled, start, picture.len());
    }

    /// Adds the pictures of `folder` to `modality`, which must be one of pictures; the last `validation`
    /// of the training set are its validation split.
    pub fn add_pictures(
        &mut self,
        modality: usize,
        folder: &Path,
        validation: usize,
    ) -> Result<(), DataError> {
        for part in [Part::Train, Part::Test] {
            let (name, test) = (part.name(folder), part == Part::Test);
            let (pictures, labels) = idx::read_part(folder, part)?;
            let count = labels.len();
            if !test && validation >= count {
                return Err(DataError::unusable(format!(
                    "{validation} pictures for validation, of {count} in all"
                )));
            }
            let Array::Pictures { height, width, values } = &mut self.arrays[modality] else {
                panic!("modality {modality} is pictures")
            };
            (*height, *width) = (pictures.shape[1], pictures.shape[2]);
            let (start, length) = (values.len(), *height * *width);
            values.extend(pictures.values);
            for (index, label) in labels.into_iter().enumerate() {
                let split = match index {
                    _ if test => Split::Test,
                    index if index >= count - validation => Split::Validation,
                    _ => Split::Train,
                };
                let labelled =
                    Labelled { split, label: label.into(), weight: 1.0, source: format!("{name} {index}") };
                self.push(modality, labelled, start + index * length, length);
            }
        }
        Ok(())
    }

    /// Scales the training weights so far to sum to `share` in every class.
    pub fn weigh(&mut self, share: f32) {
        scale(&mut self.entries, share);
    }

    /// Adds the first modality of another store to `modality`, its training weights scaled to `share`.
    pub fn append(&mut self, modality: usize, mut other: Store, share: f32) {
        let (Array::Sounds(values), Array::Sounds(more)) = (&mut self.arrays[modality], &other.arrays[0])
        else {
            panic!("modality {modality} and the other store are sound")
        };
        let offset = values.len();
        values.extend(more);
        scale(&mut other.entries, share);
        let moved = |entry: Entry| Entry { modality, start: entry.start + offset, ..entry };
        self.entries.extend(other.entries.into_iter().map(moved));
    }

    /// The store.
    pub fn finish(self, header: Header) -> Store {
        Store { header, entries: self.entries, arrays: self.arrays }
    }

    fn push(&mut self, modality: usize, labelled: Labelled, start: usize, length: usize) {
        let Labelled { split, label, weight, source } = labelled;
        self.entries.push(Entry { modality, split, label, weight, source, start, length });
    }
}

fn scale(entries: &mut [Entry], share: f32) {
    let classes = entries.iter().map(|entry| entry.label + 1).max().unwrap_or(0);
    for class in 0..classes {
        let trains = |entry: &&mut Entry| entry.label == class && entry.split == Split::Train;
        let sum: f32 = entries.iter_mut().filter(trains).map(|entry| entry.weight).sum();
        entries.iter_mut().filter(trains).for_each(|entry| entry.weight *= share / sum);
    }
}
