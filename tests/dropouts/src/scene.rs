//! What a camera sees while nothing is wrong with it.

use std::f32::consts::TAU;
use std::sync::Arc;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::picture::{Body, HEIGHT, Noise, Picture, RATE, WIDTH, draw_digit, sensor_noise};

/// A kind of scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SceneKind {
    /// Nothing moves, through a noisy sensor.
    Still,
    /// The same at night: dark, noisier, a lamp or none.
    Night,
    /// Somebody comes by every few seconds, through a noisy sensor.
    Traffic,
    /// The camera swings, and rests at the ends.
    Pan,
    /// A film: shots of a few seconds, fades through black, titles; hardly any noise.
    Film,
    /// Light is switched, exposure follows.
    Lights,
    /// A new digit every second on black, without noise.
    Digits,
    /// Slides of 4 to 30 seconds, without noise.
    Slides,
    /// A noisy camera, then slides.
    SlidesAfterLive,
    /// A camera that removes its noise; somebody is there, or is not.
    Denoised,
    /// Frames of a real clip, forth and back.
    Real,
}

/// A running scene.
pub struct Scene {
    kind: SceneKind,
    rng: Rng,
    noise: Noise,
    sigma: [f32; 256],
    place: Picture,
    body: Body,
    frame: u64,
    /// First frame of what comes next: a passer-by, a shot, a slide, a change of light.
    next: u64,
    /// First frame of what is there now.
    since: u64,
    /// Present brightness, and where it is heading.
    light: [f32; 2],
    real: Option<Arc<Vec<Vec<u8>>>>,
}

impl Scene {
    /// A scene of `kind`; `real` is what [`SceneKind::Real`] plays.
    pub fn new(kind: SceneKind, real: Option<Arc<Vec<Vec<u8>>>>, mut rng: Rng) -> Self {
        let noise = Noise::new(&mut rng);
        let read = match kind {
            SceneKind::Night => 1.5 + 3.0 * rng.f32(),
            SceneKind::Film | SceneKind::Real | SceneKind::Digits => 0.0,
            SceneKind::Slides | SceneKind::Denoised => 0.0,
            _ => 0.7 + 2.5 * rng.f32(),
        };
        let mut scene = Self {
            sigma: sensor_noise(read, 0.4 * read),
            place: Picture::plain(WIDTH, HEIGHT, 0),
            body: Body::any(&mut rng),
            noise,
            kind,
            rng,
            frame: 0,
            next: 0,
            since: 0,
            light: [1.0; 2],
            real,
        };
        scene.place = scene.another_place();
        scene.next = match kind {
            SceneKind::SlidesAfterLive => scene.frames(30.0, 60.0),
            _ => scene.interval(),
        };
        scene
    }

    /// The next picture.
    pub fn picture(&mut self, luma: &mut Vec<u8>) {
        let turn = self.frame >= self.next;
        if turn {
            self.since = self.frame;
            self.next = self.frame + self.interval();
        }
        match self.kind {
            SceneKind::Still | SceneKind::Night => self.place.window(0, 0, luma),
            SceneKind::Traffic | SceneKind::Denoised => {
                self.place.window(0, 0, luma);
                self.pass_by(turn, luma);
            }
            SceneKind::Pan => {
                // A rest of a quarter of each swing at either end.
                let phase = (self.frame as f32 / (30.0 * RATE as f32) * TAU).sin();
                let share = (0.5 + 0.7 * phase).clamp(0.0, 1.0);
                self.place.window((share * (self.place.width - WIDTH) as f32) as usize, 20, luma);
            }
            SceneKind::Film => self.play_film(turn, luma),
            SceneKind::Lights => self.switch_light(turn, luma),
            SceneKind::Digits => {
                *luma = vec![0; WIDTH * HEIGHT];
                let digit = (self.frame / RATE * 7 + self.body.luma as u64) % 10;
                draw_digit(luma, 100, 30, 18, digit as u8, 230);
            }
            SceneKind::Slides => self.show_slides(turn, luma),
            SceneKind::SlidesAfterLive => {
                if turn {
                    self.sigma = [0.0; 256];
                }
                self.show_slides(turn, luma);
            }
            SceneKind::Real => {
                let frames = self.real.as_ref().expect("a real scene has frames");
                let period = (2 * frames.len()).saturating_sub(2).max(1);
                let position = self.frame as usize % period;
                luma.clone_from(&frames[position.min(period - position)]);
            }
        }
        if self.sigma[255] > 0.0 {
            self.noise.add(luma, &self.sigma, &mut self.rng);
        }
        self.frame += 1;
    }

    /// Standard deviation of the sensor's noise in the dark, in levels of 255.
    pub fn read_noise(&self) -> f32 {
        self.sigma[0]
    }

    fn frames(&mut self, from_s: f32, to_s: f32) -> u64 {
        ((from_s + (to_s - from_s) * self.rng.f32()) * RATE as f32) as u64
    }

    /// Until what comes next.
    fn interval(&mut self) -> u64 {
        match self.kind {
            SceneKind::Traffic => self.frames(3.0, 15.0),
            SceneKind::Denoised => self.frames(8.0, 40.0),
            SceneKind::Film => self.frames(3.0, 9.0),
            SceneKind::Lights => self.frames(12.0, 30.0),
            SceneKind::Slides | SceneKind::SlidesAfterLive => self.frames(4.0, 30.0),
            _ => u64::MAX / 2,
        }
    }

    fn another_place(&mut self) -> Picture {
        let rng = &mut self.rng;
        match self.kind {
            SceneKind::Night => {
                let dark = 4.0 + 14.0 * rng.f32();
                let mut place =
                    Picture::place(WIDTH, HEIGHT, [dark, dark + 8.0 + 30.0 * rng.f32().powi(2)], rng);
                for _ in 0..rng.usize(0..4) {
                    let lamp = Body { radius: [3.0 + 6.0 * rng.f32(); 2], luma: 220.0, stripe: 1e3 };
                    lamp.draw(&mut place.luma, 320.0 * rng.f32(), 200.0 * rng.f32(), 1.0);
                }
                place
            }
            SceneKind::Pan => Picture::place(2 * WIDTH, HEIGHT + 40, [25.0, 225.0], rng),
            SceneKind::Film => {
                let low = 15.0 + 60.0 * rng.f32();
                Picture::place(WIDTH + 120, HEIGHT, [low, low + 80.0 + 80.0 * rng.f32()], rng)
            }
            SceneKind::Slides => slide(rng),
            _ => Picture::place(WIDTH, HEIGHT, [25.0 + 30.0 * rng.f32(), 170.0 + 50.0 * rng.f32()], rng),
        }
    }

    /// Somebody walks through in 4 to 6 seconds; through a denoised camera's picture for as long as the
    /// pause was.
    fn pass_by(&mut self, turn: bool, luma: &mut [u8]) {
        if turn {
            self.body = Body::any(&mut self.rng);
        }
        if self.since == 0 {
            return;
        }
        let walked = (self.frame - self.since) as f32 / RATE as f32;
        let x = match self.kind {
            // In, a while to and fro, out again.
            SceneKind::Denoised => {
                let whole = (self.next - self.since) as f32 / RATE as f32;
                let inside = 0.6 * whole;
                match walked {
                    w if w < 2.0 => -60.0 + w * 110.0,
                    w if w < inside => 160.0 + 60.0 * (1.3 * (w - 2.0)).sin(),
                    w => 160.0 + (w - inside) * 110.0,
                }
            }
            _ => -60.0 + walked * 85.0,
        };
        self.body.draw(luma, x, 150.0 + 4.0 * (9.0 * walked).sin(), 1.0);
    }

    /// Shots that move all over, a fade through black or a title between some of them.
    fn play_film(&mut self, turn: bool, luma: &mut Vec<u8>) {
        if turn {
            self.place = self.another_place();
            self.body = Body::any(&mut self.rng);
            self.light = [self.rng.f32(), 0.3 + 1.2 * self.rng.f32()];
        }
        let [style, dark_s] = self.light;
        let into = (self.frame - self.since) as f32 / RATE as f32;
        let left = (self.next.min(1 << 40) - self.frame) as f32 / RATE as f32;
        if style > 0.8 && into < 1.7 {
            *luma = vec![18; WIDTH * HEIGHT];
            for (index, digit) in [3, 1, 4, 1, 5].into_iter().enumerate() {
                draw_digit(luma, 60 + 42 * index, 90, 5, digit, 210);
            }
            return;
        }
        self.place.window(((8.0 * into) as usize).min(120), 0, luma);
        self.body.draw(luma, 60.0 + 25.0 * into, 140.0 + 20.0 * (3.0 * into).sin(), 1.0);
        if style < 0.4 {
            // A second down, black for a while, half a second up again with the next shot.
            let light =
                ((left - dark_s) / 1.0).clamp(0.0, 1.0).min(if self.since > 0 { into / 0.5 } else { 1.0 });
            luma.iter_mut().for_each(|value| *value = (f32::from(*value) * light) as u8);
        }
    }

    /// Light jumps, and exposure takes half of that back within a second.
    fn switch_light(&mut self, turn: bool, luma: &mut Vec<u8>) {
        if turn {
            let bright = self.light[1] > 0.6;
            self.light[1] = if bright { 0.2 + 0.2 * self.rng.f32() } else { 0.9 + 0.1 * self.rng.f32() };
            self.light[0] = if bright { 0.5 * self.light[1] } else { 1.3 };
        }
        self.light[0] += 0.3 * (self.light[1] - self.light[0]);
        self.place.window(0, 0, luma);
        luma.iter_mut().for_each(|value| *value = (f32::from(*value) * self.light[0]).min(255.0) as u8);
    }

    fn show_slides(&mut self, turn: bool, luma: &mut Vec<u8>) {
        if turn {
            self.place = slide(&mut self.rng);
        }
        self.place.window(0, 0, luma);
    }
}

/// Lines of text, and a picture on some.
fn slide(rng: &mut Rng) -> Picture {
    let (paper, ink) = if rng.bool() { (245, 30) } else { (28, 220) };
    let mut slide = Picture::plain(WIDTH, HEIGHT, paper);
    for line in 0..rng.usize(3..9) {
        for letter in 0..rng.usize(6..30) {
            if rng.u8(..6) > 0 {
                draw_digit(&mut slide.luma, 20 + 9 * letter, 20 + 22 * line, 1, rng.u8(..10), ink);
            }
        }
    }
    if rng.bool() {
        let picture = Picture::place(100, 80, [40.0, 220.0], rng);
        for (row, from) in slide.luma.chunks_mut(WIDTH).skip(140).zip(picture.luma.chunks(100)) {
            row[200..300].copy_from_slice(from);
        }
    }
    slide
}
