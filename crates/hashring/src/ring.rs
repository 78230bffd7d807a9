//! The ring: an immutable snapshot of nodes and their points.

mod assemble;
mod builder;
mod edit;

use std::{
    fmt,
    hash::Hasher as _,
    sync::{Arc, OnceLock},
};

use twox_hash::XxHash3_64;

pub(crate) use self::edit::fold_edits;
pub use self::{
    builder::{BuildError, RingBuilder},
    edit::{Edit, UpdateError},
};
use crate::{
    circle::Circle,
    limits::POINTS_MAX_DEFAULT,
    node::Node,
    points::Points,
    scheme::{PointRule, Scheme, Xxh3},
    walk::Walk,
};

/// A weighted consistent-hash ring of nodes that carry data of type `N`, laid out by scheme `S`.
///
/// Each node has a number of **points** on a circle. A key hashes to a place; its **owner** is the
/// node of the first point at or after that place, and past the last point the circle starts again.
/// A node that comes or goes moves only the keys that it gains or had.
///
/// A ring never changes: an [update](Self::apply) gives a new one. Share it as `Arc<Ring>`, or
/// publish each next one through a [`SharedRing`](crate::SharedRing). The same nodes give the same
/// ring, byte for byte, in whatever order they came and whoever was there before.
///
/// ```
/// use hashring::{Edit, Node, Ring};
///
/// let ring = Ring::builder()
///     .node(Node::new("cache-1"))
///     .node(Node::new("cache-2"))
///     .node(Node::new("cache-3").with_weight(2))
///     .build()?;
/// let owner = ring.lookup(b"user:42").expect("the ring has points");
///
/// // Without its owner, the key goes to the next node of its walk; keys of the others stay where they are.
/// let second = ring.walk(b"user:42").nth(1).expect("there are three nodes");
/// let smaller = ring.apply([Edit::remove(owner.id())])?;
/// assert_eq!(smaller.lookup(b"user:42"), Some(second));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Everything that a ring knows of itself:
///
/// ```
/// use hashring::{Node, Ring, Ringpop};
///
/// let ring: Ring = Ring::builder().nodes(["a", "b", "c"]).build()?;
/// assert!(!ring.is_empty() && ring.len() == 3 && ring.total_weight() == 3);
/// let points = ring.points_per_weight_unit();
/// assert_eq!(ring.points_of("a"), Some(points));
/// assert_eq!(ring.points().len(), 3 * points as usize);
/// assert!(ring.size_bytes() > ring.points().len() * 12);
///
/// // A key is a place on the circle, and each place has one owner.
/// let place = ring.place(b"user:42");
/// let owner = ring.lookup_at(place).expect("the ring has points");
/// assert_eq!(Some(owner), ring.lookup(b"user:42"));
/// assert_eq!(Some(owner), ring.walk_at(place).next());
/// let owned = ring.ranges_of(owner.id()).find(|range| range.contains(place));
/// assert!(ring.ranges().any(|(range, node)| Some(range) == owned && node == owner));
/// let all: u128 = ring.ranges().map(|(range, _)| range.places()).sum();
/// assert_eq!(all, ring.circle_places());
///
/// // Rings with one checksum send each key to the same node, whatever their history.
/// let again = ring.with_nodes(["c", "b", "a"].map(Node::new))?;
/// assert_eq!(again.checksum(), ring.checksum());
///
/// // The checksums of ringpop-go: over identities, and over points.
/// let ring: Ring<(), Ringpop> = Ring::builder().node("10.0.0.1:3000").scheme(Ringpop).build()?;
/// assert_ne!(ring.identity_checksum(), ring.point_checksum());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Ring<N = (), S = Xxh3> {
    scheme: S,
    points_per_weight_unit: u32,
    max_points: u32,
    circle: Circle<N>,
    /// A sum over all points with their owners: it follows what changes.
    points_sum: u64,
    checksum: OnceLock<u64>,
}

impl<N> Ring<N> {
    /// Starts a ring with the default scheme.
    pub fn builder() -> RingBuilder<N> {
        RingBuilder::default()
    }
}

impl<N, S: Scheme> Ring<N, S> {
    /// The owner of a key, `None` if no node has a point.
    #[inline]
    pub fn lookup(&self, key: &[u8]) -> Option<&Arc<Node<N>>> {
        self.lookup_at(self.scheme.hash_key(key))
    }

    /// The place of a key on the circle, for the methods whose names end in `_at`.
    #[inline]
    pub fn place(&self, key: &[u8]) -> u64 {
        self.scheme.hash_key(key) & self.circle.points.last_place()
    }

    /// Fills `owners` with the first `n` distinct nodes clockwise from a key, or with all that have
    /// points if those are fewer. What `owners` held before is cleared.
    ///
    /// The first is the [owner](Self::lookup). The order is that in which keys fall to the next
    /// node when nodes leave.
    pub fn lookup_n<'r>(&'r self, key: &[u8], n: usize, owners: &mut Vec<&'r Arc<Node<N>>>) {
        owners.clear();
        owners.extend(self.walk(key).take(n));
    }

    /// Distinct nodes clockwise from a key.
    ///
    /// A predicate is `filter` or `find` on this iterator: failover to the first healthy node is
    /// `ring.walk(key).find(|node| is_healthy(node))`.
    pub fn walk(&self, key: &[u8]) -> Walk<'_, N> {
        self.walk_at(self.scheme.hash_key(key))
    }

    /// The scheme by which the ring is laid out.
    pub fn scheme(&self) -> &S {
        &self.scheme
    }
}

impl<N, S> Ring<N, S> {
    /// The owner of a place on the circle, `None` if no node has a point.
    #[inline]
    pub fn lookup_at(&self, place: u64) -> Option<&Arc<Node<N>>> {
        self.circle.lookup_at(place)
    }

    /// Distinct nodes clockwise from a place on the circle.
    pub fn walk_at(&self, place: u64) -> Walk<'_, N> {
        Walk::new(&self.circle, place)
    }

    /// Number of nodes, those without points included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.circle.nodes.len()
    }

    /// Whether there is no node at all. A ring whose nodes all have weight 0 is not empty, but owns
    /// no key either.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.circle.nodes.is_empty()
    }

    /// The nodes, sorted by id.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<Node<N>>] {
        &self.circle.nodes
    }

    /// The node of this id.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&Arc<Node<N>>> {
        self.index_of(id).ok().map(|index| &self.circle.nodes[index])
    }

    /// The number of points of the node of this id.
    #[must_use]
    pub fn points_of(&self, id: &str) -> Option<u32> {
        self.index_of(id).ok().map(|index| self.circle.counts[index])
    }

    /// All points in the order of their places. Where several nodes have one place, the first of
    /// them owns it.
    pub fn points(
        &self,
    ) -> impl ExactSizeIterator<Item = Point<'_, N>> + DoubleEndedIterator + Clone {
        let owners = self.circle.points.owners().iter();
        self.circle.points.hashes().iter().zip(owners).map(|(place, owner)| Point {
            place: *place,
            node: &self.circle.nodes[*owner as usize],
        })
    }

    /// Points per unit of weight; 0 where the scheme decides the number of points by other means.
    #[must_use]
    pub fn points_per_weight_unit(&self) -> u32 {
        self.points_per_weight_unit
    }

    /// The sum of all weights.
    #[must_use]
    pub fn total_weight(&self) -> u64 {
        self.circle.total_weight
    }

    /// Bytes that the points and their index take, nodes not included: 16 to 20 a point.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.circle.points.size_bytes()
    }

    /// The nodes with their points by themselves.
    pub(crate) fn circle(&self) -> &Circle<N> {
        &self.circle
    }

    fn index_of(&self, id: &str) -> Result<usize, usize> {
        self.circle.index_of(id)
    }
}

impl<N, S: Scheme> Ring<N, S> {
    /// A fingerprint of the layout: scheme, nodes with their weights, and every point with its
    /// owner.
    ///
    /// Rings with one checksum send every key to the same node; the data of nodes is not part of
    /// it. It is the same on every platform. The first call reads the nodes, whose points were
    /// summed up when they were made; later ones give the kept result.
    pub fn checksum(&self) -> u64 {
        *self.checksum.get_or_init(|| {
            let mut hasher = XxHash3_64::new();
            let mut text = |text: &str| {
                hasher.write(&(text.len() as u64).to_le_bytes());
                hasher.write(text.as_bytes());
            };
            text(self.scheme.name());
            for node in &self.circle.nodes {
                text(node.id());
                text(node.identity());
            }
            for node in &self.circle.nodes {
                hasher.write(&node.weight().to_le_bytes());
            }
            hasher.write(&(self.circle.points.len() as u64).to_le_bytes());
            hasher.write(&self.points_sum.to_le_bytes());
            hasher.finish()
        })
    }

    /// A ring of this layout and without nodes, from which [`assemble`] starts.
    fn without_nodes(scheme: S, points_per_weight_unit: u32, max_points: u32) -> Self {
        let circle = Circle::empty(Points::empty(scheme.circle_bits(), scheme.tie_order()));
        Self {
            scheme,
            points_per_weight_unit,
            max_points,
            circle,
            points_sum: 0,
            checksum: OnceLock::new(),
        }
    }
}

/// An empty ring of the default layout.
impl<N, S: Scheme + Default> Default for Ring<N, S> {
    fn default() -> Self {
        let scheme = S::default();
        let points_per_weight_unit = match scheme.point_rule() {
            PointRule::PerWeightUnit { default } => default,
            PointRule::WholeRing => 0,
        };
        Self::without_nodes(scheme, points_per_weight_unit, POINTS_MAX_DEFAULT)
    }
}

/// The same nodes with the same data and the same points.
impl<N: PartialEq, S: Scheme> PartialEq for Ring<N, S> {
    fn eq(&self, other: &Self) -> bool {
        self.scheme.name() == other.scheme.name()
            && self.points_per_weight_unit == other.points_per_weight_unit
            && self.circle.nodes == other.circle.nodes
            && self.circle.counts == other.circle.counts
            && self.circle.points == other.circle.points
    }
}

impl<N: fmt::Debug, S: fmt::Debug> fmt::Debug for Ring<N, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("scheme", &self.scheme)
            .field("nodes", &self.circle.nodes)
            .field("points", &self.circle.points.len())
            .finish_non_exhaustive()
    }
}

/// One point of a ring.
#[derive(Debug)]
pub struct Point<'r, N> {
    /// Its place on the circle.
    pub place: u64,
    /// The node that it belongs to.
    pub node: &'r Arc<Node<N>>,
}

impl<N> Clone for Point<'_, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Point<'_, N> {}
