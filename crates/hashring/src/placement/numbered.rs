//! Nodes by their numbers, for the placements that give a key a number first.
//!
//! A number that no node has is vacant. A key that gets it tries again with another hash, as it
//! would after a collision, so that what a node leaves is spread over all others alike, and no
//! other key moves.

use std::{fmt, iter::FusedIterator, sync::Arc};

use super::{node_list, score::score, seen::Seen};
use crate::{limits::PROBES_MAX, node::Node, ring::BuildError};

/// Gives the number of a place.
pub trait Numbers {
    /// A number below that of all numbers, of which there is one at least.
    fn number(&self, place: u64) -> usize;
}

/// Stands for a number that no node has; it is no index of a node.
const VACANT: u32 = u32::MAX;

/// Nodes that have numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Numbered<N> {
    /// Sorted by id.
    pub(super) nodes: Vec<Arc<Node<N>>>,
    pub(super) total_weight: u64,
    /// The node of each number up to the highest, or [`VACANT`].
    owners: Vec<u32>,
    owning_nodes: usize,
}

impl<N> Numbered<N> {
    /// These nodes, sorted by id. Each has as many ordinals as its weight, all below `limit`, and
    /// no two have the same.
    pub(super) fn new(nodes: Vec<Arc<Node<N>>>, limit: u32) -> Result<Self, BuildError> {
        let mut owners = Vec::new();
        for (index, node) in (0_u32..).zip(&nodes) {
            let ordinals = node.ordinals();
            if ordinals.len() != node.weight() as usize {
                return Err(BuildError::OrdinalCount {
                    id: node.id().to_owned(),
                    weight: node.weight(),
                    ordinals: ordinals.len(),
                });
            }
            for ordinal in ordinals {
                if *ordinal >= limit {
                    let id = node.id().to_owned();
                    return Err(BuildError::OrdinalTooLarge { id, ordinal: *ordinal, limit });
                }
                let at = *ordinal as usize;
                owners.resize(owners.len().max(at + 1), VACANT);
                if let Some(one) = nodes.get(owners[at] as usize) {
                    let (one, other) = (one.id().to_owned(), node.id().to_owned());
                    return Err(BuildError::DuplicateOrdinal { ordinal: *ordinal, one, other });
                }
                owners[at] = index;
            }
        }
        let owning_nodes = nodes.iter().filter(|node| node.weight() > 0).count();
        Ok(Self { total_weight: node_list::total_weight(&nodes), nodes, owners, owning_nodes })
    }

    /// How many numbers there are, vacant ones included.
    pub(super) fn numbers(&self) -> usize {
        self.owners.len()
    }

    /// The index of the node that has a number.
    pub(super) fn owner(&self, number: usize) -> Option<usize> {
        self.owners.get(number).filter(|owner| **owner != VACANT).map(|owner| *owner as usize)
    }

    #[inline]
    pub(super) fn lookup<'p>(
        &'p self,
        place: u64,
        numbers: &'p impl Numbers,
    ) -> Option<&'p Arc<Node<N>>> {
        if self.owning_nodes == 0 {
            return None;
        }
        match self.owners[numbers.number(place)] {
            VACANT => self.walk(place, numbers).next(),
            owner => self.nodes.get(owner as usize),
        }
    }

    pub(super) fn walk<'p, B>(&'p self, place: u64, numbers: &'p B) -> ProbeWalk<'p, N, B> {
        let remaining = self.owning_nodes;
        ProbeWalk { numbered: self, numbers, place, probe: 0, seen: Seen::new(), remaining }
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.owners.capacity() * size_of::<u32>()
    }
}

/// The nodes for a key, in the order in which it gets their numbers by one hash after another; made
/// by [`Jump`](crate::Jump) and [`SpreadMinimizing`](crate::SpreadMinimizing).
///
/// After 64 hashes it takes one number after another.
#[must_use = "a walk does nothing until it is iterated"]
pub struct ProbeWalk<'p, N, B> {
    numbered: &'p Numbered<N>,
    numbers: &'p B,
    place: u64,
    probe: u32,
    seen: Seen,
    remaining: usize,
}

impl<N, B: Numbers> ProbeWalk<'_, N, B> {
    fn next_number(&mut self) -> usize {
        let probe = self.probe;
        self.probe += 1;
        let hashed = |probe| match probe {
            0 => self.numbers.number(self.place),
            _ => self.numbers.number(score(self.place, u64::from(probe))),
        };
        if probe < PROBES_MAX {
            return hashed(probe);
        }
        (hashed(PROBES_MAX) + (probe - PROBES_MAX) as usize) % self.numbered.owners.len()
    }
}

impl<'p, N, B: Numbers> Iterator for ProbeWalk<'p, N, B> {
    type Item = &'p Arc<Node<N>>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.remaining > 0 {
            let owner = self.numbered.owners[self.next_number()];
            if owner != VACANT && self.seen.insert(owner, self.numbered.nodes.len()) {
                self.remaining -= 1;
                return self.numbered.nodes.get(owner as usize);
            }
        }
        None
    }
}

impl<N, B: Numbers> FusedIterator for ProbeWalk<'_, N, B> {}

impl<N, B> Clone for ProbeWalk<'_, N, B> {
    fn clone(&self) -> Self {
        Self { seen: self.seen.clone(), ..*self }
    }
}

impl<N, B> fmt::Debug for ProbeWalk<'_, N, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeWalk").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}
