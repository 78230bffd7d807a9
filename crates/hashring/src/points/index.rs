//! Where the points of each bucket begin. A bucket is a run of places that share their top bits.

use super::merge::fitted;

/// One entry per bucket and one behind the last. There are about as many buckets as points, rounded
/// up to a power of two, so a bucket holds between half a point and one point on average; in rings
/// of more than 262,144 points, twice that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BucketIndex {
    starts: Vec<u32>,
    circle_bits: u32,
    bucket_bits: u32,
}

impl BucketIndex {
    /// The index of these sorted places.
    pub(super) fn of(hashes: &[u64], circle_bits: u32) -> Self {
        let bucket_bits = bucket_bits(hashes.len(), circle_bits);
        let mut index =
            Self { starts: Vec::with_capacity((1 << bucket_bits) + 1), circle_bits, bucket_bits };
        for (position, hash) in hashes.iter().enumerate() {
            let bucket = index.bucket(*hash);
            while index.starts.len() <= bucket {
                index.starts.push(position as u32);
            }
        }
        index.starts.resize((1 << bucket_bits) + 1, hashes.len() as u32);
        index
    }

    /// The index after points came and went, `None` if the number of buckets changes with the
    /// number of points.
    ///
    /// `edits` are the places of those points in ascending order, each with what it adds to the
    /// count (1 or -1). Between two edits every start moves by the same distance, which is one
    /// addition over a run of memory. It is written to `spare` where it fits.
    pub(super) fn shifted(
        &self,
        edits: impl Iterator<Item = (u64, i32)>,
        points: usize,
        spare: Vec<u32>,
    ) -> Option<Self> {
        if bucket_bits(points, self.circle_bits) != self.bucket_bits {
            return None;
        }
        let mut starts = fitted(spare, self.starts.len());
        let mut distance = 0_i32;
        for (hash, step) in edits {
            let end = self.bucket(hash) + 1;
            push_moved(&mut starts, &self.starts, end, distance);
            distance += step;
        }
        push_moved(&mut starts, &self.starts, self.starts.len(), distance);
        Some(Self { starts, ..*self })
    }

    /// The bucket of a place and the position of its first point.
    #[inline]
    pub(super) fn locate(&self, hash: u64) -> (usize, usize) {
        let bucket = self.bucket(hash);
        (bucket, self.starts[bucket] as usize)
    }

    /// The position behind the last point of a bucket.
    pub(super) fn end_of(&self, bucket: usize) -> usize {
        self.starts[bucket + 1] as usize
    }

    /// The highest place of the circle.
    #[inline]
    pub(super) fn last_place(&self) -> u64 {
        u64::MAX >> (u64::BITS - self.circle_bits)
    }

    pub(super) fn into_starts(self) -> Vec<u32> {
        self.starts
    }

    pub(super) fn circle_bits(&self) -> u32 {
        self.circle_bits
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.starts.capacity() * size_of::<u32>()
    }

    #[inline]
    fn bucket(&self, hash: u64) -> usize {
        (hash >> (self.circle_bits - self.bucket_bits)) as usize
    }
}

/// Appends the old starts up to `end`, moved by `distance`.
fn push_moved(starts: &mut Vec<u32>, old: &[u32], end: usize, distance: i32) {
    if let Some(run) = old.get(starts.len()..end) {
        starts.extend(run.iter().map(|start| start.wrapping_add_signed(distance)));
    }
}

/// The largest index with a bucket for each point. It takes 1 MiB, what the
/// near cache of a core holds; beyond, half as many buckets cost a comparison
/// more and a miss less.
const NEAR_BITS: u32 = 18;

/// At least one bit, so that the shift by the remaining ones stays below 64, and never more than
/// the circle has.
fn bucket_bits(points: usize, circle_bits: u32) -> u32 {
    let one_each = points.next_power_of_two().trailing_zeros();
    let bits = if one_each > NEAR_BITS { one_each - 1 } else { one_each };
    bits.clamp(1, circle_bits)
}
