//! The one way by which rings come to be: an old ring and a plan of its next nodes give a new ring.
//!
//! A plan says which nodes stay untouched, so that their points are copied and never hashed again.
//! Building from nothing is the same with an empty old ring.

use std::sync::{Arc, OnceLock};

use twox_hash::XxHash3_64;

use super::{BuildError, Ring};
use crate::{
    circle::Circle,
    limits::{NODES_MAX, ROUNDING_POINTS},
    node::Node,
    points::{PointEdits, Renumber, Spare},
    scheme::{NodeName, PointRule, Scheme, WeightedName},
};

/// The nodes of the next ring and where each of them was.
#[derive(Debug)]
pub(super) struct NodePlan<'r, N, S> {
    old: &'r Ring<N, S>,
    /// Old nodes that are dealt with.
    done: usize,
    nodes: Vec<Arc<Node<N>>>,
    /// The new index of each old node, or of the next one that stays.
    new_index: Vec<u32>,
    changed: Vec<Change>,
}

/// A node that is not simply the same as before: its old and its new index.
#[derive(Clone, Copy, Debug)]
struct Change {
    old: Option<usize>,
    new: Option<usize>,
}

impl<'r, N, S: Scheme> NodePlan<'r, N, S> {
    pub(super) fn new(old: &'r Ring<N, S>) -> Self {
        Self {
            old,
            done: 0,
            nodes: Vec::with_capacity(old.circle.nodes.len() + 1),
            new_index: Vec::with_capacity(old.circle.nodes.len()),
            changed: Vec::new(),
        }
    }

    /// A plan for exactly these nodes.
    pub(super) fn replacing(
        old: &'r Ring<N, S>,
        mut nodes: Vec<Arc<Node<N>>>,
    ) -> Result<Self, BuildError> {
        nodes.sort_by(|a, b| a.id().cmp(b.id()));
        if let Some(twins) = nodes.windows(2).find(|pair| pair[0].id() == pair[1].id()) {
            return Err(BuildError::DuplicateId { id: twins[0].id().to_owned() });
        }
        let mut plan = Self::new(old);
        for node in nodes {
            while plan.next_old().is_some_and(|next| next.id() < node.id()) {
                plan.put(true, None);
            }
            let existed = plan.next_old().is_some_and(|next| next.id() == node.id());
            plan.put(existed, Some(node));
        }
        while plan.next_old().is_some() {
            plan.put(true, None);
        }
        plan.finish()
    }

    fn next_old(&self) -> Option<&'r Arc<Node<N>>> {
        self.old.circle.nodes.get(self.done)
    }

    /// Keeps old nodes up to an old index.
    pub(super) fn keep_until(&mut self, end: usize) {
        let kept = self.done..end;
        let first = self.nodes.len() as u32;
        self.new_index.extend((0..kept.len() as u32).map(|offset| first + offset));
        self.nodes.extend_from_slice(&self.old.circle.nodes[kept]);
        self.done = end;
    }

    /// Puts a node, or nothing, in the place of the next old node, or before it if that is another
    /// one.
    pub(super) fn put(&mut self, existed: bool, node: Option<Arc<Node<N>>>) {
        let change = Change {
            old: existed.then_some(self.done),
            new: node.is_some().then_some(self.nodes.len()),
        };
        if existed {
            self.new_index.push(self.nodes.len() as u32);
            self.done += 1;
        }
        self.nodes.extend(node);
        self.changed.push(change);
    }

    pub(super) fn finish(mut self) -> Result<Self, BuildError> {
        self.keep_until(self.old.circle.nodes.len());
        if self.nodes.len() > NODES_MAX {
            return Err(BuildError::TooManyNodes { nodes: self.nodes.len() });
        }
        Ok(self)
    }

    /// All nodes that come, go or change their number of points or their names may do so.
    ///
    /// Under a fixed number of points per weight unit these are the changed ones. Otherwise every
    /// node may be.
    fn candidates(&self, rule: PointRule) -> Vec<Change> {
        let mut candidates = self.changed.clone();
        if rule == PointRule::WholeRing {
            let mut listed = vec![false; self.new_index.len()];
            for old in self.changed.iter().filter_map(|change| change.old) {
                listed[old] = true;
            }
            let kept = self.new_index.iter().enumerate().filter(|(old, _)| !listed[*old]);
            candidates
                .extend(kept.map(|(old, new)| Change { old: Some(old), new: Some(*new as usize) }));
        }
        candidates
    }

    fn renumber(&self) -> Renumber {
        let shifted = self.new_index.iter().enumerate().any(|(old, new)| old != *new as usize);
        if shifted { Renumber::Table(self.new_index.clone()) } else { Renumber::Same }
    }
}

impl<N, S: Scheme + Clone> Ring<N, S> {
    /// The ring of the planned nodes, in the memory of `spare` where it fits.
    pub(super) fn assemble(
        &self,
        plan: NodePlan<'_, N, S>,
        spare: Spare,
    ) -> Result<Self, BuildError> {
        let rule = self.scheme.point_rule();
        let counts = self.next_counts(&plan, rule)?;
        let mut edits = PointEdits::default();
        let mut points_sum = self.points_sum;
        for change in plan.candidates(rule) {
            let (removed, added) = (edits.removed.len(), edits.added.len());
            self.edit_points(change, &plan, &counts, &mut edits)?;
            let old = change.old.map(|index| &self.circle.nodes[index]);
            let new = change.new.map(|index| &plan.nodes[index]);
            points_sum = points_sum
                .wrapping_sub(sum_of(old, &edits.removed[removed..]))
                .wrapping_add(sum_of(new, &edits.added[added..]));
        }
        let points =
            self.circle.points.merged(edits, &plan.renumber(), spare).ok_or_else(|| {
                self.broken_scheme("it gave other points for a node than the first time".to_owned())
            })?;
        Ok(Self {
            scheme: self.scheme.clone(),
            points_per_weight_unit: self.points_per_weight_unit,
            max_points: self.max_points,
            circle: Circle::new(plan.nodes, counts, points),
            points_sum,
            checksum: OnceLock::new(),
        })
    }

    /// The number of points of each planned node, within the limit of the ring.
    fn next_counts(
        &self,
        plan: &NodePlan<'_, N, S>,
        rule: PointRule,
    ) -> Result<Vec<u32>, BuildError> {
        let counts = match rule {
            PointRule::PerWeightUnit { .. } => self.counts_per_weight(plan)?,
            PointRule::WholeRing => self.counts_by_scheme(plan)?,
        };
        let needed = counts.iter().map(|count| u64::from(*count)).sum();
        let rounding = if rule == PointRule::WholeRing { ROUNDING_POINTS } else { 0 };
        if needed > u64::from(self.max_points) + u64::from(rounding) {
            return Err(BuildError::TooManyPoints { needed, limit: self.max_points });
        }
        Ok(counts)
    }

    fn counts_per_weight(&self, plan: &NodePlan<'_, N, S>) -> Result<Vec<u32>, BuildError> {
        let mut counts = vec![0; plan.nodes.len()];
        for (old, new) in plan.new_index.iter().enumerate() {
            // A node that goes shares its number with the next one that stays, whose own count
            // follows.
            if let Some(count) = counts.get_mut(*new as usize) {
                *count = self.circle.counts[old];
            }
        }
        for new in plan.changed.iter().filter_map(|change| change.new) {
            let needed =
                u64::from(plan.nodes[new].weight()) * u64::from(self.points_per_weight_unit);
            counts[new] = u32::try_from(needed)
                .map_err(|_| BuildError::TooManyPoints { needed, limit: self.max_points })?;
        }
        Ok(counts)
    }

    fn counts_by_scheme(&self, plan: &NodePlan<'_, N, S>) -> Result<Vec<u32>, BuildError> {
        let placements: Vec<_> = plan
            .nodes
            .iter()
            .map(|node| WeightedName { name: name_of(node), weight: node.weight() })
            .collect();
        let counts = self.scheme.point_counts(&placements);
        if counts.len() != placements.len() {
            let reason =
                format!("it gave {} point counts for {} nodes", counts.len(), placements.len());
            return Err(self.broken_scheme(reason));
        }
        Ok(counts)
    }

    /// Adds the difference between the old and the new points of one node to `edits`.
    fn edit_points(
        &self,
        change: Change,
        plan: &NodePlan<'_, N, S>,
        counts: &[u32],
        edits: &mut PointEdits,
    ) -> Result<(), BuildError> {
        let old =
            change.old.map(|index| (index, &self.circle.nodes[index], self.circle.counts[index]));
        let new = change.new.map(|index| (index, &plan.nodes[index], counts[index]));
        // Point `i` of a name is always the same, so a node that keeps its name keeps the points
        // that both counts have.
        let shared = match (old, new) {
            (Some((_, old, old_count)), Some((_, new, new_count)))
                if name_of(old) == name_of(new) =>
            {
                old_count.min(new_count)
            }
            _ => 0,
        };
        if let Some((index, node, count)) = old {
            self.hash_points(node, shared..count, index, &mut edits.removed)?;
        }
        if let Some((index, node, count)) = new {
            self.hash_points(node, shared..count, index, &mut edits.added)?;
        }
        Ok(())
    }

    fn hash_points(
        &self,
        node: &Node<N>,
        range: std::ops::Range<u32>,
        owner: usize,
        points: &mut Vec<(u64, u32)>,
    ) -> Result<(), BuildError> {
        if range.is_empty() {
            return Ok(());
        }
        let mut hashes = Vec::with_capacity(range.len());
        self.scheme.hash_points(name_of(node), range.clone(), &mut hashes);
        if hashes.len() != range.len() {
            let reason = format!(
                "it gave {} points of node {:?} for the range {range:?}",
                hashes.len(),
                node.id()
            );
            return Err(self.broken_scheme(reason));
        }
        points.extend(
            hashes.iter().map(|hash| (hash & self.circle.points.last_place(), owner as u32)),
        );
        Ok(())
    }

    fn broken_scheme(&self, reason: String) -> BuildError {
        BuildError::BrokenScheme { scheme: self.scheme.name().to_owned(), reason }
    }
}

/// A fingerprint of these points of a node, to which those of others can be added in any order.
fn sum_of<N>(node: Option<&Arc<Node<N>>>, points: &[(u64, u32)]) -> u64 {
    let Some(node) = node.filter(|_| !points.is_empty()) else { return 0 };
    let owner = XxHash3_64::oneshot(node.id().as_bytes());
    points.iter().fold(0, |sum, (place, _)| {
        let mut point = [0; 16];
        point[..8].copy_from_slice(&place.to_le_bytes());
        point[8..].copy_from_slice(&owner.to_le_bytes());
        sum.wrapping_add(XxHash3_64::oneshot(&point))
    })
}

fn name_of<N>(node: &Node<N>) -> NodeName<'_> {
    NodeName { id: node.id(), identity: node.identity() }
}
