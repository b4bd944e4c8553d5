//! What a picture does in comparison with the one before: by that a camera that rests is told from one that
//! is held.

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
/// What is left of the usual with every picture that moves: half of it after seven,
const USUAL_KEPT: f32 = 0.9;
/// and of whether pictures move as a whole: half after fourteen.
const WHOLE_KEPT: f32 = 0.95;

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
#[derive(Clone, Debug, Default)]
pub(super) struct Motion {
    stood: bool,
    cut: bool,
    /// What a picture that moves usually changes by, in levels.
    usual: f32,
    /// Share of those that moved that did so in most of their cells.
    whole: f32,
    sorted: Vec<f32>,
}

impl Motion {
    /// What a picture does that does not stand, from what its cells changed by, in levels: those that change
    /// most, `ignored_share` of them, are left out.
    pub(super) fn classify(&mut self, cells: &[f32], stands: bool, ignored_share: f32) -> Change {
        if stands {
            (self.stood, self.cut) = (true, false);
            return Change::Stands;
        }
        let kept = cells.len() - ((cells.len() as f32 * ignored_share) as usize).min(cells.len() - 1);
        self.sorted.clear();
        self.sorted.extend_from_slice(cells);
        self.sorted.sort_unstable_by(f32::total_cmp);
        let (median, most) =
            (self.sorted[cells.len() / 2], self.sorted[(cells.len() as f32 * FLAT_SHARE) as usize]);
        let kept = &self.sorted[..kept];
        let activity = kept.iter().sum::<f32>() / kept.len() as f32;
        let stood = std::mem::take(&mut self.stood);
        let times = if stood { JUMP_TIMES } else { CUT_TIMES };
        let flat = median >= FLAT_MEDIAN && most <= FLAT_LEAST + FLAT_TIMES * median;
        let cut = std::mem::replace(&mut self.cut, activity > CUT_LEAST.max(times * self.usual));
        if self.cut {
            if cut {
                // Nobody cuts twice in a row.
                self.usual += (1.0 - USUAL_KEPT) * (activity - self.usual);
            }
            return Change::Cut;
        }
        if flat && stood {
            return Change::Refreshed;
        }
        let refined = flat && activity <= REFINED_SHARE * self.usual;
        self.usual += (1.0 - USUAL_KEPT) * (activity - self.usual);
        if refined {
            return Change::Refreshed;
        }
        let moved = kept.iter().filter(|cell| **cell > MOVED).count();
        let whole = if 2 * moved > kept.len() { 1.0 } else { 0.0 };
        self.whole += (1.0 - WHOLE_KEPT) * (whole - self.whole);
        Change::Moved
    }

    /// Whether pictures that move do so as a whole: a camera that swings, a film, noise.
    pub(super) fn is_whole(&self) -> bool {
        self.whole > 0.5
    }
}
