//! What the driver counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How often the driver had to refuse something, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriverStats {
    /// Inputs dropped because the queue was full and their sender could not wait.
    pub inputs_dropped: u64,
    /// Requests of others refused because
    /// [`ANSWERS_MAX`](crate::limits::ANSWERS_MAX) waited already.
    pub requests_refused: u64,
    /// Questions to discovery that failed, while healing.
    pub discovery_failures: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) inputs_dropped: AtomicU64,
    pub(crate) requests_refused: AtomicU64,
    pub(crate) discovery_failures: AtomicU64,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> DriverStats {
        DriverStats {
            inputs_dropped: self.inputs_dropped.load(Relaxed),
            requests_refused: self.requests_refused.load(Relaxed),
            discovery_failures: self.discovery_failures.load(Relaxed),
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
