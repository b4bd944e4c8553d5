//! A watch as a table on a terminal, refreshed in place.

use std::io::{self, Write};
use std::time::Duration;

use cmpt_core::dropout::SensorState;
use cmpt_core::survey::{Limit, Quantity, Range};
use cmpt_core::time::Timestamp;

use super::report::{Closing, Report, View, state};

/// Draws the table.
pub(super) struct Table<W> {
    writer: W,
    span: Option<Duration>,
    /// Lines that the next drawing replaces.
    drawn: usize,
}

impl<W: Write> Table<W> {
    pub(super) fn new(writer: W, span: Option<Duration>) -> Self {
        Self { writer, span, drawn: 0 }
    }

    /// Takes the table off the screen.
    fn wipe(&mut self) -> io::Result<()> {
        if self.drawn > 0 {
            write!(self.writer, "\x1b[{}F\x1b[J", self.drawn)?;
        }
        self.drawn = 0;
        Ok(())
    }
}

impl<W: Write> Report for Table<W> {
    fn second(&mut self, at: Timestamp, sensors: &[View<'_>]) -> io::Result<()> {
        self.wipe()?;
        let of = self.span.map_or(String::new(), |span| format!(" of {} s", span.as_secs()));
        let mut lines = vec![format!(
            "{:<31} {:>10} {:>10} {:>10}   lost if",
            format!("{} s{of}", at.as_millis() / 1000),
            "min",
            "mean",
            "max"
        )];
        for sensor in sensors {
            lines.push(String::new());
            let (dropped, samples) = (sensor.second.dropped, sensor.second.samples);
            let dropped = if dropped > 0 { format!(", {dropped} dropped") } else { String::new() };
            lines.push(format!(
                "{}: {}, {samples} samples{dropped}",
                sensor.name,
                described(sensor.second.state)
            ));
            let quantities = sensor.second.quantities.iter();
            lines.extend(quantities.map(|(quantity, range)| row(*quantity, *range, sensor)));
        }
        for line in &lines {
            writeln!(self.writer, "{line}")?;
        }
        self.drawn = lines.len();
        self.writer.flush()
    }

    fn change(&mut self, at: Timestamp, sensor: &str, state: SensorState) -> io::Result<()> {
        self.wipe()?;
        writeln!(self.writer, "{at}: {sensor} is {}", described(state))?;
        self.writer.flush()
    }

    fn close(&mut self, closing: &Closing<'_>) -> io::Result<()> {
        writeln!(self.writer)?;
        for (sensor, reasons) in &closing.without {
            for (reason, windows) in *reasons {
                let all = closing.windows;
                writeln!(self.writer, "{windows} of {all} windows without {sensor}: {reason}")?;
            }
        }
        for (sensor, _, proposal) in closing.sensors {
            for remark in &proposal.remarks {
                writeln!(self.writer, "{sensor}: {remark}")?;
            }
        }
        if closing.toml.is_empty() {
            writeln!(self.writer, "No threshold needs to change for what was seen.")?;
        } else {
            write!(self.writer, "If nothing was wrong while it was watched:\n\n{}", closing.toml)?;
        }
        self.writer.flush()
    }
}

fn described(of: SensorState) -> String {
    match state(of) {
        (state, Some(reason)) => format!("{state} ({reason})"),
        (state, None) => state.to_owned(),
    }
}

fn row(quantity: Quantity, range: Option<Range>, sensor: &View<'_>) -> String {
    let name = quantity.name();
    let (limit, met) = match (quantity.limit(sensor.thresholds), range) {
        (Some(Limit::AtMost(limit)), range) => {
            (format!("at most {limit}"), range.is_some_and(|range| range.max <= limit))
        }
        (Some(Limit::AtLeast(limit)), range) => {
            (format!("at least {limit}"), range.is_some_and(|range| range.min >= limit))
        }
        (None, _) => (String::new(), false),
    };
    let mark = if met { "*" } else { " " };
    let number = |value: f32| if value.abs() < 10.0 { format!("{value:.4}") } else { format!("{value:.1}") };
    let [min, mean, max] = match range {
        Some(range) => [range.min, range.mean, range.max].map(number),
        None => ["-"; 3].map(str::to_owned),
    };
    format!("  {name:<29} {min:>10} {mean:>10} {max:>10} {mark} {limit}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use cmpt_core::dropout::{AudioThresholds, Reason, SensorThresholds};
    use cmpt_core::survey::Second;

    use super::*;

    #[test]
    fn the_table_is_replaced_in_place_and_changes_stay_above_it() {
        let thresholds = SensorThresholds::Audio(AudioThresholds::default());
        let second = || Second {
            state: SensorState::Lost(Reason::Silent),
            samples: 10,
            dropped: 2,
            quantities: vec![
                (Quantity::LevelDbfs, Some(Range { min: -93.0, mean: -90.0, max: -85.5 })),
                (Quantity::Peak, None),
            ],
        };
        let mut table = Table::new(Vec::new(), Some(Duration::from_secs(60)));
        let view = View { name: "audio", thresholds: &thresholds, second: second() };
        table.second(Timestamp::from_millis(1000), &[view]).unwrap();
        table.change(Timestamp::from_millis(2000), "audio", SensorState::Lost(Reason::Silent)).unwrap();
        let view = View { name: "audio", thresholds: &thresholds, second: second() };
        table.second(Timestamp::from_millis(2000), &[view]).unwrap();
        let shown = String::from_utf8(table.writer).unwrap();
        let (first, rest) = shown.split_once("\x1b[5F\x1b[J").unwrap();
        assert_eq!(
            first,
            "1 s of 60 s                            min       mean        max   lost if\n\n\
             audio: lost (silent), 10 samples, 2 dropped\n  \
             level_dbfs                         -93.0      -90.0      -85.5 * at most -80\n  \
             peak                                   -          -          -\n"
        );
        assert!(rest.starts_with("2.000 s: audio is lost (silent)\n2 s of 60 s"), "{rest}");
    }
}
