//! Jump consistent hashing.

use std::{fmt, sync::Arc};

use super::{
    Placement, node_list,
    numbered::{Numbered, Numbers, ProbeWalk},
    score::score,
};
use crate::{limits::NODES_MAX, node::Node, ownership::Shares, ring::BuildError};

/// Jump consistent hashing (Lamping and Veach, arXiv 1406.2294): buckets are numbered from 0, and a
/// key jumps to the last of them that it would have moved to while their number grew.
///
/// It has no table of points: a lookup computes a bucket and reads one entry. The algorithm is
/// JumpBackHash (Ertl, arXiv 2403.18682), which goes through the jumps from the last one back: it
/// takes two steps on average whatever the number of buckets, and no division. It is another draw
/// than the published algorithm of Lamping and Veach: the buckets of a key are not those that other
/// implementations of that one give.
///
/// The buckets are the [ordinals](Node::with_ordinals) of the nodes, so that a name stays with its
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

/// The bucket of a key, below `buckets`, of which there is one at least.
///
/// Let buckets come one after the other. For shares to stay equal, a key moves to bucket `b` when
/// that one comes with probability `1 / (b + 1)`, and it is where it moved last. Among the buckets
/// from a power of two `q` up to `2q`, it moves nowhere with probability `q / 2q`: one bit says it.
/// Where it does, each of them is the last with equal probability, so one draw of `q` says which.
/// When that one is not among the buckets yet, the one before it is any bucket below it with equal
/// probability, and below `q` stands for none in this range: further draws of `2q` say that, of
/// which those that are too high do not count.
///
/// The bits and each draw belong to the key and its range, whatever the number of buckets, so a
/// further bucket changes nothing for keys that do not move to it.
#[inline]
fn jump(key: u64, buckets: u32) -> u32 {
    let in_range = u32::MAX.checked_shr((buckets - 1).leading_zeros()).unwrap_or(0);
    let mut moves = (score(key, SEED_OF_BITS) >> 32) as u32 & in_range;
    while moves != 0 {
        let power = moves.ilog2();
        let first = 1 << power;
        let draw = |number: u32, bits| {
            let seed = SEED_OF_DRAWS + u64::from(power * DRAWS_MAX + number);
            high_bits(score(key, seed), bits)
        };
        let last = first + draw(0, power);
        if last < buckets {
            return last;
        }
        for number in 1..DRAWS_MAX {
            let earlier = draw(number, power + 1);
            if earlier < first {
                break;
            }
            if earlier < buckets {
                return earlier;
            }
        }
        moves ^= first;
    }
    0
}

/// Seeds of what a key draws: digits of pi.
const SEED_OF_BITS: u64 = 0x243f_6a88_85a3_08d3;
const SEED_OF_DRAWS: u64 = 0x1319_8a2e_0370_7344;

/// Draws of a range. Each but the first decides with a probability of more than one half, so no key
/// runs out of them.
const DRAWS_MAX: u32 = 128;

/// The highest bits of a number, 0 to 32 of them.
#[inline]
fn high_bits(number: u64, bits: u32) -> u32 {
    (number >> 1 >> (63 - bits)) as u32
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
    use twox_hash::XxHash3_64;

    use super::jump;

    fn keys(count: u64) -> impl Iterator<Item = u64> {
        (1..=count).map(|i| XxHash3_64::oneshot(&i.to_le_bytes()))
    }

    /// One bucket, numbers around powers of two, and the most there are: chi-squared stays within
    /// six deviations of its mean.
    #[test]
    fn each_bucket_gets_its_part() {
        for buckets in [1_u32, 2, 3, 4, 5, 7, 8, 9, 12, 33, 100, 127, 128, 129, 1_000] {
            let mut counts = vec![0_u32; buckets as usize];
            for key in keys(400_000) {
                counts[jump(key, buckets) as usize] += 1;
            }
            let expected = 400_000.0 / f64::from(buckets);
            let squares = counts.iter().map(|count| (f64::from(*count) - expected).powi(2));
            let freedom = f64::from(buckets - 1);
            let chi_squared = squares.sum::<f64>() / expected;
            let bound = 6.0 * (2.0 * freedom).sqrt();
            assert!((chi_squared - freedom).abs() <= bound, "{buckets} buckets: {chi_squared}");
        }
        for buckets in [1 << 24, u32::MAX] {
            let half = keys(10_000).filter(|key| jump(*key, buckets) < buckets / 2).count();
            assert!((4_700..5_300).contains(&half), "{buckets} buckets: {half}");
        }
    }

    /// Where a key was before does not tell where it is after: of those that a doubling moves, each
    /// old bucket gives its part to each new one.
    #[test]
    fn what_moves_comes_from_everywhere() {
        for buckets in [4_u32, 6, 7] {
            let mut counts = vec![0_u32; (buckets * buckets) as usize];
            for key in keys(400_000) {
                let (old, new) = (jump(key, buckets), jump(key, 2 * buckets));
                if let Some(column) = new.checked_sub(buckets) {
                    counts[(old * buckets + column) as usize] += 1;
                }
            }
            let expected = 200_000.0 / f64::from(buckets * buckets);
            for count in counts {
                let error = (f64::from(count) - expected) / expected.sqrt();
                assert!(error.abs() < 6.0, "{buckets} buckets: {count} of {expected}");
            }
        }
    }

    /// Other processes and later versions have to agree; the numbers are those of a second
    /// implementation, in Python.
    #[test]
    fn buckets_of_keys_never_change() {
        let buckets_of = |buckets, count: u64| -> Vec<u32> {
            let keys = (1..=count).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            keys.map(|key| jump(key, buckets)).collect()
        };
        assert_eq!(buckets_of(100, 12), [31, 51, 43, 90, 32, 10, 57, 89, 28, 83, 4, 42]);
        assert_eq!(buckets_of(100_001, 6), [89_905, 91_488, 81_211, 18_070, 18_418, 62_917]);
    }

    /// One bucket more takes its part of the keys and moves no other.
    #[test]
    fn a_key_stays_or_moves_to_the_new_bucket() {
        for key in keys(2_000).chain(0..50).chain([u64::MAX]) {
            for buckets in (1..300).chain(1_000..1_050) {
                let (old, new) = (jump(key, buckets), jump(key, buckets + 1));
                assert!(new == old || new == buckets);
            }
        }
    }
}
