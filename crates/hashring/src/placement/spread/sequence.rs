//! The points of ordinals, one after another.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The points of the ordinals 0, 1, 2 and so on, of which those of each depend on the ones before
/// alone. Placements that are made of one another share a sequence; it grows and never changes.
#[derive(Debug)]
pub(super) struct Sequence {
    points_per_ordinal: u32,
    grown: Mutex<Grown>,
}

/// The computed part.
#[derive(Debug, Default)]
struct Grown {
    /// Places of the points of each ordinal.
    points: Vec<Box<[u64]>>,
    /// How much each ordinal has; of equal ones the lowest comes first.
    shares: BinaryHeap<(u128, Reverse<usize>)>,
    /// The arcs of each ordinal.
    arcs: Vec<BinaryHeap<Arc>>,
}

/// An arc by its length and the place before it; its owner has a point at its end.
type Arc = (u64, Reverse<u64>);

const CIRCLE: u128 = 1 << 64;

impl Sequence {
    /// No ordinals yet. There must be two points at least, which makes an arc shorter than the
    /// circle.
    pub(super) fn new(points_per_ordinal: u32) -> Self {
        Self { points_per_ordinal, grown: Mutex::default() }
    }

    pub(super) fn points_per_ordinal(&self) -> u32 {
        self.points_per_ordinal
    }

    /// Nothing panics while it holds the lock but for want of memory, and earlier results stay
    /// right.
    fn lock(&self) -> MutexGuard<'_, Grown> {
        self.grown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The points of a range of ordinals, each with its ordinal.
    pub(super) fn points(&self, ordinals: std::ops::Range<usize>) -> Vec<(u64, u32)> {
        let mut grown = self.lock();
        while grown.points.len() < ordinals.end {
            grown.add(u64::from(self.points_per_ordinal));
        }
        let numbered = (0_u32..).zip(&grown.points).skip(ordinals.start).take(ordinals.len());
        numbered.flat_map(|(ordinal, points)| points.iter().map(move |p| (*p, ordinal))).collect()
    }

    pub(super) fn size_bytes(&self) -> usize {
        let grown = self.lock();
        let points: usize = grown.points.iter().map(|points| size_of_val(&**points)).sum();
        let arcs: usize = grown.arcs.iter().map(|arcs| arcs.capacity() * size_of::<Arc>()).sum();
        points + arcs + grown.shares.capacity() * size_of::<(u128, Reverse<usize>)>()
    }
}

impl Grown {
    /// Adds the next ordinal with this many points.
    fn add(&mut self, points: u64) {
        let arcs = if self.points.is_empty() { whole_circle(points) } else { self.cut(points) };
        let share = arcs.iter().map(|(length, _)| u128::from(*length)).sum();
        let end = |(length, Reverse(after)): &Arc| after.wrapping_add(*length);
        self.shares.push((share, Reverse(self.points.len())));
        self.points.push(arcs.iter().map(end).collect());
        self.arcs.push(arcs.into());
    }

    /// Takes equal pieces, one after another from the number that has the most, each from the
    /// beginning of its longest arc.
    ///
    /// The number that has the most has at least the mean of what the new one and the others are to
    /// have, and its longest arc at least the mean of its arcs, which is as long as a piece.
    fn cut(&mut self, points: u64) -> Vec<Arc> {
        let piece = (CIRCLE / ((self.points.len() as u128 + 1) * u128::from(points))) as u64;
        let mut pieces = Vec::with_capacity(points as usize);
        for _ in 0..points {
            let Some(mut richest) = self.shares.peek_mut() else { break };
            let (share, Reverse(ordinal)) = &mut *richest;
            let Some(mut longest) = self.arcs[*ordinal].peek_mut() else { break };
            let (length, Reverse(after)) = &mut *longest;
            // Something has to be left: no two points are in one place.
            let piece = piece.min(*length - 1);
            pieces.push((piece, Reverse(*after)));
            *length -= piece;
            *after = after.wrapping_add(piece);
            *share -= u128::from(piece);
        }
        pieces
    }
}

/// The circle in equal arcs.
fn whole_circle(points: u64) -> Vec<Arc> {
    let bound = |at: u64| CIRCLE * u128::from(at) / u128::from(points);
    (0..points)
        .map(|at| {
            let length = bound(at + 1) - bound(at);
            (length as u64, Reverse((bound(at) as u64).wrapping_sub(1)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{CIRCLE, Sequence};

    /// Shares of the first ordinals after each that came, counted from the points alone.
    #[test]
    fn every_prefix_is_even_and_no_two_points_coincide() {
        for points in [16, 100] {
            let sequence = Sequence::new(points);
            for ordinals in [1, 2, 3, 5, 17, 60_u32] {
                let mut all = sequence.points(0..ordinals as usize);
                all.sort_unstable();
                assert_eq!(all.len(), (ordinals * points) as usize);
                let places: BTreeSet<_> = all.iter().map(|(place, _)| place).collect();
                assert_eq!(places.len(), all.len());
                let mut shares = vec![0_u128; ordinals as usize];
                let mut before = all[all.len() - 1].0;
                for (place, owner) in all {
                    shares[owner as usize] += u128::from(place.wrapping_sub(before));
                    before = place;
                }
                assert_eq!(shares.iter().sum::<u128>(), CIRCLE);
                let mean = CIRCLE as f64 / f64::from(ordinals);
                for share in shares {
                    let ratio = share as f64 / mean;
                    assert!((ratio - 1.0).abs() <= 1.0 / f64::from(points) + 1e-9, "{ratio}");
                }
            }
        }
    }

    #[test]
    fn points_do_not_depend_on_how_far_the_sequence_has_grown() {
        let (slow, fast) = (Sequence::new(16), Sequence::new(16));
        let all = fast.points(0..40);
        let one_by_one: Vec<_> =
            (0..40).flat_map(|ordinal| slow.points(ordinal..ordinal + 1)).collect();
        assert_eq!(one_by_one, all);
    }
}
