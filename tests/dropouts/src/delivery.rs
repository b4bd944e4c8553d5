//! How samples arrive: on time, late, with wrong timestamps, or not at all.

use cmpt_core::dropout::SourceEvent;
use fastrand::Rng;

use crate::clip::Network;
use crate::fault::{Effect, Fault};

/// What arrives, of content that is made elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The sample of this number, stamped like this.
    Sample {
        /// Its number.
        index: usize,
        /// Its timestamp.
        stamp_ms: i64,
    },
    /// The source says something.
    Source(SourceEvent),
}

/// By how much a wireless network is late at most, while it delivers.
pub const JITTER_MS: u64 = 80;

/// The arrivals of `count` samples that are taken every `period_ms` and sent `length_ms` later, in order
/// of time: milliseconds since the start, and what arrives.
pub fn deliver(
    [period_ms, length_ms]: [u64; 2],
    count: usize,
    network: Network,
    faults: &[Fault],
    rng: &mut Rng,
) -> Vec<(u64, Arrival)> {
    let mut arrivals = Vec::with_capacity(count);
    let mut said = vec![false; faults.len()];
    // Until when the network holds everything back, and when it does so next.
    let (mut held_until, mut roam_at) = (0, 10_000 + rng.u64(..20_000));
    let mut latest = 0;
    for index in 0..count {
        let at_ms = index as u64 * period_ms;
        let fault = faults.iter().position(|fault| fault.touches(at_ms));
        if network == Network::Wireless && at_ms >= roam_at {
            held_until = at_ms + rng.u64(200..800);
            roam_at = at_ms + 10_000 + rng.u64(..20_000);
        }
        let jitter = if network == Network::Wireless { rng.u64(..JITTER_MS) } else { 0 };
        let mut now = (at_ms + length_ms + jitter).max(latest);
        // It does not roam while it fails: the truth is to be exact.
        if fault.is_none() && faults.iter().all(|fault| !fault.touches(held_until)) {
            now = now.max(held_until);
        }
        let mut stamp_ms = at_ms as i64;
        match fault.map(|index| (index, faults[index].effect)) {
            Some((_, Effect::Stalled)) => continue,
            Some((_, Effect::Sparse { every })) if !(index as u64).is_multiple_of(every) => continue,
            Some((_, Effect::Misstamped { shift_ms })) => stamp_ms += shift_ms,
            Some((which, effect @ (Effect::Failed | Effect::Ended))) => {
                if !std::mem::replace(&mut said[which], true) {
                    let event = if effect == Effect::Ended { SourceEvent::Eos } else { SourceEvent::Error };
                    latest = now;
                    arrivals.push((now, Arrival::Source(event)));
                }
                continue;
            }
            _ => {}
        }
        latest = now;
        arrivals.push((now, Arrival::Sample { index, stamp_ms }));
    }
    arrivals
}
