//! Rendezvous hashing among the points of a ring that are near a key.

mod chances;

use std::{cmp::Reverse, fmt, hash::Hasher as _, iter::FusedIterator, sync::Arc};

use twox_hash::XxHash3_64;

use super::{Placement, score::Scores, seen::Seen};
use crate::{
    circle::Circle,
    limits::{LOCAL_RENDEZVOUS_WINDOW_BITS, WALK_LOOKBACK},
    movement::DiffError,
    node::Node,
    ownership::Shares,
    points::Points,
    ring::{BuildError, Edit, Ring, UpdateError},
    scheme::{Scheme, Xxh3},
};

/// Local rendezvous hashing: of the points in a window clockwise from a key, the one with the
/// highest score for the key owns it.
///
/// A ring gives a key to the first point, so a node owns as much as its points happen to lie far
/// from those before them. Here several neighbours share each gap, which evens it out: the
/// deviation of shares is about a quarter of the ring's with the same points. It costs a look at 16
/// points on average, which lie side by side in memory.
///
/// The idea is that of Guan (arXiv 2512.23434), whose window is a number of distinct nodes. A
/// window of a fixed number takes another node in when one of its nodes leaves, and if that one has
/// the higher score, the key moves although its owner stays: with a window of eight, almost as many
/// keys move needlessly as have to. The window here has a fixed length instead: of the lengths 1,
/// 64, 64^2 and so on, times a power of two that differs from key to key, it is the shortest in
/// which there is a point. Which lengths there are does not depend on the nodes, so a key has one
/// order of preference for all points that there can ever be, and moves only to a point that comes
/// or from one that goes. Failover walks the window by score, then what the next longer one has
/// beyond it.
///
/// Each point has a score of its own, so a node owns keys in proportion to its points and a weight
/// counts as on the ring.
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

/// How far windows reach from a place.
#[derive(Clone, Copy, Debug)]
struct Windows {
    place: u64,
    last_place: u64,
    /// The length of the present window is two to this power.
    exponent: u32,
}

/// Which power of two the lengths of a place's windows are multiplied by: one of as many as there
/// are between two lengths, from bits of the place that say nothing of where it lies among points.
#[inline]
fn window_class(place: u64) -> u32 {
    ((place as u32 & 0xffff) * LOCAL_RENDEZVOUS_WINDOW_BITS) >> 16
}

impl Windows {
    /// The shortest window that reaches as far as this.
    #[inline]
    fn reaching(place: u64, distance: u64, last_place: u64) -> Self {
        const STEP: u32 = LOCAL_RENDEZVOUS_WINDOW_BITS;
        let bits = u64::BITS - distance.leading_zeros();
        // A multiple of the step above 64 keeps the difference positive.
        let missing = (window_class(place) + 64 * STEP - bits) % STEP;
        Self { place, last_place, exponent: bits + missing }
    }

    /// The largest distance of a point in the window.
    #[inline]
    fn reach(&self) -> u64 {
        1_u64.checked_shl(self.exponent).map_or(self.last_place, |length| length - 1)
            & self.last_place
    }

    fn contains(&self, point: u64) -> bool {
        point.wrapping_sub(self.place) & self.last_place <= self.reach()
    }
}

/// The position of the point that owns a place.
#[inline]
fn winner(points: &Points, place: u64) -> Option<usize> {
    let last_place = points.last_place();
    let place = place & last_place;
    let scores = Scores::of(place);
    let hashes = points.hashes();
    let start = points.ceil(place);
    let start = if start == hashes.len() { 0 } else { start };
    let first = *hashes.get(start)?;
    let windows = Windows::reaching(place, first.wrapping_sub(place) & last_place, last_place);
    let reach = windows.reach();
    if first < place || reach > last_place - place {
        return Some(winner_past_the_end(hashes, windows, start));
    }
    let end = place + reach;
    let mut best = (scores.of_seed(first), start);
    for (position, hash) in (start + 1..).zip(&hashes[start + 1..]) {
        if *hash > end {
            break;
        }
        best = better(best, scores.of_seed(*hash), position);
    }
    Some(best.1)
}

/// The same for a window that passes over the end of the circle.
#[cold]
fn winner_past_the_end(hashes: &[u64], windows: Windows, start: usize) -> usize {
    let scores = Scores::of(windows.place);
    let positions = (start..hashes.len()).chain(0..start);
    let near = positions.take_while(|position| windows.contains(hashes[*position]));
    let first = (scores.of_seed(hashes[start]), start);
    near.fold(first, |best, at| better(best, scores.of_seed(hashes[at]), at)).1
}

/// The higher of two scores with its position, the one before of equal ones. Both are selected and
/// not branched to: nobody can predict which point has the highest score so far.
#[inline]
fn better(best: (u64, usize), score: u64, position: usize) -> (u64, usize) {
    let at = if score > best.0 { position } else { best.1 };
    (best.0.max(score), at)
}

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
        let position = winner(&circle.points, place)?;
        circle.nodes.get(circle.points.owners()[position] as usize)
    }

    fn walk_at(&self, place: u64) -> LocalRendezvousWalk<'_, N> {
        LocalRendezvousWalk::new(self.ring.circle(), place)
    }

    /// The part of the circle that every node can expect: each place counts for the points of its
    /// window in equal parts, which is what scores come to over the keys. It reads every window:
    /// about 0.1 s for 100,000 points.
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

/// What a point has in the order of its window: its score, then its position from the key.
type Rank = (u64, Reverse<usize>);

/// The nodes for a key: those of its window by score, then those that the next longer window has
/// more; made by [`LocalRendezvous`].
///
/// Nothing is allocated for windows of up to 128 points; a longer one is sorted in memory of its
/// own.
#[must_use = "a walk does nothing until it is iterated"]
pub struct LocalRendezvousWalk<'p, N> {
    circle: &'p Circle<N>,
    scores: Scores,
    windows: Windows,
    start: usize,
    /// Positions from the start of the points in this window that were in none before.
    from: usize,
    to: usize,
    last: Option<Rank>,
    /// The ranks that are still to come, ascending, where there are many.
    sorted: Vec<Rank>,
    seen: Seen,
    remaining: usize,
}

impl<'p, N> LocalRendezvousWalk<'p, N> {
    fn new(circle: &'p Circle<N>, place: u64) -> Self {
        let points = &circle.points;
        let (place, last_place) = (place & points.last_place(), points.last_place());
        let start = points.ceil(place);
        let start = if start == points.len() { 0 } else { start };
        let first = points.hashes().get(start).copied().unwrap_or_default();
        let distance = first.wrapping_sub(place) & last_place;
        let windows = Windows::reaching(place, distance, last_place);
        let mut walk = Self {
            circle,
            scores: Scores::of(place),
            windows,
            start,
            from: 0,
            to: 0,
            last: None,
            sorted: Vec::new(),
            seen: Seen::new(),
            remaining: circle.owning_nodes,
        };
        walk.enter();
        walk
    }

    /// Takes in the points of the present window beyond those of the one before.
    fn enter(&mut self) {
        let len = self.circle.points.len();
        self.from = self.to;
        // A window grows 64-fold, so a search by halves is worth it.
        let (mut low, mut high) = (self.from, len);
        while low < high {
            let middle = low + (high - low) / 2;
            let inside = self.windows.contains(self.hash(middle));
            (low, high) = if inside { (middle + 1, high) } else { (low, middle) };
        }
        self.to = low;
        self.last = None;
        if self.to - self.from > WALK_LOOKBACK {
            self.sorted = (self.from..self.to).map(|offset| self.rank(offset)).collect();
            self.sorted.sort_unstable();
        }
    }

    fn position_at(&self, offset: usize) -> usize {
        let (position, len) = (self.start + offset, self.circle.points.len());
        if position < len { position } else { position - len }
    }

    fn hash(&self, offset: usize) -> u64 {
        self.circle.points.hashes()[self.position_at(offset)]
    }

    fn rank(&self, offset: usize) -> Rank {
        (self.scores.of_seed(self.hash(offset)), Reverse(offset))
    }

    /// The offset of the next best point of the present window.
    fn next_offset(&mut self) -> Option<usize> {
        if self.to - self.from > WALK_LOOKBACK {
            return self.sorted.pop().map(|(_, Reverse(offset))| offset);
        }
        let last = self.last;
        let ranks = (self.from..self.to).map(|offset| self.rank(offset));
        self.last = ranks.filter(|rank| last.is_none_or(|last| *rank < last)).max();
        self.last.map(|(_, Reverse(offset))| offset)
    }
}

impl<'p, N> Iterator for LocalRendezvousWalk<'p, N> {
    type Item = &'p Arc<Node<N>>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.remaining > 0 {
            let Some(offset) = self.next_offset() else {
                self.windows.exponent += LOCAL_RENDEZVOUS_WINDOW_BITS;
                self.enter();
                continue;
            };
            let owner = self.circle.points.owners()[self.position_at(offset)];
            if self.seen.insert(owner, self.circle.nodes.len()) {
                self.remaining -= 1;
                return self.circle.nodes.get(owner as usize);
            }
        }
        None
    }
}

impl<N> FusedIterator for LocalRendezvousWalk<'_, N> {}

impl<N> Clone for LocalRendezvousWalk<'_, N> {
    fn clone(&self) -> Self {
        Self { sorted: self.sorted.clone(), seen: self.seen.clone(), ..*self }
    }
}

impl<N> fmt::Debug for LocalRendezvousWalk<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRendezvousWalk")
            .field("windows", &self.windows)
            .finish_non_exhaustive()
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
