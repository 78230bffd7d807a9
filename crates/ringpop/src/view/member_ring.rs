//! The members that own keys, by the placement in use.

use std::iter::FusedIterator;
use std::sync::Arc;

use hashring::placement::moved_between;
use hashring::{
    BuildError, DiffError, Edit, LocalRendezvous, LocalRendezvousWalk, Node, Placement, Rendezvous,
    RendezvousWalk, Ring, Ringpop as RingpopScheme, Shares, UpdateError, Walk,
};
use ringpop_forward::Owner;

use crate::limits::RING_POINTS_MAX;
use crate::placement::PlacementChoice;

/// The owners of keys: the members on the ring, by the [placement](Self::placement) in use. Nodes
/// are named by address, placed by identity, and carry how to reach them.
///
/// All that placements have in common is here and in the trait [`Placement`], which this
/// implements: replicas over zones ([`owners_spread`](Placement::owners_spread)), bounded load, and
/// the part of the keys that moves to another ring, whatever the placements of the two. Only the
/// classic ring has ranges of keys: [`as_ring`](Self::as_ring).
///
/// ```
/// # use ringpop::{PlacementChoice, Ringpop};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let placement = PlacementChoice::Ring { points: 100 };
/// let member = Ringpop::builder("rides").placement(placement).bind().await?;
/// member.serve(tonic::service::Routes::default())?;
/// member.bootstrap().await?;
/// let ring = member.view().ring.clone();
/// assert_eq!(ring.placement(), placement);
/// if let Some(ring) = ring.as_ring() {
///     assert!(ring.ranges_of(member.whoami()).next().is_some());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MemberRing(Placed);

#[derive(Debug, Clone)]
enum Placed {
    Rendezvous(Rendezvous<Owner>),
    Ring(Ring<Owner>),
    LocalRendezvous(LocalRendezvous<Owner>),
    Ringpop(Ring<Owner, RingpopScheme>),
}

/// Evaluates an expression on the placement, whichever it is.
macro_rules! on_placed {
    ($placed:expr, $placement:ident => $value:expr) => {
        match $placed {
            Placed::Rendezvous($placement) => $value,
            Placed::Ring($placement) => $value,
            Placed::LocalRendezvous($placement) => $value,
            Placed::Ringpop($placement) => $value,
        }
    };
}

/// The same, of which a placement of the same kind is made.
macro_rules! map_placed {
    ($placed:expr, $placement:ident => $value:expr) => {
        match $placed {
            Placed::Rendezvous($placement) => Placed::Rendezvous($value),
            Placed::Ring($placement) => Placed::Ring($value),
            Placed::LocalRendezvous($placement) => Placed::LocalRendezvous($value),
            Placed::Ringpop($placement) => Placed::Ringpop($value),
        }
    };
}

impl Placed {
    /// Apart from the ring: its lookup takes so little that it must not save the registers which
    /// the others need.
    #[inline(never)]
    fn lookup(&self, key: &[u8]) -> Option<&Arc<Node<Owner>>> {
        on_placed!(self, placement => Placement::lookup(placement, key))
    }
}

impl MemberRing {
    /// Nobody, by this placement.
    pub(crate) fn new(placement: PlacementChoice) -> Result<Self, BuildError> {
        let ring = |points| {
            Ring::builder().points_per_weight_unit(points).max_points(RING_POINTS_MAX).build()
        };
        Ok(Self(match placement {
            PlacementChoice::Rendezvous => {
                Placed::Rendezvous(Rendezvous::new(std::iter::empty::<Node<Owner>>())?)
            }
            PlacementChoice::Ring { points } => Placed::Ring(ring(points)?),
            PlacementChoice::LocalRendezvous { points } => {
                Placed::LocalRendezvous(LocalRendezvous::new(ring(points)?))
            }
            PlacementChoice::Ringpop => {
                let ring = Ring::builder().scheme(RingpopScheme).max_points(RING_POINTS_MAX);
                Placed::Ringpop(ring.build()?)
            }
        }))
    }

    /// The ring of members that are known from elsewhere, such as from
    /// [`GetRingResponse`](crate::admin_client::GetRingResponse): nodes named by address, placed by
    /// identity. The same members by the same placement have the same checksum everywhere.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use ringpop::forward::{Owner, Peer};
    /// use ringpop::hashring::Node;
    /// use ringpop::{MemberRing, PlacementChoice};
    ///
    /// let owner = Owner::Remote(Arc::new(Peer::new("10.0.0.1:7100")?));
    /// let node = Node::new("10.0.0.1:7100").with_identity("one").with_weight(3).with_data(owner);
    /// let ring = MemberRing::of(PlacementChoice::Rendezvous, [node])?;
    /// assert_eq!(ring.lookup(b"driver-42").unwrap().identity(), "one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Two members have one address, or all want more points than a ring may have.
    pub fn of(
        placement: PlacementChoice,
        members: impl IntoIterator<Item = Node<Owner>>,
    ) -> Result<Self, BuildError> {
        Self::new(placement)?.with_nodes(members)
    }

    /// The ring after these edits, by this placement.
    pub(crate) fn next(
        &self,
        placement: PlacementChoice,
        edits: Vec<Edit<Owner>>,
    ) -> Result<Self, UpdateError> {
        self.next_reusing(None, placement, edits)
    }

    /// The same, in the memory of `old`, which nobody needs any more, where it fits.
    pub(crate) fn next_reusing(
        &self,
        old: Option<Self>,
        placement: PlacementChoice,
        edits: Vec<Edit<Owner>>,
    ) -> Result<Self, UpdateError> {
        if placement == self.placement() {
            return match (&self.0, old.map(|old| old.0)) {
                (Placed::Ring(ring), Some(Placed::Ring(old))) => {
                    Ok(Self(Placed::Ring(ring.apply_reusing(old, edits)?)))
                }
                (Placed::Ringpop(ring), Some(Placed::Ringpop(old))) => {
                    Ok(Self(Placed::Ringpop(ring.apply_reusing(old, edits)?)))
                }
                _ => self.apply(edits),
            };
        }
        // Two placements may have limits that only the nodes of one keep; rendezvous has none.
        let nodes = Rendezvous::<Owner>::new(std::iter::empty::<Node<Owner>>())?;
        let nodes = nodes.with_nodes(self.nodes().iter().cloned())?.apply(edits)?;
        Ok(Self::new(placement)?.with_nodes(nodes.nodes().iter().cloned())?)
    }

    /// The placement in use.
    #[must_use]
    pub fn placement(&self) -> PlacementChoice {
        match &self.0 {
            Placed::Rendezvous(_) => PlacementChoice::Rendezvous,
            Placed::Ring(ring) => PlacementChoice::Ring { points: ring.points_per_weight_unit() },
            Placed::LocalRendezvous(local) => {
                PlacementChoice::LocalRendezvous { points: local.ring().points_per_weight_unit() }
            }
            Placed::Ringpop(_) => PlacementChoice::Ringpop,
        }
    }

    /// The classic ring with its points and ranges; `None` by another placement.
    #[must_use]
    pub const fn as_ring(&self) -> Option<&Ring<Owner>> {
        match &self.0 {
            Placed::Ring(ring) => Some(ring),
            Placed::Rendezvous(_) | Placed::LocalRendezvous(_) | Placed::Ringpop(_) => None,
        }
    }

    /// The ring of [`PlacementChoice::Ringpop`]; `None` by another placement.
    #[must_use]
    pub const fn as_ringpop(&self) -> Option<&Ring<Owner, RingpopScheme>> {
        match &self.0 {
            Placed::Ringpop(ring) => Some(ring),
            Placed::Rendezvous(_) | Placed::LocalRendezvous(_) | Placed::Ring(_) => None,
        }
    }

    /// The owner of a key, `None` when nobody is on the ring.
    #[inline]
    #[must_use]
    pub fn lookup(&self, key: &[u8]) -> Option<&Arc<Node<Owner>>> {
        match &self.0 {
            Placed::Ring(ring) => ring.lookup(key),
            placed => placed.lookup(key),
        }
    }

    /// The members for a key, best first, each once; failover to the first healthy one is `find`
    /// on it.
    pub fn walk(&self, key: &[u8]) -> MemberWalk<'_> {
        self.walk_at(self.place(key))
    }

    /// Number of members on the ring.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes().len()
    }

    /// Whether nobody is on the ring.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes().is_empty()
    }

    /// The members on the ring, sorted by address.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<Node<Owner>>] {
        on_placed!(&self.0, placement => placement.nodes())
    }

    /// The member of this address, when it is on the ring.
    #[must_use]
    pub fn node(&self, address: &str) -> Option<&Arc<Node<Owner>>> {
        Placement::node(self, address)
    }

    /// What each member owns, by the structure of the placement: no key is counted.
    #[must_use]
    pub fn shares(&self) -> Shares<'_, Owner> {
        on_placed!(&self.0, placement => placement.shares())
    }

    /// A fingerprint, in which the placement is included: rings with one checksum send every key to
    /// the same member.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        on_placed!(&self.0, placement => placement.checksum())
    }
}

impl Placement for MemberRing {
    type Data = Owner;
    type Walk<'p> = MemberWalk<'p>;

    fn name(&self) -> &'static str {
        on_placed!(&self.0, placement => placement.name())
    }

    #[inline]
    fn place(&self, key: &[u8]) -> u64 {
        on_placed!(&self.0, placement => Placement::place(placement, key))
    }

    fn nodes(&self) -> &[Arc<Node<Owner>>] {
        self.nodes()
    }

    fn total_weight(&self) -> u64 {
        on_placed!(&self.0, placement => placement.total_weight())
    }

    #[inline]
    fn lookup_at(&self, place: u64) -> Option<&Arc<Node<Owner>>> {
        on_placed!(&self.0, placement => placement.lookup_at(place))
    }

    fn walk_at(&self, place: u64) -> MemberWalk<'_> {
        MemberWalk(match &self.0 {
            Placed::Rendezvous(placement) => PlacedWalk::Rendezvous(placement.walk_at(place)),
            Placed::Ring(placement) => PlacedWalk::Ring(placement.walk_at(place)),
            Placed::LocalRendezvous(placement) => {
                PlacedWalk::LocalRendezvous(placement.walk_at(place))
            }
            Placed::Ringpop(placement) => PlacedWalk::Ring(placement.walk_at(place)),
        })
    }

    fn shares(&self) -> Shares<'_, Owner> {
        self.shares()
    }

    fn checksum(&self) -> u64 {
        self.checksum()
    }

    fn size_bytes(&self) -> usize {
        on_placed!(&self.0, placement => placement.size_bytes())
    }

    fn with_nodes<I>(&self, nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Arc<Node<Owner>>>,
    {
        Ok(Self(map_placed!(&self.0, placement => placement.with_nodes(nodes)?)))
    }

    fn apply(&self, edits: impl IntoIterator<Item = Edit<Owner>>) -> Result<Self, UpdateError> {
        Ok(Self(map_placed!(&self.0, placement => placement.apply(edits)?)))
    }

    fn moved(&self, next: &Self) -> Result<f64, DiffError> {
        match (&self.0, &next.0) {
            (Placed::Rendezvous(old), Placed::Rendezvous(new)) => old.moved(new),
            (Placed::Ring(old), Placed::Ring(new)) => old.moved(new),
            (Placed::LocalRendezvous(old), Placed::LocalRendezvous(new)) => old.moved(new),
            (Placed::Ringpop(old), Placed::Ringpop(new)) => old.moved(new),
            (Placed::Ringpop(_), _) | (_, Placed::Ringpop(_)) => Ok(moved_keys(self, next)),
            // A key has the same place in all others.
            _ => Ok(moved_between(self, next)),
        }
    }

    #[inline]
    fn lookup(&self, key: &[u8]) -> Option<&Arc<Node<Owner>>> {
        self.lookup(key)
    }
}

/// The part of some keys that has another owner, for placements in which a key has not the same
/// place.
fn moved_keys(old: &MemberRing, new: &MemberRing) -> f64 {
    let has_moved = |key: &u32| {
        let key = key.to_be_bytes();
        old.lookup(&key).map(|node| node.id()) != new.lookup(&key).map(|node| node.id())
    };
    (0..MOVED_KEYS).filter(has_moved).count() as f64 / f64::from(MOVED_KEYS)
}

/// Keys of [`moved_keys`]: an error of 0.3 % at most, in two standard deviations.
const MOVED_KEYS: u32 = 1 << 17;

/// The members for a key, best first; made by [`MemberRing::walk`].
#[derive(Debug, Clone)]
#[must_use = "a walk does nothing until it is iterated"]
pub struct MemberWalk<'r>(PlacedWalk<'r>);

#[derive(Debug, Clone)]
enum PlacedWalk<'r> {
    Rendezvous(RendezvousWalk<'r, Owner>),
    Ring(Walk<'r, Owner>),
    LocalRendezvous(LocalRendezvousWalk<'r, Owner>),
}

impl<'r> Iterator for MemberWalk<'r> {
    type Item = &'r Arc<Node<Owner>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            PlacedWalk::Rendezvous(walk) => walk.next(),
            PlacedWalk::Ring(walk) => walk.next(),
            PlacedWalk::LocalRendezvous(walk) => walk.next(),
        }
    }
}

impl FusedIterator for MemberWalk<'_> {}
