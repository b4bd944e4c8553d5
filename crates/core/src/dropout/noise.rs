//! What a picture's parts change by when nothing is wrong, learnt while the sensor delivers.

use std::time::Duration;

use super::grid::Grid;
use crate::time::Timestamp;

/// Stretches seen before the noise is known: eight seconds with the default time to trip, so that
/// a still moment at the start is not taken for the whole of the source.
const LEARNT_AFTER: u32 = 4;
/// Stretches after light was switched until the floor holds again: the first may have begun before.
const SETTLED_AFTER: u32 = 2;
/// What the floor may rise by per stretch, so that a source that gets noisier is followed in minutes
/// while one still moment, ten minutes ago, keeps a scene that is always in motion from being believed.
const RISE: f32 = 1.01;
/// And by this, in levels, so that a floor of nothing is left again: a camera comes after slides.
const RISE_LEVELS: f32 = 0.002;
/// A cell that changes by less, in levels, is without noise: two levels in four of 64 points.
const LEAST: f32 = 0.12;
/// The source has noise when at least this share of the cells has.
const NOISY_SHARE: f32 = 0.25;
/// The collapse is the value that this share of the noisy cells does not exceed: not all of them, because a
/// coder that gets a frozen picture changes some parts of it with every key frame.
const COLLAPSED_SHARE: f32 = 0.6;
/// A jump of the mean luma by so many levels between two pictures is light or camera being switched.
const SWITCH: f32 = 10.0;

/// The least that each cell changed by in any stretch of time.
///
/// A stretch is as long as the time to trip. Within one, a cell's change is the largest difference to
/// the stretch's first picture: sensor noise, or coding noise that comes with every key frame.
#[derive(Clone, Debug, Default)]
pub(super) struct NoiseFloor {
    stretch: Duration,
    began: Option<Timestamp>,
    first: Vec<u8>,
    /// Largest change of each cell in the present stretch, in levels.
    peak: Vec<f32>,
    floor: Vec<f32>,
    stretches: u32,
    /// Stretches since light was switched.
    settled: u32,
    luma_mean: Option<f32>,
    cells: Vec<f32>,
}

impl NoiseFloor {
    pub(super) fn new(stretch: Duration) -> Self {
        Self { stretch, ..Self::default() }
    }

    /// Whether the floor still holds: light that is switched changes the noise with the picture.
    pub(super) fn is_settled(&self) -> bool {
        self.settled >= SETTLED_AFTER
    }

    /// How large `changes` are in relation to the floor: about 1 for a live, still scene. `None` while
    /// the floor is not known, or if the source has none.
    pub(super) fn collapse(&self, changes: &[f32], scratch: &mut Vec<f32>) -> Option<f32> {
        if self.stretches < LEARNT_AFTER || self.floor.len() != changes.len() {
            return None;
        }
        scratch.clear();
        let noisy = self.floor.iter().zip(changes).filter(|(floor, _)| **floor >= LEAST);
        scratch.extend(noisy.map(|(floor, change)| change / floor));
        if (scratch.len() as f32) < NOISY_SHARE * changes.len() as f32 || scratch.is_empty() {
            return None;
        }
        let rank = ((scratch.len() as f32 * COLLAPSED_SHARE) as usize).min(scratch.len() - 1);
        Some(*scratch.select_nth_unstable_by(rank, f32::total_cmp).1)
    }

    /// Mean of the floor over the cells, in levels; `None` while it is not known.
    pub(super) fn mean(&self) -> Option<f32> {
        let known = self.stretches >= LEARNT_AFTER && !self.floor.is_empty();
        known.then(|| self.floor.iter().sum::<f32>() / self.floor.len() as f32)
    }

    /// A picture came. `stands_since` is when the picture began to stand by comparison with the noise,
    /// `None` if it does not.
    pub(super) fn observe(
        &mut self,
        at: Timestamp,
        grid: &Grid,
        luma: &[u8],
        luma_mean: f32,
        stands_since: Option<Timestamp>,
    ) {
        if self.luma_mean.replace(luma_mean).is_some_and(|before| (luma_mean - before).abs() > SWITCH) {
            self.settled = 0;
        }
        let Some(began) = self.began.filter(|_| self.first.len() == luma.len()) else {
            return self.begin(at, luma);
        };
        grid.differences(luma, &self.first, &mut self.cells);
        self.peak.resize(self.cells.len(), 0.0);
        self.peak.iter_mut().zip(&self.cells).for_each(|(peak, change)| *peak = peak.max(*change));
        if at.saturating_since(began) >= self.stretch {
            // A stretch that lay within a freeze tells nothing of a live picture.
            if stands_since.is_none_or(|since| since > began) {
                self.learn();
            }
            self.begin(at, luma);
        }
    }

    fn begin(&mut self, at: Timestamp, luma: &[u8]) {
        self.began = Some(at);
        self.first.clear();
        self.first.extend_from_slice(luma);
        self.peak.clear();
    }

    fn learn(&mut self) {
        if self.floor.len() != self.peak.len() {
            self.floor.clone_from(&self.peak);
        }
        let cells = self.floor.iter_mut().zip(&self.peak);
        cells.for_each(|(floor, peak)| *floor = (*floor * RISE + RISE_LEVELS).min(*peak));
        self.stretches += 1;
        self.settled += 1;
    }
}
