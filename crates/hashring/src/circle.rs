//! Nodes and their points on a circle.

use std::sync::Arc;

use crate::{node::Node, points::Points};

/// Nodes with the points that they have.
#[derive(Clone, Debug)]
pub(crate) struct Circle<N> {
    /// Sorted by id; an owner in `points` is an index into this list.
    pub(crate) nodes: Vec<Arc<Node<N>>>,
    /// Points of each node, in the order of `nodes`.
    pub(crate) counts: Vec<u32>,
    /// Nodes that have points.
    pub(crate) owning_nodes: usize,
    pub(crate) total_weight: u64,
    pub(crate) points: Points,
}

impl<N> Circle<N> {
    /// A circle without nodes and without points.
    pub(crate) fn empty(points: Points) -> Self {
        Self { nodes: Vec::new(), counts: Vec::new(), owning_nodes: 0, total_weight: 0, points }
    }

    pub(crate) fn new(nodes: Vec<Arc<Node<N>>>, counts: Vec<u32>, points: Points) -> Self {
        let owning_nodes = counts.iter().filter(|count| **count > 0).count();
        let total_weight = nodes.iter().map(|node| u64::from(node.weight())).sum();
        Self { nodes, counts, owning_nodes, total_weight, points }
    }

    /// The owner of a place, `None` if no node has a point.
    #[inline]
    pub(crate) fn lookup_at(&self, place: u64) -> Option<&Arc<Node<N>>> {
        self.nodes.get(self.points.owner_of(place)? as usize)
    }

    /// How many places the circle has: two to the power of its bits.
    pub(crate) fn places(&self) -> u128 {
        u128::from(self.points.last_place()) + 1
    }

    pub(crate) fn index_of(&self, id: &str) -> Result<usize, usize> {
        self.nodes.binary_search_by(|node| node.id().cmp(id))
    }
}
