//! Clockwise from a place, over distinct nodes.

use std::{fmt, iter::FusedIterator, sync::Arc};

use crate::{circle::Circle, limits::WALK_LOOKBACK, node::Node};

/// Distinct nodes clockwise from a place; made by [`Ring::walk`](crate::Ring::walk).
///
/// Every node with points comes once, in the order of its first point, and then the walk ends; so
/// it ends also when a predicate refuses every node. The nodes before the first accepted one do not
/// matter to the result: the first accepted node is the owner in the ring that is built without the
/// refused ones.
///
/// Nothing is allocated for the first 128 points. A walk beyond them, which needs many refusals or
/// a large `n`, makes a bitmap of one bit a node.
#[must_use = "a walk does nothing until it is iterated"]
pub struct Walk<'r, N> {
    circle: &'r Circle<N>,
    cursor: Cursor,
}

impl<'r, N> Walk<'r, N> {
    pub(crate) fn new(circle: &'r Circle<N>, place: u64) -> Self {
        Self { circle, cursor: Cursor::new(circle, place, Vec::new()) }
    }
}

impl<'r, N> Iterator for Walk<'r, N> {
    type Item = &'r Arc<Node<N>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let owner = self.cursor.next(self.circle)?;
        self.circle.nodes.get(owner as usize)
    }
}

impl<N> FusedIterator for Walk<'_, N> {}

impl<N> Clone for Walk<'_, N> {
    fn clone(&self) -> Self {
        Self { circle: self.circle, cursor: self.cursor.clone() }
    }
}

impl<N> fmt::Debug for Walk<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

/// Where a walk is, apart from the ring that it walks.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    start: usize,
    /// Points looked at.
    passed: usize,
    /// Nodes that are still to come. The walk ends with the last of them, not with the last point.
    remaining: usize,
    /// One bit a node, once more points are passed than a look back is good for.
    seen: Vec<u64>,
}

impl Cursor {
    /// A walk from a place. `seen` is memory that an earlier walk used, or nothing.
    pub(crate) fn new<N>(circle: &Circle<N>, place: u64, seen: Vec<u64>) -> Self {
        let start = circle.points.ceil(place);
        let start = if start == circle.points.len() { 0 } else { start };
        Self { start, passed: 0, remaining: circle.owning_nodes, seen }
    }

    /// The index of the next owner that did not come before.
    #[inline]
    pub(crate) fn next<N>(&mut self, circle: &Circle<N>) -> Option<u32> {
        if self.remaining == 0 {
            return None;
        }
        let owners = circle.points.owners();
        loop {
            let owner = owners[self.position(self.passed, owners)];
            let repeated = self.check_seen(owner, owners, circle.nodes.len());
            self.passed += 1;
            if !repeated {
                self.remaining -= 1;
                return Some(owner);
            }
        }
    }

    /// Gives the memory of this walk back, for the next one.
    pub(crate) fn take_seen(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.seen)
    }

    fn position(&self, offset: usize, owners: &[u32]) -> usize {
        let position = self.start + offset;
        if position < owners.len() { position } else { position - owners.len() }
    }

    /// Whether an owner came before; from now on it has.
    #[inline]
    fn check_seen(&mut self, owner: u32, owners: &[u32], nodes: usize) -> bool {
        if self.passed < WALK_LOOKBACK {
            let end = self.start + self.passed;
            let before_wrap = &owners[self.start..end.min(owners.len())];
            let after_wrap = &owners[..end.saturating_sub(owners.len())];
            return before_wrap.contains(&owner) || after_wrap.contains(&owner);
        }
        if self.passed == WALK_LOOKBACK {
            self.start_bitmap(owners, nodes);
        }
        let (word, bit) = bit_of(owner);
        let repeated = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        repeated
    }

    /// Marks every owner that was passed so far.
    #[cold]
    fn start_bitmap(&mut self, owners: &[u32], nodes: usize) {
        self.seen.clear();
        self.seen.resize(nodes.div_ceil(u64::BITS as usize), 0);
        for offset in 0..self.passed {
            let (word, bit) = bit_of(owners[self.position(offset, owners)]);
            self.seen[word] |= bit;
        }
    }
}

fn bit_of(owner: u32) -> (usize, u64) {
    ((owner / u64::BITS) as usize, 1 << (owner % u64::BITS))
}
