//! What moves from one ring to the next.

use std::{fmt, sync::Arc};

use thiserror::Error;

use crate::{circle::Circle, node::Node, ownership::PlaceRange, ring::Ring, scheme::Scheme};

/// The ranges of places whose owner is another one in `new` than in `old`, with both owners,
/// clockwise.
///
/// It is what an application needs to hand data over when the ring changes: a key moves if its
/// [place](Ring::place) lies in one of the ranges. Owners are compared by id. It reads all points
/// of both rings.
///
/// ```
/// use hashring::{Edit, Node, Ring, diff};
///
/// let old = Ring::builder().nodes(["a", "b", "c"]).build()?;
/// let new = old.apply([Edit::add(Node::new("d"))])?;
/// let movement = diff(&old, &new)?;
/// assert!(movement.iter().all(|range| range.to.is_some_and(|node| node.id() == "d")));
/// assert!((0.1..0.4).contains(&movement.fraction()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`DiffError`] if a key has not the same place in both rings.
pub fn diff<'r, N, S: Scheme>(
    old: &'r Ring<N, S>,
    new: &'r Ring<N, S>,
) -> Result<Movement<'r, N>, DiffError> {
    let names = (old.scheme().name(), new.scheme().name());
    let (old, new) = (old.circle(), new.circle());
    if names.0 != names.1 || old.places() != new.places() {
        return Err(DiffError { old: names.0.to_owned(), new: names.1.to_owned() });
    }
    let owners = Owners { new_index: new_indices(&old.nodes, &new.nodes) };
    let mut moves: Vec<Step> = Vec::new();
    for step in Steps::new(old, new).filter(|step| owners.differ(step)) {
        match moves.last_mut() {
            Some(last) if last.continues_with(&step) => last.range = last.range.joined(step.range),
            _ => moves.push(step),
        }
    }
    // The first range began behind the last point of the circle, where the last one may end.
    if let [first, .., last] = moves.as_mut_slice()
        && last.continues_with(first)
    {
        first.range = last.range.joined(first.range);
        moves.pop();
    }
    let node = |circle: &'r Circle<N>, index: Option<u32>| {
        index.map(|index| &circle.nodes[index as usize])
    };
    let moves = moves.into_iter().map(|step| Move {
        range: step.range,
        from: node(old, step.old),
        to: node(new, step.new),
    });
    Ok(Movement { moves: moves.collect(), circle_places: old.places() })
}

/// Why two rings cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "a key has one place by scheme {old} and another by scheme {new}; compare rings of one scheme"
)]
pub struct DiffError {
    pub(crate) old: String,
    pub(crate) new: String,
}

/// The ranges that move between two rings; made by [`diff`].
#[derive(Clone, Debug)]
pub struct Movement<'r, N> {
    moves: Vec<Move<'r, N>>,
    circle_places: u128,
}

/// One range that gets another owner.
pub struct Move<'r, N> {
    /// The places.
    pub range: PlaceRange,
    /// The owner before, as the old ring has it; `None` if the old ring had no points.
    pub from: Option<&'r Arc<Node<N>>>,
    /// The owner after, as the new ring has it; `None` if the new ring has no points.
    pub to: Option<&'r Arc<Node<N>>>,
}

impl<'r, N> Movement<'r, N> {
    /// The ranges, clockwise.
    pub fn iter(&self) -> std::slice::Iter<'_, Move<'r, N>> {
        self.moves.iter()
    }

    /// Number of ranges.
    #[must_use]
    pub fn len(&self) -> usize {
        self.moves.len()
    }

    /// Whether every key stays where it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }

    /// The places that move.
    #[must_use]
    pub fn places(&self) -> u128 {
        self.moves.iter().map(|moved| moved.range.places()).sum()
    }

    /// The part of the circle that moves, 0 to 1.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        self.places() as f64 / self.circle_places as f64
    }

    /// Whether the key of this place moves, and how.
    #[must_use]
    pub fn of(&self, place: u64) -> Option<&Move<'r, N>> {
        let next = self.moves.partition_point(|moved| moved.range.through() < place);
        // Behind the last range, and before the first one, only the range over the end of the
        // circle can be.
        let candidates = [self.moves.get(next), self.moves.first()];
        candidates.into_iter().flatten().find(|moved| moved.range.contains(place))
    }
}

impl<'m, 'r, N> IntoIterator for &'m Movement<'r, N> {
    type Item = &'m Move<'r, N>;
    type IntoIter = std::slice::Iter<'m, Move<'r, N>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<N> Clone for Move<'_, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Move<'_, N> {}

impl<N> fmt::Debug for Move<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Move")
            .field("range", &self.range)
            .field("from", &self.from.map(|node| node.id()))
            .field("to", &self.to.map(|node| node.id()))
            .finish()
    }
}

/// For each node of `old`, its index in `new`.
pub(crate) fn new_indices<N>(old: &[Arc<Node<N>>], new: &[Arc<Node<N>>]) -> Vec<Option<u32>> {
    let mut candidates = new.iter().zip(0_u32..).peekable();
    let index_of = |node: &Arc<Node<N>>| {
        while candidates.next_if(|(candidate, _)| candidate.id() < node.id()).is_some() {}
        candidates.next_if(|(candidate, _)| candidate.id() == node.id()).map(|(_, index)| index)
    };
    old.iter().map(index_of).collect()
}

struct Owners {
    new_index: Vec<Option<u32>>,
}

impl Owners {
    fn differ(&self, step: &Step) -> bool {
        match (step.old, step.new) {
            (Some(old), Some(new)) => self.new_index[old as usize] != Some(new),
            (old, new) => old.is_some() || new.is_some(),
        }
    }
}

/// A range in which neither ring has a point before its end, with the index of its owner in each.
#[derive(Clone, Copy)]
struct Step {
    range: PlaceRange,
    old: Option<u32>,
    new: Option<u32>,
}

impl Step {
    fn continues_with(&self, next: &Self) -> bool {
        self.range.through() == next.range.after() && (self.old, self.new) == (next.old, next.new)
    }
}

/// Both circles cut at the points of both, in the order of places.
struct Steps<'r, N> {
    old: &'r Circle<N>,
    new: &'r Circle<N>,
    old_at: usize,
    new_at: usize,
    after: u64,
}

impl<'r, N> Steps<'r, N> {
    fn new(old: &'r Circle<N>, new: &'r Circle<N>) -> Self {
        let last = |circle: &Circle<N>| circle.points.hashes().last().copied();
        let after = last(old).max(last(new)).unwrap_or(0);
        Self { old, new, old_at: 0, new_at: 0, after }
    }
}

impl<N> Iterator for Steps<'_, N> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let (old, new) = (&self.old.points, &self.new.points);
        let through = match (old.hashes().get(self.old_at), new.hashes().get(self.new_at)) {
            (Some(old), Some(new)) => *old.min(new),
            (old, new) => *old.or(new)?,
        };
        let step = Step {
            range: PlaceRange::new(self.after, through, old),
            old: old.owner_of(through),
            new: new.owner_of(through),
        };
        while old.hashes().get(self.old_at) == Some(&through) {
            self.old_at += 1;
        }
        while new.hashes().get(self.new_at) == Some(&through) {
            self.new_at += 1;
        }
        self.after = through;
        Some(step)
    }
}
