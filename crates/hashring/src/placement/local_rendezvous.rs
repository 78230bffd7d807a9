//! Rendezvous hashing among the points of a ring that are near a key.

mod chances;
mod walk;

use std::{fmt, hash::Hasher as _, sync::Arc};

use twox_hash::XxHash3_64;

pub use self::walk::LocalRendezvousWalk;
use super::Placement;
use crate::{
    limits::LOCAL_RENDEZVOUS_PLACES,
    movement::DiffError,
    node::Node,
    ownership::Shares,
    ring::{BuildError, Edit, Ring, UpdateError},
    scheme::{Scheme, Xxh3},
};

/// Local rendezvous hashing: of all points, the one with the highest score for a key owns it, and
/// the score is how near a point is to the closest of four places of the key, on either side.
///
/// A ring gives a key to the first point after one place, so a node owns as much as its points
/// happen to lie far from those before them. The closest of four places is seldom one in the middle
/// of a wide gap, so wide gaps count little more than narrow ones: the deviation of shares is about
/// a quarter of the ring's with the same points. It costs four searches, which do not wait for each
/// other.
///
/// The idea to let only points near a key compete is that of Guan (arXiv 2512.23434), where they
/// are a number of distinct nodes clockwise from the key, with random scores. When one of these
/// leaves, another node comes in, and if that one has the higher score, the key moves although its
/// owner stays: with eight nodes, almost as many keys move needlessly as have to. How near a point
/// is does not depend on other points, so here a key has one order of preference for all points
/// that there can ever be, and moves only to a point that comes or from one that goes. Nearness to
/// several places is from multi-probe consistent hashing (Appleton and O'Reilly, arXiv 1505.00062),
/// which looks clockwise only and therefore takes twice as many places. Failover goes to the next
/// nearest point.
///
/// A node owns keys in proportion to its points, so a weight counts as on the ring.
///
/// ```
/// use hashring::{LocalRendezvous, Placement, Ring};
///
/// let ring = Ring::builder().nodes((0..100).map(|n| format!("cache-{n}"))).build()?;
/// let deviation = |shares: hashring::Shares<'_, ()>| shares.deviation().expect("there are weights");
/// let local = LocalRendezvous::new(ring.clone());
/// assert!(deviation(local.shares()) < deviation(ring.shares()) / 2.5);
/// # Ok::<(), hashring::BuildError>(())
/// ```
#[derive(Clone)]
pub struct LocalRendezvous<N = (), S = Xxh3> {
    ring: Ring<N, S>,
}

impl<N, S> LocalRendezvous<N, S> {
    /// The placement by the points of a ring.
    #[must_use]
    pub fn new(ring: Ring<N, S>) -> Self {
        Self { ring }
    }

    /// The ring whose points these are.
    #[must_use]
    pub fn ring(&self) -> &Ring<N, S> {
        &self.ring
    }
}

/// The places of a key on the circle: its own, and multiples of it.
///
/// Multiplication by an odd number gives each place of the circle once, so that every one of them
/// is spread as evenly as the first. Whether they look independent depends on the numbers.
#[inline]
fn places(place: u64) -> [u64; LOCAL_RENDEZVOUS_PLACES] {
    let [second, third, fourth] = MULTIPLIERS.map(|multiplier| place.wrapping_mul(multiplier));
    [place, second, third, fourth]
}

/// `2^64` divided by the first powers of the root of `x^4 = x + 1`, made odd. Multiples of these
/// fill a cube evenly (Roberts, "The unreasonable effectiveness of quasirandom sequences"): the
/// numbers are as far from any simple ratio as three numbers can be.
const MULTIPLIERS: [u64; LOCAL_RENDEZVOUS_PLACES - 1] =
    [0xd1b5_4a32_d192_ed03, 0xabc9_8388_fb8f_ac03, 0x8cb9_2ba7_2f3d_8dd7];

impl<N, S: Scheme + Clone> Placement for LocalRendezvous<N, S> {
    type Data = N;
    type Walk<'p>
        = LocalRendezvousWalk<'p, N>
    where
        Self: 'p;

    fn name(&self) -> &'static str {
        "local-rendezvous"
    }

    #[inline]
    fn place(&self, key: &[u8]) -> u64 {
        self.ring.place(key)
    }

    fn nodes(&self) -> &[Arc<Node<N>>] {
        self.ring.nodes()
    }

    fn total_weight(&self) -> u64 {
        self.ring.total_weight()
    }

    #[inline]
    fn lookup_at(&self, place: u64) -> Option<&Arc<Node<N>>> {
        let circle = self.ring.circle();
        let nearest = circle.points.nearest(places(place))?;
        circle.nodes.get(circle.points.owners()[nearest.position] as usize)
    }

    fn walk_at(&self, place: u64) -> LocalRendezvousWalk<'_, N> {
        LocalRendezvousWalk::new(self.ring.circle(), place)
    }

    /// The part of the keys that every node can expect, from the gaps between points: the places
    /// of a key count as independent draws. It sorts the gaps: about 10 ms for 100,000 points.
    fn shares(&self) -> Shares<'_, N> {
        let circle = self.ring.circle();
        let mut fractions = vec![0.0; circle.nodes.len()];
        let chances = chances::of(&circle.points);
        for (owner, chance) in circle.points.owners().iter().zip(&chances) {
            fractions[*owner as usize] += chance;
        }
        Shares::fractions(&circle.nodes, &circle.counts, &fractions, circle.places())
    }

    fn checksum(&self) -> u64 {
        let mut hasher = XxHash3_64::new();
        hasher.write(self.name().as_bytes());
        hasher.write(&self.ring.checksum().to_le_bytes());
        hasher.finish()
    }

    fn size_bytes(&self) -> usize {
        self.ring.size_bytes()
    }

    fn with_nodes<I>(&self, nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Arc<Node<N>>>,
    {
        Ok(Self::new(self.ring.with_nodes(nodes)?))
    }

    fn apply(&self, edits: impl IntoIterator<Item = Edit<N>>) -> Result<Self, UpdateError>
    where
        N: Clone,
    {
        Ok(Self::new(self.ring.apply(edits)?))
    }

    fn moved(&self, next: &Self) -> Result<f64, DiffError> {
        let (old, new) = (self.ring.scheme().name(), next.ring.scheme().name());
        if old != new {
            return Err(DiffError { old: old.to_owned(), new: new.to_owned() });
        }
        Ok(super::moved_between(self, next))
    }
}

impl<N: PartialEq, S: Scheme> PartialEq for LocalRendezvous<N, S> {
    fn eq(&self, other: &Self) -> bool {
        self.ring == other.ring
    }
}

impl<N: fmt::Debug, S: fmt::Debug> fmt::Debug for LocalRendezvous<N, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalRendezvous").field(&self.ring).finish()
    }
}
