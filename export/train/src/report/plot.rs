//! Plots as SVG elements: lines over a number, bars over categories.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

/// Width of a plot in pixels.
const WIDTH: u32 = 760;
/// Height of a plot of lines in pixels.
const HEIGHT: u32 = 400;
/// Height of one bar in pixels.
const BAR: u32 = 11;
const FONT: &str = "sans-serif";

/// Told apart by people who do not tell red from green (Okabe and Ito), and in this order in print.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(60, 60, 60),
];

/// Lines over a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    /// What the horizontal axis is.
    pub x: String,
    /// What the vertical axis is.
    pub y: String,
    /// Whether the diagonal from (0, 0) to (100, 100) is drawn, where a perfect line would lie.
    pub diagonal: bool,
    /// The lines.
    pub series: Vec<Series>,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<Point>,
}

/// A point of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where.
    pub x: f64,
    /// How much.
    pub y: f64,
    /// Drawn above and below it; 0 for none.
    pub deviation: f64,
}

/// Bars from zero, one group a category.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What the bars measure.
    pub x: String,
    /// Categories, from top to bottom.
    pub categories: Vec<String>,
    /// Name and values of each bar of a group, a value a category.
    pub series: Vec<(String, Vec<f64>)>,
}

/// What a backend that draws into memory never reports.
type Drawing = Result<(), Box<dyn std::error::Error>>;

impl Lines {
    /// The plot as an `svg` element.
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = range(points().map(|point| point.x), 0.0);
        let ends = points().flat_map(|point| [point.y - point.deviation, point.y + point.deviation]);
        let (x, y) = if self.diagonal { (0.0..100.0, 0.0..100.0) } else { (x, range(ends, 0.08)) };
        svg(HEIGHT, |area| {
            let mut chart = ChartBuilder::on(area)
                .margin(10)
                .x_label_area_size(42)
                .y_label_area_size(58)
                .build_cartesian_2d(x, y)?;
            chart
                .configure_mesh()
                .x_desc(self.x.as_str())
                .y_desc(self.y.as_str())
                .label_style((FONT, 13))
                .light_line_style(WHITE)
                .bold_line_style(BLACK.mix(0.12))
                .x_label_formatter(&short)
                .y_label_formatter(&short)
                .draw()?;
            if self.diagonal {
                let ends = [(0.0, 0.0), (100.0, 100.0)];
                chart.draw_series(LineSeries::new(ends, BLACK.mix(0.4)))?;
            }
            for (index, series) in self.series.iter().enumerate() {
                let style = ShapeStyle { color: colour(index).into(), filled: true, stroke_width: 2 };
                let line = series.points.iter().map(|point| (point.x, point.y));
                chart
                    .draw_series(LineSeries::new(line.clone(), style))?
                    .label(series.name.as_str())
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
                chart.draw_series(line.map(|at| Circle::new(at, 3, style)))?;
                let spread = series.points.iter().filter(|point| point.deviation > 0.0);
                let bar = |point: &Point| {
                    let (low, high) = (point.y - point.deviation, point.y + point.deviation);
                    ErrorBar::new_vertical(point.x, low, point.y, high, colour(index).stroke_width(1), 6)
                };
                chart.draw_series(spread.map(bar))?;
            }
            // Curves over a missing rate fall, and reliability lies near the diagonal.
            let corner = match self.diagonal {
                true => SeriesLabelPosition::LowerRight,
                false => SeriesLabelPosition::LowerLeft,
            };
            legend(&mut chart, corner)
        })
    }
}

impl Bars {
    /// The plot as an `svg` element.
    pub fn svg(&self) -> String {
        let values = self.series.iter().flat_map(|(_, values)| values.iter().copied());
        let x = range(values.chain([0.0]), 0.05);
        let (groups, bars) = (self.categories.len(), self.series.len().max(1));
        let group = bars as u32 * BAR + 8;
        // Below the last category is room for the legend, so that it hides no bar.
        let room = 20 * bars as u32 + 20;
        let bottom = groups as f64 + f64::from(room) / f64::from(group);
        let height = groups as u32 * group + room + 90;
        svg(height, |area| {
            // Categories are rows 0, 1, ... from the top: the axis runs downwards.
            let mut chart = ChartBuilder::on(area)
                .margin(10)
                .x_label_area_size(42)
                .y_label_area_size(130)
                .build_cartesian_2d(x, bottom..0.0)?;
            let name = |row: &f64| {
                let centred = (row.fract() - 0.5).abs() < 1e-6;
                let name = self.categories.get(*row as usize).filter(|_| centred);
                name.cloned().unwrap_or_default()
            };
            chart
                .configure_mesh()
                .disable_y_mesh()
                .disable_y_axis()
                .x_desc(self.x.as_str())
                .label_style((FONT, 13))
                .light_line_style(WHITE)
                .bold_line_style(BLACK.mix(0.12))
                .x_label_formatter(&short)
                .y_labels(0)
                .draw()?;
            let share = 0.8 / bars as f64;
            for (index, (series, values)) in self.series.iter().enumerate() {
                let style = colour(index).filled();
                let bar = |(row, value): (usize, &f64)| {
                    let top = row as f64 + 0.1 + index as f64 * share;
                    Rectangle::new([(0.0, top), (*value, top + share)], style)
                };
                chart
                    .draw_series(values.iter().enumerate().map(bar))?
                    .label(series.as_str())
                    .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 18, y + 4)], style));
            }
            chart.draw_series(LineSeries::new([(0.0, 0.0), (0.0, groups as f64)], BLACK))?;
            for row in 0..groups {
                let centre = row as f64 + 0.5;
                let (_, y) = chart.backend_coord(&(0.0, centre));
                let style = TextStyle::from((FONT, 13).into_font());
                let style = style.pos(plotters::style::text_anchor::Pos::new(
                    plotters::style::text_anchor::HPos::Right,
                    plotters::style::text_anchor::VPos::Center,
                ));
                area.draw(&Text::new(name(&centre), (134, y), style))?;
            }
            legend(&mut chart, SeriesLabelPosition::LowerLeft)
        })
    }
}

/// Where the lines' names stand.
fn legend<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    corner: SeriesLabelPosition,
) -> Drawing
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(corner)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 13))
        .draw()?;
    Ok(())
}

/// What `draw` draws on a white area of the usual width.
fn svg(height: u32, draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Drawing) -> String {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&area));
        drawn.and_then(|()| Ok(area.present()?)).expect("drawing into memory works");
    }
    text
}

/// From the least to the greatest, and `margin` of the distance more on both sides.
fn range(values: impl Iterator<Item = f64>, margin: f64) -> Range<f64> {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return 0.0..1.0;
    }
    let high = if high > low { high } else { low + 1.0 };
    let margin = margin * (high - low);
    low - margin..high + margin
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// A number on an axis.
fn short(value: &f64) -> String {
    let rounded = (value * 100.0).round() / 100.0;
    // Not "-0".
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(svg: &str) -> Vec<String> {
        let document = roxmltree::Document::parse(svg).unwrap();
        let texts = document.descendants().filter(|node| node.tag_name().name() == "text");
        texts.filter_map(|node| node.text()).map(|text| text.trim().to_owned()).collect()
    }

    #[test]
    fn lines_name_their_axes_and_themselves() {
        let points = |base| (0..3).map(|x| Point { x: f64::from(x), y: base, deviation: 0.5 }).collect();
        let series = |name: &str, base| Series { name: name.into(), points: points(base) };
        let plot = Lines {
            x: "missing (%)".into(),
            y: "accuracy < 100 (%)".into(),
            diagonal: false,
            series: vec![series("cmpt", 90.0), series("baseline & zeros", 70.0)],
        };
        let texts = texts(&plot.svg());
        for expected in ["missing (%)", "accuracy < 100 (%)", "cmpt", "baseline & zeros"] {
            assert!(texts.iter().any(|text| text == expected), "{expected} not in {texts:?}");
        }
    }

    #[test]
    fn bars_name_every_category() {
        let plot = Bars {
            x: "gain (points)".into(),
            categories: vec!["zero".into(), "one".into()],
            series: vec![("without sound".into(), vec![3.0, -1.5])],
        };
        let texts = texts(&plot.svg());
        for expected in ["zero", "one", "without sound", "gain (points)"] {
            assert!(texts.iter().any(|text| text == expected), "{expected} not in {texts:?}");
        }
    }

    #[test]
    fn nothing_to_draw_is_drawn_empty() {
        let empty = Lines { x: "x".into(), y: "y".into(), diagonal: false, series: Vec::new() };
        assert!(texts(&empty.svg()).contains(&"x".into()));
        let single =
            Series { name: "one".into(), points: vec![Point { x: 1.0, y: f64::NAN, deviation: 0.0 }] };
        assert!(texts(&Lines { series: vec![single], ..empty }.svg()).contains(&"one".into()));
    }
}
