//! The point that is closest to some places.

use std::hint::select_unpredictable;

use super::Points;

/// How many points from the first of a bucket on are compared at once. With about one point in a
/// bucket they hold the answer in 98 % of all searches; one more costs more than it saves.
const WINDOW: usize = 3;

/// A point as seen from a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Near {
    /// Places between the two.
    pub(crate) distance: u64,
    /// Which point it is.
    pub(crate) position: usize,
}

impl Near {
    /// The closer one of two points, the first of two at one distance. It is selected and not
    /// branched to: nobody can predict which of two random distances is the shorter one.
    #[inline]
    fn or_nearer(self, other: Self) -> Self {
        let is_nearer = other.distance < self.distance;
        Self {
            distance: select_unpredictable(is_nearer, other.distance, self.distance),
            position: select_unpredictable(is_nearer, other.position, self.position),
        }
    }
}

impl Points {
    /// The point closest to one of some places, in either direction. Of two at one distance it is
    /// the one at the place that is named first, then the clockwise one. Of several points at one
    /// place it is the first as they are met from there. `None` on an empty circle.
    #[inline]
    pub(crate) fn nearest<const PLACES: usize>(&self, places: [u64; PLACES]) -> Option<Near> {
        if self.len() == 0 {
            return None;
        }
        let places = places.map(|place| place & self.last_place());
        // The index is asked for all of them first: the answers are on their way together.
        let starts = places.map(|place| self.index.locate(place).1);
        let mut best = Near { distance: u64::MAX, position: 0 };
        for (place, start) in places.into_iter().zip(starts) {
            best = best.or_nearer(self.neighbour(place, start));
        }
        Some(best)
    }

    /// The closer neighbour of a place, where there are points.
    #[inline]
    fn neighbour(&self, place: u64, start: usize) -> Near {
        // The window of a search, and the point before it. The one comparison that it takes to read
        // them also says that the end of the circle is not among them.
        let first = start.wrapping_sub(1);
        let Some(around) = self.hashes().get(first..start + WINDOW) else {
            return self.neighbour_anywhere(place);
        };
        let below: usize = around[1..].iter().map(|hash| usize::from(*hash < place)).sum();
        let (Some(before), Some(after)) = (around.get(below), around.get(below + 1)) else {
            return self.neighbour_anywhere(place);
        };
        let before = Near { distance: place - before, position: first + below };
        let after = Near { distance: after - place, position: start + below };
        after.or_nearer(before)
    }

    /// The same near the end of the circle, and where a bucket has many points.
    #[cold]
    fn neighbour_anywhere(&self, place: u64) -> Near {
        let (hashes, ceil) = (self.hashes(), self.ceil_without_branches(place));
        let distance = |from: u64, to: u64| to.wrapping_sub(from) & self.last_place();
        let (before, after) =
            (ceil.checked_sub(1).unwrap_or(hashes.len() - 1), ceil % hashes.len());
        let after = Near { distance: distance(place, hashes[after]), position: after };
        let before = Near { distance: distance(hashes[before], place), position: before };
        after.or_nearer(before)
    }
}
