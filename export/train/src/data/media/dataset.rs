//! A prepared set of media as batches.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use cmpt_bundle::manifest::{FrontEnd, Task};
use cmpt_core::features::{LogMel, PictureFrontEnd};
use fastrand::Rng;

use super::cache::Decoded;
use super::spread::spread;
use super::store::{MediaStore, Part, Row};
use crate::data::batch::{Batch, BatchRequest, Batches, Dataset, ModalityInfo, Split, Targets};
use crate::data::error::DataError;
use crate::data::{prefetch, seed};

/// The most workers that are of use to one device.
const MOST_WORKERS: usize = 8;

/// A prepared set of media, or some of its modalities.
///
/// An epoch of training is every sample once, in an order of its own. Of a clip training sees frames at
/// random, cropped and perhaps mirrored, and of a long sound a part at random; the other splits see frames
/// evenly over the clip, their centres, and the beginning of a sound.
#[derive(Clone, Debug)]
pub struct MediaDataset {
    modalities: Vec<ModalityInfo>,
    /// Positions in every row of the modalities in use.
    selected: Vec<usize>,
    inner: Arc<Inner>,
    workers: usize,
}

#[derive(Debug)]
struct Inner {
    store: MediaStore,
    /// By split, the rows.
    splits: [Vec<usize>; 3],
}

impl MediaDataset {
    /// Opens the folder that `prepare` wrote.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let store = MediaStore::read(folder)?;
        // Half of the cores: the others compute, or drive the device.
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        let of_split = |split| {
            let rows = store.rows.iter().enumerate().filter(move |(_, row)| row.split == split);
            rows.map(|(index, _)| index).collect()
        };
        let dataset = Self {
            modalities: store.header.modalities.clone(),
            selected: (0..store.header.modalities.len()).collect(),
            workers: (cores / 2).clamp(1, MOST_WORKERS),
            inner: Arc::new(Inner {
                splits: [Split::Train, Split::Validation, Split::Test].map(of_split),
                store,
            }),
        };
        // Fails here rather than on a worker.
        dataset.loaders()?;
        Ok(dataset)
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
        let selected: Vec<usize> = names.iter().map(position).collect::<Result<_, _>>()?;
        let modalities = selected.iter().map(|index| all[*index].clone()).collect();
        Ok(Self { selected, modalities, ..self.clone() })
    }

    /// The same data, read by so many workers. Batches do not depend on how many.
    pub fn with_workers(self, workers: usize) -> Self {
        Self { workers: workers.max(1), ..self }
    }

    fn loaders(&self) -> Result<Vec<Loader>, DataError> {
        self.modalities.iter().map(Loader::new).collect()
    }
}

impl Dataset for MediaDataset {
    fn description(&self) -> &str {
        &self.inner.store.header.description
    }

    fn labels(&self) -> &[String] {
        &self.inner.store.header.labels
    }

    fn task(&self) -> Task {
        self.inner.store.header.task
    }

    fn modalities(&self) -> &[ModalityInfo] {
        &self.modalities
    }

    fn samples(&self, split: Split) -> usize {
        self.inner.splits[split as usize].len()
    }

    fn batches(&self, request: BatchRequest) -> Result<Batches, DataError> {
        let mut order: Vec<usize> = (0..self.samples(request.split)).collect();
        if request.split == Split::Train {
            Rng::with_seed(seed::of_sample(&request, order.len())).shuffle(&mut order);
        }
        let order = Arc::new(order);
        let size = request.batch_size.max(1);
        let batches = order.len().div_ceil(size);
        let maker = |_| {
            let mut reader = Reader {
                inner: Arc::clone(&self.inner),
                selected: self.selected.clone(),
                loaders: self.loaders()?,
                request,
            };
            let order = Arc::clone(&order);
            Ok(move |number: usize| {
                let end = order.len().min((number + 1) * size);
                reader.batch(&order[number * size..end])
            })
        };
        let makers =
            (0..self.workers.min(batches).max(1)).map(maker).collect::<Result<Vec<_>, DataError>>()?;
        prefetch::ahead(makers, request.skip.min(batches)..batches)
    }
}

/// Reads the batches of one request.
struct Reader {
    inner: Arc<Inner>,
    selected: Vec<usize>,
    loaders: Vec<Loader>,
    request: BatchRequest,
}

impl Reader {
    fn batch(&mut self, samples: &[usize]) -> Result<Batch, DataError> {
        let rows: Vec<&Row> =
            samples.iter().map(|sample| self.inner.row(self.request.split, *sample)).collect();
        let mut batch = Batch {
            samples: samples.to_vec(),
            features: vec![Vec::new(); self.loaders.len()],
            shapes: self.loaders.iter().map(Loader::shape).collect(),
            present: vec![Vec::new(); self.loaders.len()],
            targets: self.inner.targets(&rows),
        };
        for (sample, row) in samples.iter().zip(&rows) {
            let mut rng = Rng::with_seed(seed::of_sample(&self.request, *sample));
            for (index, loader) in self.loaders.iter_mut().enumerate() {
                let part = row.parts[self.selected[index]].as_ref();
                batch.present[index].push(part.is_some());
                let features = &mut batch.features[index];
                let end = features.len() + batch.shapes[index].iter().product::<usize>();
                if let Some(part) = part {
                    let random = (self.request.split == Split::Train).then_some(&mut rng);
                    features.extend(loader.load(&self.inner.store, row, part, random)?);
                }
                features.resize(end, 0.0);
            }
        }
        Ok(batch)
    }
}

impl Inner {
    fn row(&self, split: Split, sample: usize) -> &Row {
        &self.store.rows[self.splits[split as usize][sample]]
    }

    fn targets(&self, rows: &[&Row]) -> Targets {
        let has = |row: &Row| {
            (0..self.store.header.labels.len()).map(|label| row.labels.contains(&label)).collect()
        };
        match self.store.header.task {
            Task::Multiclass => Targets::Classes(rows.iter().map(|row| row.labels[0] as i64).collect()),
            Task::Multilabel => Targets::MultiHot(rows.iter().map(|row| has(row)).collect()),
        }
    }
}

/// From what is on disk to the features of one modality.
enum Loader {
    Sound(Box<LogMel>),
    Pictures { front_end: PictureFrontEnd, frames: usize },
    Tokens(usize),
}

impl Loader {
    fn new(modality: &ModalityInfo) -> Result<Self, DataError> {
        let wrong = |error: String| DataError::unusable(format!("modality {}: {error}", modality.name));
        Ok(match &modality.front_end {
            FrontEnd::LogMel(spec) => {
                Self::Sound(Box::new(LogMel::new(spec).map_err(|error| wrong(error.to_string()))?))
            }
            FrontEnd::Picture(spec) => {
                let front_end = PictureFrontEnd::new(spec).map_err(|error| wrong(error.to_string()))?;
                Self::Pictures { front_end, frames: modality.frames.max(1) }
            }
            FrontEnd::WordPiece(spec) => Self::Tokens(spec.tokens),
        })
    }

    /// Shape of one sample's features; several frames are a dimension of their own.
    fn shape(&self) -> Vec<usize> {
        match self {
            Self::Sound(mel) => vec![mel.spec().steps, mel.spec().n_mels],
            Self::Pictures { front_end, frames } => {
                let (edge, channels) = (front_end.spec().edge, front_end.spec().mean.len());
                let picture = [channels, edge, edge];
                if *frames == 1 { picture.into() } else { [&[*frames], &picture[..]].concat() }
            }
            Self::Tokens(tokens) => vec![*tokens],
        }
    }

    /// Features of one part; `random` decides what training sees of it.
    fn load(
        &mut self,
        store: &MediaStore,
        row: &Row,
        part: &Part,
        random: Option<&mut Rng>,
    ) -> Result<Vec<f32>, DataError> {
        let key = match part {
            Part::Tokens(tokens) => return Ok(tokens.iter().map(|token| *token as f32).collect()),
            Part::Cached(key) => key,
        };
        match (self, store.cache.read(key)?) {
            (Self::Sound(mel), Decoded::Sound(samples)) => Ok(sound_features(mel, &samples, random)),
            (Self::Pictures { front_end, frames }, Decoded::Pictures { width, height, channels, values })
                if channels == front_end.spec().mean.len() && width.min(height) == front_end.spec().edge =>
            {
                let clip = Clip { width, height, channels, values: &values };
                Ok(clip.features(front_end, *frames, store.header.mirror, random))
            }
            (_, decoded) => {
                let found = match decoded {
                    Decoded::Sound(samples) => format!("sound of {} samples", samples.len()),
                    Decoded::Pictures { width, height, channels, .. } => {
                        format!("pictures of {width} x {height} x {channels}")
                    }
                };
                let reason =
                    format!("sample {}: {found} under {key}, which its modality does not take", row.name);
                Err(DataError::unusable(reason))
            }
        }
    }
}

/// From the beginning, or from anywhere that leaves a whole window.
fn sound_features(mel: &mut LogMel, samples: &[i16], random: Option<&mut Rng>) -> Vec<f32> {
    let spec = mel.spec();
    let heard = spec.window_samples + (spec.steps - 1) * spec.hop_samples;
    let start = random.map_or(0, |rng| rng.usize(..=samples.len().saturating_sub(heard)));
    let window = samples.iter().skip(start).take(heard);
    let window: Vec<f32> = window.map(|sample| f32::from(*sample) / 32_768.0).collect();
    mel.features(&window)
}

/// Pictures of one size.
struct Clip<'a> {
    width: usize,
    height: usize,
    channels: usize,
    values: &'a [u8],
}

impl Clip<'_> {
    fn features(
        &self,
        front_end: &mut PictureFrontEnd,
        frames: usize,
        mirror: bool,
        random: Option<&mut Rng>,
    ) -> Vec<f32> {
        let edge = front_end.spec().edge;
        let length = self.width * self.height * self.channels;
        let count = self.values.len() / length;
        let (spare_width, spare_height) = (self.width - edge, self.height - edge);
        let (chosen, corner, mirrored) = match random {
            None => (evenly(count, frames), (spare_width / 2, spare_height / 2), false),
            Some(rng) => {
                let chosen = at_random(count, frames, rng);
                // All frames of a clip are seen alike.
                let corner = (rng.usize(..=spare_width), rng.usize(..=spare_height));
                (chosen, corner, mirror && rng.bool())
            }
        };
        let mut features = Vec::new();
        for frame in chosen {
            let picture = &self.values[frame * length..][..length];
            let rgb = self.crop(picture, corner, edge, mirrored);
            // What is left to do is the normalisation: the picture has the size of the model input.
            let edge = edge as u32;
            features.extend(front_end.features(&rgb, edge, edge).expect("the crop fills its size"));
        }
        features
    }

    /// A square of `picture` in RGB.
    fn crop(&self, picture: &[u8], (left, top): (usize, usize), edge: usize, mirrored: bool) -> Vec<u8> {
        let mut rgb = Vec::with_capacity(edge * edge * 3);
        for row in picture.chunks(self.width * self.channels).skip(top).take(edge) {
            for column in 0..edge {
                let column = left + if mirrored { edge - 1 - column } else { column };
                let pixel = &row[column * self.channels..][..self.channels];
                rgb.extend(pixel.iter().cycle().take(3));
            }
        }
        rgb
    }
}

/// Frames in the middles of equal parts; of fewer frames than are wanted some come twice.
fn evenly(count: usize, wanted: usize) -> Vec<usize> {
    match count < wanted {
        true => (0..wanted).map(|part| part * count / wanted).collect(),
        false => spread(count, wanted),
    }
}

/// Different frames at random, in their order; of fewer frames than are wanted some come twice.
fn at_random(count: usize, wanted: usize, rng: &mut Rng) -> Vec<usize> {
    if count < wanted {
        return evenly(count, wanted);
    }
    let mut chosen = rng.choose_multiple(0..count, wanted);
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests;
