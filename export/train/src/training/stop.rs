//! When a run stops before its end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Code of a process ended by SIGINT, by the shell's convention.
const INTERRUPTED: i32 = 130;

/// Asks a run to save and stop.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    interrupted: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

/// Why a run stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// By a signal.
    Interrupted,
    /// It had its time.
    OutOfTime,
    /// It had its patience: later epochs were no better.
    NoImprovement,
}

impl Stop {
    /// Stops on SIGINT and SIGTERM, and after `limit`. A second signal ends the process at once.
    pub fn on_signals(limit: Option<Duration>) -> io::Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag still down.
            flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&interrupted))?;
            flag::register(signal, Arc::clone(&interrupted))?;
        }
        Ok(Self { interrupted, deadline: limit.map(|limit| Instant::now() + limit) })
    }

    /// Stops once somebody raises `flag`.
    pub fn on_flag(flag: Arc<AtomicBool>) -> Self {
        Self { interrupted: flag, deadline: None }
    }

    /// Why to stop now, if at all.
    pub fn requested(&self) -> Option<Stopped> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Some(Stopped::Interrupted);
        }
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        late.then_some(Stopped::OutOfTime)
    }
}
