//! The shares of the circle.

use std::{fmt, sync::Arc};

use crate::{circle::Circle, node::Node, points::Points, ring::Ring};

/// A run of places on the circle: those after `after` up to and including `through`, clockwise.
///
/// It passes over the end of the circle where `through` is below `after`, and is the whole circle
/// where both are equal; there is no empty range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlaceRange {
    after: u64,
    through: u64,
    last_place: u64,
}

impl PlaceRange {
    pub(crate) fn new(after: u64, through: u64, points: &Points) -> Self {
        Self { after, through, last_place: points.last_place() }
    }

    /// The place before the first one of the range.
    #[must_use]
    pub fn after(&self) -> u64 {
        self.after
    }

    /// The last place of the range.
    #[must_use]
    pub fn through(&self) -> u64 {
        self.through
    }

    /// Whether a place, as [`Ring::place`] gives it for a key, lies in the range.
    #[must_use]
    pub fn contains(&self, place: u64) -> bool {
        let distance = place.wrapping_sub(self.after) & self.last_place;
        let length = self.through.wrapping_sub(self.after) & self.last_place;
        place <= self.last_place && (length == 0 || (1..=length).contains(&distance))
    }

    /// How many places the range has, 1 to 2^64.
    #[must_use]
    pub fn places(&self) -> u128 {
        match self.through.wrapping_sub(self.after) & self.last_place {
            0 => u128::from(self.last_place) + 1,
            places => u128::from(places),
        }
    }

    /// The part of the circle that the range is, above 0 and at most 1.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        self.places() as f64 / (self.last_place as f64 + 1.0)
    }

    /// This range and the one that follows it.
    pub(crate) fn joined(self, next: Self) -> Self {
        Self { through: next.through, ..self }
    }
}

impl<N, S> Ring<N, S> {
    /// How many places the circle has: two to the power of its bits.
    #[must_use]
    pub fn circle_places(&self) -> u128 {
        self.circle().places()
    }

    /// The exact share of the circle that every node owns.
    ///
    /// It reads all points: about 1 ms for a million.
    #[must_use]
    pub fn shares(&self) -> Shares<'_, N> {
        self.circle().shares()
    }

    /// The ranges of places with their owners, clockwise; neighbouring points of one node are one
    /// range.
    pub fn ranges(&self) -> impl Iterator<Item = (PlaceRange, &Arc<Node<N>>)> {
        self.circle().ranges()
    }

    /// The ranges of places that a node owns, clockwise. There is none for a node without points or
    /// an unknown id.
    ///
    /// It reads all points.
    pub fn ranges_of(&self, id: &str) -> impl Iterator<Item = PlaceRange> {
        self.circle().ranges_of(id)
    }
}

/// The places that each owner of points has. Of equal places the first has the arc.
pub(crate) fn places_by_owner(points: &Points, owners: usize) -> Vec<u128> {
    let mut places = vec![0_u128; owners];
    let all = u128::from(points.last_place()) + 1;
    // The circle closes before the first point, whose arc begins behind the last one.
    let mut after = points.hashes().last().copied().unwrap_or(0);
    for (position, (hash, owner)) in points.hashes().iter().zip(points.owners()).enumerate() {
        let arc = if position == 0 {
            u128::from(*hash) + all - u128::from(after)
        } else {
            u128::from(hash - after)
        };
        places[*owner as usize] += arc;
        after = *hash;
    }
    places
}

impl<N> Circle<N> {
    pub(crate) fn shares(&self) -> Shares<'_, N> {
        let places = places_by_owner(&self.points, self.nodes.len());
        Shares::counted(&self.nodes, &self.counts, &places, self.places())
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = (PlaceRange, &Arc<Node<N>>)> {
        let arcs = Arcs::new(&self.points);
        arcs.map(|(range, owner)| (range, &self.nodes[owner as usize]))
    }

    pub(crate) fn ranges_of(&self, id: &str) -> impl Iterator<Item = PlaceRange> {
        let wanted = self.index_of(id).ok();
        let arcs = Arcs::new(&self.points);
        arcs.filter(move |(_, owner)| Some(*owner as usize) == wanted).map(|(range, _)| range)
    }
}

/// What every node of a placement owns; made by [`Ring::shares`] and
/// [`Placement::shares`](crate::Placement::shares).
#[derive(Clone, Debug)]
pub struct Shares<'r, N> {
    shares: Vec<Share<'r, N>>,
}

/// What one node owns.
pub struct Share<'r, N> {
    /// The node.
    pub node: &'r Arc<Node<N>>,
    /// Its points, entries of a table or buckets; 0 where the placement has none of them.
    pub points: u32,
    /// The places that it owns, of the 2^64 or fewer that keys hash to. Over all nodes of a ring
    /// with points they sum to the circle exactly. Where a place belongs to several nodes, each of
    /// some of its keys, this is the nearest whole number.
    pub places: u128,
    /// The same as a part of all places, 0 to 1.
    pub fraction: f64,
    /// The part that its weight asks for, 0 to 1.
    pub expected: f64,
}

impl<'r, N> Shares<'r, N> {
    /// Shares as counts of places, of `all` of them.
    pub(crate) fn counted(
        nodes: &'r [Arc<Node<N>>],
        points: &[u32],
        places: &[u128],
        all: u128,
    ) -> Self {
        let total = total_weight(nodes);
        let shares = nodes.iter().zip(points).zip(places).map(|((node, points), places)| Share {
            node,
            points: *points,
            places: *places,
            fraction: *places as f64 / all as f64,
            expected: f64::from(node.weight()) / total,
        });
        Self { shares: shares.collect() }
    }

    /// Shares as parts of `all` places.
    pub(crate) fn fractions(
        nodes: &'r [Arc<Node<N>>],
        points: &[u32],
        fractions: &[f64],
        all: u128,
    ) -> Self {
        let total = total_weight(nodes);
        let shares = nodes.iter().zip(points).zip(fractions).map(|((node, points), fraction)| {
            let places = (fraction * all as f64).round() as u128;
            let expected = f64::from(node.weight()) / total;
            Share { node, points: *points, places, fraction: *fraction, expected }
        });
        Self { shares: shares.collect() }
    }

    /// The share of every node, in the order of the nodes.
    pub fn iter(&self) -> std::slice::Iter<'_, Share<'r, N>> {
        self.shares.iter()
    }

    /// The largest ratio of a node's share to what its weight asks for. It is the overload of the
    /// busiest node; 1 is ideal. `None` if no node has a weight.
    #[must_use]
    pub fn peak_to_average(&self) -> Option<f64> {
        self.ratios().reduce(f64::max)
    }

    /// The standard deviation of those ratios: 0.1 says that shares deviate by 10 %. `None` if no
    /// node has a weight.
    ///
    /// For `n` nodes of `v` points each, a good hash comes close to `sqrt((n - 1) / (n * v + 1))`.
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        let nodes = self.ratios().count();
        let squares: f64 = self.ratios().map(|ratio| (ratio - 1.0).powi(2)).sum();
        (nodes > 0).then(|| (squares / nodes as f64).sqrt())
    }

    /// Actual over expected share of every node that has a weight.
    fn ratios(&self) -> impl Iterator<Item = f64> + '_ {
        let weighted = self.shares.iter().filter(|share| share.expected > 0.0);
        weighted.map(|share| share.fraction / share.expected)
    }
}

/// The sum of all weights, at least 1.
fn total_weight<N>(nodes: &[Arc<Node<N>>]) -> f64 {
    nodes.iter().map(|node| u64::from(node.weight())).sum::<u64>().max(1) as f64
}

impl<'s, 'r, N> IntoIterator for &'s Shares<'r, N> {
    type Item = &'s Share<'r, N>;
    type IntoIter = std::slice::Iter<'s, Share<'r, N>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<N> Clone for Share<'_, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Share<'_, N> {}

impl<N> fmt::Debug for Share<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share")
            .field("id", &self.node.id())
            .field("points", &self.points)
            .field("places", &self.places)
            .field("fraction", &self.fraction)
            .field("expected", &self.expected)
            .finish()
    }
}

/// The circle cut where the owner changes.
struct Arcs<'r> {
    points: &'r Points,
    /// The first position after which the owner is another one; the iteration starts and ends
    /// behind it.
    start: usize,
    passed: usize,
    after: u64,
}

impl<'r> Arcs<'r> {
    fn new(points: &'r Points) -> Self {
        let owners = points.owners();
        let last = owners.len().saturating_sub(1);
        let mut arcs = Self { points, start: last, passed: 0, after: 0 };
        arcs.start = (0..owners.len()).find(|at| arcs.is_last_of_run(*at)).unwrap_or(last);
        arcs.after = points.hashes().get(arcs.start).copied().unwrap_or(0);
        arcs
    }

    /// The position of the point that owns what point `at` stands for: the first of equal places.
    fn owning(&self, at: usize) -> usize {
        let hashes = self.points.hashes();
        let mut first = at;
        while first > 0 && hashes[first - 1] == hashes[at] {
            first -= 1;
        }
        first
    }

    /// Whether the place of this point is the last one before another owner's.
    fn is_last_of_run(&self, at: usize) -> bool {
        let (hashes, owners) = (self.points.hashes(), self.points.owners());
        let next = if at + 1 < hashes.len() { at + 1 } else { 0 };
        let ends_run_of_equals = next == 0 || hashes[next] != hashes[at];
        ends_run_of_equals && owners[next] != owners[self.owning(at)]
    }
}

impl Iterator for Arcs<'_> {
    type Item = (PlaceRange, u32);

    fn next(&mut self) -> Option<Self::Item> {
        let (hashes, owners) = (self.points.hashes(), self.points.owners());
        while self.passed < hashes.len() {
            self.passed += 1;
            let at = (self.start + self.passed) % hashes.len();
            if self.is_last_of_run(at) || self.passed == hashes.len() {
                let range = PlaceRange::new(self.after, hashes[at], self.points);
                self.after = hashes[at];
                return Some((range, owners[self.owning(at)]));
            }
        }
        None
    }
}
