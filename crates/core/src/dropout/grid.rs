//! The luma of a picture on a coarse grid, divided into cells.

use super::Region;
use crate::samples::Frame;

/// Finest grid a picture is sampled on, [columns, rows]: enough to see a thin stroke, and 19,200
/// points cost about as much whatever the picture's size.
const GRID: [u32; 2] = [160, 120];
/// Edge of a cell in points: 20 x 15 cells of 64 points, of which the mean tells little noise from none.
const CELL: usize = 8;

/// How pictures of one size are sampled.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Grid {
    /// Width and height of the pictures in pixels.
    pub(super) size: [u32; 2],
    /// Pixels between points, horizontally and vertically.
    step: [usize; 2],
    columns: usize,
    /// Index of every point that no check looks at.
    ignored: Vec<usize>,
    /// How many points of each cell are looked at.
    points: Vec<u16>,
}

impl Grid {
    /// For pictures of `size`, without the points in `ignore`.
    pub(super) fn new(size: [u32; 2], ignore: &[Region]) -> Self {
        let step = [0, 1].map(|axis| size[axis].div_ceil(GRID[axis]).max(1) as usize);
        let [columns, rows] = [0, 1].map(|axis| (size[axis] as usize).div_ceil(step[axis]));
        let mut points = vec![0; columns.div_ceil(CELL) * rows.div_ceil(CELL)];
        let mut ignored = Vec::new();
        for row in 0..rows {
            for column in 0..columns {
                let x = (column * step[0]) as f32 / size[0] as f32;
                let y = (row * step[1]) as f32 / size[1] as f32;
                if ignore.iter().any(|region| region.contains(x, y)) {
                    ignored.push(row * columns + column);
                } else {
                    points[row / CELL * columns.div_ceil(CELL) + column / CELL] += 1;
                }
            }
        }
        Self { size, step, columns, ignored, points }
    }

    /// How many points are looked at.
    pub(super) fn points(&self) -> usize {
        self.points.iter().map(|points| usize::from(*points)).sum()
    }

    /// Luma of the points, row by row, ITU-R BT.601 in 8 bits. Ignored points are 0.
    pub(super) fn sample(&self, frame: &Frame, luma: &mut Vec<u8>) {
        luma.clear();
        let row_bytes = 3 * frame.width.max(1) as usize;
        for row in frame.rgb.chunks_exact(row_bytes).step_by(self.step[1]) {
            // The last column of points may be narrower than a step: `chunks`, not `chunks_exact`.
            luma.extend(row.chunks(3 * self.step[0]).map(|pixel| weigh(pixel[0], pixel[1], pixel[2])));
        }
        self.ignored.iter().for_each(|point| luma[*point] = 0);
    }

    /// Mean of every cell, in levels; 0 where a cell is ignored altogether.
    pub(super) fn means(&self, luma: &[u8], cells: &mut Vec<f32>) {
        self.fold(luma, luma, |level, _| u32::from(level), cells);
    }

    /// Mean absolute difference of every cell, in levels.
    pub(super) fn differences(&self, luma: &[u8], other: &[u8], cells: &mut Vec<f32>) {
        self.fold(luma, other, |a, b| u32::from(a.abs_diff(b)), cells);
    }

    /// Whether a cell has points that are looked at, for every cell.
    pub(super) fn looked_at(&self) -> impl Iterator<Item = bool> {
        self.points.iter().map(|points| *points > 0)
    }

    fn fold(&self, luma: &[u8], other: &[u8], value: impl Fn(u8, u8) -> u32, cells: &mut Vec<f32>) {
        cells.clear();
        let across = self.columns.div_ceil(CELL).max(1);
        let mut sums = [0u32; GRID[0] as usize / CELL];
        let bands = luma.chunks(CELL * self.columns.max(1)).zip(other.chunks(CELL * self.columns.max(1)));
        for (band, other) in bands {
            sums.fill(0);
            for (row, other) in band.chunks(self.columns).zip(other.chunks(self.columns)) {
                for ((sum, row), other) in sums.iter_mut().zip(row.chunks(CELL)).zip(other.chunks(CELL)) {
                    *sum += row.iter().zip(other).map(|(a, b)| value(*a, *b)).sum::<u32>();
                }
            }
            cells.extend(sums[..across].iter().map(|sum| *sum as f32));
        }
        for (cell, points) in cells.iter_mut().zip(&self.points) {
            *cell /= f32::from(*points).max(1.0);
        }
    }
}

/// ITU-R BT.601 weights 0.299, 0.587, 0.114 in 1/256, rounded; they sum to 256.
fn weigh(red: u8, green: u8, blue: u8) -> u8 {
    ((77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue) + 128) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn sample(grid: &Grid, rgb: Vec<u8>) -> Vec<u8> {
        let mut luma = vec![];
        let [width, height] = grid.size;
        grid.sample(&Frame { at: Timestamp::ZERO, width, height, rgb }, &mut luma);
        luma
    }

    #[test]
    fn the_grid_is_bounded_whatever_the_size() {
        for size in [[1920, 1080], [8, 6], [161, 121], [640, 480], [1, 1], [4000, 2]] {
            let grid = Grid::new(size, &[]);
            let luma = sample(&grid, [255, 0, 0].repeat((size[0] * size[1]) as usize));
            assert_eq!(luma.len(), grid.points(), "{size:?}");
            assert!(luma.len() <= 160 * 120);
            assert!(luma.iter().all(|luma| *luma == 77), "red has 0.299 of the luma");
            let mut cells = vec![];
            grid.means(&luma, &mut cells);
            assert_eq!(cells.len(), grid.points.len());
            assert!(cells.iter().all(|cell| *cell == 77.0), "{size:?} {cells:?}");
        }
        assert_eq!(Grid::new([0, 0], &[]).points(), 0);
    }

    #[test]
    fn what_is_ignored_is_not_there() {
        let clock = Region { x: 0.5, y: 0.0, width: 0.5, height: 0.5 };
        let grid = Grid::new([16, 16], &[clock]);
        assert_eq!(grid.points(), 16 * 16 - 8 * 8);
        assert_eq!(grid.looked_at().collect::<Vec<_>>(), [true, false, true, true]);
        let luma = sample(&grid, vec![100; 3 * 16 * 16]);
        let mut cells = vec![];
        grid.differences(&luma, &vec![90; 256], &mut cells);
        assert_eq!([cells[0], cells[2], cells[3]], [10.0; 3]);
    }
}
