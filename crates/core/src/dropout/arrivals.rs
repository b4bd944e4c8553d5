//! How often a sensor delivers, and whether it still does.

use std::collections::VecDeque;
use std::time::Duration;

use super::TrickleThreshold;
use crate::time::Timestamp;

/// Stretches whose count is remembered; their median is what is usual.
const STRETCHES: usize = 9;
/// Stretches seen before anything is usual.
const LEARNT_AFTER: usize = 3;
/// Arrivals remembered at most: 100 a second, a fifth of them, over two seconds is 40.
const REMEMBERED: usize = 512;

/// Arrivals of one sensor.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    latest: VecDeque<Timestamp>,
    /// Counts of stretches as long as the time to trip.
    counts: VecDeque<usize>,
    stretch: Option<(Timestamp, usize)>,
    /// When it was last found to deliver again.
    resumed: Timestamp,
}

impl Arrivals {
    /// A sample arrived. What is usual is learnt while `healthy`.
    pub(super) fn observe(&mut self, now: Timestamp, threshold: &TrickleThreshold, healthy: bool) {
        if self.latest.len() == REMEMBERED {
            self.latest.pop_front();
        }
        self.latest.push_back(now);
        let (began, count) = self.stretch.get_or_insert((now, 0));
        if now.saturating_since(*began) >= after(threshold) {
            let count = std::mem::take(count);
            self.stretch = Some((now, 1));
            if healthy {
                self.learn(count);
            }
        } else {
            *count += 1;
        }
    }

    /// Nothing arrives any more: what came before is no measure of what comes next, except of what is
    /// usual.
    pub(super) fn interrupt(&mut self) {
        self.latest.clear();
        self.stretch = None;
    }

    /// It delivers again after a trickle: that is over, and lack is counted from now on.
    pub(super) fn resume(&mut self, now: Timestamp) {
        self.resumed = now;
    }

    /// When too few samples will have arrived if no more do; `None` while that cannot be said.
    pub(super) fn deadline(&self, threshold: &TrickleThreshold) -> Option<Timestamp> {
        let needed = (self.usual_count()? as f32 * threshold.share).ceil() as usize;
        // One sample in that time is what `no_buffers` watches over.
        let needed = Some(needed.min(REMEMBERED)).filter(|needed| *needed >= 2)?;
        let oldest = self.latest.len().checked_sub(needed)?;
        Some(self.latest[oldest].max(self.resumed) + after(threshold))
    }

    /// The usual time between two samples; `None` while not known.
    pub(super) fn usual_pause(&self, threshold: &TrickleThreshold) -> Option<Duration> {
        self.usual_count().map(|count| after(threshold) / u32::try_from(count.max(1)).unwrap_or(u32::MAX))
    }

    /// How many samples usually come in the time to trip; `None` while not known.
    fn usual_count(&self) -> Option<usize> {
        if self.counts.len() < LEARNT_AFTER {
            return None;
        }
        let mut counts = [0; STRETCHES];
        let counts = &mut counts[..self.counts.len()];
        counts.iter_mut().zip(&self.counts).for_each(|(slot, count)| *slot = *count);
        counts.sort_unstable();
        Some(counts[counts.len() / 2])
    }

    fn learn(&mut self, count: usize) {
        if self.counts.len() == STRETCHES {
            self.counts.pop_front();
        }
        self.counts.push_back(count);
    }
}

fn after(threshold: &TrickleThreshold) -> Duration {
    Duration::from_millis(threshold.after_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn the_deadline_is_when_a_fifth_of_the_usual_has_not_come() {
        let threshold = TrickleThreshold::default();
        let mut arrivals = Arrivals::default();
        for n in 0..60 {
            assert_eq!(arrivals.deadline(&threshold), None, "{n}");
            arrivals.observe(at(100 * n), &threshold, true);
        }
        arrivals.observe(at(6000), &threshold, true);
        // 20 in two seconds are usual, 4 of them a fifth: the fourth latest came at 5700.
        assert_eq!(arrivals.deadline(&threshold), Some(at(7700)));
        arrivals.resume(at(6500));
        assert_eq!(arrivals.deadline(&threshold), Some(at(8500)), "what lacked before does not count");
        arrivals.interrupt();
        assert_eq!(arrivals.deadline(&threshold), None, "it is not there at all");
        assert_eq!(arrivals.usual_pause(&threshold), Some(Duration::from_millis(100)));
    }
}
