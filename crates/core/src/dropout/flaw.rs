//! One flaw of the signal, and for how long it has been showing.

use std::time::Duration;

use super::{Reason, SensorThresholds};
use crate::time::Timestamp;

/// A run of clipped sound goes on over pauses of this length: those between words.
const CLIPPED_BRIDGE: Duration = Duration::from_millis(1000);

/// Hum is known by comparison with three periods earlier: it has been there for as long when it shows.
const STUCK_LEAD: Duration = Duration::from_millis(60);

/// What is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Black,
    Bright,
    /// The same picture.
    Stands,
    /// A picture that changes by less than its noise.
    Quiet,
    Stuck,
    Silent,
    Clipped,
}

impl Check {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Black => Reason::Black,
            Self::Bright => Reason::Bright,
            Self::Stands | Self::Quiet => Reason::Frozen,
            Self::Stuck => Reason::Stuck,
            Self::Silent => Reason::Silent,
            Self::Clipped => Reason::Clipped,
        }
    }
}

/// A flaw that is watched for.
#[derive(Clone, Debug)]
pub(super) struct Flaw {
    pub(super) check: Check,
    /// How long makes it a loss.
    pub(super) after: Duration,
    /// How long the run goes on without it.
    bridge: Duration,
    /// How long it has been there when it first shows.
    lead: Duration,
    /// Since when it has been showing.
    pub(super) since: Option<Timestamp>,
    last_shown: Timestamp,
    /// Whether the latest sample shows it.
    pub(super) shows: bool,
}

impl Flaw {
    /// Those that are switched on, the more telling first: a black picture is frozen too.
    pub(super) fn of(thresholds: &SensorThresholds) -> Vec<Self> {
        let flaws = match thresholds {
            SensorThresholds::Video(video) => {
                let frozen = video.frozen.as_ref().map(|frozen| frozen.after_ms);
                vec![
                    (Check::Black, video.black.as_ref().map(|black| black.after_ms)),
                    (Check::Bright, video.bright.as_ref().map(|bright| bright.after_ms)),
                    (Check::Stands, frozen),
                    (Check::Quiet, frozen),
                ]
            }
            SensorThresholds::Audio(audio) => vec![
                (Check::Stuck, audio.stuck.as_ref().map(|stuck| stuck.after_ms)),
                (Check::Silent, audio.silent.as_ref().map(|silent| silent.after_ms)),
                (Check::Clipped, audio.clipped.as_ref().map(|clipped| clipped.after_ms)),
            ],
        };
        flaws.into_iter().filter_map(|(check, after_ms)| Some(Self::new(check, after_ms?))).collect()
    }

    fn new(check: Check, after_ms: u64) -> Self {
        let bridge = if check == Check::Clipped { CLIPPED_BRIDGE } else { Duration::ZERO };
        let lead = if check == Check::Stuck { STUCK_LEAD } else { Duration::ZERO };
        let after = Duration::from_millis(after_ms);
        Self { check, after, bridge, lead, since: None, last_shown: Timestamp::ZERO, shows: false }
    }

    /// A sample arrived.
    pub(super) fn observe(&mut self, now: Timestamp, shows: bool) {
        self.shows = shows;
        if shows {
            self.last_shown = now;
            self.since.get_or_insert(now - self.lead);
        } else if self.check.reason() == Reason::Frozen {
            // A run counts from the first of equal pictures, which this one may be.
            self.since = Some(now);
        } else if self.bridge.is_zero() || now.saturating_since(self.last_shown) > self.bridge {
            self.since = None;
        }
    }

    /// How long it has been showing.
    pub(super) fn lasted(&self, now: Timestamp) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_since(since))
    }

    /// Whether the sensor cannot be called good for it.
    pub(super) fn persists(&self) -> bool {
        self.shows || !self.bridge.is_zero() && self.since.is_some()
    }

    /// Nothing is known of the signal while there is none.
    pub(super) fn forget(&mut self) {
        (self.since, self.shows) = (None, false);
    }
}
