//! `Healthy -> Lost(reason) -> Recovering -> Healthy`, on virtual time.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BlockStatistics, FrameStatistics, SensorThresholds};
use crate::time::Timestamp;

/// Why a sensor is lost, or why a window goes without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No samples arrive.
    NoBuffers,
    /// Too few samples arrive.
    Trickle,
    /// The picture is black.
    Black,
    /// The picture does not change.
    Frozen,
    /// The sound is digitally or nearly silent.
    Silent,
    /// The sound is clipped.
    Clipped,
    /// The source reported an error.
    Error,
    /// The source ended.
    Eos,
    /// Timestamps jump back or into the future.
    BadTimestamps,
}

/// Debounced state of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SensorState {
    /// Delivers signal.
    Healthy,
    /// Does not.
    Lost(Reason),
    /// Delivers signal again, not yet for long enough.
    Recovering,
}

/// What a source says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// It failed; restarts are the supervisor's business.
    Error,
    /// It ended.
    Eos,
}

/// A change of a sensor's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// When.
    pub at: Timestamp,
    /// The new state.
    pub state: SensorState,
}

/// One sensor's dropout detector.
///
/// Call any `handle_*` with a `now` that never goes back (an earlier one counts as the latest), then
/// `poll_event` until `None`, then `poll_timeout` for the time of the next `handle_timeout`.
///
/// Times are those of arrival: a stall is seen while nothing comes, so there is no other time to
/// go by, and signal is timed by the same clock.
///
/// - *Lost*: nothing arrived for `no_buffers_after_ms`; or arriving samples have shown the same flaw
///   (black, frozen, silent) for its `after_ms`; or the source reported an error or its end. Flaws are
///   judged on samples that arrive, so a slow camera is not frozen between two pictures. A sensor that
///   is lost can change its reason.
/// - *Recovering*: a good sample arrived: not black, not silent, and after a freeze one that differs
///   from the frozen picture.
/// - *Healthy* again: a good sample arrived `recover_after_ms` or more after recovery began. Pauses in
///   between are tolerated up to half of each flaw's time; a longer one is a relapse. Half, because a
///   pause that is legitimate (between two words, two slides) must not keep a sensor from ever
///   recovering, while a sensor that flaps near its threshold must not be called healthy.
pub struct DropoutDetector {
    thresholds: SensorThresholds,
    phase: Phase,
    now: Timestamp,
    /// When the latest usable sample arrived.
    last_arrival: Timestamp,
    /// Whether only unusable samples arrived since.
    unusable: bool,
    black: Run,
    frozen: Run,
    silent: Run,
    changes: VecDeque<StateChange>,
}

#[derive(Clone, Copy)]
enum Phase {
    Healthy,
    Lost(Reason),
    Recovering { since: Timestamp, from: Reason },
}

/// A run of samples that show a flaw.
#[derive(Clone, Copy, Default)]
struct Run {
    since: Option<Timestamp>,
}

/// What one sample shows.
#[derive(Clone, Copy)]
struct Flaw {
    reason: Reason,
    /// Whether this very sample shows it.
    shows: bool,
    /// How long it has been showing.
    lasted: Duration,
    /// How long makes it a loss.
    after: Duration,
}

impl DropoutDetector {
    /// A detector that is healthy at `now`, and lost by `no_buffers` if nothing comes.
    pub fn new(thresholds: SensorThresholds, now: Timestamp) -> Self {
        Self {
            thresholds,
            phase: Phase::Healthy,
            now,
            last_arrival: now,
            unusable: false,
            black: Run::default(),
            frozen: Run::default(),
            silent: Run::default(),
            changes: VecDeque::new(),
        }
    }

    /// The present state.
    pub fn state(&self) -> SensorState {
        match self.phase {
            Phase::Healthy => SensorState::Healthy,
            Phase::Lost(reason) => SensorState::Lost(reason),
            Phase::Recovering { .. } => SensorState::Recovering,
        }
    }

    /// A frame arrived. Ignored by a microphone's detector.
    pub fn handle_frame(&mut self, now: Timestamp, statistics: &FrameStatistics) {
        let SensorThresholds::Video(thresholds) = &self.thresholds else { return };
        let (black, frozen) = (thresholds.black.clone(), thresholds.frozen.clone());
        let now = self.handle_arrival(now);
        let black = black.map(|threshold| {
            let shows = statistics.lit_share <= threshold.lit_share;
            let lasted = self.black.observe(now, shows);
            Flaw { reason: Reason::Black, shows, lasted, after: Duration::from_millis(threshold.after_ms) }
        });
        let frozen = frozen.map(|threshold| {
            let changed = statistics.difference.is_none_or(|difference| difference > threshold.tolerance);
            if changed {
                self.frozen.end(); // and begin anew: a run counts from the first of equal pictures
            }
            let lasted = self.frozen.observe(now, true);
            let after = Duration::from_millis(threshold.after_ms);
            Flaw { reason: Reason::Frozen, shows: !changed, lasted, after }
        });
        // A black picture is frozen too: black says more, so it comes first.
        self.judge(now, &[black, frozen]);
    }

    /// A block of sound arrived. Ignored by a camera's detector.
    pub fn handle_block(&mut self, now: Timestamp, statistics: &BlockStatistics) {
        let SensorThresholds::Audio(thresholds) = &self.thresholds else { return };
        let silent = thresholds.silent.clone();
        let now = self.handle_arrival(now);
        let silent = silent.map(|threshold| {
            let shows = statistics.rms_dbfs < threshold.below_dbfs;
            let lasted = self.silent.observe(now, shows);
            Flaw { reason: Reason::Silent, shows, lasted, after: Duration::from_millis(threshold.after_ms) }
        });
        self.judge(now, &[silent]);
    }

    /// A sample arrived that cannot be placed in stream time. It does not count as an arrival, but it
    /// is then the reason why nothing else arrives: `bad_timestamps`.
    pub fn handle_unusable(&mut self, now: Timestamp) {
        self.advance(now);
        self.unusable = true;
    }

    /// The source reported something: lost at once, until samples come again.
    pub fn handle_source(&mut self, now: Timestamp, event: SourceEvent) {
        self.advance(now);
        let reason = match event {
            SourceEvent::Error => Reason::Error,
            SourceEvent::Eos => Reason::Eos,
        };
        self.lose(self.now, reason);
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
        self.trip_stall(|deadline, now| deadline <= now);
    }

    /// Time passed up to, but not including, `now`: samples that arrive at `now` are yet to come. For
    /// an owner of several detectors that handles a sample of another one.
    pub fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        // `<` not `<=`: a sample that arrives at the very deadline is in time.
        self.trip_stall(|deadline, now| deadline < now);
    }

    /// When `handle_timeout` is next needed.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.stall_deadline()
    }

    /// The next change of state. Times never go back.
    pub fn poll_event(&mut self) -> Option<StateChange> {
        self.changes.pop_front()
    }

    fn handle_arrival(&mut self, now: Timestamp) -> Timestamp {
        self.advance(now);
        self.last_arrival = self.now;
        self.unusable = false;
        self.now
    }

    /// What a sample's flaws mean for the state; the first that has lasted too long is the reason.
    fn judge(&mut self, now: Timestamp, flaws: &[Option<Flaw>]) {
        let flaws = || flaws.iter().flatten();
        let tripped = flaws().find(|flaw| flaw.shows && flaw.lasted >= self.patience(flaw.after));
        if let Some(flaw) = tripped {
            return self.lose(now, flaw.reason);
        }
        let good_after = |lost_by| {
            let matters = |flaw: &&Flaw| flaw.reason != Reason::Frozen || lost_by == Reason::Frozen;
            !flaws().filter(matters).any(|flaw| flaw.shows)
        };
        match self.phase {
            Phase::Lost(reason) if good_after(reason) => {
                self.enter(now, Phase::Recovering { since: now, from: reason });
            }
            Phase::Recovering { since, from }
                if good_after(from) && now.saturating_since(since) >= self.recover_after() =>
            {
                self.enter(now, Phase::Healthy);
            }
            _ => {}
        }
    }

    fn trip_stall(&mut self, passed: impl Fn(Timestamp, Timestamp) -> bool) {
        let Some(deadline) = self.stall_deadline().filter(|deadline| passed(*deadline, self.now)) else {
            return;
        };
        let reason = if self.unusable { Reason::BadTimestamps } else { Reason::NoBuffers };
        self.lose(deadline, reason);
    }

    /// When the lack of samples becomes a loss; `None` while that is what the sensor is lost by.
    fn stall_deadline(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Lost(reason) if is_absence(reason) => None,
            _ => Some(self.last_arrival + self.patience(self.no_buffers_after())),
        }
    }

    /// How long a flaw may last: half its time while recovering.
    fn patience(&self, after: Duration) -> Duration {
        match self.phase {
            Phase::Recovering { .. } => after / 2,
            Phase::Healthy | Phase::Lost(_) => after,
        }
    }

    fn lose(&mut self, at: Timestamp, reason: Reason) {
        if is_absence(reason) {
            // Nothing is known of the signal while there is none.
            (self.black, self.frozen, self.silent) = Default::default();
        }
        if self.state() != SensorState::Lost(reason) {
            self.enter(at, Phase::Lost(reason));
        }
    }

    fn enter(&mut self, at: Timestamp, phase: Phase) {
        self.phase = phase;
        self.changes.push_back(StateChange { at, state: self.state() });
    }

    fn no_buffers_after(&self) -> Duration {
        Duration::from_millis(match &self.thresholds {
            SensorThresholds::Video(thresholds) => thresholds.no_buffers_after_ms,
            SensorThresholds::Audio(thresholds) => thresholds.no_buffers_after_ms,
        })
    }

    fn recover_after(&self) -> Duration {
        Duration::from_millis(match &self.thresholds {
            SensorThresholds::Video(thresholds) => thresholds.recover_after_ms,
            SensorThresholds::Audio(thresholds) => thresholds.recover_after_ms,
        })
    }
}

/// Whether a sensor lost by `reason` delivers nothing usable.
fn is_absence(reason: Reason) -> bool {
    matches!(reason, Reason::NoBuffers | Reason::BadTimestamps | Reason::Error | Reason::Eos)
}

impl Run {
    /// Continues the run if the sample `shows` the flaw, else ends it. How long it has lasted.
    fn observe(&mut self, now: Timestamp, shows: bool) -> Duration {
        if !shows {
            self.end();
            return Duration::ZERO;
        }
        now.saturating_since(*self.since.get_or_insert(now))
    }

    fn end(&mut self) {
        self.since = None;
    }
}
