//! The clients that watch a ring, bounded and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::limits::RING_WATCHERS_MAX;

/// The clients that watch the ring of a member, and those that could not.
#[derive(Debug)]
pub(crate) struct RingWatchers {
    /// One for each watcher that there may be.
    places: Arc<Semaphore>,
    refused: AtomicU64,
}

impl Default for RingWatchers {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(RING_WATCHERS_MAX));
        Self { places, refused: AtomicU64::new(0) }
    }
}

impl RingWatchers {
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Status::resource_exhausted(format!(
                "{RING_WATCHERS_MAX} clients watch the ring of this member: ask another one"
            ))
        })
    }

    /// The figures by name.
    pub(crate) fn counters(&self) -> [(&'static str, u64); 2] {
        let watching = RING_WATCHERS_MAX.saturating_sub(self.places.available_permits());
        [("watchers", watching as u64), ("watchers_refused", self.refused.load(Ordering::Relaxed))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_without_a_place_is_refused_and_counted() {
        let watchers = RingWatchers::default();
        assert_eq!(watchers.counters(), [("watchers", 0), ("watchers_refused", 0)]);
        let mut places: Vec<_> =
            (0..RING_WATCHERS_MAX).map(|_| watchers.enter().expect("there is room")).collect();
        let refused = watchers.enter().expect_err("all places are taken");
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        let all = RING_WATCHERS_MAX as u64;
        assert_eq!(watchers.counters(), [("watchers", all), ("watchers_refused", 1)]);
        places.pop();
        places.push(watchers.enter().expect("one went"));
    }
}
