//! What a clip is made of, planned from its seed.

use std::path::PathBuf;
use std::sync::Arc;

use cmpt_core::dropout::Reason;
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::camera::Camera;
use crate::fault::{Effect, Fault, time_to_trip_ms};
use crate::microphone::Microphone;
use crate::scene::{Scene, SceneKind};
use crate::sound::{Sound, SoundKind};

/// How long a clip is.
pub const LENGTH_MS: u64 = 120_000;

/// Which sensor a clip is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensor {
    /// A camera.
    Video,
    /// A microphone.
    Audio,
}

/// What is seen or heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Material {
    /// By a camera.
    Scene(SceneKind),
    /// By a microphone.
    Sound(SoundKind),
}

/// How content is coded between the sensor and the detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// Not at all, or without loss.
    Lossless,
    /// As cameras do: H.264 of this constant rate factor, a key frame every so many pictures.
    H264 {
        /// Rate factor.
        crf: u8,
        /// Distance of key frames.
        key_frames: u8,
    },
    /// AAC of so many bits a second.
    Aac {
        /// Bit rate.
        bits_per_s: u32,
    },
}

impl Coding {
    /// Its name in the truth.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lossless => "lossless",
            Self::H264 { .. } => "h264",
            Self::Aac { .. } => "aac",
        }
    }
}

/// How a network delivers samples while nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// At once.
    Steady,
    /// Up to 80 ms late, and now and then nothing for up to 0.8 s, then all of it.
    Wireless,
}

/// The plan of a clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// `video-000123`: sensor and seed.
    pub name: String,
    /// Seed of everything about it.
    pub seed: u64,
    /// What is seen or heard.
    pub material: Material,
    /// The user's clip that [`SceneKind::Real`] or [`SoundKind::Real`] plays.
    pub real: Option<PathBuf>,
    /// How it is coded.
    pub coding: Coding,
    /// Whether a recorder burns a clock in, behind the faults.
    pub clock: bool,
    /// How it is delivered.
    pub network: Network,
    /// What is done to it, in order of time, never two at a time.
    pub faults: Vec<Fault>,
    /// Why a clip without faults cannot be told from one with them.
    pub undecidable: Option<&'static str>,
}

/// Which half of the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// Even seeds: thresholds are chosen on them.
    Tuning,
    /// Odd seeds: only reported on.
    Report,
}

impl Half {
    /// That of `seed`.
    pub fn of(seed: u64) -> Self {
        if seed.is_multiple_of(2) { Self::Tuning } else { Self::Report }
    }
}

const SCENES: [SceneKind; 10] = [
    SceneKind::Still,
    SceneKind::Night,
    SceneKind::Film,
    SceneKind::Slides,
    SceneKind::Traffic,
    SceneKind::Pan,
    SceneKind::Denoised,
    SceneKind::Lights,
    SceneKind::SlidesAfterLive,
    SceneKind::Digits,
];
const SOUNDS: [SoundKind; 9] = [
    SoundKind::Talk,
    SoundKind::Quiet,
    SoundKind::Music,
    SoundKind::Refrigerator,
    SoundKind::Master,
    SoundKind::Bass,
    SoundKind::Street,
    SoundKind::Ventilation,
    SoundKind::Gated,
];

impl Material {
    /// Which sensor it is for.
    pub fn sensor(self) -> Sensor {
        match self {
            Self::Scene(_) => Sensor::Video,
            Self::Sound(_) => Sensor::Audio,
        }
    }

    /// Its name in the tables.
    pub fn name(self) -> String {
        let name = match self {
            Self::Scene(kind) => serde_json::to_value(kind),
            Self::Sound(kind) => serde_json::to_value(kind),
        };
        name.ok().and_then(|name| Some(name.as_str()?.to_owned())).expect("kinds are named")
    }

    /// Whether it is seen through a noisy sensor, and nothing moves in it, or for seconds again and again.
    fn stands_still(self) -> bool {
        use SceneKind::{Lights, Night, Pan, Still, Traffic};
        matches!(self, Self::Scene(Still | Night | Lights | Pan | Traffic))
    }

    /// Why a silence or a stand of this material and a fault are the same signal.
    fn is_its_own_fault(self, effect: Effect) -> Option<&'static str> {
        match (self, effect) {
            (Self::Scene(SceneKind::Denoised), Effect::Held { .. }) => {
                Some("a camera without noise that looks at nothing sends the same picture")
            }
            (Self::Scene(SceneKind::Slides | SceneKind::SlidesAfterLive), Effect::Held { .. }) => {
                Some("a slide is the same picture over and over")
            }
            (Self::Sound(SoundKind::Gated), Effect::Muted { .. }) => {
                Some("a noise gate sends digital silence in every pause")
            }
            (Self::Sound(SoundKind::Gated), Effect::Overdriven { .. }) => {
                Some("digital silence, amplified, is digital silence")
            }
            _ => None,
        }
    }
}

impl Clip {
    /// The clip of a seed. `reals` are the user's clips: those with pictures, those with sound.
    pub fn plan(seed: u64, reals: [&[PathBuf]; 2]) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xC11F);
        // The halves get the same kinds: one step for each pair of seeds.
        let step = (seed / 2) as usize;
        let (material, real) = if step.is_multiple_of(2) {
            let (kind, real) = pick(step / 2, &SCENES, SceneKind::Real, reals[0]);
            (Material::Scene(kind), real)
        } else {
            let (kind, real) = pick(step / 2, &SOUNDS, SoundKind::Real, reals[1]);
            (Material::Sound(kind), real)
        };
        let faulty = match material {
            Material::Scene(_) => (step / 2 / (SCENES.len() + reals[0].len())).is_multiple_of(2),
            Material::Sound(_) => (step / 2 / (SOUNDS.len() + reals[1].len())).is_multiple_of(2),
        };
        let coding = coding_of(material, &mut rng);
        let clock = material.sensor() == Sensor::Video && rng.u8(..4) == 0;
        let network = if rng.u8(..4) == 0 { Network::Wireless } else { Network::Steady };
        let faults = if faulty { faults_of(material, coding, &mut rng) } else { Vec::new() };
        let sensor = if material.sensor() == Sensor::Video { "video" } else { "audio" };
        let undecidable = match material {
            Material::Sound(SoundKind::Gated) => Some("a pause through a noise gate is digital silence"),
            _ => None,
        };
        let name = format!("{sensor}-{seed:06}");
        Self { name, seed, material, real, coding, clock, network, faults, undecidable }
    }

    /// Why a fault of it cannot be told from its healthy signal.
    pub fn undecidable(&self, fault: &Fault) -> Option<&'static str> {
        let noise_of_a_still_scene = match fault.effect {
            Effect::Held { noise } if noise > 0.5 => {
                Some("a picture held under noise as strong as the sensor's is a still scene")
            }
            Effect::Held { .. } if self.coding != Coding::Lossless && self.material.stands_still() => {
                Some("a coder took the noise that told a still scene from a held picture")
            }
            _ => None,
        };
        self.material.is_its_own_fault(fault.effect).or(noise_of_a_still_scene)
    }

    /// Makes its pictures; `real` are the frames of the user's clip.
    pub fn camera(&self, kind: SceneKind, real: Option<Arc<Vec<Vec<u8>>>>) -> Camera {
        let mut rng = self.rng();
        let scene = Scene::new(kind, real, rng.fork());
        Camera::new(scene, self.content_faults(), self.clock, rng)
    }

    /// Makes its sound; `real` are the samples of the user's clip.
    pub fn microphone(&self, kind: SoundKind, real: Option<Arc<Vec<f32>>>) -> Microphone {
        let mut rng = self.rng();
        let sound = Sound::new(kind, real, rng.fork());
        Microphone::new(sound, self.content_faults(), rng)
    }

    fn content_faults(&self) -> Vec<Fault> {
        self.faults.iter().filter(|fault| !fault.effect.is_of_delivery()).copied().collect()
    }

    fn rng(&self) -> Rng {
        Rng::with_seed(self.seed.wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ 0xD207)
    }
}

fn pick<K: Copy>(index: usize, kinds: &[K], real: K, reals: &[PathBuf]) -> (K, Option<PathBuf>) {
    let index = index % (kinds.len() + reals.len());
    match kinds.get(index) {
        Some(kind) => (*kind, None),
        None => (real, Some(reals[index - kinds.len()].clone())),
    }
}

fn coding_of(material: Material, rng: &mut Rng) -> Coding {
    match material {
        // Slides and digits are drawn by a computer; a denoised camera's picture is coded further on.
        Material::Scene(SceneKind::Slides | SceneKind::SlidesAfterLive | SceneKind::Digits) => {
            Coding::Lossless
        }
        Material::Scene(_) if rng.u8(..4) == 0 => {
            Coding::H264 { crf: rng.u8(20..29), key_frames: *rng.choice(&[10, 20, 40]).expect("not empty") }
        }
        Material::Sound(_) if rng.u8(..4) == 0 => {
            Coding::Aac { bits_per_s: *rng.choice(&[32_000, 48_000, 96_000]).expect("not empty") }
        }
        _ => Coding::Lossless,
    }
}

/// Six or so faults, the first after 5 to 25 seconds, with 8 to 15 seconds between them; each lasts 0.5 to 20
/// seconds, most of them longer than it takes to trip.
fn faults_of(material: Material, coding: Coding, rng: &mut Rng) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut from_ms = 1000 * rng.u64(5..25);
    loop {
        let effect = any_effect(material, coding, rng);
        let lasting = rng.u8(..5) > 0;
        let least = if lasting { time_to_trip_ms(effect.reason()).max(500) + 200 } else { 500 };
        let tenths = (least / 100) as f32 * (20_000.0 / least as f32).powf(rng.f32().powf(1.5));
        let to_ms = from_ms + 100 * tenths as u64;
        if to_ms + 5000 > LENGTH_MS {
            return faults;
        }
        faults.push(Fault { from_ms, to_ms, effect });
        from_ms = to_ms + 100 * rng.u64(80..150);
    }
}

fn any_effect(material: Material, coding: Coding, rng: &mut Rng) -> Effect {
    match rng.u8(..10) {
        0 => Effect::Stalled,
        1 => match material {
            // A picture every 0.6 to 0.9 s of ten a second, a block of twenty or thirty.
            Material::Scene(_) => Effect::Sparse { every: rng.u64(6..10) },
            Material::Sound(_) => Effect::Sparse { every: rng.u64(8..30) },
        },
        2 => {
            let shift_ms = 1000 * rng.i64(5..3600);
            Effect::Misstamped { shift_ms: if rng.bool() { shift_ms } else { -shift_ms } }
        }
        3 if rng.bool() => Effect::Failed,
        3 => Effect::Ended,
        4.. => match material.sensor() {
            Sensor::Video => picture_effect(material.stands_still() && coding == Coding::Lossless, rng),
            Sensor::Audio => sound_effect(rng),
        },
    }
}

fn picture_effect(noisy: bool, rng: &mut Rng) -> Effect {
    match rng.u8(..6) {
        0 => Effect::Covered { luma: rng.u8(0..17), noise: if rng.bool() { 0.0 } else { 2.0 * rng.f32() } },
        1 => Effect::Blinded { ink: if rng.bool() { 0.0 } else { 0.008 } },
        2..4 if noisy => {
            // One in six is as strong as the sensor's noise.
            let noise = if rng.u8(..6) == 0 { 0.6 + 0.6 * rng.f32() } else { 0.1 + 0.3 * rng.f32() };
            Effect::Held { noise }
        }
        _ => Effect::Held { noise: 0.0 },
    }
}

fn sound_effect(rng: &mut Rng) -> Effect {
    match rng.u8(..6) {
        0 => Effect::Muted { dbfs: f32::NEG_INFINITY },
        1 => Effect::Muted { dbfs: -84.0 - 12.0 * rng.f32() },
        2..4 => Effect::Overdriven { gain: 4.0 * 10f32.powf(rng.f32()) },
        4 => Effect::Constant { value: (0.005 + 0.5 * rng.f32()) * if rng.bool() { 1.0 } else { -1.0 } },
        _ => Effect::Hum { hz: if rng.bool() { 50.0 } else { 60.0 }, dbfs: -36.0 + 26.0 * rng.f32() },
    }
}

/// Whether an answer fits a fault: its reason; a standing picture for one of a single colour, since it
/// stands, and black for a picture held while it was black; and nothing arriving for too little arriving, and the other way round.
pub fn fits(fault: Reason, answer: Reason) -> bool {
    use Reason::{Black, Bright, Frozen, NoBuffers, Trickle};
    fault == answer
        || matches!(
            (fault, answer),
            (Black | Bright, Frozen) | (Frozen, Black) | (NoBuffers, Trickle) | (Trickle, NoBuffers)
        )
}
