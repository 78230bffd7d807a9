//! The leases that a process holds, and one of them as its holder sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The leases of a process.
#[derive(Debug)]
pub(super) struct Table {
    held: Mutex<BTreeMap<u32, Lease>>,
    /// Raised at each grant, end and renewal.
    changed: watch::Sender<u64>,
}

impl Table {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), changed: watch::Sender::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Lease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, slot: u32) -> Option<Lease> {
        self.lock().get(&slot).filter(|lease| lease.check()).cloned()
    }

    pub(super) fn slots(&self) -> Vec<u32> {
        self.lock().keys().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    pub(super) fn grant(self: &Arc<Self>, term: &Arc<Term>, slot: u32, token: u64) {
        let (table, term) = (Arc::clone(self), Arc::clone(term));
        let lease =
            Lease(Arc::new(Held { table, term, slot, token, is_over: AtomicBool::new(false) }));
        self.lock().insert(slot, lease);
        self.tell();
    }

    /// Ends these leases, and gives how many there were.
    pub(super) fn end(&self, slots: &[u32]) -> usize {
        let mut held = self.lock();
        let ended: Vec<Lease> = slots.iter().filter_map(|slot| held.remove(slot)).collect();
        drop(held);
        for lease in &ended {
            lease.0.is_over.store(true, Ordering::Release);
        }
        self.tell();
        ended.len()
    }
}

/// How long the session lasts whose leases these are, as its process counts it.
#[derive(Debug)]
pub(super) struct Term {
    base: Instant,
    /// In nanoseconds since `base`.
    until: AtomicU64,
}

impl Term {
    pub(super) fn until(end: Instant) -> Self {
        let term = Self { base: Instant::now(), until: AtomicU64::new(0) };
        term.extend(end);
        term
    }

    pub(super) fn extend(&self, end: Instant) {
        let since = end.saturating_duration_since(self.base).as_nanos();
        self.until.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(super) fn end(&self) -> Instant {
        self.base + Duration::from_nanos(self.until.load(Ordering::Acquire))
    }

    fn lasts(&self) -> bool {
        Instant::now() < self.end()
    }
}

/// A lease on a slot of the keys, with its fencing token. Clones are one lease.
///
/// Pass the [token](Self::token) along with each write, to a store that refuses a write whose token
/// is smaller than the largest that it has seen for the slot. [`check`](Self::check) alone is no
/// protection: a process may be paused between the check and the write.
#[derive(Clone)]
pub struct Lease(Arc<Held>);

struct Held {
    table: Arc<Table>,
    term: Arc<Term>,
    slot: u32,
    token: u64,
    is_over: AtomicBool,
}

impl Lease {
    /// Whether the lease is held now: it was not given back, and by the clock of this process it
    /// has not ended, which it does before it ends at the store. Once it is `false` it stays so.
    #[must_use]
    pub fn check(&self) -> bool {
        !self.0.is_over.load(Ordering::Acquire) && self.0.term.lasts()
    }

    /// The fencing token: larger than that of each grant of the slot before.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.0.token
    }

    /// The slot.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.0.slot
    }

    /// Waits until the lease has ended: its slot moved to another member, or it could not be
    /// renewed in time.
    pub async fn ended(&self) {
        let mut changed = self.0.table.changed();
        while self.check() {
            tokio::select! {
                // The sender lives as long as the lease.
                _ = changed.changed() => {}
                () = sleep_until(self.0.term.end()) => {}
            }
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Held { slot, token, .. } = &*self.0;
        let is_held = self.check();
        f.debug_struct("Lease")
            .field("slot", slot)
            .field("token", token)
            .field("is_held", &is_held)
            .finish_non_exhaustive()
    }
}
