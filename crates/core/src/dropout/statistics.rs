//! Statistics of one frame or block, computed once.

use crate::samples::Frame;

/// Finest grid a picture is sampled on, [columns, rows]: enough to see a thin stroke, and 19,200
/// points cost about as much whatever the picture's size: 30 frames a second take well under 1 % of a
/// slow core.
const GRID: [u32; 2] = [160, 120];

/// Statistics of one picture, luma in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameStatistics {
    /// Mean luma.
    pub luma_mean: f32,
    /// Share of pixels whose luma exceeds the black threshold's `luma`.
    pub lit_share: f32,
    /// Mean absolute luma difference to the reference picture (the first of a possibly frozen run),
    /// `None` for the very first frame or after a change of size.
    pub difference: Option<f32>,
}

/// The luma plane that following frames are compared with.
#[derive(Clone, Debug, Default)]
pub struct ReferencePicture {
    size: [u32; 2],
    luma: Vec<u8>,
    /// The frame being measured; kept so that measuring does not allocate.
    candidate: Vec<u8>,
}

impl ReferencePicture {
    /// Statistics of `frame`; takes it as the new reference when it differs by more than `tolerance`.
    ///
    /// Comparing with the first frame of a run, not with the previous frame, sees a slow drift as
    /// change. Luma is ITU-R BT.601 in 8 bits, on a regular grid of at most 160 x 120 points.
    pub fn measure(&mut self, frame: &Frame, black_luma: f32, tolerance: f32) -> FrameStatistics {
        sample_luma(frame, &mut self.candidate);
        let points = self.candidate.len().max(1) as f32;
        let darkest = (black_luma * 255.0) as u8; // rounds down, so that whole levels compare the same
        let sum: u64 = self.candidate.iter().map(|luma| u64::from(*luma)).sum();
        let lit = self.candidate.iter().filter(|luma| **luma > darkest).count();
        let difference = self.difference([frame.width, frame.height]);
        // `>` not `>=`: with tolerance 0 an identical picture must count as frozen.
        if difference.is_none_or(|difference| difference > tolerance) {
            self.size = [frame.width, frame.height];
            std::mem::swap(&mut self.luma, &mut self.candidate);
        }
        FrameStatistics { luma_mean: sum as f32 / points / 255.0, lit_share: lit as f32 / points, difference }
    }

    /// Mean absolute difference of the candidate to the reference, if they compare.
    fn difference(&self, size: [u32; 2]) -> Option<f32> {
        if self.luma.is_empty() || self.size != size || self.luma.len() != self.candidate.len() {
            return None;
        }
        let pairs = self.luma.iter().zip(&self.candidate);
        let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        Some(sum as f32 / self.luma.len() as f32 / 255.0)
    }
}

/// Luma of the frame's grid points, row by row.
fn sample_luma(frame: &Frame, grid: &mut Vec<u8>) {
    let step = |pixels: u32, points: u32| pixels.div_ceil(points).max(1) as usize;
    let column_bytes = 3 * step(frame.width, GRID[0]);
    let row_bytes = 3 * frame.width.max(1) as usize;
    grid.clear();
    for row in frame.rgb.chunks_exact(row_bytes).step_by(step(frame.height, GRID[1])) {
        // The last column of points may be narrower than a step: `chunks`, not `chunks_exact`.
        grid.extend(row.chunks(column_bytes).map(|points| luma(points[0], points[1], points[2])));
    }
}

/// ITU-R BT.601 weights 0.299, 0.587, 0.114 in 1/256, rounded; they sum to 256.
fn luma(red: u8, green: u8, blue: u8) -> u8 {
    ((77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue) + 128) >> 8) as u8
}

/// Statistics of one block of sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockStatistics {
    /// Root mean square relative to full scale, in decibels; `f32::NEG_INFINITY` for digital silence.
    pub rms_dbfs: f32,
    /// Largest absolute sample.
    pub peak: f32,
}

impl BlockStatistics {
    /// Statistics of `samples`. A sample that is not finite counts as 0; no samples are silence.
    pub fn measure(samples: &[f32]) -> Self {
        let finite = samples.iter().copied().filter(|sample| sample.is_finite());
        let (power, peak) = finite.fold((0.0f64, 0.0f32), |(power, peak), sample| {
            (power + f64::from(sample) * f64::from(sample), peak.max(sample.abs()))
        });
        let mean_power = power / samples.len().max(1) as f64;
        Self { rms_dbfs: (10.0 * mean_power.log10()) as f32, peak }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn grey(width: u32, height: u32, luma: impl Fn(u32, u32) -> u8) -> Frame {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let rgb = pixels.flat_map(|(x, y)| [luma(x, y); 3]).collect();
        Frame { at: Timestamp::ZERO, width, height, rgb }
    }

    #[test]
    fn the_reference_is_the_first_frame_of_a_run() {
        let mut reference = ReferencePicture::default();
        let mut difference = |luma| reference.measure(&grey(8, 8, |_, _| luma), 0.1, 0.01).difference;
        assert_eq!(difference(100), None);
        assert_eq!(difference(100), Some(0.0));
        // Each step is within the tolerance of 2.55 levels, the sum of two is not.
        assert_eq!(difference(102), Some(2.0 / 255.0));
        assert_eq!(difference(104), Some(4.0 / 255.0));
        assert_eq!(difference(104), Some(0.0), "104 is the new reference");
    }

    #[test]
    fn a_change_of_size_cannot_be_compared() {
        let mut reference = ReferencePicture::default();
        for size in [(8, 4), (4, 8), (320, 240)] {
            assert_eq!(reference.measure(&grey(size.0, size.1, |_, _| 9), 0.1, 0.001).difference, None);
        }
    }

    #[test]
    fn a_thin_stroke_on_black_is_lit() {
        // A stroke as thin as a digit's on 320 x 240: 8 pixels wide, 150 high.
        let stroke = grey(320, 240, |x, y| if (156..164).contains(&x) && y < 150 { 255 } else { 0 });
        let statistics = ReferencePicture::default().measure(&stroke, 0.10, 0.001);
        assert!((statistics.lit_share - 8.0 * 150.0 / (320.0 * 240.0)).abs() < 1e-3, "{statistics:?}");
        assert!((statistics.luma_mean - statistics.lit_share).abs() < 1e-6);
        let night = ReferencePicture::default().measure(&grey(320, 240, |_, _| 20), 0.10, 0.001);
        assert_eq!(night.lit_share, 0.0);
    }

    #[test]
    fn luma_follows_bt_601_and_the_grid_is_bounded() {
        let red =
            Frame { at: Timestamp::ZERO, width: 1920, height: 1080, rgb: [255, 0, 0].repeat(1920 * 1080) };
        let statistics = ReferencePicture::default().measure(&red, 0.10, 0.001);
        assert!((statistics.luma_mean - 0.299).abs() < 0.005, "{statistics:?}");
        let mut grid = vec![];
        sample_luma(&red, &mut grid);
        assert_eq!(grid.len(), 160 * 120);
        let degenerate = Frame { at: Timestamp::ZERO, width: 0, height: 0, rgb: vec![] };
        let statistics = ReferencePicture::default().measure(&degenerate, 0.10, 0.001);
        assert_eq!((statistics.luma_mean, statistics.lit_share), (0.0, 0.0));
    }

    #[test]
    fn a_block_has_a_level_and_a_peak() {
        let square = BlockStatistics::measure(&[0.1, -0.1, 0.1, -0.1]);
        assert!((square.rms_dbfs + 20.0).abs() < 1e-4, "{square:?}");
        assert_eq!(square.peak, 0.1);
        let silence = BlockStatistics { rms_dbfs: f32::NEG_INFINITY, peak: 0.0 };
        assert_eq!(BlockStatistics::measure(&[0.0; 16]), silence);
        assert_eq!(BlockStatistics::measure(&[]), silence);
        assert_eq!(BlockStatistics::measure(&[f32::NAN, f32::INFINITY]), silence);
    }
}
