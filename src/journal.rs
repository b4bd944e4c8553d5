//! Which changes of a source are worth a line in the log.
//!
//! A server that is down for a week is tried a million times, and a cable with a loose contact changes
//! the state of its source every second. Neither may fill a disk, and neither may go unmentioned.

use std::time::Duration;

use tokio::time::Instant;

/// Lines that may follow each other at once.
const BURST: u32 = 6;
/// After a burst, one line in this time.
const INTERVAL: Duration = Duration::from_secs(10);
/// A source that stays down is mentioned again this long after the last line.
const REMINDER: Duration = Duration::from_secs(300);

/// How a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It delivers.
    Up,
    /// It does not, for a reason of this kind.
    Down(&'static str),
}

/// What goes into the line beside the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Changes since the last line that had none of their own.
    pub held_back: u32,
    /// How often in a row the source has been found to be as it is.
    pub times: u32,
}

/// Decides for one source.
#[derive(Debug)]
pub struct Journal {
    /// The condition that the last line told, and when.
    told: Option<(Condition, Instant)>,
    current: Option<Condition>,
    times: u32,
    held_back: u32,
    credit: u32,
    credited_at: Instant,
}

impl Journal {
    /// Nothing has been told at `now`.
    pub fn new(now: Instant) -> Self {
        Self { told: None, current: None, times: 0, held_back: 0, credit: BURST, credited_at: now }
    }

    /// The source was found to be `condition` at `now`. Returns what to log, if anything.
    pub fn note(&mut self, now: Instant, condition: Condition) -> Option<Line> {
        self.earn(now);
        let changed = self.current.replace(condition) != Some(condition);
        self.times = if changed { 1 } else { self.times.saturating_add(1) };
        let due = match self.told {
            Some((told, at)) if told == condition => {
                condition != Condition::Up && now.duration_since(at) >= REMINDER
            }
            _ => true,
        };
        if !due || self.credit == 0 {
            self.held_back += u32::from(changed);
            return None;
        }
        self.credit -= 1;
        self.told = Some((condition, now));
        Some(Line { held_back: std::mem::take(&mut self.held_back), times: self.times })
    }

    fn earn(&mut self, now: Instant) {
        let elapsed = now.duration_since(self.credited_at).as_millis() / INTERVAL.as_millis();
        let earned = u32::try_from(elapsed).unwrap_or(u32::MAX);
        if earned > 0 {
            self.credit = self.credit.saturating_add(earned).min(BURST);
            self.credited_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Condition = Condition::Up;
    const REFUSED: Condition = Condition::Down("unreachable");
    const STALLED: Condition = Condition::Down("stalled");

    /// Notes conditions at times in milliseconds; the times of the lines, with what was held back.
    fn lines(notes: impl IntoIterator<Item = (u64, Condition)>) -> Vec<(u64, u32)> {
        let start = Instant::now();
        let mut journal = Journal::new(start);
        let notes = notes.into_iter().filter_map(|(at_ms, condition)| {
            let line = journal.note(start + Duration::from_millis(at_ms), condition)?;
            Some((at_ms, line.held_back))
        });
        notes.collect()
    }

    #[test]
    fn every_change_has_a_line_and_what_stays_has_none() {
        let notes = [(0, UP), (1000, UP), (2000, STALLED), (3000, REFUSED), (4000, REFUSED), (5000, UP)];
        assert_eq!(lines(notes), [(0, 0), (2000, 0), (3000, 0), (5000, 0)]);
    }

    #[test]
    fn a_server_that_is_down_for_an_hour_is_mentioned_every_five_minutes() {
        let notes = (0..3600).map(|second| (1000 * second, REFUSED));
        assert_eq!(lines(notes), (0..12).map(|time| (300_000 * time, 0)).collect::<Vec<_>>());
    }

    #[test]
    fn a_loose_contact_fills_no_disk_and_its_changes_are_counted() {
        let notes = (0..1200).map(|half| (500 * half, if half % 2 == 0 { UP } else { REFUSED }));
        let lines = lines(notes);
        assert!(lines.len() <= 6 + 60, "{} lines in ten minutes", lines.len());
        let told: u32 = lines.iter().map(|(_, held_back)| held_back + 1).sum();
        assert!(told > 1150, "{told} of 1200 changes are accounted for");
    }

    #[test]
    fn a_change_that_was_held_back_is_told_as_soon_as_it_may_be() {
        let flaps = (0..7).map(|n| (n, if n % 2 == 0 { UP } else { REFUSED }));
        // The seventh is one too many; it still holds when it is seen again.
        let notes = flaps.chain([(5000, UP), (10_000, UP), (11_000, UP)]);
        assert_eq!(lines(notes).last(), Some(&(10_000, 1)));
    }
}
