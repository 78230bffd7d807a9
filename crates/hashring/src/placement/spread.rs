//! A circle whose points are chosen for even shares.

mod sequence;

use std::{fmt, sync::Arc};

use self::sequence::Sequence;
use super::{
    Placement, node_list,
    numbered::{Numbered, Numbers, ProbeWalk},
};
use crate::{
    limits::{POINTS_MAX_DEFAULT, SPREAD_POINTS_MAX, SPREAD_POINTS_MIN},
    node::Node,
    ownership::{Shares, places_by_owner},
    points::{PointEdits, Points, Renumber, Spare},
    ring::BuildError,
    scheme::TieOrder,
};

/// A circle with spread-minimizing points: each node cuts its part out of the largest arcs of those
/// that were there before it, so that all have the same, to one point in so many.
///
/// The idea is that of the tokens of Grafana's dskit. Where the points of a node lie depends on its
/// [ordinals](Node::with_ordinals) alone: every process computes the same ones from the same
/// numbers, and a node that comes moves keys to itself alone. The shares of the nodes 0 to `n - 1`
/// differ by one part in the number of points at most (0.2 % with 512). A node of weight `w` has
/// `w` ordinals and the points of all of them.
///
/// A number below the highest that no node has keeps its points. Their keys look for another
/// number, each with a hash of its own, so shares stay even without any of them. (On a ring they
/// would fall to the next point, which is that of a young node more often than not: without a tenth
/// of 1,000 nodes the busiest would have up to a fifth more than the mean.) Keys of others move
/// only when the node with the highest number leaves and numbers right below it are vacant, whose
/// points go with its own. So let a new node take the lowest free number.
///
/// No placement without such numbers can do this: to move no key needlessly, each key needs an
/// order of preference of all nodes that there can be, and orders that few points draw by the hash
/// of names are only as even as random numbers are.
///
/// ```
/// use hashring::{Node, Placement, SpreadMinimizing};
///
/// let nodes = (0..50).map(|n| Node::new(format!("ingester-{n}")).with_ordinal(n));
/// let placement = SpreadMinimizing::new(512, nodes)?;
/// let peak = placement.shares().peak_to_average().expect("there are weights");
/// assert!(peak < 1.002);
/// # Ok::<(), hashring::BuildError>(())
/// ```
#[derive(Clone)]
pub struct SpreadMinimizing<N = ()> {
    sequence: Arc<Sequence>,
    /// The points of all numbers up to the highest, with their numbers as owners.
    points: Arc<NumberPoints>,
    numbered: Numbered<N>,
}

/// Points that belong to numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberPoints(Points);

impl Numbers for NumberPoints {
    #[inline]
    fn number(&self, place: u64) -> usize {
        // There is a number, so there are points.
        self.0.owner_of(place).unwrap_or(0) as usize
    }
}

impl<N> SpreadMinimizing<N> {
    /// A placement of these nodes, with so many points for each of their ordinals; 16 to 8,192.
    ///
    /// It computes the points of all numbers up to the highest; updates of the placement use them
    /// again.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an id or an ordinal occurs twice, a node has not as many ordinals as its
    /// weight, the number of points is out of its range, or all ordinals up to the highest have
    /// more than 8,388,608 points.
    pub fn new<I>(points_per_ordinal: u32, nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Node<N>>,
    {
        if !(SPREAD_POINTS_MIN..=SPREAD_POINTS_MAX).contains(&points_per_ordinal) {
            return Err(BuildError::PointsPerOrdinal { value: points_per_ordinal });
        }
        let empty = Self {
            sequence: Arc::new(Sequence::new(points_per_ordinal)),
            points: Arc::new(NumberPoints(Points::empty(u64::BITS, TieOrder::LowestIdFirst))),
            numbered: Numbered::new(Vec::new(), 0)?,
        };
        empty.of(node_list::listed(nodes)?)
    }

    /// The placement of these nodes, with the points of this one where the highest number is the
    /// same.
    fn of(&self, nodes: Vec<Arc<Node<N>>>) -> Result<Self, BuildError> {
        let numbered = Numbered::new(nodes, POINTS_MAX_DEFAULT / self.points_per_ordinal())?;
        let (old, new) = (self.numbered.numbers(), numbered.numbers());
        let sequence = Arc::clone(&self.sequence);
        if old == new {
            return Ok(Self { sequence, points: Arc::clone(&self.points), numbered });
        }
        let edits = PointEdits {
            removed: sequence.points(new.min(old)..old),
            added: sequence.points(old.min(new)..new),
        };
        let points =
            self.points.0.merged(edits, &Renumber::Same, Spare::default()).ok_or_else(|| {
                let reason = "it gave other points for a number than the first time".to_owned();
                BuildError::BrokenScheme { scheme: self.name().to_owned(), reason }
            })?;
        Ok(Self { sequence, points: Arc::new(NumberPoints(points)), numbered })
    }

    /// Points of each ordinal.
    #[must_use]
    pub fn points_per_ordinal(&self) -> u32 {
        self.sequence.points_per_ordinal()
    }
}

impl<N> Placement for SpreadMinimizing<N> {
    type Data = N;
    type Walk<'p>
        = ProbeWalk<'p, N, NumberPoints>
    where
        Self: 'p;

    fn name(&self) -> &'static str {
        "spread-minimizing"
    }

    fn nodes(&self) -> &[Arc<Node<N>>] {
        &self.numbered.nodes
    }

    fn total_weight(&self) -> u64 {
        self.numbered.total_weight
    }

    #[inline]
    fn lookup_at(&self, place: u64) -> Option<&Arc<Node<N>>> {
        self.numbered.lookup(place, &*self.points)
    }

    fn walk_at(&self, place: u64) -> ProbeWalk<'_, N, NumberPoints> {
        self.numbered.walk(place, &*self.points)
    }

    /// What the points of each node have, and its part of what vacant numbers have.
    fn shares(&self) -> Shares<'_, N> {
        let mut places = vec![0_u128; self.nodes().len()];
        let by_number = places_by_owner(&self.points.0, self.numbered.numbers());
        for (number, of_one) in by_number.into_iter().enumerate() {
            if let Some(owner) = self.numbered.owner(number) {
                places[owner] += of_one;
            }
        }
        let all = places.iter().sum::<u128>().max(1) as f64;
        let fractions: Vec<_> = places.iter().map(|places| *places as f64 / all).collect();
        let points = self.points_per_ordinal();
        let counts: Vec<_> = self.nodes().iter().map(|node| node.weight() * points).collect();
        Shares::fractions(self.nodes(), &counts, &fractions, 1 << 64)
    }

    fn checksum(&self) -> u64 {
        let points = u64::from(self.points_per_ordinal());
        node_list::fingerprint(self.name(), points, &self.numbered.nodes)
    }

    /// With what is kept to compute the points of further numbers.
    fn size_bytes(&self) -> usize {
        self.points.0.size_bytes() + self.sequence.size_bytes() + self.numbered.size_bytes()
    }

    fn with_nodes<I>(&self, nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Arc<Node<N>>>,
    {
        self.of(node_list::sorted(nodes.into_iter().map(Into::into).collect())?)
    }
}

impl<N: PartialEq> PartialEq for SpreadMinimizing<N> {
    fn eq(&self, other: &Self) -> bool {
        self.numbered == other.numbered && self.points == other.points
    }
}

impl<N: fmt::Debug> fmt::Debug for SpreadMinimizing<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpreadMinimizing")
            .field("nodes", &self.numbered.nodes)
            .field("points_per_ordinal", &self.points_per_ordinal())
            .finish_non_exhaustive()
    }
}
