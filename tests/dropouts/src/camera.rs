//! A camera: a scene, and what is done to its pictures.

use fastrand::Rng;

use crate::fault::{Effect, Fault};
use crate::picture::{HEIGHT, Noise, PERIOD_MS, WIDTH, draw_clock};
use crate::scene::Scene;

/// Makes the pictures of a clip one after another.
pub struct Camera {
    scene: Scene,
    faults: Vec<Fault>,
    clock: bool,
    noise: Noise,
    rng: Rng,
    at_ms: u64,
    live: Vec<u8>,
    held: Vec<u8>,
}

impl Camera {
    /// Of `scene`, with `faults` done to it and a clock burnt in behind them.
    pub fn new(scene: Scene, faults: Vec<Fault>, clock: bool, mut rng: Rng) -> Self {
        let noise = Noise::new(&mut rng);
        Self { scene, faults, clock, noise, rng, at_ms: 0, live: Vec::new(), held: Vec::new() }
    }

    /// The next picture, [`WIDTH`] x [`HEIGHT`].
    pub fn picture(&mut self) -> Vec<u8> {
        let effect = self.faults.iter().find(|fault| fault.touches(self.at_ms)).map(|fault| fault.effect);
        self.scene.picture(&mut self.live);
        let mut picture = match effect {
            Some(Effect::Held { noise }) => {
                self.under_noise(self.held.clone(), noise * self.scene.read_noise())
            }
            Some(Effect::Covered { luma, noise }) => self.under_noise(vec![luma; WIDTH * HEIGHT], noise),
            Some(Effect::Blinded { ink }) => {
                let mut flooded = vec![255; WIDTH * HEIGHT];
                let left = (ink * HEIGHT as f32) as usize * WIDTH;
                flooded[..left].copy_from_slice(&self.live[..left]);
                flooded
            }
            _ => {
                self.held.clone_from(&self.live);
                self.live.clone()
            }
        };
        if self.clock {
            draw_clock(&mut picture, 8, 8, 36_000 + self.at_ms / 1000);
        }
        self.at_ms += PERIOD_MS;
        picture
    }

    fn under_noise(&mut self, mut picture: Vec<u8>, sigma: f32) -> Vec<u8> {
        if sigma > 0.0 {
            self.noise.add(&mut picture, &[sigma; 256], &mut self.rng);
        }
        picture
    }
}
