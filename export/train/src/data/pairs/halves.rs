//! The two halves of one picture, as two cameras see them: pairs that correspond instance by instance.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fastrand::Rng;

use super::super::batch::Split;
use super::super::collector::{Collector, Labelled};
use super::super::error::DataError;
use super::super::front_end::camera;
use super::super::idx::Part;
use super::super::prepare::refuse_existing;
use super::super::store::{Header, Store};
use super::{CLASSES, Pictures};

/// Where pictures are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Cut {
    /// One camera above the other.
    #[default]
    UpperLower,
    /// One camera beside the other.
    LeftRight,
}

/// Options of `prepare halves`.
#[derive(Debug, Args)]
pub struct Halves {
    /// Folder with the four idx.gz files of MNIST or Fashion-MNIST.
    #[arg(long)]
    idx: PathBuf,
    /// Where pictures are cut.
    #[arg(long, value_enum, default_value_t)]
    cut: Cut,
    /// Pictures of the training set to train on.
    #[arg(long, default_value_t = 12_000)]
    pairs: usize,
    /// Others of it to validate on.
    #[arg(long, default_value_t = 1000)]
    validation_pairs: usize,
    /// Decides which pictures these are.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder to write; it must not exist.
    #[arg(long)]
    pub out: PathBuf,
}

impl Halves {
    /// The data set. All of the test set is its test.
    pub fn prepare(&self) -> Result<Store, DataError> {
        refuse_existing(&self.out)?;
        let mut rng = Rng::with_seed(self.seed);
        let modalities = self.cut.names().map(camera).to_vec();
        let mut collected = Collector::new(&modalities);
        let train = Pictures::read(&self.idx, Part::Train, &mut rng)?;
        let mut indices: Vec<usize> = (0..train.labels.len()).collect();
        if self.pairs + self.validation_pairs > indices.len() {
            let (wanted, found) = (self.pairs + self.validation_pairs, indices.len());
            return Err(DataError::unusable(format!(
                "{wanted} pictures to train and validate on, of {found}"
            )));
        }
        rng.shuffle(&mut indices);
        let mut add = |pictures: &Pictures, index: usize, split| {
            let labelled = Labelled {
                split,
                label: pictures.labels[index].into(),
                weight: 1.0,
                source: pictures.source(index),
            };
            for (modality, half) in
                self.cut.halves(pictures.pixels(index), pictures.size()).iter().enumerate()
            {
                collected.add_picture(modality, labelled.clone(), pictures.size(), half);
            }
        };
        let (train_on, rest) = indices.split_at(self.pairs);
        train_on.iter().for_each(|&index| add(&train, index, Split::Train));
        rest[..self.validation_pairs].iter().for_each(|&index| add(&train, index, Split::Validation));
        let test = Pictures::read(&self.idx, Part::Test, &mut rng)?;
        (0..test.labels.len()).for_each(|index| add(&test, index, Split::Test));
        let [first, second] = self.cut.names();
        let description = format!("{first} and {second} halves of pictures of ten classes");
        let labels = (0..CLASSES).map(|class| format!("class {class}")).collect();
        Ok(collected.finish(Header::new(description, labels, modalities, self.pairs).paired()))
    }
}

impl Cut {
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::UpperLower => ["upper", "lower"],
            Self::LeftRight => ["left", "right"],
        }
    }

    /// Each half stretched to the size of the whole by doubling its rows or columns.
    fn halves(self, picture: &[u8], [height, width]: [usize; 2]) -> [Vec<u8>; 2] {
        let half = |second: usize| {
            let pixel = |index: usize| {
                let (y, x) = (index / width, index % width);
                match self {
                    Self::UpperLower => picture[(y / 2 + second * (height / 2)) * width + x],
                    Self::LeftRight => picture[y * width + x / 2 + second * (width / 2)],
                }
            };
            (0..height * width).map(pixel).collect()
        };
        [half(0), half(1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_stretched_to_the_whole() {
        let picture = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        let [upper, lower] = Cut::UpperLower.halves(&picture, [4, 4]);
        assert_eq!(upper, [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8]);
        assert_eq!(lower[..8], [9, 10, 11, 12, 9, 10, 11, 12]);
        let [left, right] = Cut::LeftRight.halves(&picture, [4, 4]);
        assert_eq!((&left[..4], &right[12..]), (&[1, 1, 2, 2][..], &[15, 15, 16, 16][..]));
    }
}
