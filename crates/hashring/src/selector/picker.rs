//! The hot path of selection.

use std::{sync::Arc, time::Instant};

use thiserror::Error;

use super::{Backend, WhenAllQuarantined};
use crate::{
    health::Rules,
    node::Node,
    ring::Ring,
    scheme::Scheme,
    shared::RingReader,
    // Nodes are in plain `Arc`s; what threads race for is in those that the models watch.
    sync::{Arc as ModelArc, Ordering},
    walk::Cursor,
};

/// Picks backends for one thread or task; made by [`Selector::picker`](super::Selector::picker).
///
/// It allocates nothing, except a bitmap of one bit a backend the first time that a walk gets long,
/// and it takes a lock only after the ring changed.
#[derive(Clone, Debug)]
pub struct Picker<S> {
    reader: RingReader<Backend, S>,
    rules: ModelArc<Rules>,
    when_all_quarantined: WhenAllQuarantined,
    /// Memory of long walks.
    seen: Vec<u64>,
}

impl<S: Scheme> Picker<S> {
    pub(super) fn new(
        reader: RingReader<Backend, S>,
        rules: ModelArc<Rules>,
        when_all_quarantined: WhenAllQuarantined,
    ) -> Self {
        Self { reader, rules, when_all_quarantined, seen: Vec::new() }
    }

    /// The first backend clockwise from a token that is not quarantined.
    ///
    /// # Errors
    ///
    /// [`PickError`] if there is no backend, or if all are quarantined and that is to fail.
    pub fn pick(&mut self, token: &[u8], now: Instant) -> Result<&Arc<Node<Backend>>, PickError> {
        let now_ms = self.rules.millis(now);
        let ring = self.reader.load();
        let mut walk = QuarantineWalk::new(ring, token, now_ms, &mut self.seen);
        if let Some(node) = walk.next() {
            node.data().counters.picks.fetch_add(1, Ordering::Relaxed);
            return Ok(node);
        }
        let node = ring.lookup(token).ok_or(PickError::NoBackends)?;
        if self.when_all_quarantined == WhenAllQuarantined::Fail {
            return Err(PickError::AllQuarantined);
        }
        node.data().counters.picks.fetch_add(1, Ordering::Relaxed);
        Ok(node)
    }

    /// Fills `picked` with the first `n` distinct backends clockwise from a token that are not
    /// quarantined, or with all of those if they are fewer. What it held before is cleared.
    ///
    /// # Errors
    ///
    /// [`PickError`] as for [`pick`](Self::pick).
    pub fn pick_n(
        &mut self,
        token: &[u8],
        n: usize,
        now: Instant,
        picked: &mut Vec<Arc<Node<Backend>>>,
    ) -> Result<(), PickError> {
        picked.clear();
        let now_ms = self.rules.millis(now);
        let ring = self.reader.load();
        let walk = QuarantineWalk::new(ring, token, now_ms, &mut self.seen);
        picked.extend(walk.take(n).cloned());
        if picked.is_empty() && n > 0 {
            ring.lookup(token).ok_or(PickError::NoBackends)?;
            if self.when_all_quarantined == WhenAllQuarantined::Fail {
                return Err(PickError::AllQuarantined);
            }
            picked.extend(ring.walk(token).take(n).cloned());
        }
        for node in picked {
            node.data().counters.picks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The ring that the next pick uses.
    pub fn ring(&mut self) -> &ModelArc<Ring<Backend, S>> {
        self.reader.load()
    }
}

/// The backends of a walk that are not quarantined; the others are counted as skipped.
struct QuarantineWalk<'r, 's, S> {
    ring: &'r Ring<Backend, S>,
    now_ms: u64,
    cursor: Cursor,
    /// Where the cursor's memory goes back to.
    seen: &'s mut Vec<u64>,
}

impl<'r, 's, S: Scheme> QuarantineWalk<'r, 's, S> {
    fn new(ring: &'r Ring<Backend, S>, token: &[u8], now_ms: u64, seen: &'s mut Vec<u64>) -> Self {
        let cursor = Cursor::new(ring, ring.scheme().hash_key(token), std::mem::take(seen));
        Self { ring, now_ms, cursor, seen }
    }
}

impl<'r, S> Iterator for QuarantineWalk<'r, '_, S> {
    type Item = &'r Arc<Node<Backend>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let node = &self.ring.nodes()[self.cursor.next(self.ring)? as usize];
            if !node.data().health.is_quarantined_at(self.now_ms) {
                return Some(node);
            }
            node.data().counters.skips.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<S> Drop for QuarantineWalk<'_, '_, S> {
    fn drop(&mut self) {
        *self.seen = self.cursor.take_seen();
    }
}

/// Why nothing is picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PickError {
    /// No backend is healthy and has a weight.
    #[error("there is no backend to pick; wait for discovery")]
    NoBackends,
    /// Every backend is in local quarantine.
    #[error("all backends are in quarantine; retry later or elsewhere")]
    AllQuarantined,
}
