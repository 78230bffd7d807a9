//! Consistent hashing with bounded loads: no node gets more than its fair part times a factor.

use std::sync::Arc;

use thiserror::Error;

use crate::{node::Node, ring::Ring, scheme::Scheme};

/// How far above the mean the load of a node may go.
///
/// A node is full when its load reaches `ceil(factor * (total + 1) * weight / total weight)`, and
/// keys of a full node overflow to the next one clockwise. A small factor balances better and moves
/// more keys: with 100 points a node and even keys 1.25 moves 0.03 % of requests; where few keys
/// make most of the load it moves a third, and 2.0 a fifth. 1.25 is what most implementations take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadBound {
    factor: f64,
}

impl LoadBound {
    /// A bound of `factor` times the mean; at least 1, and finite.
    ///
    /// # Errors
    ///
    /// [`LoadBoundError`] if the factor is below 1, infinite or not a number.
    pub fn new(factor: f64) -> Result<Self, LoadBoundError> {
        if factor.is_finite() && factor >= 1.0 {
            Ok(Self { factor })
        } else {
            Err(LoadBoundError { factor })
        }
    }

    /// The load at which a node is full, at least 1, while `total_load` is spread over nodes of
    /// `total_weight`.
    #[must_use]
    pub fn capacity(&self, total_load: u64, weight: u32, total_weight: u64) -> u64 {
        let part = f64::from(weight) / total_weight.max(1) as f64;
        // The conversion saturates.
        ((self.factor * (total_load as f64 + 1.0) * part).ceil() as u64).max(1)
    }
}

/// 1.25.
impl Default for LoadBound {
    fn default() -> Self {
        Self { factor: 1.25 }
    }
}

/// Why a [`LoadBound`] is refused.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("the load factor is {factor}; it must be a finite number of at least 1")]
pub struct LoadBoundError {
    factor: f64,
}

/// The answer of [`Ring::lookup_bounded`].
#[derive(Debug)]
pub struct BoundedOwner<'r, N> {
    /// The first node of the walk that is not full, or the owner if all are full.
    pub node: &'r Arc<Node<N>>,
    /// Full nodes that the walk went past.
    pub skipped: usize,
    /// Whether every node is full. That takes loads whose sum exceeds the total that was passed in.
    pub all_full: bool,
}

impl<N, S: Scheme> Ring<N, S> {
    /// The first node clockwise from a key that is not full; `None` if no node has a point.
    ///
    /// `load` tells what a node carries now, in whatever unit `total_load` has (requests in flight,
    /// for example). The ring keeps no count of its own. With a factor above 1 the expected number
    /// of nodes asked is constant, whatever the size of the ring.
    ///
    /// ```
    /// use hashring::{LoadBound, Ring};
    ///
    /// let ring = Ring::builder().nodes(["a", "b", "c"]).build()?;
    /// let bound = LoadBound::new(1.25)?;
    /// let home = ring.lookup(b"hot").expect("the ring has points");
    /// // 10 requests in flight, all on one node: it may have ceil(1.25 * 11 / 3) = 5.
    /// let picked = ring
    ///     .lookup_bounded(b"hot", bound, 10, |node| if node.id() == home.id() { 10 } else { 0 })
    ///     .expect("the ring has points");
    /// assert_ne!(picked.node.id(), home.id());
    /// assert_eq!(picked.skipped, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lookup_bounded(
        &self,
        key: &[u8],
        bound: LoadBound,
        total_load: u64,
        load: impl Fn(&Node<N>) -> u64,
    ) -> Option<BoundedOwner<'_, N>> {
        let has_room = room(bound, total_load, self.total_weight(), load);
        first_with_room(self.walk(key), has_room)
    }
}

/// Tells whether a node may take one more.
pub(crate) fn room<N>(
    bound: LoadBound,
    total_load: u64,
    total_weight: u64,
    load: impl Fn(&Node<N>) -> u64,
) -> impl Fn(&Node<N>) -> bool {
    move |node| load(node) < bound.capacity(total_load, node.weight(), total_weight)
}

/// The first node of a walk that may take one more, or the first of all.
pub(crate) fn first_with_room<'p, N: 'p>(
    mut walk: impl Iterator<Item = &'p Arc<Node<N>>>,
    has_room: impl Fn(&Node<N>) -> bool,
) -> Option<BoundedOwner<'p, N>> {
    let owner = walk.next()?;
    let mut skipped = 0;
    for node in std::iter::once(owner).chain(walk) {
        if has_room(node) {
            return Some(BoundedOwner { node, skipped, all_full: false });
        }
        skipped += 1;
    }
    Some(BoundedOwner { node: owner, skipped, all_full: true })
}

#[cfg(test)]
mod tests {
    use super::LoadBound;

    /// The request that is being placed counts too: a mean of exactly one leaves no room for it.
    #[test]
    fn capacity_is_the_fair_part_of_all_loads_and_the_next_one() {
        let exact = LoadBound::new(1.0).expect("the factor is valid");
        assert_eq!(exact.capacity(9, 1, 10), 1);
        assert_eq!(exact.capacity(10, 1, 10), 2);
        assert_eq!(exact.capacity(10, 3, 10), 4);
        assert_eq!(exact.capacity(0, 1, 10), 1);
        assert_eq!(LoadBound::default().capacity(99, 1, 10), 13);
    }
}
