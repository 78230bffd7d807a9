//! The point that is closest to some places.

use std::hint::select_unpredictable;

use super::Points;

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
        let mut best = Near { distance: u64::MAX, position: 0 };
        for place in places {
            best = best.or_nearer(self.neighbour(place & self.last_place()));
        }
        Some(best)
    }

    /// The closer neighbour of a place, where there are points.
    #[inline]
    fn neighbour(&self, place: u64) -> Near {
        let hashes = self.hashes();
        let ceil = self.ceil_without_branches(place);
        if ceil == 0 || ceil >= hashes.len() {
            return self.neighbour_across_the_end(place);
        }
        let after = Near { distance: hashes[ceil] - place, position: ceil };
        let before = Near { distance: place - hashes[ceil - 1], position: ceil - 1 };
        after.or_nearer(before)
    }

    /// The same where one of the two neighbours is on the other side of the end of the circle.
    #[cold]
    fn neighbour_across_the_end(&self, place: u64) -> Near {
        let (hashes, last) = (self.hashes(), self.len() - 1);
        let distance = |from: u64, to: u64| to.wrapping_sub(from) & self.last_place();
        let after = Near { distance: distance(place, hashes[0]), position: 0 };
        let before = Near { distance: distance(hashes[last], place), position: last };
        after.or_nearer(before)
    }
}
