//! The points of a ring: sorted places, their owners, and an index that finds a place in two reads.
//!
//! Nothing here knows about nodes or schemes. An owner is a number, and equal places stand in
//! ascending or descending order of that number (the tie order), so one set of points has one
//! representation.

mod index;
mod merge;
mod nearest;

use self::index::BucketIndex;
pub(crate) use self::merge::{PointEdits, Renumber, Spare};
use crate::scheme::TieOrder;

/// How many points a search compares at once. With about one point in a bucket, four points hold
/// the answer in 99.6 % of all searches, with two in 95 %.
const WINDOW: usize = 4;

/// The most points that lie in the nearest cache of a core with their index, at 16 bytes each: 32
/// KiB. A mispredicted branch costs more there than all reads of a search.
const NEAR_POINTS: usize = 2_048;

/// Sorted points on a circle of `2^bits` places.
///
/// Behind the last point stand `WINDOW` more, at the highest place and of the first point's owner:
/// a search may read a whole window anywhere, and running off the end is wrapping around.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Points {
    hashes: Vec<u64>,
    owners: Vec<u32>,
    index: BucketIndex,
    tie_order: TieOrder,
}

impl Points {
    /// No points on a circle of this many bits.
    pub(crate) fn empty(circle_bits: u32, tie_order: TieOrder) -> Self {
        Self::seal(Vec::new(), Vec::new(), BucketIndex::of(&[], circle_bits), tie_order)
    }

    /// Adds the padding behind the last point.
    fn seal(
        mut hashes: Vec<u64>,
        mut owners: Vec<u32>,
        index: BucketIndex,
        tie_order: TieOrder,
    ) -> Self {
        hashes.extend_from_slice(&[u64::MAX; WINDOW]);
        let first = owners.first().copied().unwrap_or(NO_OWNER);
        owners.extend_from_slice(&[first; WINDOW]);
        Self { hashes, owners, index, tie_order }
    }

    /// Number of points.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.owners.len() - WINDOW
    }

    /// Places of the points, ascending.
    #[inline]
    pub(crate) fn hashes(&self) -> &[u64] {
        &self.hashes[..self.len()]
    }

    /// Owners of the points, in their order.
    #[inline]
    pub(crate) fn owners(&self) -> &[u32] {
        &self.owners[..self.len()]
    }

    /// Bytes that the points take.
    pub(crate) fn size_bytes(&self) -> usize {
        self.hashes.capacity() * size_of::<u64>()
            + self.owners.capacity() * size_of::<u32>()
            + self.index.size_bytes()
    }

    /// The highest place of the circle.
    #[inline]
    pub(crate) fn last_place(&self) -> u64 {
        self.index.last_place()
    }

    /// The first point at or after a place; [`Self::len`] where there is none before the end of the
    /// circle.
    #[inline]
    pub(crate) fn ceil(&self, hash: u64) -> usize {
        let hash = hash & self.last_place();
        if self.len() <= NEAR_POINTS {
            return self.ceil_without_branches(hash);
        }
        let (bucket, start) = self.index.locate(hash);
        // Branches, not a count: a predicted branch lets the processor read the owner while the
        // places are still on their way, which is worth more in a chain of lookups than a
        // mispredicted one costs.
        let window = &self.hashes[start..start + WINDOW];
        if window[0] >= hash {
            start
        } else if window[1] >= hash {
            start + 1
        } else if window[2] >= hash {
            start + 2
        } else if window[3] >= hash {
            start + 3
        } else {
            self.ceil_in_crowd(hash, bucket, start + WINDOW)
        }
    }

    /// As [`Self::ceil`], of a place on the circle, without a branch that depends on it: for points
    /// that are read at once.
    #[inline]
    fn ceil_without_branches(&self, hash: u64) -> usize {
        let (bucket, start) = self.index.locate(hash);
        let window = &self.hashes[start..start + WINDOW];
        let below: usize = window.iter().map(|place| usize::from(*place < hash)).sum();
        if below == WINDOW {
            return self.ceil_in_crowd(hash, bucket, start + WINDOW);
        }
        start + below
    }

    /// The rest of a search in a bucket of more than a window of points, as a poor hash makes them.
    #[cold]
    fn ceil_in_crowd(&self, hash: u64, bucket: usize, start: usize) -> usize {
        let end = self.index.end_of(bucket).max(start);
        start + self.hashes[start..end].partition_point(|place| *place < hash)
    }

    /// The owner of a place, `None` on an empty circle.
    #[inline]
    pub(crate) fn owner_of(&self, hash: u64) -> Option<u32> {
        match self.owners[self.ceil(hash)] {
            NO_OWNER => None,
            owner => Some(owner),
        }
    }

    /// The position of an owner among those of equal places.
    fn rank(&self, owner: u32) -> u32 {
        match self.tie_order {
            TieOrder::LowestIdFirst => owner,
            TieOrder::HighestIdFirst => !owner,
        }
    }
}

/// Stands behind the last point of an empty circle. It is no index of a node: [`crate::NODES_MAX`]
/// is lower.
const NO_OWNER: u32 = u32::MAX;

#[cfg(test)]
mod tests;
