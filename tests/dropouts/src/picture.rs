//! Grey pictures, things drawn on them, and noise.

use std::f32::consts::TAU;

use fastrand::Rng;

/// Width of a clip's pictures.
pub const WIDTH: usize = 320;
/// Height of a clip's pictures.
pub const HEIGHT: usize = 240;
/// Pictures a second.
pub const RATE: u64 = 10;
/// Time from one picture to the next.
pub const PERIOD_MS: u64 = 1000 / RATE;

/// Luma of a picture, row by row, full range.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Width.
    pub width: usize,
    /// `width * height` values.
    pub luma: Vec<u8>,
}

impl Picture {
    /// Of one luma.
    pub fn plain(width: usize, height: usize, luma: u8) -> Self {
        Self { width, luma: vec![luma; width * height] }
    }

    /// A place: soft structure of three sizes, and some things with edges. Luma lies in `range`.
    pub fn place(width: usize, height: usize, range: [f32; 2], rng: &mut Rng) -> Self {
        let mut field = vec![0.0f32; width * height];
        for (cell, weight) in [(96.0f32, 1.0f32), (32.0, 0.45), (9.0, 0.2)] {
            add_structure(&mut field, width, cell, weight, rng);
        }
        let height = height as i64;
        for _ in 0..rng.usize(4..12) {
            let (w, h) = (rng.i64(12..width as i64 / 3), rng.i64(12..height / 3));
            let (x, y) = (rng.i64(0..width as i64 - w), rng.i64(0..height - h));
            let shade = rng.f32() * 2.0 - 1.0;
            for row in y..y + h {
                let start = row as usize * width + x as usize;
                field[start..start + w as usize].iter_mut().for_each(|v| *v = 0.4 * *v + 0.7 * shade);
            }
        }
        let (low, high) = field.iter().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
        let scale = (range[1] - range[0]) / (high - low).max(1e-6);
        let luma = field.iter().map(|v| (range[0] + (v - low) * scale).clamp(0.0, 255.0) as u8).collect();
        Self { width, luma }
    }

    /// Height.
    pub fn height(&self) -> usize {
        self.luma.len() / self.width
    }

    /// The part of [`WIDTH`] x [`HEIGHT`] whose top left corner is at `x`, `y`.
    pub fn window(&self, x: usize, y: usize, into: &mut Vec<u8>) {
        into.clear();
        for row in self.luma.chunks(self.width).skip(y).take(HEIGHT) {
            into.extend_from_slice(&row[x..x + WIDTH]);
        }
    }
}

/// Something that moves: a textured ellipse.
#[derive(Clone, Debug)]
pub struct Body {
    /// Half width and half height.
    pub radius: [f32; 2],
    /// Luma.
    pub luma: f32,
    /// Period of its stripes in pixels.
    pub stripe: f32,
}

impl Body {
    /// One of any size and luma.
    pub fn any(rng: &mut Rng) -> Self {
        let radius = [12.0 + rng.f32() * 28.0, 25.0 + rng.f32() * 45.0];
        Self { radius, luma: 40.0 + rng.f32() * 170.0, stripe: 6.0 + rng.f32() * 14.0 }
    }

    /// Draws it on a picture of [`WIDTH`] x [`HEIGHT`], dimmed to `light`.
    pub fn draw(&self, luma: &mut [u8], x: f32, y: f32, light: f32) {
        let [rx, ry] = self.radius;
        for row in ((y - ry).max(0.0) as usize)..((y + ry).clamp(0.0, HEIGHT as f32) as usize) {
            let dy = (row as f32 - y) / ry;
            let half = rx * (1.0 - dy * dy).max(0.0).sqrt();
            let from = (x - half).clamp(0.0, WIDTH as f32) as usize;
            let to = (x + half).clamp(0.0, WIDTH as f32) as usize;
            let shade = self.luma + 25.0 * (TAU * (row as f32 - y) / self.stripe).sin();
            for (column, value) in luma[row * WIDTH..][from..to].iter_mut().enumerate() {
                let across = 12.0 * ((from + column) as f32 - x) / rx;
                *value = ((shade + across) * light).clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// Seven-segment digits of six by ten pixels: the clock that a recorder burns in.
pub fn draw_clock(luma: &mut [u8], x: usize, y: usize, seconds: u64) {
    let text = [seconds / 36_000 % 10, seconds / 3600 % 10, seconds / 600 % 6, seconds / 60 % 10];
    let text = [text[0], text[1], text[2], text[3], seconds / 10 % 6, seconds % 10];
    for row in luma.chunks_mut(WIDTH).skip(y).take(14) {
        row[x..x + 58].fill(16);
    }
    for (index, digit) in text.into_iter().enumerate() {
        draw_digit(luma, x + 3 + 8 * index + 3 * (index / 2), y + 2, 1, digit as u8, 235);
    }
}

/// A seven-segment digit of 6 x 10 units of `unit` pixels.
pub fn draw_digit(luma: &mut [u8], x: usize, y: usize, unit: usize, digit: u8, value: u8) {
    // Bits from 0: top, upper left, upper right, middle, lower left, lower right, bottom.
    const SEGMENTS: [u8; 10] = [0x77, 0x24, 0x5d, 0x6d, 0x2e, 0x6b, 0x7b, 0x25, 0x7f, 0x6f];
    const BOXES: [[usize; 4]; 7] =
        [[1, 0, 4, 1], [0, 1, 1, 4], [5, 1, 1, 4], [1, 4, 4, 1], [0, 5, 1, 4], [5, 5, 1, 4], [1, 9, 4, 1]];
    for (bit, [left, top, width, height]) in BOXES.into_iter().enumerate() {
        if SEGMENTS[digit as usize % 10] >> bit & 1 == 1 {
            for row in y + top * unit..y + (top + height) * unit {
                luma[row * WIDTH + x + left * unit..][..width * unit].fill(value);
            }
        }
    }
}

/// Gaussian noise out of a table, which each row enters anywhere.
#[derive(Clone, Debug)]
pub struct Noise {
    /// Of standard deviation 256.
    table: Vec<i16>,
}

const TABLE: usize = 1 << 16;

impl Noise {
    /// A table of its own for each clip.
    pub fn new(rng: &mut Rng) -> Self {
        let mut table = Vec::with_capacity(TABLE + WIDTH);
        while table.len() < TABLE {
            let radius = 256.0 * (-2.0 * (1.0 - rng.f32()).ln()).sqrt();
            let angle = TAU * rng.f32();
            table.extend([(radius * angle.cos()) as i16, (radius * angle.sin()) as i16]);
        }
        table.extend_from_within(..WIDTH);
        Self { table }
    }

    /// Adds noise whose standard deviation, in levels, is `sigma[luma]`.
    pub fn add(&self, luma: &mut [u8], sigma: &[f32; 256], rng: &mut Rng) {
        let scale: Vec<i32> = sigma.iter().map(|sigma| (sigma * 256.0) as i32).collect();
        for row in luma.chunks_mut(WIDTH) {
            let noise = &self.table[rng.usize(..TABLE)..][..WIDTH];
            for (value, noise) in row.iter_mut().zip(noise) {
                let off = (i32::from(*noise) * scale[usize::from(*value)] + (1 << 15)) >> 16;
                *value = (i32::from(*value) + off).clamp(0, 255) as u8;
            }
        }
    }

    /// White noise of an RMS of `rms` added to sound.
    pub fn add_to_sound(&self, samples: &mut [f32], rms: f32, rng: &mut Rng) {
        for part in samples.chunks_mut(WIDTH) {
            let noise = &self.table[rng.usize(..TABLE)..];
            part.iter_mut().zip(noise).for_each(|(value, noise)| *value += f32::from(*noise) * rms / 256.0);
        }
    }
}

/// What a sensor's noise is at each luma: `read` in the dark, more with the light.
pub fn sensor_noise(read: f32, shot: f32) -> [f32; 256] {
    std::array::from_fn(|luma| (read * read + shot * shot * luma as f32 / 128.0).sqrt())
}

fn add_structure(field: &mut [f32], width: usize, cell: f32, weight: f32, rng: &mut Rng) {
    let columns = (width as f32 / cell) as usize + 2;
    let rows = ((field.len() / width) as f32 / cell) as usize + 2;
    let lattice: Vec<f32> = (0..columns * rows).map(|_| rng.f32() * 2.0 - 1.0).collect();
    for (y, row) in field.chunks_mut(width).enumerate() {
        let (v, j) = ((y as f32 / cell).fract(), (y as f32 / cell) as usize);
        for (x, value) in row.iter_mut().enumerate() {
            let (u, i) = ((x as f32 / cell).fract(), (x as f32 / cell) as usize);
            let at = |i: usize, j: usize| lattice[j * columns + i];
            let upper = at(i, j) * (1.0 - u) + at(i + 1, j) * u;
            let lower = at(i, j + 1) * (1.0 - u) + at(i + 1, j + 1) * u;
            *value += weight * (upper * (1.0 - v) + lower * v);
        }
    }
}
