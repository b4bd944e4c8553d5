//! Runs of samples that show a flaw: how long they are, and how near they come to not showing it.

use std::time::Duration;

use crate::time::Timestamp;

/// Watches one flaw.
///
/// A run that lasts for half the time to trip is *near*: another of the kind, a little longer, is a false
/// alarm, and a relapse while the sensor recovers is one already. Of near runs the [worst](Self::worst)
/// margin is kept.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    near_after: Duration,
    /// A run goes on over samples without the flaw for this long.
    bridge: Duration,
    /// Over this much of a run its best sample counts: a threshold that this sample does not meet ends
    /// the run there. Zero: every sample counts.
    bucket: Duration,
    run: Option<Run>,
    worst: Option<f32>,
    longest_ended: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    since: Timestamp,
    last: Timestamp,
    bucket_began: Timestamp,
    best: f32,
    worst: Option<f32>,
}

impl Runs {
    /// Of a flaw that trips after `after_ms`, and that the best sample in half that time could end.
    pub(super) fn ended_by_one_sample(after_ms: u64) -> Self {
        let near_after = Duration::from_millis(after_ms) / 2;
        Self {
            near_after,
            bridge: Duration::ZERO,
            bucket: near_after,
            run: None,
            worst: None,
            longest_ended: None,
        }
    }

    /// Of a flaw that goes on over `bridge` without it, and that is as bad as its worst sample.
    pub(super) fn as_bad_as_its_worst(after_ms: u64, bridge: Duration) -> Self {
        Self { bridge, bucket: Duration::ZERO, ..Self::ended_by_one_sample(after_ms) }
    }

    /// A sample arrived that shows the flaw, by `margin`: the greater, the nearer to none; or does not.
    pub(super) fn observe(&mut self, now: Timestamp, margin: Option<f32>) {
        let Some(margin) = margin else {
            if let Some(run) = self.run.take_if(|run| now.saturating_since(run.last) > self.bridge) {
                self.longest_ended = self.longest_ended.max(Some(run.lasted()));
            }
            return;
        };
        let run = self.run.get_or_insert(Run {
            since: now,
            last: now,
            bucket_began: now,
            best: f32::NEG_INFINITY,
            worst: None,
        });
        run.last = now;
        run.best = run.best.max(margin);
        if now.saturating_since(run.bucket_began) >= self.bucket {
            run.worst = Some(run.worst.map_or(run.best, |worst| worst.min(run.best)));
            (run.bucket_began, run.best) = (now, f32::NEG_INFINITY);
        }
        if let Some(worst) = run.worst.filter(|_| run.lasted() >= self.near_after) {
            self.worst = Some(self.worst.map_or(worst, |before| before.min(worst)));
        }
    }

    /// Nothing arrives any more: a run neither goes on nor ended.
    pub(super) fn interrupt(&mut self) {
        self.run = None;
    }

    /// The worst margin of near runs; `None` if there was none.
    pub(super) fn worst(&self) -> Option<f32> {
        self.worst
    }

    /// The longest run that ended by itself.
    pub(super) fn longest_ended(&self) -> Option<Duration> {
        self.longest_ended
    }

    /// Whether a run goes on that is longer than any that ended.
    pub(super) fn goes_on(&self) -> bool {
        self.run.is_some_and(|run| {
            run.lasted() >= self.near_after && self.longest_ended.is_none_or(|ended| run.lasted() > ended)
        })
    }
}

impl Run {
    fn lasted(&self) -> Duration {
        self.last.saturating_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten samples a second.
    fn play(runs: &mut Runs, from: i64, margins: impl IntoIterator<Item = Option<f32>>) {
        for (n, margin) in margins.into_iter().enumerate() {
            runs.observe(Timestamp::from_millis(100 * (from + n as i64)), margin);
        }
    }

    #[test]
    fn a_run_is_as_far_off_as_its_best_sample_in_half_the_time_to_trip() {
        let mut runs = Runs::ended_by_one_sample(2000);
        play(&mut runs, 0, (0..9).map(|_| Some(1.0)).chain([None]));
        assert_eq!(runs.worst(), None, "a short run is not near");
        // One sample a second is better than the others.
        play(&mut runs, 10, (0..41).map(|n| Some(if n % 10 == 5 { 3.0 } else { 1.0 })));
        assert_eq!((runs.worst(), runs.goes_on()), (Some(3.0), true));
        play(&mut runs, 51, [None]);
        assert_eq!((runs.longest_ended(), runs.goes_on()), (Some(Duration::from_secs(4)), false));
    }

    #[test]
    fn a_bridged_run_goes_on_over_pauses_and_is_as_bad_as_its_worst_sample() {
        let mut runs = Runs::as_bad_as_its_worst(2000, Duration::from_secs(1));
        play(&mut runs, 0, (0..40).map(|n| (n % 8 == 0).then_some(-0.1 - 0.01 * (n / 8) as f32)));
        assert_eq!(runs.worst(), Some(-0.14));
        play(&mut runs, 40, (0..30).map(|_| None));
        assert_eq!(runs.longest_ended(), Some(Duration::from_millis(3200)));
    }

    #[test]
    fn a_sensor_that_is_gone_ends_no_run() {
        let mut runs = Runs::ended_by_one_sample(1000);
        play(&mut runs, 0, (0..30).map(|_| Some(0.0)));
        runs.interrupt();
        play(&mut runs, 50, [None]);
        assert_eq!((runs.longest_ended(), runs.goes_on()), (None, false));
    }
}
