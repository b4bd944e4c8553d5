//! avMNIST as SMIL (Ma et al., AAAI 2021) made it and ShaSpec (Wang et al., CVPR 2023, table 3) reports it.

use std::path::PathBuf;

use clap::Args;
use fastrand::Rng;

use super::super::batch::Split;
use super::super::collector::{Collector, Labelled};
use super::super::error::DataError;
use super::super::front_end::{band, camera};
use super::super::fsdd;
use super::super::idx::Part;
use super::super::prepare::refuse_existing;
use super::super::store::{Header, Store};
use super::{Pictures, digits, read_sound};

/// Takes below this are the test: 45 a class of three speakers.
const TEST_TAKES: usize = 15;

/// Options of `prepare avmnist`.
#[derive(Debug, Args)]
pub struct Avmnist {
    /// Folder with MNIST's four idx.gz files.
    #[arg(long)]
    mnist: PathBuf,
    /// Folder with the Free Spoken Digit Dataset, or its `recordings`.
    #[arg(long)]
    fsdd: PathBuf,
    /// Speakers: takes below 15 are the test.
    #[arg(long, value_delimiter = ',', default_value = "jackson,nicolas,theo")]
    speakers: Vec<String>,
    /// Takes from this on are the validation, which picks the epoch; the published figures have none, and
    /// 105 pairs a class to train on instead of 90.
    #[arg(long, default_value_t = 45)]
    validation_from: usize,
    /// Decides which picture goes with which recording.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder to write; it must not exist.
    #[arg(long)]
    pub out: PathBuf,
}

impl Avmnist {
    /// The data set.
    pub fn prepare(&self) -> Result<Store, DataError> {
        refuse_existing(&self.out)?;
        let mut rng = Rng::with_seed(self.seed);
        let recordings = fsdd::recordings(&self.fsdd)?;
        fsdd::check_speakers(&self.fsdd, &recordings, &self.speakers)?;
        let mut train = Pictures::read(&self.mnist, Part::Train, &mut rng)?;
        let mut test = Pictures::read(&self.mnist, Part::Test, &mut rng)?;
        let modalities = vec![band("audio", 32, [20.0, 4000.0]), camera("image")];
        let mut collected = Collector::new(&modalities);
        let mut samples = 0;
        for recording in recordings.iter().filter(|recording| self.speakers.contains(&recording.speaker)) {
            let split = match recording.take {
                0..TEST_TAKES => Split::Test,
                take if take >= self.validation_from => Split::Validation,
                _ => Split::Train,
            };
            samples += usize::from(split == Split::Train);
            let pictures = if split == Split::Test { &mut test } else { &mut train };
            let size = pictures.size();
            let (name, picture) = pictures.draw(recording.digit);
            let source = format!("{}, {name}", recording.name());
            let labelled = Labelled { split, label: recording.digit, weight: 1.0, source };
            collected.add_sound(0, labelled.clone(), &read_sound(recording)?);
            collected.add_picture(1, labelled, size, picture);
        }
        let speakers = self.speakers.join(", ");
        let description = format!("avMNIST: MNIST and the Free Spoken Digit Dataset ({speakers})");
        Ok(collected.finish(Header::new(description, digits(), modalities, samples).paired()))
    }
}
