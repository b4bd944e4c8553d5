//! What a microphone hears while nothing is wrong with it.

use std::f32::consts::TAU;
use std::sync::Arc;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::picture::Noise;

/// Samples a second.
pub const RATE_HZ: usize = 16_000;
/// Samples of a block.
pub const BLOCK: usize = 320;
/// Time from one block to the next.
pub const BLOCK_MS: u64 = 20;

/// Samples of a frame of AAC: the coder's delay, which a Matroska file does not take back.
pub const AAC_FRAME: usize = 1024;

/// A kind of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SoundKind {
    /// Somebody talks, with pauses of up to 12 seconds, in a room.
    Talk,
    /// A quiet room: its noise floor, between -76 and -56 dBFS.
    Quiet,
    /// Music at a low level in a room.
    Music,
    /// A loud master: music that a limiter drives into full scale.
    Master,
    /// A bass that holds its notes, some of them close to a mains frequency.
    Bass,
    /// A refrigerator that hums, and starts and stops.
    Refrigerator,
    /// Ventilation that stops after a minute.
    Ventilation,
    /// A street.
    Street,
    /// Somebody talks through a noise gate: pauses are digital silence.
    Gated,
    /// A real clip, over and over.
    Real,
}

/// A running sound.
pub struct Sound {
    kind: SoundKind,
    rng: Rng,
    noise: Noise,
    /// RMS of the room.
    floor: f32,
    /// RMS of what is heard in it.
    level: f32,
    voice: Voice,
    notes: Vec<Note>,
    sample: usize,
    /// Sample at which what comes next begins.
    next: usize,
    /// Whether something is to be heard in the room just now.
    active: bool,
    real: Option<Arc<Vec<f32>>>,
}

impl Sound {
    /// A sound of `kind`; `real` is what [`SoundKind::Real`] plays.
    pub fn new(kind: SoundKind, real: Option<Arc<Vec<f32>>>, mut rng: Rng) -> Self {
        let noise = Noise::new(&mut rng);
        let between = |rng: &mut Rng, low: f32, high: f32| rms(low + (high - low) * rng.f32());
        let (floor, level) = match kind {
            SoundKind::Quiet => (between(&mut rng, -76.0, -56.0), 0.0),
            SoundKind::Music => (between(&mut rng, -74.0, -64.0), between(&mut rng, -58.0, -45.0)),
            SoundKind::Master => (between(&mut rng, -70.0, -60.0), 0.45),
            SoundKind::Bass => (between(&mut rng, -66.0, -56.0), between(&mut rng, -30.0, -20.0)),
            SoundKind::Refrigerator => (between(&mut rng, -62.0, -54.0), between(&mut rng, 8.0, 14.0)),
            SoundKind::Ventilation => (between(&mut rng, -52.0, -44.0), between(&mut rng, -15.0, -8.0)),
            SoundKind::Street => (between(&mut rng, -50.0, -35.0), 1.0),
            _ => (between(&mut rng, -75.0, -50.0), between(&mut rng, -34.0, -20.0)),
        };
        let voice = Voice::new(&mut rng);
        let mut sound = Self {
            kind,
            noise,
            floor,
            level,
            voice,
            notes: Vec::new(),
            sample: 0,
            next: 0,
            active: false,
            rng,
            real,
        };
        sound.next = sound.interval();
        sound
    }

    /// The next block.
    pub fn block(&mut self) -> Vec<f32> {
        let turn = self.sample >= self.next;
        if turn {
            self.active = !self.active;
            self.next = self.sample + self.interval();
        }
        let mut block = vec![0.0; BLOCK];
        let floor = match self.kind {
            SoundKind::Gated if !self.active => 0.0,
            SoundKind::Ventilation if self.active => self.floor * self.level,
            SoundKind::Street => {
                let seconds = self.sample as f32 / RATE_HZ as f32;
                self.floor * 10f32.powf(0.5 * (0.31 * seconds).sin() + 0.3 * (0.07 * seconds).sin() - 0.3)
            }
            SoundKind::Real => 0.0,
            _ => self.floor,
        };
        if floor > 0.0 {
            self.noise.add_to_sound(&mut block, floor, &mut self.rng);
        }
        match self.kind {
            SoundKind::Talk | SoundKind::Gated if self.active => {
                self.voice.speak(&mut block, self.level, &mut self.rng);
            }
            SoundKind::Music | SoundKind::Master => self.play(turn, &mut block),
            SoundKind::Bass => self.hold(turn, &mut block),
            SoundKind::Refrigerator if self.active => self.hum(&mut block),
            SoundKind::Real => {
                let real = self.real.as_ref().expect("a real sound has samples");
                for (index, value) in block.iter_mut().enumerate() {
                    *value = real[(self.sample + index) % real.len()];
                }
            }
            _ => {}
        }
        self.sample += BLOCK;
        block.iter_mut().for_each(|value| *value = value.clamp(-1.0, 1.0));
        block
    }

    /// Until what comes next, in samples.
    fn interval(&mut self) -> usize {
        let [from, to] = match (self.kind, self.active) {
            (SoundKind::Talk, true) => [1.0, 6.0],
            (SoundKind::Talk, false) => [0.3, 12.0],
            (SoundKind::Gated, true) => [1.0, 6.0],
            (SoundKind::Gated, false) => [0.2, 6.0],
            (SoundKind::Music | SoundKind::Master, _) => [0.12, 0.6],
            (SoundKind::Bass, _) => [0.8, 6.0],
            (SoundKind::Refrigerator, _) => [15.0, 40.0],
            (SoundKind::Ventilation, false) => [61.0, 80.0],
            _ => [1e4, 1e4],
        };
        ((from + (to - from) * self.rng.f32()) * RATE_HZ as f32) as usize
    }

    /// Struck notes that decay, three partials each; now and then a rest.
    fn play(&mut self, turn: bool, block: &mut [f32]) {
        if turn && self.rng.u8(..8) > 0 {
            let hz = 110.0 * 2f32.powf(self.rng.u8(..36) as f32 / 12.0);
            let decay = 1.0 / (0.4 + 1.2 * self.rng.f32());
            let partials = [(1.0, 1.0), (2.0, 0.5), (3.0, 0.25)];
            let level = 1.1 * self.level * (0.5 + 0.7 * self.rng.f32());
            self.notes
                .extend(partials.map(|(times, share)| Note::new(times * hz, share * level, decay * times)));
            let surplus = self.notes.len().saturating_sub(12);
            self.notes.drain(..surplus);
        }
        self.notes.iter_mut().for_each(|note| note.sound(block));
        if self.kind == SoundKind::Master {
            // The limiter: only the highest peaks reach full scale.
            block.iter_mut().for_each(|value| *value = (1.02 * (1.3 * *value).tanh()).clamp(-1.0, 1.0));
        }
    }

    /// Notes from E1 to C3, held.
    fn hold(&mut self, turn: bool, block: &mut [f32]) {
        if turn {
            let hz = 41.2 * 2f32.powf(self.rng.u8(..21) as f32 / 12.0);
            let partials = [(1.0, 1.4), (2.0, 0.3), (3.0, 0.1)];
            self.notes =
                partials.map(|(times, share)| Note::new(times * hz, share * self.level, 0.05)).into();
        }
        self.notes.iter_mut().for_each(|note| note.sound(block));
    }

    /// So many decibels above the room as `level` says.
    fn hum(&mut self, block: &mut [f32]) {
        for (index, value) in block.iter_mut().enumerate() {
            let phase = TAU * 50.0 * ((self.sample + index) % RATE_HZ) as f32 / RATE_HZ as f32;
            *value += self.floor
                * self.level
                * (phase.sin() + 0.8 * (2.0 * phase).sin() + 0.5 * (3.0 * phase).sin());
        }
    }
}

/// A partial that decays, by the recurrence of a resonator.
struct Note {
    twice_cos: f32,
    decay: f32,
    last: [f32; 2],
}

impl Note {
    fn new(hz: f32, level: f32, decay_per_s: f32) -> Self {
        let step = TAU * hz / RATE_HZ as f32;
        let decay = (-decay_per_s / RATE_HZ as f32).exp();
        Self { twice_cos: 2.0 * decay * step.cos(), decay: decay * decay, last: [0.0, level * step.sin()] }
    }

    fn sound(&mut self, block: &mut [f32]) {
        for value in block {
            let now = self.twice_cos * self.last[1] - self.decay * self.last[0];
            self.last = [self.last[1], now];
            *value += now;
        }
    }
}

/// A source-filter voice: pulses through two formants, syllables, hisses.
struct Voice {
    pitch_hz: f32,
    phase: f32,
    formants: [[f32; 4]; 2],
    /// Samples of the present syllable: so far, and altogether.
    syllable: [usize; 2],
    hiss: bool,
}

impl Voice {
    fn new(rng: &mut Rng) -> Self {
        let pitch_hz = 90.0 + 130.0 * rng.f32();
        Self { pitch_hz, phase: 0.0, formants: [[0.0; 4]; 2], syllable: [0, 0], hiss: false }
    }

    fn speak(&mut self, block: &mut [f32], level: f32, rng: &mut Rng) {
        for value in block {
            if self.syllable[0] >= self.syllable[1] {
                self.syllable = [0, rng.usize(1600..5600)];
                self.hiss = rng.u8(..5) == 0;
                let hz = [300.0 + 500.0 * rng.f32(), 900.0 + 1400.0 * rng.f32()];
                for (formant, hz) in self.formants.iter_mut().zip(hz) {
                    let radius = 0.97f32;
                    let step = TAU * hz / RATE_HZ as f32;
                    *formant = [2.0 * radius * step.cos(), -radius * radius, formant[2], formant[3]];
                }
            }
            let through = self.syllable[0] as f32 / self.syllable[1] as f32;
            let envelope = (std::f32::consts::PI * through).sin();
            self.syllable[0] += 1;
            self.phase += self.pitch_hz * (1.1 - 0.2 * through) / RATE_HZ as f32;
            let pulse = if self.phase >= 1.0 { 1.0 } else { 0.0 };
            self.phase -= pulse;
            let driven = if self.hiss { 0.3 * (rng.f32() - 0.5) } else { pulse };
            let mut voiced = 0.0;
            for formant in &mut self.formants {
                let now = driven + formant[0] * formant[2] + formant[1] * formant[3];
                (formant[3], formant[2]) = (formant[2], now);
                voiced += now;
            }
            *value += level * envelope * voiced;
        }
    }
}

/// RMS of a level relative to full scale.
pub fn rms(dbfs: f32) -> f32 {
    10f32.powf(dbfs / 20.0)
}
