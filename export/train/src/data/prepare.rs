//! `cmpt-train prepare`: raw data in, prepared datasets out.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::batch::Split;
use super::collector::{Collector, Labelled};
use super::error::DataError;
use super::front_end::{audio, video};
use super::fsdd::{self, Recording};
use super::pairs;
use super::prepare_published::{Manifest, Published};
use super::published::Form;
use super::speech::{self, Engine, Voice};
use super::store::{Entry, Header, Store};
use super::vocabulary::{DIGITS, Vocabulary};
use super::wav::{self, Sound};

/// All speech is brought to what the recordings have: 8 kHz sampling, then the front end's rate.
const BAND_HZ: f64 = 3800.0;
const RATE_HZ: u32 = 16_000;

/// What to prepare.
#[derive(Debug, Subcommand)]
pub enum Prepare {
    /// Spoken and handwritten digits.
    Avdigits(Avdigits),
    /// Pictures in IDX files (MNIST, Fashion-MNIST), to pretrain a picture encoder on.
    Pictures(Pictures),
    /// Synthesised words, to pretrain a sound encoder on or to widen avdigits.
    Speech(Speech),
    /// 1,500 pairs of a written and a spoken digit, as SMIL and ShaSpec report them.
    Avmnist(pairs::Avmnist),
    /// Pairs of a written digit, spotted and partly hidden, and a spoken one in noise.
    HardDigits(pairs::HardDigits),
    /// Pairs of the two halves of one picture, as two cameras see them.
    Halves(pairs::Halves),
    /// Pairs of the two bands of one spoken digit, as two microphones hear them.
    Bands(pairs::Bands),
    /// CREMA-D: AudioWAV and VideoFlash, split by actor.
    CremaD(Published),
    /// AVE: Annotations.txt, one list per split, and videos.
    Ave(Published),
    /// Kinetics-Sounds, out of Kinetics' CSV files and clips.
    KineticsSounds(Published),
    /// UPMC Food-101: titles in CSV files, pictures by class.
    #[command(name = "upmc-food101")]
    UpmcFood101(Published),
    /// MM-IMDb: split.json, and a JSON and a JPEG file for each film; or multimodal_imdb.hdf5, which has the
    /// posters cut and the plots normalised, with the words in metadata.npy.
    MmImdb(Published),
    /// A set of one's own, by a manifest.
    Manifest(Manifest),
}

/// Options of `prepare avdigits`.
#[derive(Debug, Args)]
pub struct Avdigits {
    /// Folder with MNIST's four idx.gz files.
    #[arg(long)]
    mnist: PathBuf,
    /// Folder with the Free Spoken Digit Dataset, or its `recordings`.
    #[arg(long)]
    fsdd: PathBuf,
    /// Prepared synthesised digits that widen the training.
    #[arg(long)]
    synthesised: Option<PathBuf>,
    /// Speakers to train on: takes from 15 on; 10 to 14 are the validation.
    #[arg(long, value_delimiter = ',', default_value = "jackson,nicolas,theo")]
    speakers: Vec<String>,
    /// Speakers to test on, all takes. Without any, the test is takes 0 to 9 of `--speakers`.
    #[arg(long, value_delimiter = ',', default_value = "george", num_args = 0..)]
    unseen: Vec<String>,
    /// Pictures cut from the end of MNIST's training set for validation.
    #[arg(long, default_value_t = 3000)]
    validation_pictures: usize,
    /// Share of recorded, not synthesised, sounds in training.
    #[arg(long, default_value_t = 0.5)]
    recorded_share: f32,
    /// Samples in an epoch, each paired anew.
    #[arg(long, default_value_t = 20_000)]
    epoch_samples: usize,
    /// Folder to write; it must not exist.
    #[arg(long)]
    out: PathBuf,
}

/// Options of `prepare pictures`.
#[derive(Debug, Args)]
pub struct Pictures {
    /// Folder with the four idx.gz files.
    #[arg(long)]
    idx: PathBuf,
    /// Pictures cut from the end of the training set for validation.
    #[arg(long, default_value_t = 3000)]
    validation_pictures: usize,
    /// Samples in an epoch.
    #[arg(long, default_value_t = 20_000)]
    epoch_samples: usize,
    /// Folder to write; it must not exist.
    #[arg(long)]
    out: PathBuf,
}

/// Options of `prepare speech`.
#[derive(Debug, Args)]
pub struct Speech {
    /// What is said.
    #[arg(long)]
    vocabulary: Vocabulary,
    /// Voices of eSpeak NG.
    #[arg(long, default_value_t = 300)]
    espeak_voices: usize,
    /// Voices of Flite and Festival, evenly out of all [default: all]
    #[arg(long)]
    recorded_voices: Option<usize>,
    /// Voices of eSpeak NG for other languages, which say digits with their accents; with any, those of
    /// Festival come too.
    #[arg(long, default_value_t = 0)]
    accented_voices: usize,
    /// Every so many voices one is kept for validation.
    #[arg(long, default_value_t = 12)]
    validation_every: usize,
    /// Decides which voices of eSpeak NG speak.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Samples in an epoch.
    #[arg(long, default_value_t = 20_000)]
    epoch_samples: usize,
    /// Folder to write; it must not exist.
    #[arg(long)]
    out: PathBuf,
}

impl Prepare {
    /// Prepares the dataset and says on stderr what is in it.
    pub fn run(&self) -> anyhow::Result<()> {
        let (store, out) = match self {
            Self::Avdigits(options) => (options.prepare()?, &options.out),
            Self::Pictures(options) => (options.prepare()?, &options.out),
            Self::Speech(options) => (options.prepare()?, &options.out),
            Self::Avmnist(options) => (options.prepare()?, &options.out),
            Self::HardDigits(options) => (options.prepare()?, &options.out),
            Self::Halves(options) => (options.prepare()?, &options.out),
            Self::Bands(options) => (options.prepare()?, &options.out),
            Self::CremaD(options) => return Ok(options.run(&Form::CremaD)?),
            Self::Ave(options) => return Ok(options.run(&Form::Ave)?),
            Self::KineticsSounds(options) => return Ok(options.run(&Form::KineticsSounds)?),
            Self::UpmcFood101(options) => return Ok(options.run(&Form::UpmcFood101)?),
            Self::MmImdb(options) => return Ok(options.run(&Form::MmImdb)?),
            Self::Manifest(options) => return Ok(options.run()?),
        };
        store.write(out).context("failed to keep the dataset")?;
        eprintln!("{}: {}", out.display(), store.header.description);
        for (index, modality) in store.header.modalities.iter().enumerate() {
            for split in [Split::Train, Split::Validation, Split::Test] {
                let belongs = |entry: &&Entry| entry.modality == index && entry.split == split;
                let count = store.entries.iter().filter(belongs).count();
                eprintln!("  {} {split:?}: {count}", modality.name);
            }
        }
        Ok(())
    }
}

impl Pictures {
    fn prepare(&self) -> Result<Store, DataError> {
        refuse_existing(&self.out)?;
        let mut collected = Collector::new(&[video()]);
        collected.add_pictures(0, &self.idx, self.validation_pictures)?;
        let labels = (0..10).map(|class| format!("class {class}")).collect();
        let description = "pictures of ten classes".into();
        let header = Header::new(description, labels, vec![video()], self.epoch_samples);
        Ok(collected.finish(header))
    }
}

/// Groups of voices by engine and accent, and how much is drawn of each. A recorded voice counts for
/// more than one of eSpeak NG: it is nearer to a person, but there are few.
const SHARES: [(Engine, bool, f32); 5] = [
    (Engine::Espeak, false, 0.4),
    (Engine::Flite, false, 0.3),
    (Engine::Festival, false, 0.3),
    (Engine::Espeak, true, 0.4),
    (Engine::Festival, true, 0.4),
];

impl Speech {
    fn prepare(&self) -> Result<Store, DataError> {
        refuse_existing(&self.out)?;
        let words = self.vocabulary.words();
        let all = speech::recorded_voices();
        let count = self.recorded_voices.unwrap_or(all.len()).min(all.len());
        let mut voices: Vec<Voice> = (0..count).map(|index| all[index * all.len() / count].clone()).collect();
        voices.extend(speech::espeak_voices(self.espeak_voices, self.seed));
        if self.accented_voices > 0 {
            if self.vocabulary != Vocabulary::Digits {
                return Err(DataError::unusable("voices with an accent say digits only"));
            }
            voices.extend(speech::accented_voices(self.accented_voices, self.seed));
        }
        let spoken = speak_all(&voices, words)?;
        let mut collected = Collector::new(&[audio()]);
        for (engine, accented, share) in SHARES {
            let is_of_group = |voice: &Voice| (voice.engine(), voice.is_accented()) == (engine, accented);
            let group = || voices.iter().zip(&spoken).filter(|(voice, _)| is_of_group(voice));
            let weight = share / group().count() as f32;
            for (number, (voice, sounds)) in group().enumerate() {
                let validation = number % self.validation_every == self.validation_every - 1;
                let split = if validation { Split::Validation } else { Split::Train };
                for (label, sound) in sounds.iter().enumerate() {
                    let source = format!("{voice} {}", words[label]);
                    collected.add_sound(0, Labelled { split, label, weight, source }, sound);
                }
            }
        }
        let description = format!("{} words by {} synthesised voices", words.len(), voices.len());
        let labels = words.iter().map(ToString::to_string).collect();
        Ok(collected.finish(Header::new(description, labels, vec![audio()], self.epoch_samples)))
    }
}

impl Avdigits {
    fn prepare(&self) -> Result<Store, DataError> {
        const AUDIO: usize = 0;
        const VIDEO: usize = 1;
        refuse_existing(&self.out)?;
        let labels: Vec<String> = DIGITS.iter().map(ToString::to_string).collect();
        let mut collected = Collector::new(&[audio(), video()]);
        for (split, recording) in self.recordings()? {
            let sound = wav::read(&recording.path)?;
            let sound = if sound.samples.len() > sound.rate_hz as usize { trim(&sound) } else { sound };
            let source = recording.name();
            let labelled = Labelled { split, label: recording.digit, weight: 1.0, source };
            collected.add_sound(AUDIO, labelled, &sound.resampled(RATE_HZ, BAND_HZ));
        }
        collected.weigh(self.recorded_share);
        let mut description = format!("MNIST; Free Spoken Digit Dataset ({})", self.speakers.join(", "));
        if let Some(folder) = &self.synthesised {
            let synthesised = Store::read(folder)?;
            if synthesised.header.labels != labels || synthesised.header.modalities != [audio()] {
                return Err(DataError::unusable(format!("{} has no spoken digits", folder.display())));
            }
            description += &format!("; {}", synthesised.header.description);
            collected.append(AUDIO, synthesised, 1.0 - self.recorded_share);
        }
        collected.add_pictures(VIDEO, &self.mnist, self.validation_pictures)?;
        let header = Header::new(description, labels, vec![audio(), video()], self.epoch_samples);
        Ok(collected.finish(header))
    }

    /// The recordings in use, by name, with their splits.
    fn recordings(&self) -> Result<Vec<(Split, Recording)>, DataError> {
        let all = fsdd::recordings(&self.fsdd)?;
        fsdd::check_speakers(&self.fsdd, &all, self.speakers.iter().chain(self.unseen_speakers()))?;
        let in_use = all.into_iter().filter_map(|recording| {
            let split = self.split(&recording.speaker, recording.take)?;
            Some((split, recording))
        });
        Ok(in_use.collect())
    }

    fn unseen_speakers(&self) -> impl Iterator<Item = &String> {
        self.unseen.iter().filter(|speaker| !speaker.is_empty())
    }

    /// Where a take belongs, if anywhere. Takes below 10 are a test in every published split.
    fn split(&self, speaker: &String, take: usize) -> Option<Split> {
        if self.unseen_speakers().any(|unseen| unseen == speaker) {
            return Some(Split::Test);
        }
        if !self.speakers.contains(speaker) {
            return None;
        }
        match take {
            0..10 => self.unseen_speakers().next().is_none().then_some(Split::Test),
            10..15 => Some(Split::Validation),
            _ => Some(Split::Train),
        }
    }
}

pub(super) fn refuse_existing(out: &Path) -> Result<(), DataError> {
    if out.exists() { Err(DataError::Exists { path: out.into() }) } else { Ok(()) }
}

/// Every voice's words, as sounds of the band and rate of the recordings. Two threads: the engines are
/// processes that wait on each other's start.
fn speak_all(voices: &[Voice], words: &[&str]) -> Result<Vec<Vec<Sound>>, DataError> {
    let speak = |voice: &Voice| -> Result<Vec<Sound>, DataError> {
        let sounds = voice.speak(words)?;
        Ok(sounds.iter().map(|sound| trim(&sound.resampled(RATE_HZ, BAND_HZ))).collect())
    };
    let half = voices.len().div_ceil(2).max(1);
    thread::scope(|scope| {
        let work = |voices| move || (voices as &[Voice]).iter().map(speak).collect::<Result<Vec<_>, _>>();
        let workers: Vec<_> = voices.chunks(half).map(|voices| scope.spawn(work(voices))).collect();
        let mut spoken = Vec::new();
        for worker in workers {
            spoken.extend(worker.join().expect("speaking does not panic")?);
        }
        Ok(spoken)
    })
}

pub(super) fn trim(sound: &Sound) -> Sound {
    const QUIET_DB: f32 = 45.0;
    const MARGIN_MS: usize = 30;
    sound.trimmed(QUIET_DB, MARGIN_MS)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use clap::Parser;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::store::Array;
    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(subcommand)]
        prepare: Prepare,
    }

    fn run(arguments: &[&str]) -> anyhow::Result<()> {
        Command::try_parse_from(["prepare"].iter().chain(arguments))?.prepare.run()
    }

    fn write_idx(path: &Path, header: &[u8], values: &[u8]) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(header).unwrap();
        encoder.write_all(values).unwrap();
        std::fs::write(path, encoder.finish().unwrap()).unwrap();
    }

    /// Forty pictures of four pixels to train on and ten to test; these takes of each digit.
    pub fn raw(folder: &Path, speakers: &[&str], takes: &[usize]) {
        for (name, count) in [("train", 40u8), ("t5k", 10)] {
            let labels: Vec<u8> = (0..count).map(|i| i % 10).collect();
            let pixels: Vec<u8> = (0..count).flat_map(|i| [i; 4]).collect();
            let images = [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 2, 0, 0, 0, 2];
            write_idx(&folder.join(format!("{name}-images-idx3-ubyte.gz")), &images, &pixels);
            write_idx(
                &folder.join(format!("{name}-labels-idx1-ubyte.gz")),
                &[0, 0, 8, 1, 0, 0, 0, count],
                &labels,
            );
        }
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let said = speakers.iter().flat_map(|speaker| takes.iter().map(move |take| (speaker, take)));
        for (digit, (speaker, take)) in said.flat_map(|said| (0..10).map(move |digit| (digit, said))) {
            let path = folder.join(format!("{digit}_{speaker}_{take}.wav"));
            let mut writer = hound::WavWriter::create(path, spec).unwrap();
            (0..400).for_each(|i| writer.write_sample((i * 37 % 4001 - 2000) as i16).unwrap());
            writer.finalize().unwrap();
        }
    }

    fn prepare(raw: &Path, out: &Path, more: &[&str]) -> anyhow::Result<()> {
        let (raw, out) = (raw.to_str().unwrap(), out.to_str().unwrap());
        let fixed = ["avdigits", "--mnist", raw, "--fsdd", raw, "--out", out];
        let given = more.contains(&"--validation-pictures");
        let validation: &[&str] = if given { &[] } else { &["--validation-pictures", "10"] };
        run(&[&fixed, validation, more].concat())
    }

    fn sources(store: &Store, modality: usize, split: Split) -> Vec<&str> {
        let belongs = |entry: &&Entry| (entry.modality, entry.split) == (modality, split);
        store.entries.iter().filter(belongs).map(|entry| entry.source.as_str()).collect()
    }

    #[test]
    fn an_unseen_speaker_and_test_pictures_are_only_tested_on() {
        let folder = tempfile::tempdir().unwrap();
        raw(folder.path(), &["theo", "george"], &[3, 12, 20]);
        let out = folder.path().join("out");
        prepare(folder.path(), &out, &["--speakers", "theo"]).unwrap();
        let store = Store::read(&out).unwrap();
        assert!(sources(&store, 0, Split::Train).iter().all(|name| name.ends_with("_theo_20.wav")));
        assert!(sources(&store, 0, Split::Validation).iter().all(|name| name.ends_with("_theo_12.wav")));
        assert!(sources(&store, 0, Split::Test).iter().all(|name| name.contains("_george_")));
        assert_eq!(sources(&store, 0, Split::Test).len(), 30);
        assert_eq!(
            [Split::Train, Split::Validation, Split::Test].map(|s| sources(&store, 1, s).len()),
            [30, 10, 10]
        );
        assert!(sources(&store, 1, Split::Test).iter().all(|name| name.starts_with("t5k")));
        let Array::Sounds(sounds) = &store.arrays[0] else { panic!("audio is sound") };
        // 400 samples at 8 kHz each, at 16 kHz.
        assert_eq!(sounds.len(), 50 * 800);
    }

    #[test]
    fn without_an_unseen_speaker_the_early_takes_are_the_test() {
        let folder = tempfile::tempdir().unwrap();
        raw(folder.path(), &["theo", "george"], &[3, 12, 20]);
        let out = folder.path().join("out");
        prepare(folder.path(), &out, &["--speakers", "theo,george", "--unseen", ""]).unwrap();
        let store = Store::read(&out).unwrap();
        assert!(sources(&store, 0, Split::Test).iter().all(|name| name.ends_with("_3.wav")));
        assert_eq!(
            [Split::Train, Split::Validation, Split::Test].map(|s| sources(&store, 0, s).len()),
            [20; 3]
        );
    }

    #[test]
    fn what_is_missing_or_broken_is_named_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let check = |spoil: &dyn Fn(&Path), more: &[&str], expected: &str| {
            let raw_folder = tempfile::tempdir().unwrap();
            raw(raw_folder.path(), &["theo", "george"], &[3, 12, 20]);
            spoil(raw_folder.path());
            let error = format!("{:#}", prepare(raw_folder.path(), &out, more).unwrap_err());
            assert!(error.contains(expected), "{error}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        };
        check(&|_| (), &["--speakers", "theo,nobody"], "no recording of speaker nobody");
        let images = "train-images-idx3-ubyte.gz";
        check(&|raw| std::fs::remove_file(raw.join(images)).unwrap(), &["--speakers", "theo"], images);
        let wav = "7_theo_20.wav";
        check(&|raw| std::fs::write(raw.join(wav), b"RIFF").unwrap(), &["--speakers", "theo"], wav);
        check(
            &|raw| std::fs::write(raw.join("x.wav"), b"").unwrap(),
            &["--speakers", "theo"],
            "x.wav: file name",
        );
        check(&|_| (), &["--speakers", "theo", "--validation-pictures", "40"], "of 40");
    }

    #[test]
    fn an_existing_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        raw(folder.path(), &["theo", "george"], &[3, 12, 20]);
        let error = format!("{:#}", prepare(folder.path(), folder.path(), &[]).unwrap_err());
        assert!(error.contains("already exists"), "{error}");
    }
}
