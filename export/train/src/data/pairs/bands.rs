//! The two bands of one spoken digit, as two microphones hear them: pairs that correspond instance by
//! instance.

use std::path::PathBuf;

use clap::Args;
use fastrand::Rng;

use super::super::batch::Split;
use super::super::collector::{Collector, Labelled};
use super::super::effects::{self, log_uniform};
use super::super::error::DataError;
use super::super::front_end::band;
use super::super::fsdd;
use super::super::prepare::refuse_existing;
use super::super::store::{Header, Store};
use super::super::wav::Sound;
use super::{RATE_HZ, digits, read_sound};

/// Options of `prepare bands`.
#[derive(Debug, Args)]
pub struct Bands {
    /// Folder with the Free Spoken Digit Dataset, or its `recordings`.
    #[arg(long)]
    fsdd: PathBuf,
    /// Speakers to train on: takes from 15 on; 10 to 14 are the validation.
    #[arg(long, value_delimiter = ',', default_value = "jackson,nicolas,theo")]
    speakers: Vec<String>,
    /// Speakers to test on.
    #[arg(long, value_delimiter = ',', default_value = "george")]
    unseen: Vec<String>,
    /// Where the bands meet.
    #[arg(long, default_value_t = 1000.0)]
    split_hz: f32,
    /// How often each recording is in the training, at a speed of its own each time.
    #[arg(long, default_value_t = 6)]
    copies: usize,
    /// Decides the speeds.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder to write; it must not exist.
    #[arg(long)]
    pub out: PathBuf,
}

impl Bands {
    /// The data set.
    pub fn prepare(&self) -> Result<Store, DataError> {
        refuse_existing(&self.out)?;
        let mut rng = Rng::with_seed(self.seed);
        let recordings = fsdd::recordings(&self.fsdd)?;
        fsdd::check_speakers(&self.fsdd, &recordings, self.speakers.iter().chain(&self.unseen))?;
        let modalities =
            vec![band("low", 16, [20.0, self.split_hz]), band("high", 24, [self.split_hz, 4000.0])];
        let mut collected = Collector::new(&modalities);
        let mut samples = 0;
        for recording in &recordings {
            let split = match recording.take {
                _ if self.unseen.contains(&recording.speaker) => Split::Test,
                _ if !self.speakers.contains(&recording.speaker) => continue,
                0..10 => continue,
                10..15 => Split::Validation,
                _ => Split::Train,
            };
            let sound = read_sound(recording)?;
            let copies = if split == Split::Train { self.copies.max(1) } else { 1 };
            samples += if split == Split::Train { copies } else { 0 };
            for copy in 0..copies {
                let speed = if copy == 0 { 1.0 } else { log_uniform(&mut rng, 0.75, 1.33) };
                let samples = effects::play_at_speed(&sound.samples, speed);
                let bands = self.bands(&Sound { rate_hz: RATE_HZ, samples });
                let source = format!("{} at {speed}", recording.name());
                let labelled = Labelled { split, label: recording.digit, weight: 1.0, source };
                for (modality, band) in bands.iter().enumerate() {
                    collected.add_sound(modality, labelled.clone(), band);
                }
            }
        }
        let description = format!(
            "Free Spoken Digit Dataset ({}; tested on {}) below and above {} Hz",
            self.speakers.join(", "),
            self.unseen.join(", "),
            self.split_hz
        );
        Ok(collected.finish(Header::new(description, digits(), modalities, samples).paired()))
    }

    /// What lies below, and the rest.
    fn bands(&self, sound: &Sound) -> [Sound; 2] {
        let low = sound.resampled(sound.rate_hz, f64::from(self.split_hz));
        let rest = sound.samples.iter().zip(&low.samples).map(|(whole, low)| whole - low).collect();
        [low, Sound { rate_hz: sound.rate_hz, samples: rest }]
    }
}
