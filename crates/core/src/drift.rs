//! How a source's clock runs against the clock that its samples arrive by.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Timestamp;

/// Of the samples in this time the quickest counts: what was quick met no queue on its way.
const BUCKET: Duration = Duration::from_secs(10);
/// Buckets that are remembered: ten minutes.
const BUCKETS: usize = 60;
/// With fewer there is no drift to speak of: over a minute, 5 ms of jitter are already 80 ppm.
const LEAST_BUCKETS: usize = 12;

/// Delay and drift of one source.
///
/// Delay is the time from a sample's timestamp to its arrival. Its minimum over `BUCKET` is what the
/// network and the scheduler left untouched; the slope of these minima, by least squares over ten
/// minutes, is the drift. Memory is constant.
#[derive(Clone, Debug, Default)]
pub struct DriftMeter {
    /// Arrival and delay of the quickest sample of each full bucket, in seconds.
    minima: VecDeque<(f64, f64)>,
    since: Option<Timestamp>,
    /// The quickest of the current bucket: arrival, delay in nanoseconds.
    quickest: Option<(Timestamp, i64)>,
}

impl DriftMeter {
    /// A sample of time `at` arrived at `now`, which never goes back.
    pub fn observe(&mut self, at: Timestamp, now: Timestamp) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_since(since) >= BUCKET {
            self.close();
            self.since = Some(now);
        }
        let delay = now.as_nanos().saturating_sub(at.as_nanos());
        if self.quickest.is_none_or(|(_, least)| delay < least) {
            self.quickest = Some((now, delay));
        }
    }

    /// The least delay of the latest full bucket, in seconds; negative for a sample from the future.
    pub fn delay_s(&self) -> Option<f64> {
        self.minima.back().map(|(_, delay)| *delay)
    }

    /// By how much the source's clock is slow, in parts per million: how much the delay grows. `None`
    /// before two minutes.
    pub fn drift_ppm(&self) -> Option<f64> {
        let count = self.minima.len();
        if count < LEAST_BUCKETS {
            return None;
        }
        let mean = |of: fn(&(f64, f64)) -> f64| self.minima.iter().map(of).sum::<f64>() / count as f64;
        let (mean_at, mean_delay) = (mean(|point| point.0), mean(|point| point.1));
        let (mut covariance, mut variance) = (0.0, 0.0);
        for (at, delay) in &self.minima {
            covariance += (at - mean_at) * (delay - mean_delay);
            variance += (at - mean_at).powi(2);
        }
        (variance > 0.0).then(|| 1e6 * covariance / variance)
    }

    fn close(&mut self) {
        let Some((at, delay)) = self.quickest.take() else { return };
        if self.minima.len() == BUCKETS {
            self.minima.pop_front();
        }
        self.minima.push_back((at.as_nanos() as f64 / 1e9, delay as f64 / 1e9));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A meter that has seen `seconds` of 25 samples each, of a clock that is `ppm` slow, under jitter
    /// that is exponential with a mean of 30 ms on top of 80 ms.
    fn meter(ppm: f64, seconds: u32) -> DriftMeter {
        let mut meter = DriftMeter::default();
        let mut state = 1u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 11) as f64 + 1.0) / (1u64 << 53) as f64
        };
        let mut latest = 0i64;
        for sample in 0..25 * seconds {
            let captured_s = f64::from(sample) / 25.0;
            let stamped_s = captured_s * (1.0 - ppm / 1e6);
            let arrived_s = captured_s + 0.08 - 0.03 * uniform().ln();
            latest = latest.max((arrived_s * 1e9) as i64);
            meter.observe(Timestamp::from_nanos((stamped_s * 1e9) as i64), Timestamp::from_nanos(latest));
        }
        meter
    }

    #[test]
    fn drift_is_measured_through_jitter() {
        for ppm in [-100.0, -20.0, 0.0, 20.0, 100.0] {
            let measured = meter(ppm, 610).drift_ppm().unwrap();
            assert!((measured - ppm).abs() < 5.0, "{measured} for {ppm}");
        }
    }

    #[test]
    fn the_delay_is_that_of_the_quickest() {
        let delay = meter(0.0, 30).delay_s().unwrap();
        assert!((0.08..0.085).contains(&delay), "{delay}");
    }

    #[test]
    fn little_is_known_at_first_and_little_is_kept_for_ever() {
        assert_eq!(meter(50.0, 5).delay_s(), None);
        assert_eq!(meter(50.0, 60).drift_ppm(), None);
        assert_eq!(meter(50.0, 3600).minima.len(), BUCKETS);
    }
}
