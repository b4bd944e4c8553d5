//! `Healthy -> Lost(reason) -> Recovering -> Healthy`, on virtual time.

use std::collections::VecDeque;
use std::time::Duration;

use super::arrivals::Arrivals;
use super::flaw::{Check, Flaw};
use super::stands::Stands;
use super::{BlockStatistics, FrameStatistics, Reason, SensorThresholds};
use crate::time::Timestamp;

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
/// - *Lost*: nothing arrived for `no_buffers_after_ms`, or too little for the trickle's `after_ms`; or
///   arriving samples have shown the same flaw for its `after_ms`; or the source reported an error or
///   its end. Flaws are judged on samples that arrive, so a slow camera is not frozen between two
///   pictures. A sensor that is lost can change its reason.
/// - *Recovering*: a good sample arrived: one without flaw, and after a freeze one that differs from
///   the frozen picture. Clipped sound is good again after a second without clipping.
/// - *Healthy* again: a good sample arrived `recover_after_ms` or more after recovery began. The flaw that it
///   recovers from is tolerated in between for up to half of its time; longer is a relapse. Half, because a
///   pause that is legitimate (between two words, two slides) must not keep a sensor from ever
///   recovering, while a sensor that flaps near its threshold must not be called healthy. Another flaw has its
///   full time, and so has a pause in delivery, since a network may pause at any moment; but a pause of half that
///   time, unless the sensor is as slow as that, lets recovery begin anew.
pub struct DropoutDetector {
    thresholds: SensorThresholds,
    phase: Phase,
    now: Timestamp,
    /// When the latest usable sample arrived.
    last_arrival: Timestamp,
    /// When the first of those samples arrived that were unusable since.
    unusable_since: Option<Timestamp>,
    flaws: Vec<Flaw>,
    arrivals: Arrivals,
    stands: Stands,
    /// How often it was lost by a freeze again while it recovered from one.
    relapses: u32,
    changed_at: Timestamp,
    changes: VecDeque<StateChange>,
}

#[derive(Clone, Copy)]
enum Phase {
    Healthy,
    Lost(Reason),
    Recovering { since: Timestamp, from: Reason },
}

impl DropoutDetector {
    /// A detector that is healthy at `now`, and lost by `no_buffers` if nothing comes.
    pub fn new(thresholds: SensorThresholds, now: Timestamp) -> Self {
        Self {
            flaws: Flaw::of(&thresholds),
            phase: Phase::Healthy,
            now,
            last_arrival: now,
            unusable_since: None,
            arrivals: Arrivals::default(),
            stands: Stands::new(frozen_after(&thresholds)),
            relapses: 0,
            changed_at: now,
            changes: VecDeque::new(),
            thresholds,
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
        let SensorThresholds::Video(video) = &self.thresholds else { return };
        let black = video.black.as_ref().is_some_and(|black| statistics.is_black(black));
        let bright = video.bright.as_ref().is_some_and(|bright| statistics.is_bright(bright));
        let quiet = video.frozen.as_ref().is_some_and(|frozen| statistics.is_quiet(frozen));
        self.handle_arrival(now);
        let stands = self.follow_stand(statistics);
        // Slides that come after a noisy camera are quiet, and no freeze.
        let shown = stands && self.stands.is_begun_by_cut();
        self.judge(|check| match check {
            Check::Black => black,
            Check::Bright => bright,
            Check::Stands => stands,
            _ => quiet && !shown,
        });
    }

    /// A block of sound arrived. Ignored by a camera's detector.
    pub fn handle_block(&mut self, now: Timestamp, statistics: &BlockStatistics) {
        let SensorThresholds::Audio(audio) = &self.thresholds else { return };
        let silent = audio.silent.as_ref().is_some_and(|silent| statistics.is_silent(silent));
        let clipped = audio.clipped.as_ref().is_some_and(|clipped| statistics.is_clipped(clipped));
        let stuck = audio.stuck.as_ref().is_some_and(|stuck| statistics.is_stuck(stuck));
        self.handle_arrival(now);
        self.judge(|check| match check {
            Check::Silent => silent,
            Check::Clipped => clipped,
            _ => stuck,
        });
    }

    /// A sample arrived that cannot be placed in stream time. It does not count as an arrival, but it
    /// is then the reason why nothing else arrives: `bad_timestamps`.
    pub fn handle_unusable(&mut self, now: Timestamp) {
        self.advance(now);
        self.unusable_since.get_or_insert(self.now);
    }

    /// The source reported something: lost at once, until samples come again.
    pub fn handle_source(&mut self, now: Timestamp, event: SourceEvent) {
        self.advance(now);
        let delivery = self.thresholds.delivery();
        let (reason, counts) = match event {
            SourceEvent::Error => (Reason::Error, delivery.error),
            SourceEvent::Eos => (Reason::Eos, delivery.eos),
        };
        if counts {
            self.lose(self.now, reason);
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
        self.trip(|deadline, now| deadline <= now);
    }

    /// Time passed up to, but not including, `now`: samples that arrive at `now` are yet to come. For
    /// an owner of several detectors that handles a sample of another one.
    pub fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        // `<` not `<=`: a sample that arrives at the very deadline is in time.
        self.trip(|deadline, now| deadline < now);
    }

    /// When `handle_timeout` is next needed.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.deadline().map(|(deadline, _)| deadline)
    }

    /// The next change of state. Times never go back.
    pub fn poll_event(&mut self) -> Option<StateChange> {
        self.changes.pop_front()
    }

    fn handle_arrival(&mut self, now: Timestamp) {
        self.advance(now);
        self.recover_anew_after(self.now.saturating_since(self.last_arrival));
        self.last_arrival = self.now;
        self.unusable_since = None;
        if let Some(trickle) = &self.thresholds.delivery().trickle {
            self.arrivals.observe(self.now, trickle, matches!(self.phase, Phase::Healthy));
        }
    }

    /// Starts the time of recovery anew if nothing came for half the time to trip, and more often is usual.
    fn recover_anew_after(&mut self, pause: Duration) {
        let delivery = self.thresholds.delivery();
        let usual = delivery.trickle.as_ref().and_then(|trickle| self.arrivals.usual_pause(trickle));
        let long = Duration::from_millis(delivery.no_buffers_after_ms) / 2;
        let long = long.max(2 * usual.unwrap_or_default());
        if let Phase::Recovering { since, .. } = &mut self.phase
            && !long.is_zero()
            && pause > long
        {
            *since = self.now;
        }
    }

    /// Whether the picture stands; sets how long it may.
    fn follow_stand(&mut self, picture: &FrameStatistics) -> bool {
        let plain = self.flaws.iter().all(|flaw| flaw.check.reason() == Reason::Frozen || !flaw.shows);
        let good = plain && matches!(self.phase, Phase::Healthy);
        let lasted = self.flaws.iter().find(|flaw| flaw.check == Check::Stands);
        let Some(lasted) = lasted.map(|flaw| flaw.lasted(self.now)) else { return false };
        let stands = self.stands.follow(self.now, picture, lasted, good);
        let allowed = self.stands.allowed(picture);
        let frozen = self.flaws.iter_mut().filter(|flaw| flaw.check.reason() == Reason::Frozen);
        frozen.for_each(|flaw| flaw.after = allowed);
        stands
    }

    /// What the flaws of a sample mean for the state; the first that has lasted too long is the reason.
    fn judge(&mut self, shows: impl Fn(Check) -> bool) {
        let now = self.now;
        self.flaws.iter_mut().for_each(|flaw| flaw.observe(now, shows(flaw.check)));
        let lasting = |flaw: &&Flaw| flaw.shows && flaw.lasted(now) >= self.patience(flaw);
        let trickles = self.trickle_deadline().is_some_and(|deadline| deadline < now);
        let tripped = self.flaws.iter().find(lasting).map(|flaw| flaw.check.reason());
        if let (Some(Reason::Frozen), Phase::Recovering { from: Reason::Frozen, .. }) = (tripped, self.phase)
        {
            // It stands again as soon as it has changed, and once more: that is a habit.
            self.relapses += 1;
            if self.relapses > 1 {
                self.stands.learn_relapse();
            }
        }
        if let Some(reason) = tripped.or(trickles.then_some(Reason::Trickle)) {
            return self.lose(now, reason);
        }
        let good_after = |lost_by| {
            let matters = |flaw: &&Flaw| flaw.check.reason() != Reason::Frozen || lost_by == Reason::Frozen;
            !self.flaws.iter().filter(matters).any(Flaw::persists)
        };
        match self.phase {
            Phase::Lost(reason) if good_after(reason) => {
                if reason == Reason::Trickle {
                    self.arrivals.resume(now);
                }
                self.enter(now, Phase::Recovering { since: now, from: reason });
            }
            Phase::Recovering { since, from }
                if good_after(from) && now.saturating_since(since) >= self.recover_after() =>
            {
                self.relapses = 0;
                self.enter(now, Phase::Healthy);
            }
            _ => {}
        }
    }

    fn trip(&mut self, passed: impl Fn(Timestamp, Timestamp) -> bool) {
        while let Some((deadline, reason)) = self.deadline().filter(|due| passed(due.0, self.now)) {
            self.lose(deadline, reason);
        }
    }

    /// When, and by what, the sensor is lost if nothing arrives.
    fn deadline(&self) -> Option<(Timestamp, Reason)> {
        let trickle = match self.phase {
            Phase::Lost(_) => None,
            Phase::Healthy | Phase::Recovering { .. } => self.trickle_deadline(),
        };
        let trickle = trickle.map(|deadline| (deadline, Reason::Trickle));
        [self.stall_deadline(), trickle].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
    }

    /// When the lack of samples becomes a loss; `None` while that is what the sensor is lost by.
    fn stall_deadline(&self) -> Option<(Timestamp, Reason)> {
        if matches!(self.phase, Phase::Lost(reason) if reason.is_absence()) {
            return None;
        }
        let delivery = self.thresholds.delivery();
        let after = |ms| self.last_arrival + Duration::from_millis(ms);
        match (self.unusable_since, &delivery.bad_timestamps) {
            (Some(since), Some(threshold)) => {
                Some((after(threshold.after_ms).max(since), Reason::BadTimestamps))
            }
            _ if delivery.no_buffers_after_ms == 0 => None,
            _ => Some((after(delivery.no_buffers_after_ms), Reason::NoBuffers)),
        }
    }

    /// When too few samples have come.
    fn trickle_deadline(&self) -> Option<Timestamp> {
        self.arrivals.deadline(self.thresholds.delivery().trickle.as_ref()?)
    }

    /// How long a flaw may last: half its time while the sensor recovers from it. Between two pictures of a
    /// source that stands by habit no other is due.
    fn patience(&self, flaw: &Flaw) -> Duration {
        match self.phase {
            Phase::Recovering { from: Reason::Frozen, .. } if flaw.check.reason() == Reason::Frozen => {
                (flaw.after / 2).max(self.stands.usual()).min(flaw.after)
            }
            Phase::Recovering { from, .. } if from == flaw.check.reason() => flaw.after / 2,
            _ => flaw.after,
        }
    }

    fn lose(&mut self, at: Timestamp, reason: Reason) {
        if reason.is_absence() {
            // Nothing is known of the signal while there is none.
            self.flaws.iter_mut().for_each(Flaw::forget);
            self.arrivals.interrupt();
        }
        if self.state() != SensorState::Lost(reason) {
            self.enter(at, Phase::Lost(reason));
        }
    }

    fn enter(&mut self, at: Timestamp, phase: Phase) {
        self.phase = phase;
        self.changed_at = self.changed_at.max(at);
        self.changes.push_back(StateChange { at: self.changed_at, state: self.state() });
    }

    fn recover_after(&self) -> Duration {
        Duration::from_millis(self.thresholds.delivery().recover_after_ms)
    }
}

/// How long a picture may stand, by default; nothing for a sensor that has none.
fn frozen_after(thresholds: &SensorThresholds) -> Duration {
    let SensorThresholds::Video(video) = thresholds else { return Duration::ZERO };
    Duration::from_millis(video.frozen.as_ref().map_or(0, |frozen| frozen.after_ms))
}
