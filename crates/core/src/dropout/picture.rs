//! Statistics of pictures, computed once per frame.

use std::time::Duration;

use super::change::{Change, Motion};
use super::grid::Grid;
use super::noise::NoiseFloor;
use super::{BlackThreshold, BrightThreshold, FrozenThreshold, VideoThresholds};
use crate::samples::Frame;
use crate::time::Timestamp;

/// Share of the cells that may be left out of a picture's structure: a clock of six digits lies on ten of 300.
const CLOCK_SHARE: f32 = 0.05;
/// And they must stand out by so many levels, as digits do: the few brightest parts of a dark scene are structure.
const CLOCK_STANDS_OUT: f32 = 6.0;
/// A dark picture whose structure fell to this share of the usual is black.
const FALL_SHARE: f32 = 0.25;
/// What is left of the usual structure with every picture that is not black: half of it after seventy.
const STRUCTURE_KEPT: f32 = 0.99;

/// Statistics of one picture, luma in [0, 1], without the regions that are ignored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameStatistics {
    /// Mean luma.
    pub luma_mean: f32,
    /// Standard deviation of the luma of the picture's parts (cells of 1/20 x 1/15), without up to a
    /// twentieth that stands out from the mean, such as a burnt-in clock: its structure, without its noise.
    pub luma_deviation: f32,
    /// What that usually is while the picture is not black; `None` before it was not.
    pub usual_deviation: Option<f32>,
    /// Share of points whose luma exceeds the black threshold's `luma`.
    pub lit_share: f32,
    /// Share of points whose luma is at least the bright threshold's `luma`.
    pub saturated_share: f32,
    /// Mean absolute luma difference to the previous picture, the cells that change most left out:
    /// motion and temporal noise. `None` for the first picture of a size.
    pub activity: Option<f32>,
    /// The same to the reference picture, the first of a possibly frozen run.
    pub difference: Option<f32>,
    /// What it did since the picture before; `None` for the first of a size.
    pub change: Option<Change>,
    /// Whether pictures that move do so as a whole, and not in a part of a scene that stands.
    pub whole: bool,
    /// The difference to the first of a run of quiet pictures in relation to the least that this source changed
    /// by before: about 1 for a live, still scene, more with motion, 0 for an exact repeat. `None` while that is
    /// not known, and of a source without noise.
    pub collapse: Option<f32>,
    /// Whether the noise is that of before: not for a while after light was switched.
    pub settled: bool,
    /// Mean of the least that the picture's parts changed by before; `None` while not known.
    pub noise: Option<f32>,
}

/// Measures the pictures of one camera.
#[derive(Clone, Debug)]
pub struct PictureMeter {
    thresholds: VideoThresholds,
    grid: Grid,
    luma: Vec<u8>,
    previous: Vec<u8>,
    /// The first of pictures that stand.
    standing: Reference,
    /// The first of pictures that change by less than their noise.
    quiet: Reference,
    motion: Motion,
    usual_deviation: Option<f32>,
    noise: NoiseFloor,
    cells: Vec<f32>,
    scratch: Vec<f32>,
}

/// The first picture of a run.
#[derive(Clone, Debug, Default)]
struct Reference {
    at: Timestamp,
    luma: Vec<u8>,
}

impl FrameStatistics {
    /// Whether the picture is black.
    pub fn is_black(&self, threshold: &BlackThreshold) -> bool {
        let deviation = self.luma_deviation;
        let fell = self.usual_deviation.is_some_and(|usual| deviation <= FALL_SHARE * usual);
        let structured = if fell { threshold.deviation } else { threshold.deviation / 2.0 };
        self.lit_share <= threshold.lit_share && deviation <= structured
    }

    /// Whether the picture is saturated.
    pub fn is_bright(&self, threshold: &BrightThreshold) -> bool {
        self.saturated_share >= threshold.share
    }

    /// Whether the picture is the one that has been standing.
    pub fn stands(&self, threshold: &FrozenThreshold) -> bool {
        self.difference.is_some_and(|difference| difference <= threshold.tolerance)
    }

    /// Whether the picture changes by less than its noise ever did.
    pub fn is_quiet(&self, threshold: &FrozenThreshold) -> bool {
        self.settled && self.collapse.is_some_and(|collapse| collapse <= threshold.collapse)
    }
}

impl PictureMeter {
    /// A meter that has seen nothing.
    pub fn new(thresholds: &VideoThresholds) -> Self {
        let frozen = thresholds.frozen.clone().unwrap_or_default();
        Self {
            thresholds: thresholds.clone(),
            grid: Grid::default(),
            luma: Vec::new(),
            previous: Vec::new(),
            standing: Reference::default(),
            quiet: Reference::default(),
            motion: Motion::new(Duration::from_millis(frozen.after_ms)),
            usual_deviation: None,
            noise: NoiseFloor::new(Duration::from_millis(frozen.after_ms)),
            cells: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Statistics of `frame`; takes it as the new reference unless it stands.
    ///
    /// Comparing with the first picture of a run, not with the previous one, sees a slow drift as
    /// change.
    pub fn measure(&mut self, frame: &Frame) -> FrameStatistics {
        let size = [frame.width, frame.height];
        if self.grid.size != size {
            *self = Self::new(&self.thresholds);
            self.grid = Grid::new(size, &self.thresholds.ignore);
        }
        std::mem::swap(&mut self.previous, &mut self.luma);
        self.grid.sample(frame, &mut self.luma);
        let mut statistics = self.levels();
        self.follow_structure(&statistics);
        self.compare(frame.at, &mut statistics);
        let frozen = self.thresholds.frozen.clone().unwrap_or_default();
        let (stands, quiet) = (statistics.stands(&frozen), statistics.is_quiet(&frozen));
        if !stands {
            self.standing.take(frame.at, &self.luma);
        }
        if !quiet {
            self.quiet.take(frame.at, &self.luma);
        }
        let since = [stands.then_some(self.standing.at), quiet.then_some(self.quiet.at)];
        let since = statistics.collapse.and(since.into_iter().flatten().min());
        self.noise.observe(frame.at, &self.grid, &self.luma, 255.0 * statistics.luma_mean, since);
        statistics
    }

    /// Statistics of the picture by itself.
    fn levels(&mut self) -> FrameStatistics {
        let points = self.grid.points().max(1) as f32;
        // Rounds down, so that whole levels compare the same.
        let darkest = (self.thresholds.black.clone().unwrap_or_default().luma * 255.0) as u8;
        let brightest = (self.thresholds.bright.clone().unwrap_or_default().luma * 255.0).ceil() as u8;
        let (mut sum, mut lit, mut saturated) = (0u32, 0u32, 0u32);
        for luma in &self.luma {
            sum += u32::from(*luma);
            lit += u32::from(*luma > darkest);
            saturated += u32::from(*luma >= brightest);
        }
        self.grid.means(&self.luma, &mut self.cells);
        let luma_mean = sum as f32 / points;
        let cells = self.cells.iter().zip(self.grid.looked_at()).filter(|(_, looked_at)| *looked_at);
        self.scratch.clear();
        self.scratch.extend(cells.map(|(cell, _)| *cell));
        FrameStatistics {
            luma_mean: luma_mean / 255.0,
            luma_deviation: trimmed_deviation(&mut self.scratch, luma_mean) / 255.0,
            usual_deviation: self.usual_deviation,
            lit_share: lit as f32 / points,
            saturated_share: saturated as f32 / points,
            activity: None,
            difference: None,
            change: None,
            whole: false,
            collapse: None,
            settled: false,
            noise: None,
        }
    }

    /// Lets the usual structure follow a picture that is not black.
    fn follow_structure(&mut self, picture: &FrameStatistics) {
        if !picture.is_black(&self.thresholds.black.clone().unwrap_or_default()) {
            let usual = self.usual_deviation.unwrap_or(picture.luma_deviation);
            self.usual_deviation =
                Some(picture.luma_deviation + STRUCTURE_KEPT * (usual - picture.luma_deviation));
        }
    }

    /// Statistics of the picture in comparison with earlier ones.
    fn compare(&mut self, at: Timestamp, statistics: &mut FrameStatistics) {
        if self.previous.len() != self.luma.len() || self.luma.is_empty() {
            return;
        }
        let frozen = self.thresholds.frozen.clone().unwrap_or_default();
        self.grid.differences(&self.luma, &self.standing.luma, &mut self.cells);
        statistics.difference = Some(trimmed_mean(&self.cells, frozen.ignored_share, &mut self.scratch));
        self.grid.differences(&self.luma, &self.quiet.luma, &mut self.cells);
        statistics.collapse = self.noise.collapse(&self.cells, &mut self.scratch);
        statistics.settled = self.noise.is_settled();
        statistics.noise = self.noise.mean().map(|levels| levels / 255.0);
        self.grid.differences(&self.luma, &self.previous, &mut self.cells);
        let activity = trimmed_mean(&self.cells, frozen.ignored_share, &mut self.scratch);
        statistics.activity = Some(activity);
        let stands = statistics.stands(&frozen);
        statistics.change = Some(self.motion.classify(at, &self.cells, 255.0 * activity, stands));
        statistics.whole = self.motion.is_whole();
    }
}

impl Reference {
    fn take(&mut self, at: Timestamp, luma: &[u8]) {
        self.at = at;
        self.luma.clear();
        self.luma.extend_from_slice(luma);
    }
}

/// Standard deviation of `cells` about their mean, without those that stand out from `mean` like a clock, at most
/// the [`CLOCK_SHARE`] farthest from it.
fn trimmed_deviation(cells: &mut [f32], mean: f32) -> f32 {
    let least = cells.len() - (cells.len() as f32 * CLOCK_SHARE) as usize;
    if least == 0 {
        return 0.0;
    }
    let off = |cell: &f32| (cell - mean).abs();
    cells.select_nth_unstable_by(least - 1, |a, b| off(a).total_cmp(&off(b)));
    let (kept, farthest) = cells.split_at(least);
    let kept = || kept.iter().chain(farthest.iter().filter(|cell| off(cell) < CLOCK_STANDS_OUT));
    let count = kept().count() as f32;
    let mean = kept().sum::<f32>() / count;
    (kept().map(|cell| (cell - mean).powi(2)).sum::<f32>() / count).sqrt()
}

/// Mean of `cells`, in levels, without the `share` of them that is largest; as a share of 255.
fn trimmed_mean(cells: &[f32], share: f32, scratch: &mut Vec<f32>) -> f32 {
    scratch.clear();
    scratch.extend_from_slice(cells);
    let kept = cells.len() - ((cells.len() as f32 * share) as usize).min(cells.len() - 1);
    scratch.select_nth_unstable_by(kept - 1, f32::total_cmp);
    scratch[..kept].iter().sum::<f32>() / kept as f32 / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dropout::Region;

    fn meter() -> PictureMeter {
        PictureMeter::new(&VideoThresholds::default())
    }

    fn grey(width: u32, height: u32, luma: impl Fn(u32, u32) -> u8) -> Frame {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let rgb = pixels.flat_map(|(x, y)| [luma(x, y); 3]).collect();
        Frame { at: Timestamp::ZERO, width, height, rgb }
    }

    /// A scene whose points are off by up to `noise` levels either way, anew in every frame `n`.
    fn noisy(n: u32, noise: u32) -> Frame {
        let frame = grey(80, 64, |x, y| {
            let mut hash = (x + 80 * y + 7919 * n).wrapping_mul(0x9E37_79B1);
            hash ^= hash >> 15;
            hash = hash.wrapping_mul(0x85EB_CA77);
            (100 + x / 8 + (hash >> 16) % (2 * noise + 1) - noise) as u8
        });
        Frame { at: Timestamp::from_millis(i64::from(n) * 100), ..frame }
    }

    #[test]
    fn the_reference_is_the_first_frame_of_a_run() {
        let mut meter = meter();
        let mut difference = |luma| meter.measure(&grey(8, 8, |_, _| luma)).difference;
        assert_eq!(difference(100), None);
        assert_eq!(difference(100), Some(0.0));
        let mut drifting = meter.clone();
        drifting.thresholds.frozen = Some(FrozenThreshold { tolerance: 0.01, ..FrozenThreshold::default() });
        let mut difference = |luma| drifting.measure(&grey(8, 8, |_, _| luma)).difference;
        // Each step is within the tolerance of 2.55 levels, the sum of two is not.
        assert_eq!(difference(102), Some(2.0 / 255.0));
        assert_eq!(difference(104), Some(4.0 / 255.0));
        assert_eq!(difference(104), Some(0.0), "104 is the new reference");
    }

    #[test]
    fn a_change_of_size_cannot_be_compared() {
        let mut meter = meter();
        for size in [(8, 4), (4, 8), (320, 240)] {
            assert_eq!(meter.measure(&grey(size.0, size.1, |_, _| 9)).difference, None);
        }
    }

    #[test]
    fn a_thin_stroke_on_black_is_lit_and_a_dark_skyline_is_not_black() {
        let black = BlackThreshold::default();
        // A stroke as thin as a digit's on 320 x 240: 8 pixels wide, 150 high.
        let stroke = grey(320, 240, |x, y| if (156..164).contains(&x) && y < 150 { 255 } else { 0 });
        let statistics = meter().measure(&stroke);
        assert!((statistics.lit_share - 8.0 * 150.0 / (320.0 * 240.0)).abs() < 1e-3, "{statistics:?}");
        assert!((statistics.luma_mean - statistics.lit_share).abs() < 1e-6);
        assert!(!statistics.is_black(&black));
        assert!(meter().measure(&grey(320, 240, |_, _| 20)).is_black(&black));
        let skyline = grey(320, 240, |_, y| if y < 120 { 18 } else { 10 });
        assert!(!meter().measure(&skyline).is_black(&black));
    }

    #[test]
    fn a_white_page_with_ink_is_not_bright() {
        let bright = BrightThreshold::default();
        assert!(meter().measure(&grey(320, 240, |_, _| 252)).is_bright(&bright));
        assert!(!meter().measure(&grey(320, 240, |x, _| if x < 16 { 0 } else { 255 })).is_bright(&bright));
    }

    #[test]
    fn a_clock_is_left_out_by_its_region_or_as_a_small_part() {
        let clock = |size: u32, now: u8| {
            grey(160, 120, move |x, y| if x < size && y < size { now } else { 90 + (x / 16) as u8 })
        };
        for (size, ignore) in [(16, vec![]), (64, vec![Region { x: 0.0, y: 0.0, width: 0.4, height: 0.54 }])]
        {
            let mut meter = PictureMeter::new(&VideoThresholds { ignore, ..VideoThresholds::default() });
            meter.measure(&clock(size, 0));
            assert_eq!(meter.measure(&clock(size, 255)).difference, Some(0.0), "{size}");
        }
    }

    #[test]
    fn noise_tells_a_still_scene_from_a_frozen_one() {
        let frozen = FrozenThreshold::default();
        let mut meter = meter();
        let live: Vec<_> = (0..120).map(|n| meter.measure(&noisy(n, 4))).collect();
        assert_eq!(live[60].collapse, None, "not known after six seconds");
        let worst = live[100..].iter().filter_map(|s| s.collapse).fold(f32::MAX, f32::min);
        assert!(worst > 0.7, "{worst}");
        assert!(live.iter().all(|statistics| !statistics.is_quiet(&frozen)));
        // What the link adds to a frozen picture is less than what the sensor did.
        for n in 120..200 {
            let statistics = meter.measure(&noisy(n, 1));
            assert_eq!(statistics.is_quiet(&frozen), n > 120, "{n} {statistics:?}");
        }
        assert!(!meter.measure(&noisy(200, 4)).is_quiet(&frozen), "live again");
    }

    #[test]
    fn a_source_without_noise_has_none_to_lose() {
        let mut meter = meter();
        for n in 0..400 {
            let slide = Frame {
                at: Timestamp::from_millis(100 * n),
                ..grey(80, 64, |x, _| (x as i64 + n / 50 * 40) as u8)
            };
            assert_eq!(meter.measure(&slide).collapse, None);
        }
    }

    /// Text on white, another one for every `n`, without noise.
    fn slide(at_ms: i64, n: u32) -> Frame {
        let ink = move |x: u32, y: u32| (x / 3 + 7 * y / 5 + 11 * n).is_multiple_of(4) && y % 10 < 6;
        Frame { at: Timestamp::from_millis(at_ms), ..grey(80, 64, |x, y| if ink(x, y) { 20 } else { 245 }) }
    }

    #[test]
    fn what_a_picture_does_is_told_from_what_it_changes() {
        let mut meter = meter();
        let mut n = 0;
        let mut show = |frame: Frame| {
            n += 1;
            meter.measure(&Frame { at: Timestamp::from_millis(100 * n), ..frame })
        };
        for n in 0..40 {
            show(noisy(n, 4));
        }
        let statistics = show(noisy(40, 4));
        assert_eq!((statistics.change, statistics.whole), (Some(Change::Moved), true), "noise is everywhere");
        assert_eq!(show(noisy(40, 4)).change, Some(Change::Stands));
        assert_eq!(show(noisy(41, 1)).change, Some(Change::Refreshed), "everywhere the same, after a stand");
        assert_eq!(show(slide(0, 1)).change, Some(Change::Cut));
        assert_eq!(show(slide(0, 1)).change, Some(Change::Stands));
        assert_eq!(show(slide(0, 2)).change, Some(Change::Cut), "however much it moved before");
    }

    #[test]
    fn a_camera_that_comes_after_slides_has_its_noise_known_within_minutes() {
        let mut meter = meter();
        for n in 0..120 {
            meter.measure(&slide(100 * n, 1));
        }
        for n in 120..3000 {
            meter.measure(&noisy(n, 4));
        }
        assert!(meter.measure(&noisy(3000, 4)).collapse.is_some());
    }

    #[test]
    fn a_burnt_in_clock_does_not_make_a_flooded_sensor_a_picture() {
        let clock = |x: u32, y: u32| (8..66).contains(&x) && (8..22).contains(&y);
        let flooded = grey(320, 240, |x, y| if clock(x, y) { 16 } else { 255 });
        assert!(meter().measure(&flooded).is_bright(&BrightThreshold::default()));
    }

    #[test]
    fn a_burnt_in_clock_does_not_make_a_covered_lens_a_picture() {
        let digits =
            |x: u32, y: u32| (10..60).contains(&x) && (10..20).contains(&y) && (x + y).is_multiple_of(3);
        let covered = grey(320, 240, |x, y| if digits(x, y) { 235 } else { 14 });
        let statistics = meter().measure(&covered);
        assert!(statistics.lit_share > 0.001, "{statistics:?}");
        assert!(statistics.is_black(&BlackThreshold::default()), "{statistics:?}");
    }

    #[test]
    fn a_scene_that_was_always_dark_is_not_black_and_one_that_became_so_is() {
        let black = BlackThreshold::default();
        // Parts that differ by two levels, a deviation of one.
        let dark = || grey(320, 240, |x, _| if x < 160 { 10 } else { 12 });
        assert!(!meter().measure(&dark()).is_black(&black), "a night without a lamp");
        let mut leaking = meter();
        for _ in 0..10 {
            leaking.measure(&grey(320, 240, |x, _| (x / 2) as u8));
        }
        assert!(leaking.measure(&dark()).is_black(&black), "a cover that lets in some light");
    }

    #[test]
    fn the_brightest_parts_of_a_dark_scene_are_its_structure() {
        // A twentieth of it is five levels brighter, which is no clock.
        let night = grey(320, 240, |x, y| if x < 64 && y < 60 { 15 } else { 9 + (x / 160) as u8 });
        let statistics = meter().measure(&night);
        assert!(statistics.luma_deviation > 1.1 / 255.0, "{statistics:?}");
        let digits = grey(320, 240, |x, y| if x < 64 && y < 48 { 40 } else { 9 + (x / 160) as u8 });
        let statistics = meter().measure(&digits);
        assert!(statistics.luma_deviation < 0.6 / 255.0, "{statistics:?}");
    }

    #[test]
    fn light_that_is_switched_takes_the_noise_with_it() {
        let frozen = FrozenThreshold::default();
        let mut meter = meter();
        for n in 0..120 {
            meter.measure(&noisy(n, 4));
        }
        for n in 120..240 {
            let mut lit = noisy(n, 1);
            lit.rgb.iter_mut().for_each(|value| *value += 60);
            assert!(!meter.measure(&lit).is_quiet(&frozen), "{n}");
        }
    }
}
