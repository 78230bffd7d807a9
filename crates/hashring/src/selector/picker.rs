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
        let panics = self.panics(now_ms);
        let ring = self.reader.load();
        let mut walk = QuarantineWalk::new(ring, token, now_ms, &mut self.seen);
        if !panics && let Some(node) = walk.next() {
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

    /// Fills `picked` with the first `n` backends clockwise from a token that are at distinct
    /// addresses and not quarantined, or with all of those if they are fewer. What it held before
    /// is cleared.
    ///
    /// Discovery may know one destination by several ids. A caller that asks for a second one wants
    /// another destination, so only the first id of each address is taken.
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
        let panics = self.panics(now_ms);
        let ring = self.reader.load();
        if !panics {
            let walk = QuarantineWalk::new(ring, token, now_ms, &mut self.seen);
            take_distinct(walk, n, picked);
        }
        if picked.is_empty() && n > 0 {
            ring.lookup(token).ok_or(PickError::NoBackends)?;
            if self.when_all_quarantined == WhenAllQuarantined::Fail {
                return Err(PickError::AllQuarantined);
            }
            take_distinct(ring.walk(token), n, picked);
        }
        for node in picked {
            node.data().counters.picks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether so few backends are out of quarantine that it is not looked at.
    fn panics(&self, now_ms: u64) -> bool {
        self.when_all_quarantined == WhenAllQuarantined::Ignore && self.rules.cap().panics(now_ms)
    }

    /// The ring that the next pick uses.
    pub fn ring(&mut self) -> &ModelArc<Ring<Backend, S>> {
        self.reader.load()
    }
}

/// Adds nodes of a walk until there are `n`, each at an address of its own.
fn take_distinct<'r>(
    mut walk: impl Iterator<Item = &'r Arc<Node<Backend>>>,
    n: usize,
    picked: &mut Vec<Arc<Node<Backend>>>,
) {
    while picked.len() < n {
        let Some(node) = walk.next() else { return };
        if picked.iter().all(|other| other.data().address() != node.data().address()) {
            picked.push(Arc::clone(node));
        }
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
        let cursor =
            Cursor::new(ring.circle(), ring.scheme().hash_key(token), std::mem::take(seen));
        Self { ring, now_ms, cursor, seen }
    }
}

impl<'r, S> Iterator for QuarantineWalk<'r, '_, S> {
    type Item = &'r Arc<Node<Backend>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let node = &self.ring.nodes()[self.cursor.next(self.ring.circle())? as usize];
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
