//! Maglev hashing.

use std::{fmt, iter::FusedIterator, sync::Arc};

use twox_hash::XxHash3_64;

use super::{Placement, moved_entries, node_list, seen::Seen};
use crate::{
    limits::{MAGLEV_TABLE_SIZE, MAGLEV_TABLE_SIZE_MAX},
    movement::DiffError,
    node::Node,
    ownership::Shares,
    ring::BuildError,
};

/// Maglev hashing (Eisenbud and others, NSDI 2016, section 3.4): each node has a permutation of the
/// entries of a table, and the nodes take turns, each with its first entry that is still free.
///
/// A lookup is one read, whatever the number of nodes, and shares differ by one entry. The price is
/// disruption: a node that comes or goes changes the turns of the others, and some keys of nodes
/// that stay move between them. With the default table of 65,537 entries these are 3 % of what has
/// to move for ten nodes, 0.6 times as much for a hundred and more than five times as much for a
/// thousand. A larger table moves fewer and takes longer to fill: every update fills all of it.
///
/// A node of weight `w` takes its turn in `w` of as many rounds as the heaviest node has weight. A
/// light node among many may be left without an entry where the table has fewer than a hundred for
/// each node.
///
/// ```
/// use hashring::{Maglev, Placement};
///
/// let placement = Maglev::new(["a", "b", "c"])?;
/// let peak = placement.shares().peak_to_average().expect("there are weights");
/// assert!(peak < 1.001);
/// # Ok::<(), hashring::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Maglev<N = ()> {
    nodes: Vec<Arc<Node<N>>>,
    total_weight: u64,
    table_size: u32,
    /// The node of each entry; empty if no node has a weight.
    table: Vec<u32>,
    /// Entries of each node.
    counts: Vec<u32>,
}

impl<N> Maglev<N> {
    /// A placement of these nodes with a table of 65,537 entries.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an id occurs twice, or more nodes have a weight than there are entries.
    pub fn new<I>(nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Node<N>>,
    {
        Self::with_table_size(MAGLEV_TABLE_SIZE, nodes)
    }

    /// A placement of these nodes with a table of this size: a prime of at most 16,777,213, best a
    /// hundred times the number of nodes or more.
    ///
    /// # Errors
    ///
    /// [`BuildError`] as for [`new`](Self::new), or if the size is not a prime in that range.
    pub fn with_table_size<I>(table_size: u32, nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Node<N>>,
    {
        if table_size > MAGLEV_TABLE_SIZE_MAX || !is_prime(table_size) {
            return Err(BuildError::TableSize { value: table_size });
        }
        Self::of(table_size, node_list::listed(nodes)?)
    }

    fn of(table_size: u32, nodes: Vec<Arc<Node<N>>>) -> Result<Self, BuildError> {
        let weighted = nodes.iter().filter(|node| node.weight() > 0).count();
        if weighted > table_size as usize {
            return Err(BuildError::TableTooSmall { nodes: weighted, table_size });
        }
        let (table, counts) = fill(&nodes, table_size);
        let total_weight = node_list::total_weight(&nodes);
        Ok(Self { nodes, total_weight, table_size, table, counts })
    }

    /// Entries of the table.
    #[must_use]
    pub fn table_size(&self) -> u32 {
        self.table_size
    }

    /// The entry of a place: the high half of a product is a number below the size.
    #[inline]
    fn entry(&self, place: u64) -> usize {
        ((u128::from(place) * u128::from(self.table_size)) >> 64) as usize
    }
}

/// Where a node is in its permutation.
struct Turn {
    owner: u32,
    weight: u64,
    entry: u32,
    skip: u32,
    taken: u64,
}

/// The table and how many entries each node has.
fn fill<N>(nodes: &[Arc<Node<N>>], size: u32) -> (Vec<u32>, Vec<u32>) {
    const FREE: u32 = u32::MAX;
    let mut counts = vec![0; nodes.len()];
    let turn = |(owner, node): (u32, &Arc<Node<N>>)| Turn {
        owner,
        weight: u64::from(node.weight()),
        entry: (hash(node.identity(), 0) % u64::from(size)) as u32,
        skip: (hash(node.identity(), 1) % u64::from(size - 1).max(1)) as u32 + 1,
        taken: 0,
    };
    let mut turns: Vec<_> =
        (0..).zip(nodes).filter(|(_, node)| node.weight() > 0).map(turn).collect();
    let Some(heaviest) = turns.iter().map(|turn| turn.weight).max() else {
        return (Vec::new(), counts);
    };
    let mut table = vec![FREE; size as usize];
    let mut free = size;
    for round in 1.. {
        for turn in &mut turns {
            if (turn.taken + 1) * heaviest > round * turn.weight {
                continue;
            }
            while table[turn.entry as usize] != FREE {
                turn.entry = advanced(turn.entry, turn.skip, size);
            }
            table[turn.entry as usize] = turn.owner;
            turn.taken += 1;
            counts[turn.owner as usize] += 1;
            free -= 1;
            if free == 0 {
                return (table, counts);
            }
        }
    }
    (table, counts)
}

/// The next entry of a permutation.
fn advanced(entry: u32, skip: u32, size: u32) -> u32 {
    let next = entry + skip;
    if next < size { next } else { next - size }
}

fn hash(identity: &str, seed: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, identity.as_bytes())
}

fn is_prime(number: u32) -> bool {
    number >= 2
        && (2..)
            .take_while(|factor| factor * factor <= number)
            .all(|factor| !number.is_multiple_of(factor))
}

impl<N> Placement for Maglev<N> {
    type Data = N;
    type Walk<'p>
        = MaglevWalk<'p, N>
    where
        Self: 'p;

    fn name(&self) -> &'static str {
        "maglev"
    }

    fn nodes(&self) -> &[Arc<Node<N>>] {
        &self.nodes
    }

    fn total_weight(&self) -> u64 {
        self.total_weight
    }

    #[inline]
    fn lookup_at(&self, place: u64) -> Option<&Arc<Node<N>>> {
        self.nodes.get(*self.table.get(self.entry(place))? as usize)
    }

    fn walk_at(&self, place: u64) -> MaglevWalk<'_, N> {
        MaglevWalk {
            placement: self,
            entry: self.entry(place),
            seen: Seen::new(),
            remaining: self.counts.iter().filter(|count| **count > 0).count(),
        }
    }

    fn shares(&self) -> Shares<'_, N> {
        let part = |count: &u32| f64::from(*count) / f64::from(self.table_size);
        let fractions: Vec<_> = self.counts.iter().map(part).collect();
        Shares::fractions(&self.nodes, &self.counts, &fractions, 1 << 64)
    }

    fn checksum(&self) -> u64 {
        node_list::fingerprint(self.name(), u64::from(self.table_size), &self.nodes)
    }

    fn size_bytes(&self) -> usize {
        (self.table.capacity() + self.counts.capacity()) * size_of::<u32>()
    }

    fn with_nodes<I>(&self, nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Arc<Node<N>>>,
    {
        let nodes = node_list::sorted(nodes.into_iter().map(Into::into).collect())?;
        Self::of(self.table_size, nodes)
    }

    /// Entry by entry, cut where the entries of either table end.
    fn moved(&self, next: &Self) -> Result<f64, DiffError> {
        let (old_size, new_size) = (u128::from(self.table_size), u128::from(next.table_size));
        let all = old_size * new_size;
        let mut start = 0;
        let entries = std::iter::from_fn(|| {
            let (old, new) = (start / new_size, start / old_size);
            let end = ((old + 1) * new_size).min((new + 1) * old_size);
            let owner = |table: &[u32], entry: u128| table.get(entry as usize).copied();
            let step = (end - start, owner(&self.table, old), owner(&next.table, new));
            let more = start < all;
            start = end;
            more.then_some(step)
        });
        Ok(moved_entries(&self.nodes, &next.nodes, entries, all))
    }
}

/// The nodes for a key: that of its entry, then those of the entries after it; made by [`Maglev`].
///
/// The order is not that in which keys fall to others when nodes leave, because the table is filled
/// anew then.
#[must_use = "a walk does nothing until it is iterated"]
pub struct MaglevWalk<'p, N> {
    placement: &'p Maglev<N>,
    entry: usize,
    seen: Seen,
    remaining: usize,
}

impl<'p, N> Iterator for MaglevWalk<'p, N> {
    type Item = &'p Arc<Node<N>>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.remaining > 0 {
            let owner = self.placement.table[self.entry];
            self.entry = (self.entry + 1) % self.placement.table.len();
            if self.seen.insert(owner, self.placement.nodes.len()) {
                self.remaining -= 1;
                return self.placement.nodes.get(owner as usize);
            }
        }
        None
    }
}

impl<N> FusedIterator for MaglevWalk<'_, N> {}

impl<N> Clone for MaglevWalk<'_, N> {
    fn clone(&self) -> Self {
        Self { seen: self.seen.clone(), ..*self }
    }
}

impl<N> fmt::Debug for MaglevWalk<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaglevWalk").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

impl<N: PartialEq> PartialEq for Maglev<N> {
    fn eq(&self, other: &Self) -> bool {
        self.nodes == other.nodes && self.table == other.table
    }
}

impl<N: fmt::Debug> fmt::Debug for Maglev<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.table_size;
        f.debug_struct("Maglev").field("nodes", &self.nodes).field("table_size", &size).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{fill, hash, is_prime};
    use crate::Node;

    /// The definition of the paper: the table of the nodes' preference lists, computed without the
    /// shortcuts.
    #[test]
    fn the_table_is_that_of_the_papers_definition() {
        const SIZE: u64 = 13;
        let nodes: Vec<_> = ["a", "b", "c"].map(|id| Arc::new(Node::new(id))).into();
        let preferences: Vec<Vec<u64>> = nodes
            .iter()
            .map(|node| {
                let offset = hash(node.id(), 0) % SIZE;
                let skip = hash(node.id(), 1) % (SIZE - 1) + 1;
                (0..SIZE).map(|j| (offset + j * skip) % SIZE).collect()
            })
            .collect();
        let mut expected = vec![None; SIZE as usize];
        let mut next = [0; 3];
        'filled: loop {
            for node in 0..3 {
                while expected[preferences[node][next[node]] as usize].is_some() {
                    next[node] += 1;
                }
                expected[preferences[node][next[node]] as usize] = Some(node as u32);
                if expected.iter().all(Option::is_some) {
                    break 'filled;
                }
            }
        }
        let (table, counts) = fill(&nodes, SIZE as u32);
        assert_eq!(table.into_iter().map(Some).collect::<Vec<_>>(), expected);
        assert_eq!(counts, [5, 4, 4]);
    }

    #[test]
    fn primes_are_told_from_other_numbers() {
        let primes: Vec<_> = (0..30).filter(|number| is_prime(*number)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(65_537) && is_prime(16_777_213) && !is_prime(16_777_215));
    }
}
