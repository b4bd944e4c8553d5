//! What a picture does in comparison with the one before: by that a camera that rests is told from one that
//! is held.

use std::time::Duration;

use crate::time::Timestamp;

/// A cell that changed by more, in levels, moved: six of its 64 points by a level.
const MOVED: f32 = 0.1;
/// A cut changes a picture by more than this, mean absolute luma difference in levels.
const CUT_LEAST: f32 = 4.0;
/// And by so many times what moving pictures usually change by.
const CUT_TIMES: f32 = 3.0;
/// By so many after a stand: who rests goes on as he stopped, a freeze ends somewhere else.
const JUMP_TIMES: f32 = 2.0;
/// What a coder changes of a picture that stands is spread evenly: the median cell changes by this at least, in
/// levels,
const FLAT_MEDIAN: f32 = 0.05;
/// and all but this share of the cells, which a clock is on, by at most
const FLAT_SHARE: f32 = 0.95;
/// so many times the median
const FLAT_TIMES: f32 = 2.0;
/// and so many levels. Things that move have edges.
const FLAT_LEAST: f32 = 2.0;
/// While a coder refines the last of a motion, a picture changes by at most this share of what is usual.
const REFINED_SHARE: f32 = 0.25;
/// It moved as a whole if it did so for this share of the time, the latest counting most: for half of the time
/// to trip at least, or in every other picture.
const WHOLE_SHARE: f32 = 0.4;
/// What is left of the usual with every picture that moves: half of it after seven.
const USUAL_KEPT: f32 = 0.9;

/// What a picture does in comparison with the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is the picture that has been standing.
    Stands,
    /// The same scene, coded anew: with a key frame, or finer after motion.
    Refreshed,
    /// It moved, or its noise did.
    Moved,
    /// It is another one altogether.
    Cut,
}

/// What the pictures of a camera did lately.
#[derive(Clone, Debug)]
pub(super) struct Motion {
    /// Over which time lately is.
    memory: Duration,
    latest: Timestamp,
    stood: bool,
    cut: bool,
    /// What a picture that moves usually changes by, in levels.
    usual: f32,
    /// Share of the time in which it moved in most of its cells.
    whole: f32,
    /// The same when the present stand began.
    whole_before: Option<f32>,
    sorted: Vec<f32>,
}

impl Motion {
    /// Of a camera that nobody has seen.
    pub(super) fn new(memory: Duration) -> Self {
        Self {
            memory,
            latest: Timestamp::ZERO,
            stood: false,
            cut: false,
            usual: 0.0,
            whole: 0.0,
            whole_before: None,
            sorted: Vec::new(),
        }
    }

    /// What a picture does, from what its cells changed by and their mean without those that change most,
    /// `activity`, both in levels, and whether it `stands`.
    pub(super) fn classify(&mut self, at: Timestamp, cells: &[f32], activity: f32, stands: bool) -> Change {
        let change = if stands { Change::Stands } else { self.classify_change(cells, activity) };
        (self.stood, self.cut) = (change == Change::Stands, change == Change::Cut);
        let moved = match change {
            Change::Moved | Change::Cut => {
                self.whole_before = None;
                2 * self.sorted.iter().filter(|cell| **cell > MOVED).count() > self.sorted.len()
            }
            Change::Stands | Change::Refreshed => {
                self.whole_before.get_or_insert(self.whole);
                false
            }
        };
        let passed = at.saturating_since(self.latest).as_secs_f32() / self.memory.as_secs_f32().max(1e-3);
        self.latest = at;
        let share = if moved { 1.0 } else { 0.0 };
        self.whole = share + (self.whole - share) * (-passed).exp();
        change
    }

    /// Of one that does not stand.
    fn classify_change(&mut self, cells: &[f32], activity: f32) -> Change {
        self.sorted.clear();
        self.sorted.extend_from_slice(cells);
        self.sorted.sort_unstable_by(f32::total_cmp);
        let all = self.sorted.len();
        let (median, most) = (self.sorted[all / 2], self.sorted[(all as f32 * FLAT_SHARE) as usize]);
        let times = if self.stood { JUMP_TIMES } else { CUT_TIMES };
        let cuts = activity > CUT_LEAST.max(times * self.usual);
        let flat = median >= FLAT_MEDIAN && most <= FLAT_LEAST + FLAT_TIMES * median;
        let refined = flat && activity <= REFINED_SHARE * self.usual;
        if flat && self.stood && !cuts {
            return Change::Refreshed;
        }
        // Nobody cuts twice in a row.
        if !cuts || self.cut {
            self.usual += (1.0 - USUAL_KEPT) * (activity - self.usual);
        }
        match (cuts, refined) {
            (true, _) => Change::Cut,
            (false, true) => Change::Refreshed,
            (false, false) => Change::Moved,
        }
    }

    /// Whether it moved as a whole lately, or before it began to stand: a camera that swings, a film, noise.
    pub(super) fn is_whole(&self) -> bool {
        self.whole_before.unwrap_or(self.whole) > WHOLE_SHARE
    }
}
