//! Jump consistent hashing.

use std::{fmt, sync::Arc};

use super::{
    Placement, node_list,
    numbered::{Numbered, Numbers, ProbeWalk},
};
use crate::{limits::NODES_MAX, node::Node, ownership::Shares, ring::BuildError};

/// Jump consistent hashing (Lamping and Veach, arXiv 1406.2294): buckets are numbered from 0, and a
/// key jumps to the last of them that it would have moved to while their number grew.
///
/// It has no table of points: a lookup computes about `ln(buckets)` steps and reads one entry. The
/// buckets are the [ordinals](Node::with_ordinals) of the nodes, so that a name stays with its
/// bucket whatever happens to the others; a node of weight `w` has `w` of them. The number of
/// buckets is the highest ordinal plus 1.
///
/// The algorithm by itself can only give up its last bucket. Here any node can leave: its bucket is
/// vacant then, a key that jumps there jumps again with another hash, and no other key moves. Keys
/// of other nodes move only when the node with the highest ordinal leaves and others below it are
/// vacant, because then the number of buckets falls by more than that node had. So let a new node
/// take the lowest free ordinal.
///
/// A key tries 64 buckets and takes the next that is not vacant after them. With half of all
/// buckets vacant that never happens; with nine tenths it is one key in a thousand.
///
/// ```
/// use hashring::{Jump, Node, Placement};
///
/// let placement = Jump::new((0..3).map(|n| Node::new(format!("shard-{n}")).with_ordinal(n)))?;
/// assert!(placement.lookup(b"user:42").is_some());
/// # Ok::<(), hashring::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Jump<N = ()> {
    numbered: Numbered<N>,
    buckets: Buckets,
}

/// How many buckets there are.
#[derive(Clone, Copy, Debug)]
pub struct Buckets(u32);

impl Numbers for Buckets {
    #[inline]
    fn number(&self, place: u64) -> usize {
        jump(place, self.0) as usize
    }
}

impl<N> Jump<N> {
    /// A placement of these nodes.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an id or an ordinal occurs twice, a node has not as many ordinals as its
    /// weight, or an ordinal is 16,777,216 or higher.
    pub fn new<I>(nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Node<N>>,
    {
        Self::of(node_list::listed(nodes)?)
    }

    fn of(nodes: Vec<Arc<Node<N>>>) -> Result<Self, BuildError> {
        let numbered = Numbered::new(nodes, NODES_MAX as u32)?;
        let buckets = Buckets(numbered.numbers() as u32);
        Ok(Self { numbered, buckets })
    }
}

/// The bucket of a key, below `buckets`; as published, to the bit.
#[inline]
fn jump(key: u64, buckets: u32) -> u32 {
    let (mut key, mut last, mut next) = (key, 0_u32, 0_u64);
    while next < u64::from(buckets) {
        last = next as u32;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let step = f64::from(1_u32 << 31) / ((key >> 33) + 1) as f64;
        next = (f64::from(last + 1) * step) as u64;
    }
    last
}

impl<N> Placement for Jump<N> {
    type Data = N;
    type Walk<'p>
        = ProbeWalk<'p, N, Buckets>
    where
        Self: 'p;

    fn name(&self) -> &'static str {
        "jump"
    }

    fn nodes(&self) -> &[Arc<Node<N>>] {
        &self.numbered.nodes
    }

    fn total_weight(&self) -> u64 {
        self.numbered.total_weight
    }

    #[inline]
    fn lookup_at(&self, place: u64) -> Option<&Arc<Node<N>>> {
        self.numbered.lookup(place, &self.buckets)
    }

    fn walk_at(&self, place: u64) -> ProbeWalk<'_, N, Buckets> {
        self.numbered.walk(place, &self.buckets)
    }

    /// Each node's part of the buckets that are not vacant.
    fn shares(&self) -> Shares<'_, N> {
        let total = self.total_weight().max(1) as f64;
        let weights: Vec<_> = self.nodes().iter().map(|node| node.weight()).collect();
        let fractions: Vec<_> = weights.iter().map(|weight| f64::from(*weight) / total).collect();
        Shares::fractions(self.nodes(), &weights, &fractions, 1 << 64)
    }

    fn checksum(&self) -> u64 {
        node_list::fingerprint(self.name(), 0, self.nodes())
    }

    fn size_bytes(&self) -> usize {
        self.numbered.size_bytes()
    }

    fn with_nodes<I>(&self, nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Arc<Node<N>>>,
    {
        Self::of(node_list::sorted(nodes.into_iter().map(Into::into).collect())?)
    }
}

impl<N: PartialEq> PartialEq for Jump<N> {
    fn eq(&self, other: &Self) -> bool {
        self.numbered == other.numbered
    }
}

impl<N: fmt::Debug> fmt::Debug for Jump<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, buckets) = (&self.numbered.nodes, &self.buckets);
        f.debug_struct("Jump").field("nodes", nodes).field("buckets", buckets).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::jump;

    /// The vectors that implementations in other languages share.
    #[test]
    fn buckets_are_those_of_other_implementations() {
        let golden = [0, 55, 62, 8, 45, 59, 86, 97, 82, 59, 73, 37, 17, 56, 86, 21, 90, 37, 38, 83];
        for (key, bucket) in (0_u64..).zip(golden) {
            assert_eq!(jump(key, 100), bucket, "key {key}");
        }
        for (key, buckets, bucket) in [
            (10_863_919_174_838_991, 11, 6),
            (2_016_238_256_797_177_309, 11, 3),
            (1_673_758_223_894_951_030, 11, 5),
            (2, 100_001, 80_343),
            (2_201, 100_001, 22_152),
            (2_202, 100_001, 15_018),
            (0xdead_beef, 17, 16),
            (1, 1, 0),
        ] {
            assert_eq!(jump(key, buckets), bucket, "key {key}");
        }
    }

    /// One bucket more takes its part of the keys and moves no other.
    #[test]
    fn a_key_stays_or_moves_to_the_new_bucket() {
        for key in (0..2_000_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            for buckets in 1..200 {
                let (old, new) = (jump(key, buckets), jump(key, buckets + 1));
                assert!(new == old || new == buckets);
            }
        }
    }
}
