//! Time as a pipeline sees it; a trait, so that tests make their own.

use cmpt_core::time::Timestamp;
use futures_util::future::BoxFuture;

use crate::ingest::StreamClock;

/// A stream's clock.
pub trait Clock: Send + Sync {
    /// Stream time now.
    fn now(&self) -> Timestamp;

    /// Unix time of `at` in milliseconds.
    fn unix_ms(&self, at: Timestamp) -> i64;

    /// Waits until stream time `at`.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()>;
}

impl Clock for StreamClock {
    fn now(&self) -> Timestamp {
        self.now()
    }

    fn unix_ms(&self, at: Timestamp) -> i64 {
        self.unix_ms(at)
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep_until(self.instant(at).into()))
    }
}
