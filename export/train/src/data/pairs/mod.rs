//! Data sets of fixed pairs: entries of one split and one source are one sample (see `super::paired`).
//! Everything that chance decides follows from a seed.

mod avmnist;
mod bands;
mod halves;
mod hard_digits;

use std::path::Path;

use fastrand::Rng;

pub use self::avmnist::Avmnist;
pub use self::bands::Bands;
pub use self::halves::Halves;
pub use self::hard_digits::HardDigits;
use super::error::DataError;
use super::fsdd::Recording;
use super::idx::{self, Idx, Part};
use super::prepare::trim;
use super::vocabulary::DIGITS;
use super::wav::{self, Sound};

/// What the recordings have.
const RATE_HZ: u32 = 8000;
/// Number of classes of every set here.
const CLASSES: usize = 10;

/// The names of the digits.
fn digits() -> Vec<String> {
    DIGITS.iter().map(ToString::to_string).collect()
}

/// The sound of a recording, cut to its word where it is longer than a window.
fn read_sound(recording: &Recording) -> Result<Sound, DataError> {
    let sound = wav::read(&recording.path)?;
    let sound = if sound.samples.len() > sound.rate_hz as usize { trim(&sound) } else { sound };
    let same = sound.rate_hz == RATE_HZ;
    Ok(if same { sound } else { sound.resampled(RATE_HZ, f64::from(RATE_HZ) / 2.0) })
}

/// Pictures to draw from, each once until all of its class were drawn.
struct Pictures {
    name: &'static str,
    idx: Idx,
    labels: Vec<u8>,
    /// By class, in an order that chance decided.
    order: Vec<Vec<usize>>,
    drawn: Vec<usize>,
}

impl Pictures {
    fn read(folder: &Path, part: Part, rng: &mut Rng) -> Result<Self, DataError> {
        let (idx, labels) = idx::read_part(folder, part)?;
        let mut order = vec![Vec::new(); CLASSES];
        for (index, label) in labels.iter().enumerate() {
            order[usize::from(*label)].push(index);
        }
        if let Some(class) = order.iter().position(Vec::is_empty) {
            let reason = format!("no picture of class {class} in {}", folder.display());
            return Err(DataError::unusable(reason));
        }
        order.iter_mut().for_each(|indices| rng.shuffle(indices));
        Ok(Self { name: part.name(folder), order, drawn: vec![0; CLASSES], idx, labels })
    }

    /// The next picture of `class`: its name and its pixels.
    fn draw(&mut self, class: usize) -> (String, &[u8]) {
        let index = self.order[class][self.drawn[class] % self.order[class].len()];
        self.drawn[class] += 1;
        (self.source(index), self.pixels(index))
    }

    /// Height and width of every picture.
    fn size(&self) -> [usize; 2] {
        [self.idx.shape[1], self.idx.shape[2]]
    }

    fn pixels(&self, index: usize) -> &[u8] {
        let length = self.idx.shape[1] * self.idx.shape[2];
        &self.idx.values[index * length..][..length]
    }

    fn source(&self, index: usize) -> String {
        format!("{} {index}", self.name)
    }
}

#[cfg(test)]
mod tests;
