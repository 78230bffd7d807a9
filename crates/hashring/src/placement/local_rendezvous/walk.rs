//! The nodes for a key, nearest first.

use std::{fmt, iter::FusedIterator, sync::Arc};

use super::places;
use crate::{
    circle::Circle, limits::LOCAL_RENDEZVOUS_PLACES, node::Node, placement::seen::Seen,
    points::Points,
};

/// The nodes for a key, the one with the nearest point first; made by
/// [`LocalRendezvous`](crate::LocalRendezvous).
///
/// Nothing is allocated for the first 16 nodes.
#[must_use = "a walk does nothing until it is iterated"]
pub struct LocalRendezvousWalk<'p, N> {
    circle: &'p Circle<N>,
    /// Both ways from each place of the key. Together they give all points in the order of their
    /// distances.
    cursors: [Cursor; 2 * LOCAL_RENDEZVOUS_PLACES],
    seen: Seen,
    remaining: usize,
}

impl<'p, N> LocalRendezvousWalk<'p, N> {
    pub(super) fn new(circle: &'p Circle<N>, place: u64) -> Self {
        let (points, places) = (&circle.points, places(place));
        let cursors = std::array::from_fn(|at| {
            let direction = if at % 2 == 0 { Direction::Clockwise } else { Direction::Back };
            Cursor::new(points, places[at / 2], direction)
        });
        Self { circle, cursors, seen: Seen::new(), remaining: circle.owning_nodes }
    }
}

impl<'p, N> Iterator for LocalRendezvousWalk<'p, N> {
    type Item = &'p Arc<Node<N>>;

    fn next(&mut self) -> Option<Self::Item> {
        let points = &self.circle.points;
        // A cursor that has been round the circle has met every node.
        while self.remaining > 0 {
            // The first of equal distances, as a lookup decides.
            let nearest = self.cursors.iter_mut().min_by_key(|cursor| cursor.distance)?;
            let owner = points.owners()[nearest.position];
            nearest.step(points);
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
        Self { seen: self.seen.clone(), ..*self }
    }
}

impl<N> fmt::Debug for LocalRendezvousWalk<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRendezvousWalk")
            .field("cursors", &self.cursors)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Clockwise,
    Back,
}

/// The next point in one direction from a place.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    place: u64,
    direction: Direction,
    position: usize,
    distance: u64,
}

impl Cursor {
    fn new(points: &Points, place: u64, direction: Direction) -> Self {
        let position = points.ceil(place);
        let mut cursor = Self { place, direction, position, distance: 0 };
        match direction {
            Direction::Clockwise => cursor.enter(points),
            Direction::Back => cursor.step(points),
        }
        cursor
    }

    fn step(&mut self, points: &Points) {
        self.position = match self.direction {
            Direction::Clockwise => self.position + 1,
            Direction::Back if self.position == 0 => points.len().saturating_sub(1),
            Direction::Back => self.position - 1,
        };
        self.enter(points);
    }

    /// Arrives at the point of its position, behind the last one at the first.
    fn enter(&mut self, points: &Points) {
        if self.position >= points.len() {
            self.position = 0;
        }
        let Some(hash) = points.hashes().get(self.position) else { return };
        let distance = match self.direction {
            Direction::Clockwise => hash.wrapping_sub(self.place),
            Direction::Back => self.place.wrapping_sub(*hash),
        };
        self.distance = distance & points.last_place();
    }
}
