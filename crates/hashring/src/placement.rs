//! Ways to place keys on nodes, behind one interface.
//!
//! | placement | shares | needless movement | lookup | takes |
//! |---|---|---|---|---|
//! | [`Ring`] | uneven by `1 / sqrt(points)` | none | one search | points |
//! | [`LocalRendezvous`] | a quarter of that unevenness | none | four searches | points |
//! | [`SpreadMinimizing`] | even to `1 / points` | none while the last node stays | one search | points, numbered nodes |
//! | [`Rendezvous`] | exactly by weight | none | time in the number of nodes | nothing |
//! | [`Maglev`] | even to nodes by table size | some, as the table is filled anew | one read | a table |
//! | [`Jump`] | exactly by weight | none while the last node stays | two steps | numbered nodes |
//!
//! `docs/placements.md` has figures of each and says which to choose for what. What an algorithm
//! cannot do it does not offer: [`Ring::ranges`] and [`diff`](crate::diff) exist where nodes own
//! ranges of places.
//!
//! ```
//! use hashring::{Edit, Node, Placement, Rendezvous};
//!
//! fn owner<P: Placement>(placement: &P, key: &str) -> Option<String> {
//!     placement.lookup(key.as_bytes()).map(|node| node.id().to_owned())
//! }
//!
//! let small = Rendezvous::new(["a", "b"])?;
//! let large = small.apply([Edit::add(Node::new("c").with_weight(2))])?;
//! assert!(owner(&large, "user:42").is_some());
//! // The newcomer has half of the weight, so half of the keys move, all to it.
//! assert_eq!(small.moved(&large)?, 0.5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod jump;
mod local_rendezvous;
mod maglev;
mod node_list;
mod numbered;
mod rendezvous;
mod score;
mod seen;
mod spread;

use std::sync::Arc;

use twox_hash::XxHash3_64;

pub use self::{
    jump::Jump,
    local_rendezvous::{LocalRendezvous, LocalRendezvousWalk},
    maglev::{Maglev, MaglevWalk},
    numbered::ProbeWalk,
    rendezvous::{Rendezvous, RendezvousWalk},
    spread::SpreadMinimizing,
};
use crate::{
    bounded::{BoundedOwner, LoadBound, first_with_room, room},
    limits::MOVED_SAMPLE,
    movement::{DiffError, new_indices},
    node::Node,
    ownership::Shares,
    replicas,
    ring::{BuildError, Edit, Ring, UpdateError},
    scheme::Scheme,
    walk::Walk,
};

/// An immutable snapshot of nodes that says which of them owns a key.
///
/// Share it as an `Arc`, or publish each next one through a [`Shared`](crate::Shared). The same
/// nodes give the same placement, whatever their order and whoever was there before.
pub trait Placement {
    /// What the nodes carry.
    type Data;

    /// The nodes for a key, best first.
    type Walk<'p>: Iterator<Item = &'p Arc<Node<Self::Data>>>
    where
        Self: 'p;

    /// A short stable name of the algorithm.
    fn name(&self) -> &'static str;

    /// The place of a key, for the methods whose names end in `_at`: its XXH3 hash, unless a ring
    /// has a scheme of its own.
    #[inline]
    fn place(&self, key: &[u8]) -> u64 {
        XxHash3_64::oneshot(key)
    }

    /// The nodes, sorted by id.
    fn nodes(&self) -> &[Arc<Node<Self::Data>>];

    /// The sum of all weights.
    fn total_weight(&self) -> u64;

    /// The owner of the keys of a place, `None` if no node has a weight.
    fn lookup_at(&self, place: u64) -> Option<&Arc<Node<Self::Data>>>;

    /// Every node that has a weight, once, best first, for the keys of a place.
    fn walk_at(&self, place: u64) -> Self::Walk<'_>;

    /// What each node owns, by the structure of the algorithm: no key is counted.
    fn shares(&self) -> Shares<'_, Self::Data>;

    /// A fingerprint: placements with one fingerprint send every key to the same node. The
    /// algorithm and its parameters are part of it, the data of nodes is not.
    fn checksum(&self) -> u64;

    /// Bytes that the placement takes, nodes not included.
    fn size_bytes(&self) -> usize;

    /// The placement of exactly these nodes under the same parameters.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an id occurs twice or the nodes break a rule of the algorithm. This
    /// placement is never changed.
    fn with_nodes<I>(&self, nodes: I) -> Result<Self, BuildError>
    where
        Self: Sized,
        I: IntoIterator,
        I::Item: Into<Arc<Node<Self::Data>>>;

    /// The placement after these changes, which are made in their order and in one step.
    ///
    /// # Errors
    ///
    /// [`UpdateError`] if an id to add exists, another one does not, or the new nodes break a rule
    /// of the algorithm. This placement is never changed.
    fn apply(&self, edits: impl IntoIterator<Item = Edit<Self::Data>>) -> Result<Self, UpdateError>
    where
        Self: Sized,
        Self::Data: Clone,
    {
        Ok(self.with_nodes(node_list::edited(self.nodes(), edits)?)?)
    }

    /// The part of all keys that has another owner in `next`, 0 to 1. Owners are compared by id.
    ///
    /// It is exact by [`Ring`], [`Rendezvous`] and [`Maglev`]. The others count it on 2^17 places
    /// that are spread evenly.
    ///
    /// # Errors
    ///
    /// [`DiffError`] if a key has not the same place in both.
    fn moved(&self, next: &Self) -> Result<f64, DiffError>
    where
        Self: Sized,
    {
        Ok(moved_between(self, next))
    }

    /// The owner of a key, `None` if no node has a weight.
    #[inline]
    fn lookup(&self, key: &[u8]) -> Option<&Arc<Node<Self::Data>>> {
        self.lookup_at(self.place(key))
    }

    /// The nodes for a key, best first; its [owner](Self::lookup) is the first. Failover to the
    /// first healthy node is `find` on it.
    fn walk(&self, key: &[u8]) -> Self::Walk<'_> {
        self.walk_at(self.place(key))
    }

    /// Fills `owners` with the first `n` nodes for a key, or with all that have a weight if those
    /// are fewer. What it held before is cleared.
    fn lookup_n<'p>(&'p self, key: &[u8], n: usize, owners: &mut Vec<&'p Arc<Node<Self::Data>>>) {
        owners.clear();
        owners.extend(self.walk(key).take(n));
    }

    /// Fills `owners` with `n` nodes for a key whose labels differ while that is possible, as
    /// [`Ring::owners_spread`] does.
    fn owners_spread<'p, L: PartialEq>(
        &'p self,
        key: &[u8],
        n: usize,
        label: impl Fn(&'p Node<Self::Data>) -> L,
        owners: &mut Vec<&'p Arc<Node<Self::Data>>>,
    ) {
        replicas::spread(|| self.walk(key), self.nodes(), n, label, owners);
    }

    /// The first node for a key that is not full, as [`Ring::lookup_bounded`] finds it.
    fn lookup_bounded(
        &self,
        key: &[u8],
        bound: LoadBound,
        total_load: u64,
        load: impl Fn(&Node<Self::Data>) -> u64,
    ) -> Option<BoundedOwner<'_, Self::Data>> {
        first_with_room(self.walk(key), room(bound, total_load, self.total_weight(), load))
    }

    /// The node of this id.
    fn node(&self, id: &str) -> Option<&Arc<Node<Self::Data>>> {
        let found = self.nodes().binary_search_by(|node| node.id().cmp(id)).ok()?;
        self.nodes().get(found)
    }
}

/// The part of all keys that has another owner by `new` than by `old`, which may be placements of
/// different kinds; counted on 2^17 places that are spread evenly. Owners are compared by id.
///
/// A key must have the same [place](Placement::place) in both, as it has but by rings of another
/// scheme than [`Xxh3`](crate::Xxh3).
///
/// ```
/// use hashring::{Rendezvous, Ring, placement::moved_between};
///
/// let nodes = ["a", "b", "c", "d"];
/// let ring = Ring::builder().nodes(nodes).build()?;
/// // Another placement is as good as a new draw: three keys in four go to another of four nodes.
/// let moved = moved_between(&ring, &Rendezvous::new(nodes)?);
/// assert!((0.7..0.8).contains(&moved));
/// # Ok::<(), hashring::BuildError>(())
/// ```
#[must_use]
pub fn moved_between<P: Placement, Q: Placement>(old: &P, new: &Q) -> f64 {
    let mut moved = 0_u32;
    for step in 0..MOVED_SAMPLE {
        // Multiples of the golden ratio: whatever their number, they leave no large gap.
        let place = u64::from(step).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (old, new) = (old.lookup_at(place), new.lookup_at(place));
        moved += u32::from(old.map(|node| node.id()) != new.map(|node| node.id()));
    }
    f64::from(moved) / f64::from(MOVED_SAMPLE)
}

/// The part of `sizes` (which sum to `all`) whose owner differs, for owners that are indices of
/// nodes.
fn moved_entries<N>(
    old: &[Arc<Node<N>>],
    new: &[Arc<Node<N>>],
    entries: impl Iterator<Item = (u128, Option<u32>, Option<u32>)>,
    all: u128,
) -> f64 {
    let new_index = new_indices(old, new);
    let moved: u128 = entries
        .filter(|(_, old, new)| old.map(|old| new_index[old as usize]) != new.map(Some))
        .map(|(size, ..)| size)
        .sum();
    moved as f64 / all as f64
}

impl<N, S: Scheme + Clone> Placement for Ring<N, S> {
    type Data = N;
    type Walk<'p>
        = Walk<'p, N>
    where
        Self: 'p;

    fn name(&self) -> &'static str {
        "ring"
    }

    #[inline]
    fn place(&self, key: &[u8]) -> u64 {
        self.place(key)
    }

    fn nodes(&self) -> &[Arc<Node<N>>] {
        self.nodes()
    }

    fn total_weight(&self) -> u64 {
        self.total_weight()
    }

    #[inline]
    fn lookup_at(&self, place: u64) -> Option<&Arc<Node<N>>> {
        self.lookup_at(place)
    }

    fn walk_at(&self, place: u64) -> Walk<'_, N> {
        self.walk_at(place)
    }

    fn shares(&self) -> Shares<'_, N> {
        self.shares()
    }

    fn checksum(&self) -> u64 {
        self.checksum()
    }

    fn size_bytes(&self) -> usize {
        self.size_bytes()
    }

    fn with_nodes<I>(&self, nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Arc<Node<N>>>,
    {
        self.with_nodes(nodes)
    }

    fn apply(&self, edits: impl IntoIterator<Item = Edit<N>>) -> Result<Self, UpdateError>
    where
        N: Clone,
    {
        self.apply(edits)
    }

    fn moved(&self, next: &Self) -> Result<f64, DiffError> {
        Ok(crate::diff(self, next)?.fraction())
    }
}
