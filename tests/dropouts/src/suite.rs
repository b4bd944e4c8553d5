//! Clips made and judged: content out of the generator or a file, into a file or detectors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;

use crate::clip::{Clip, Coding, LENGTH_MS, Material, Network, Sensor};
use crate::coding::{CodingError, Decoder, Encoder, read_pictures, read_sound};
use crate::delivery::{Arrival, JITTER_MS, deliver};
use crate::ffmpeg::Filters;
use crate::lines::Alarm;
use crate::ours::{self, Content};
use crate::picture::PERIOD_MS;
use crate::sound::{AAC_FRAME, BLOCK_MS, RATE_HZ};

/// The user's clips, each read once.
#[derive(Default)]
pub struct Reals {
    pictures: BTreeMap<PathBuf, Arc<Vec<Vec<u8>>>>,
    sound: BTreeMap<PathBuf, Arc<Vec<f32>>>,
}

/// What both detectors say of a clip.
pub struct Answers {
    /// Ours.
    pub ours: Vec<Alarm>,
    /// ffmpeg's filters', where they were asked.
    pub ffmpeg: Vec<Alarm>,
}

/// The content of a clip as it is made.
enum Maker {
    Camera(Box<crate::camera::Camera>),
    Microphone(Box<crate::microphone::Microphone>),
}

impl Reals {
    /// Reads `paths`; which of them have pictures, and which have sound.
    pub fn read(paths: &[PathBuf]) -> Result<(Self, [Vec<PathBuf>; 2]), CodingError> {
        let mut reals = Self::default();
        for path in paths {
            match read_pictures(path) {
                Ok(pictures) => drop(reals.pictures.insert(path.clone(), Arc::new(pictures))),
                Err(CodingError::Empty { .. }) => {}
                Err(error) => return Err(error),
            }
            match read_sound(path) {
                Ok(sound) => drop(reals.sound.insert(path.clone(), Arc::new(sound))),
                Err(CodingError::Empty { .. }) => {}
                Err(error) => return Err(error),
            }
            if !reals.pictures.contains_key(path) && !reals.sound.contains_key(path) {
                return Err(CodingError::Empty { path: path.clone(), expected: "pictures or sound" });
            }
        }
        let kinds = [reals.pictures.keys().cloned().collect(), reals.sound.keys().cloned().collect()];
        Ok((reals, kinds))
    }
}

impl Maker {
    fn of(clip: &Clip, reals: &Reals) -> Self {
        match clip.material {
            Material::Scene(kind) => {
                let real = clip.real.as_ref().and_then(|path| reals.pictures.get(path)).cloned();
                Self::Camera(Box::new(clip.camera(kind, real)))
            }
            Material::Sound(kind) => {
                let real = clip.real.as_ref().and_then(|path| reals.sound.get(path)).cloned();
                Self::Microphone(Box::new(clip.microphone(kind, real)))
            }
        }
    }
}

/// How often and how late samples of a sensor come, in milliseconds.
fn pace(sensor: Sensor) -> [u64; 2] {
    match sensor {
        Sensor::Video => [PERIOD_MS, 0],
        Sensor::Audio => [BLOCK_MS, BLOCK_MS],
    }
}

/// By how much the samples of a clip arrive late at most, while it is delivered: a block comes when it is
/// complete, AAC holds back a frame, and a wireless network takes its time.
pub fn late_ms(clip: &Clip) -> u64 {
    let jitter = if clip.network == Network::Wireless { JITTER_MS } else { 0 };
    let coder = match clip.coding {
        Coding::Aac { .. } => 1000 * AAC_FRAME as u64 / RATE_HZ as u64,
        Coding::Lossless | Coding::H264 { .. } => 0,
    };
    pace(clip.material.sensor())[1] + jitter + coder
}

/// What arrives of a clip, and when.
pub fn arrivals(clip: &Clip) -> Vec<(u64, Arrival)> {
    let pace = pace(clip.material.sensor());
    let mut rng = Rng::with_seed(clip.seed ^ 0xA221_0A15);
    deliver(pace, count(clip), clip.network, &clip.faults, &mut rng)
}

/// How many samples a clip has.
pub fn count(clip: &Clip) -> usize {
    (LENGTH_MS / pace(clip.material.sensor())[0]) as usize
}

/// Where a clip lies in a folder.
pub fn file(folder: &Path, clip: &Clip) -> PathBuf {
    folder.join(format!("{}.mkv", clip.name))
}

/// Writes a clip's content to its file in `folder`, unless it is there.
pub fn write(clip: &Clip, reals: &Reals, folder: &Path) -> Result<PathBuf, CodingError> {
    let path = file(folder, clip);
    if path.exists() {
        return Ok(path);
    }
    // Half a file must not be taken for a clip.
    let unfinished = path.with_extension("part");
    match Maker::of(clip, reals) {
        Maker::Camera(mut camera) => {
            let mut encoder = Encoder::pictures(&unfinished, clip.coding)?;
            (0..count(clip)).try_for_each(|_| encoder.picture(&camera.picture()))?;
            encoder.finish()?;
        }
        Maker::Microphone(mut microphone) => {
            let mut encoder = Encoder::sound(&unfinished, clip.coding)?;
            (0..count(clip)).try_for_each(|_| encoder.block(&microphone.block()))?;
            encoder.finish()?;
        }
    }
    std::fs::rename(&unfinished, &path).map_err(CodingError::Feed)?;
    Ok(path)
}

/// Judges a clip by its file, which carries what the sensor sent; how that arrives is played here.
pub fn judge_file(clip: &Clip, path: &Path, ffmpeg: bool) -> Result<Answers, CodingError> {
    let arrivals = arrivals(clip);
    let ours = match clip.material.sensor() {
        Sensor::Video => {
            let mut decoder = Decoder::pictures(path)?;
            ours::detect(&clip.name, Content::Pictures(&mut || decoder.picture()), &arrivals)
        }
        Sensor::Audio => {
            let mut decoder = Decoder::sound(path)?;
            ours::detect(&clip.name, Content::Blocks(&mut || decoder.block()), &arrivals)
        }
    };
    let filters = ffmpeg.then(|| Filters::over_file(path, clip.material.sensor())).transpose()?;
    let ffmpeg = filters.map(|filters| filters.finish(&clip.name)).transpose()?.unwrap_or_default();
    Ok(Answers { ours, ffmpeg })
}

/// Makes a clip and judges it. What is coded goes through a file in `folder`; what is not goes to both
/// detectors straight from memory, the same bytes.
pub fn judge(clip: &Clip, reals: &Reals, folder: &Path, ffmpeg: bool) -> Result<Answers, CodingError> {
    if clip.coding != Coding::Lossless {
        let path = write(clip, reals, folder)?;
        return judge_file(clip, &path, ffmpeg);
    }
    let sensor = clip.material.sensor();
    let mut filters = ffmpeg.then(|| Filters::over_content(&clip.name, sensor)).transpose()?;
    let mut fed = Ok(());
    let mut left = count(clip);
    let arrivals = arrivals(clip);
    let ours = match Maker::of(clip, reals) {
        Maker::Camera(mut camera) => {
            let mut next = || {
                left = left.checked_sub(1)?;
                let picture = camera.picture();
                if let Some(filters) = filters.as_mut().filter(|_| fed.is_ok()) {
                    fed = filters.picture(&picture);
                }
                Some(picture)
            };
            let ours = ours::detect(&clip.name, Content::Pictures(&mut next), &arrivals);
            while next().is_some() {}
            ours
        }
        Maker::Microphone(mut microphone) => {
            let mut next = || {
                left = left.checked_sub(1)?;
                let block = microphone.block();
                if let Some(filters) = filters.as_mut().filter(|_| fed.is_ok()) {
                    fed = filters.block(&block);
                }
                Some(block)
            };
            let ours = ours::detect(&clip.name, Content::Blocks(&mut next), &arrivals);
            while next().is_some() {}
            ours
        }
    };
    fed?;
    let ffmpeg = filters.map(|filters| filters.finish(&clip.name)).transpose()?.unwrap_or_default();
    Ok(Answers { ours, ffmpeg })
}
