//! Written digits, spotted and partly hidden, and spoken ones in noise: neither tells everything.

use std::path::PathBuf;

use clap::Args;
use fastrand::Rng;

use super::super::batch::Split;
use super::super::collector::{Collector, Labelled};
use super::super::effects::{self, log_uniform, rms, uniform};
use super::super::error::DataError;
use super::super::front_end::{band, camera};
use super::super::fsdd::{self, Recording};
use super::super::idx::Part;
use super::super::prepare::refuse_existing;
use super::super::sound::mix;
use super::super::store::{Header, Store};
use super::super::wav::Sound;
use super::{CLASSES, Pictures, RATE_HZ, digits, read_sound};

/// Speech over noise in training and validation, in dB: from hardly audible to clear.
const TRAIN_NOISE_DB: [f32; 2] = [-10.0, 20.0];
/// Takes that are the validation; those after them are learned from. As `prepare avdigits` has it.
const VALIDATION_TAKES: std::ops::Range<usize> = 10..15;
/// Deviation of the specks on a picture, in grey levels.
const SPECKS: [f32; 2] = [40.0, 100.0];
/// Edge of the square that hides a part of it, in pixels of 28.
const HIDDEN: std::ops::RangeInclusive<usize> = 10..=14;

/// Options of `prepare hard-digits`.
#[derive(Debug, Args)]
pub struct HardDigits {
    /// Folder with MNIST's four idx.gz files.
    #[arg(long)]
    mnist: PathBuf,
    /// Folder with the Free Spoken Digit Dataset, or its `recordings`.
    #[arg(long)]
    fsdd: PathBuf,
    /// Speakers to train on: takes from 15 on; 10 to 14 are the validation.
    #[arg(long, value_delimiter = ',', default_value = "jackson,nicolas,theo")]
    speakers: Vec<String>,
    /// Speakers to test on.
    #[arg(long, value_delimiter = ',', default_value = "george")]
    unseen: Vec<String>,
    /// Speech over noise in the test, in dB. Training and validation do not depend on it.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    noise_db: f32,
    /// Pairs to train on.
    #[arg(long, default_value_t = 12_000)]
    pairs: usize,
    /// Pairs to validate on.
    #[arg(long, default_value_t = 1000)]
    validation_pairs: usize,
    /// Decides pairs, noise and what is hidden.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder to write; it must not exist.
    #[arg(long)]
    pub out: PathBuf,
}

impl HardDigits {
    /// The data set.
    pub fn prepare(&self) -> Result<Store, DataError> {
        refuse_existing(&self.out)?;
        let recordings = fsdd::recordings(&self.fsdd)?;
        fsdd::check_speakers(&self.fsdd, &recordings, self.speakers.iter().chain(&self.unseen))?;
        let known = |takes: &dyn Fn(usize) -> bool| -> Vec<&Recording> {
            let of_speakers = |recording: &&Recording| self.speakers.contains(&recording.speaker);
            recordings.iter().filter(of_speakers).filter(|recording| takes(recording.take)).collect()
        };
        let unseen = |recording: &&Recording| self.unseen.contains(&recording.speaker);
        let modalities = vec![band("audio", 32, [20.0, 4000.0]), camera("image")];
        let mut collected = Collector::new(&modalities);
        let mut rng = Rng::with_seed(self.seed);
        let mut pictures = Pictures::read(&self.mnist, Part::Train, &mut rng)?;
        let [low, high] = TRAIN_NOISE_DB;
        let trained = known(&|take| take >= VALIDATION_TAKES.end);
        let mut part = Making { split: Split::Train, rng: rng.fork(), collected: &mut collected };
        let trained = Spoken::of(&trained)?;
        for index in 0..self.pairs {
            let class = index % CLASSES;
            let spoken = trained.any(class, &mut part.rng);
            let noise_db = uniform(&mut part.rng, low, high);
            part.add(&mut pictures, class, spoken, noise_db);
        }
        let validated = Spoken::of(&known(&|take| VALIDATION_TAKES.contains(&take)))?;
        let mut part = Making { split: Split::Validation, rng: rng.fork(), collected: &mut collected };
        for index in 0..self.validation_pairs {
            let class = index % CLASSES;
            let noise_db = uniform(&mut part.rng, low, high);
            part.add(&mut pictures, class, validated.nth(class, index / CLASSES), noise_db);
        }
        let mut pictures = Pictures::read(&self.mnist, Part::Test, &mut rng)?;
        let tested = Spoken::of(&recordings.iter().filter(unseen).collect::<Vec<_>>())?;
        let mut part = Making { split: Split::Test, rng: rng.fork(), collected: &mut collected };
        for class in 0..CLASSES {
            for number in 0..pictures.order[class].len() {
                part.add(&mut pictures, class, tested.nth(class, number), self.noise_db);
            }
        }
        let description = format!(
            "hard digits: MNIST with specks and a hidden part; Free Spoken Digit Dataset ({}; tested on {} \
             at {} dB) in noise",
            self.speakers.join(", "),
            self.unseen.join(", "),
            self.noise_db
        );
        Ok(collected.finish(Header::new(description, digits(), modalities, self.pairs).paired()))
    }
}

/// Recordings by digit.
struct Spoken(Vec<Vec<(String, Sound)>>);

impl Spoken {
    fn of(recordings: &[&Recording]) -> Result<Self, DataError> {
        let mut by_digit = vec![Vec::new(); CLASSES];
        for recording in recordings {
            by_digit[recording.digit].push((recording.name(), read_sound(recording)?));
        }
        match by_digit.iter().position(Vec::is_empty) {
            Some(digit) => Err(DataError::unusable(format!("no recording of digit {digit} in a split"))),
            None => Ok(Self(by_digit)),
        }
    }

    fn nth(&self, digit: usize, number: usize) -> &(String, Sound) {
        &self.0[digit][number % self.0[digit].len()]
    }

    fn any(&self, digit: usize, rng: &mut Rng) -> &(String, Sound) {
        self.nth(digit, rng.usize(..self.0[digit].len()))
    }
}

/// One split in the making.
struct Making<'a> {
    split: Split,
    rng: Rng,
    collected: &'a mut Collector,
}

impl Making<'_> {
    fn add(&mut self, pictures: &mut Pictures, class: usize, spoken: &(String, Sound), noise_db: f32) {
        let Self { split, rng, collected } = self;
        let size = pictures.size();
        let (picture, pixels) = pictures.draw(class);
        let (recording, sound) = spoken;
        // Every sample has noise of its own, so its number tells it from others of the same files.
        let source = format!("{recording}, {picture}, {:016x}", rng.u64(..));
        let labelled = Labelled { split: *split, label: class, weight: 1.0, source };
        let speed = if *split == Split::Train { log_uniform(rng, 0.8, 1.25) } else { 1.0 };
        collected.add_sound(0, labelled.clone(), &in_noise(sound, speed, noise_db, rng));
        collected.add_picture(1, labelled, size, &spotted(pixels, size, rng));
    }
}

/// One second: the word in its middle, and noise throughout.
fn in_noise(word: &Sound, speed: f32, noise_db: f32, rng: &mut Rng) -> Sound {
    const PEAK: f32 = 0.5;
    let mut word = effects::play_at_speed(&word.samples, speed);
    let level = rms(&word);
    word.truncate(RATE_HZ as usize);
    let mut samples = vec![0.0; RATE_HZ as usize];
    let start = (samples.len() - word.len()) / 2;
    samples[start..start + word.len()].copy_from_slice(&word);
    let noise = effects::coloured_noise(samples.len(), rng);
    mix(&mut samples, level, &noise, noise_db);
    let peak = samples.iter().fold(f32::MIN_POSITIVE, |peak, sample| peak.max(sample.abs()));
    samples.iter_mut().for_each(|sample| *sample *= PEAK / peak);
    Sound { rate_hz: RATE_HZ, samples }
}

/// The picture with specks all over it and a square of one grey before it.
fn spotted(picture: &[u8], [height, width]: [usize; 2], rng: &mut Rng) -> Vec<u8> {
    let [low, high] = SPECKS;
    // The sum of three uniform numbers has a deviation of a half, and is close enough to a Gaussian one.
    let deviation = 2.0 * uniform(rng, low, high);
    let edge = rng.usize(HIDDEN);
    let mut corner = |extent: usize| rng.usize(..=extent.saturating_sub(edge));
    let (top, left) = (corner(height), corner(width));
    let grey = f32::from(rng.u8(..));
    let pixel = |(index, value): (usize, &u8)| {
        let (y, x) = (index / width, index % width);
        let hidden = (top..top + edge).contains(&y) && (left..left + edge).contains(&x);
        let speck = deviation * (rng.f32() + rng.f32() + rng.f32() - 1.5);
        (if hidden { grey } else { f32::from(*value) } + speck).clamp(0.0, 255.0) as u8
    };
    picture.iter().enumerate().map(pixel).collect()
}
