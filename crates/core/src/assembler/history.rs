//! A sensor's states over time, so that a window can be judged by the state as of its end although
//! it is due later.

use std::collections::VecDeque;

use crate::dropout::{SensorState, StateChange};
use crate::time::Timestamp;

/// The changes that windows still to come may ask for.
pub(super) struct StateHistory {
    /// The state before the first of `changes`.
    base: SensorState,
    /// In order of time.
    changes: VecDeque<StateChange>,
}

impl StateHistory {
    pub(super) fn new() -> Self {
        Self { base: SensorState::Healthy, changes: VecDeque::new() }
    }

    /// Records a change; one stated before the latest counts from the latest on.
    pub(super) fn push(&mut self, change: StateChange) {
        let latest = self.changes.back().map_or(change.at, |latest| latest.at);
        self.changes.push_back(StateChange { at: change.at.max(latest), ..change });
    }

    /// The state just before `at`: a window's end is exclusive, so what changes there is the next
    /// window's business.
    pub(super) fn before(&self, at: Timestamp) -> SensorState {
        self.changes.iter().rev().find(|change| change.at < at).map_or(self.base, |change| change.state)
    }

    /// Forgets what only times up to `at` need.
    pub(super) fn discard_before(&mut self, at: Timestamp) {
        while let Some(change) = self.changes.pop_front_if(|change| change.at < at) {
            self.base = change.state;
        }
    }
}
