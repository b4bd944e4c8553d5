//! A microphone: a sound, and what is done to its samples.

use std::f32::consts::TAU;

use fastrand::Rng;

use crate::fault::{Effect, Fault};
use crate::picture::Noise;
use crate::sound::{BLOCK, BLOCK_MS, RATE_HZ, Sound, rms};

/// Makes the blocks of a clip one after another.
pub struct Microphone {
    sound: Sound,
    faults: Vec<Fault>,
    noise: Noise,
    rng: Rng,
    at_ms: u64,
}

impl Microphone {
    /// Of `sound`, with `faults` done to it.
    pub fn new(sound: Sound, faults: Vec<Fault>, mut rng: Rng) -> Self {
        let noise = Noise::new(&mut rng);
        Self { sound, faults, noise, rng, at_ms: 0 }
    }

    /// The next block of [`BLOCK`] samples.
    pub fn block(&mut self) -> Vec<f32> {
        let effect = self.faults.iter().find(|fault| fault.touches(self.at_ms)).map(|fault| fault.effect);
        let mut block = self.sound.block();
        let power: f32 = block.iter().map(|value| value * value).sum::<f32>() / BLOCK as f32;
        let started = (self.at_ms * RATE_HZ as u64 / 1000) as usize;
        match effect {
            Some(Effect::Muted { dbfs }) => {
                block.fill(0.0);
                if dbfs.is_finite() {
                    self.noise.add_to_sound(&mut block, rms(dbfs), &mut self.rng);
                }
            }
            Some(Effect::Overdriven { gain }) => {
                // As loud in a pause as in a word: an amplifier that runs wild.
                let gain = gain / power.sqrt().max(1e-6);
                block.iter_mut().for_each(|value| *value = (gain * *value).clamp(-1.0, 1.0));
            }
            Some(Effect::Constant { value }) => block.fill(value),
            Some(Effect::Hum { hz, dbfs }) => {
                for (index, value) in block.iter_mut().enumerate() {
                    let phase = TAU * (hz * (started + index) as f32 / RATE_HZ as f32).fract();
                    *value = 1.3
                        * rms(dbfs)
                        * (phase.sin() + 0.3 * (3.0 * phase).sin() + 0.1 * (5.0 * phase).sin());
                }
                self.noise.add_to_sound(&mut block, rms(dbfs - 35.0), &mut self.rng);
            }
            _ => {}
        }
        self.at_ms += BLOCK_MS;
        block
    }
}
