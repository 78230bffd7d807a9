//! The latest rings in their order, for those who ask whether they owned a key all the time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashring::Placement as _;
use ringpop_forward::Owner;
use tokio::sync::watch;

use super::MemberRing;
use crate::clock::unix_ms;
use crate::limits::{OWNED_RINGS_BYTES_MAX, OWNED_RINGS_MAX};

/// Numbers the rings of a member from 0 on, and keeps the latest.
#[derive(Debug)]
pub(crate) struct Rings {
    /// The number of the latest ring. It is raised before that ring is published: a handler that
    /// sees a ring never finds an older number.
    generation: AtomicU64,
    changed: watch::Sender<u64>,
    /// The last one is the latest.
    recent: Mutex<VecDeque<Arc<MemberRing>>>,
    /// The last epoch that was given away.
    epoch: AtomicU64,
}

impl Rings {
    pub(super) fn new(first: Arc<MemberRing>) -> Self {
        Self {
            generation: AtomicU64::new(0),
            changed: watch::Sender::new(0),
            recent: Mutex::new(VecDeque::from([first])),
            epoch: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<MemberRing>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another ring follows. Gives the last one that is not kept any more, if any.
    pub(super) fn push(&self, ring: Arc<MemberRing>) -> Option<Arc<MemberRing>> {
        let mut recent = self.lock();
        recent.push_back(ring);
        let mut bytes: usize = recent.iter().map(|ring| ring.size_bytes()).sum();
        let mut old = None;
        while recent.len() > 1 && (recent.len() > OWNED_RINGS_MAX || bytes > OWNED_RINGS_BYTES_MAX)
        {
            old = recent.pop_front();
            bytes -= old.as_ref().map_or(0, |ring| ring.size_bytes());
        }
        // Under the lock: numbers and rings belong together.
        let generation = self.generation.fetch_add(1, Ordering::Release) + 1;
        drop(recent);
        self.changed.send_replace(generation);
        old
    }

    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Whether this member owns the key by the latest ring; the number of that ring, if so.
    pub(crate) fn owned(&self, key: &[u8]) -> Option<u64> {
        let recent = self.lock();
        let generation = self.generation.load(Ordering::Relaxed);
        let latest = Arc::clone(recent.back()?);
        drop(recent);
        is_local(&latest, key).then_some(generation)
    }

    /// Whether this member owned the key in each ring after the one numbered `seen`; the number of
    /// the latest, if so. Rings that are not kept any more count as those of others.
    pub(crate) fn owned_since(&self, key: &[u8], seen: u64) -> Option<u64> {
        let recent = self.lock();
        let generation = self.generation.load(Ordering::Relaxed);
        let new = usize::try_from(generation.saturating_sub(seen)).unwrap_or(usize::MAX);
        let known = recent.len().checked_sub(new)?;
        let new: Vec<_> = recent.iter().skip(known).map(Arc::clone).collect();
        drop(recent);
        new.iter().all(|ring| is_local(ring, key)).then_some(generation)
    }

    /// A number that is larger than all before: the wall clock, or one more than the last.
    pub(crate) fn next_epoch(&self) -> u64 {
        let now = unix_ms();
        let next = |last: u64| Some(now.max(last.saturating_add(1)));
        let before = self.epoch.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        now.max(before.unwrap_or_default().saturating_add(1))
    }
}

fn is_local(ring: &MemberRing, key: &[u8]) -> bool {
    ring.lookup(key).is_some_and(|node| matches!(node.data(), Owner::Local))
}
