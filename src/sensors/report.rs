//! What a watch tells, whoever shows it.

use std::collections::BTreeMap;
use std::io;

use cmpt_core::dropout::{Reason, SensorState, SensorThresholds};
use cmpt_core::survey::{Proposal, Second};
use cmpt_core::time::Timestamp;

/// Shows a watch. Errors: it cannot be written.
pub(super) trait Report {
    /// A second of stream time ended at `at`.
    fn second(&mut self, at: Timestamp, sensors: &[View<'_>]) -> io::Result<()>;

    /// A sensor changed its state.
    fn change(&mut self, at: Timestamp, sensor: &str, state: SensorState) -> io::Result<()>;

    /// The watch is over.
    fn close(&mut self, closing: &Closing<'_>) -> io::Result<()>;
}

/// One second of one sensor.
pub(super) struct View<'a> {
    pub(super) name: &'a str,
    pub(super) thresholds: &'a SensorThresholds,
    pub(super) second: Second,
}

/// What follows from a watch.
pub(super) struct Closing<'a> {
    pub(super) at: Timestamp,
    /// What to paste into the configuration; empty if nothing is to change.
    pub(super) toml: String,
    /// Name, line of its table in the configuration, proposal.
    pub(super) sensors: &'a [(&'a str, Option<usize>, Proposal)],
    pub(super) windows: u64,
    /// Windows that went without a sensor.
    pub(super) without: BTreeMap<&'a str, &'a BTreeMap<Reason, u64>>,
}

/// Name of a state, and why it is one.
pub(super) fn state(state: SensorState) -> (&'static str, Option<Reason>) {
    match state {
        SensorState::Healthy => ("healthy", None),
        SensorState::Recovering => ("recovering", None),
        SensorState::Lost(reason) => ("lost", Some(reason)),
    }
}
