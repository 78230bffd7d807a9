//! Weighted rendezvous hashing.

use std::{cmp::Reverse, fmt, iter::FusedIterator, sync::Arc};

use twox_hash::XxHash3_64;

use super::{
    Placement, moved_between, node_list,
    score::{Scores, neg_ln},
};
use crate::{movement::DiffError, node::Node, ownership::Shares, ring::BuildError};

/// Rendezvous hashing (highest random weight; Thaler and Ravishankar, 1998) with weights by the
/// logarithmic method (Mosko and others): every node draws an exponential variable for the key,
/// `-ln(u) / weight` with `u` from the hash of key and node, and the lowest owns it.
///
/// Shares are exactly those of the weights, a change of a node moves only keys of that node, and
/// there is no parameter that members must agree on. The price is time: a lookup asks every node,
/// at about 0.8 ns each.
///
/// ```
/// use hashring::{Node, Placement, Rendezvous};
///
/// let nodes = [Node::new("a"), Node::new("b"), Node::new("c").with_weight(3)];
/// let placement = Rendezvous::new(nodes)?;
/// let shares: Vec<_> = placement.shares().iter().map(|share| share.fraction).collect();
/// assert_eq!(shares, [0.2, 0.2, 0.6]);
/// # Ok::<(), hashring::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Rendezvous<N = ()> {
    nodes: Vec<Arc<Node<N>>>,
    total_weight: u64,
    /// Runs of `seeds` whose nodes have one weight, so that a lookup needs one logarithm for each.
    groups: Vec<Group>,
    /// The hash of each identity, in the order of weights and then of nodes.
    seeds: Vec<u64>,
    /// The node of each seed.
    owners: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    weight: f64,
    end: usize,
}

/// What an owner drew, by which the nodes of a key are ordered: the variable, the score that it was
/// made of as its complement, for draws that rounding made equal, and the owner, whose order is
/// that of ids.
type Draw = (f64, u64, u32);

impl<N> Rendezvous<N> {
    /// A placement of these nodes.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an id occurs twice or there are too many nodes.
    pub fn new<I>(nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Node<N>>,
    {
        Ok(Self::of(node_list::listed(nodes)?))
    }

    fn of(nodes: Vec<Arc<Node<N>>>) -> Self {
        let mut owners: Vec<u32> = (0_u32..)
            .zip(&nodes)
            .filter(|(_, node)| node.weight() > 0)
            .map(|(index, _)| index)
            .collect();
        let weight = |owner: &u32| nodes[*owner as usize].weight();
        owners.sort_by_key(weight);
        let mut groups: Vec<Group> = Vec::new();
        for run in owners.chunk_by(|one, other| weight(one) == weight(other)) {
            let start = groups.last().map_or(0, |group| group.end);
            groups.push(Group { weight: f64::from(weight(&run[0])), end: start + run.len() });
        }
        let seed = |owner: &u32| XxHash3_64::oneshot(nodes[*owner as usize].identity().as_bytes());
        let seeds = owners.iter().map(seed).collect();
        Self { total_weight: node_list::total_weight(&nodes), nodes, groups, seeds, owners }
    }

    /// The groups with the range of seeds of each.
    fn ranges(&self) -> impl Iterator<Item = (f64, std::ops::Range<usize>)> + '_ {
        let mut start = 0;
        self.groups.iter().map(move |group| {
            let range = start..group.end;
            start = group.end;
            (group.weight, range)
        })
    }
}

impl<N> Placement for Rendezvous<N> {
    type Data = N;
    type Walk<'p>
        = RendezvousWalk<'p, N>
    where
        Self: 'p;

    fn name(&self) -> &'static str {
        "rendezvous"
    }

    fn nodes(&self) -> &[Arc<Node<N>>] {
        &self.nodes
    }

    fn total_weight(&self) -> u64 {
        self.total_weight
    }

    fn lookup_at(&self, place: u64) -> Option<&Arc<Node<N>>> {
        let scores = Scores::of(place);
        let mut best: Option<Candidate> = None;
        for (weight, range) in self.ranges() {
            let (score, offset) = highest(scores, &self.seeds[range.clone()]);
            let next = Candidate::new(score, weight, self.owners[range.start + offset]);
            if best.as_ref().is_none_or(|best| next.is_before(best)) {
                best = Some(next);
            }
        }
        best.and_then(|best| self.nodes.get(best.owner as usize))
    }

    fn walk_at(&self, place: u64) -> RendezvousWalk<'_, N> {
        RendezvousWalk {
            placement: self,
            scores: Scores::of(place),
            batch: Batch::new(1),
            given: 0,
            last: None,
            remaining: self.owners.len(),
        }
    }

    /// Each node's part of all weights: draws are exponential with the weight as their rate, so it
    /// has the lowest with that probability.
    fn shares(&self) -> Shares<'_, N> {
        let total = self.total_weight.max(1) as f64;
        let fractions: Vec<_> =
            self.nodes.iter().map(|node| f64::from(node.weight()) / total).collect();
        Shares::fractions(&self.nodes, &vec![0; self.nodes.len()], &fractions, 1 << 64)
    }

    fn checksum(&self) -> u64 {
        node_list::fingerprint(self.name(), 0, &self.nodes)
    }

    fn size_bytes(&self) -> usize {
        self.seeds.capacity() * size_of::<u64>()
            + self.owners.capacity() * size_of::<u32>()
            + self.groups.capacity() * size_of::<Group>()
    }

    fn with_nodes<I>(&self, nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Arc<Node<N>>>,
    {
        Ok(Self::of(node_list::sorted(nodes.into_iter().map(Into::into).collect())?))
    }

    fn moved(&self, next: &Self) -> Result<f64, DiffError> {
        if has_moved_identity(self, next) {
            return Ok(moved_between(self, next));
        }
        Ok(moved(&weights(self, next)))
    }
}

/// The best node of one weight, with bounds of what it drew: `1 - u <= -ln(u) <= (1 - u) / u`. The
/// bounds nearly always tell which of two is before the other, and spare the logarithms.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    score: u64,
    weight: f64,
    owner: u32,
    /// The draw is at least this.
    least: f64,
    /// And at most this.
    most: f64,
}

impl Candidate {
    fn new(score: u64, weight: f64, owner: u32) -> Self {
        // Wider than the logarithm is inexact.
        const RELATIVE: f64 = 1e-9;
        const ABSOLUTE: f64 = 1e-15;
        let distance = !score as f64 / 2_f64.powi(64);
        let least = (distance * (1.0 - RELATIVE) - ABSOLUTE) / weight;
        let most = (distance / (1.0 - distance) * (1.0 + RELATIVE) + ABSOLUTE) / weight;
        Self { score, weight, owner, least, most }
    }

    fn draw(&self) -> Draw {
        (neg_ln(self.score) / self.weight, !self.score, self.owner)
    }

    fn is_before(&self, other: &Self) -> bool {
        if self.most < other.least {
            return true;
        }
        self.least <= other.most && self.draw() < other.draw()
    }
}

/// The highest score of these seeds and where the first that has it stands; 0 and 0 of none.
///
/// Four runs of it side by side: a comparison needs the result of the one before in its run, and
/// nothing of the others.
#[inline]
fn highest(scores: Scores, seeds: &[u64]) -> (u64, usize) {
    let mut best = [(0_u64, 0_usize); 4];
    let quads = seeds.chunks_exact(4);
    let rest = quads.remainder();
    for (quad, seeds) in quads.enumerate() {
        for (lane, best) in best.iter_mut().enumerate() {
            *best = higher(*best, (scores.of_seed(seeds[lane]), 4 * quad + lane));
        }
    }
    let first_of_rest = seeds.len() - rest.len();
    for (lane, seed) in rest.iter().enumerate() {
        best[lane] = higher(best[lane], (scores.of_seed(*seed), first_of_rest + lane));
    }
    let [a, b, c, d] = best;
    // Of equal scores in different runs the first in the order of seeds.
    [b, c, d].into_iter().fold(a, |one, other| {
        if (other.0, Reverse(other.1)) > (one.0, Reverse(one.1)) { other } else { one }
    })
}

/// The higher of two scores with its place, the one before of equal ones. Both are selected and not
/// branched to: nobody can predict which node has the highest score so far.
#[inline]
fn higher(best: (u64, usize), next: (u64, usize)) -> (u64, usize) {
    let at = if next.0 > best.0 { next.1 } else { best.1 };
    (best.0.max(next.0), at)
}

/// The weights before and after of every node of either placement; a node under another identity
/// is another node.
fn weights<N>(old: &Rendezvous<N>, new: &Rendezvous<N>) -> Vec<(f64, f64)> {
    let mut weights = Vec::with_capacity(old.nodes.len() + 1);
    let mut after = new.nodes.iter().peekable();
    let weight = |node: &Node<N>| f64::from(node.weight());
    for node in &old.nodes {
        while let Some(added) = after.next_if(|next| next.id() < node.id()) {
            weights.push((0.0, weight(added)));
        }
        match after.next_if(|next| next.id() == node.id()) {
            None => weights.push((weight(node), 0.0)),
            Some(same) if same.identity() == node.identity() => {
                weights.push((weight(node), weight(same)));
            }
            Some(other) => weights.extend([(weight(node), 0.0), (0.0, weight(other))]),
        }
    }
    weights.extend(after.map(|added| (0.0, weight(added))));
    weights
}

/// Whether a node has the identity that another one had: both draw the same for each key.
fn has_moved_identity<N>(old: &Rendezvous<N>, new: &Rendezvous<N>) -> bool {
    let mut before: Vec<&Node<N>> = old.nodes.iter().map(|node| &**node).collect();
    before.sort_unstable_by(|one, other| one.identity().cmp(other.identity()));
    new.nodes.iter().any(|node| {
        let at = before.binary_search_by(|old| old.identity().cmp(node.identity()));
        at.is_ok_and(|at| before[at].id() != node.id())
    })
}

/// The part of the keys that moves between these weights.
///
/// Let the owner before have drawn `s` and the one after `t = r s`. Every other node drew, before
/// it was divided by its weight, at least `s max(w, r w')`. A node can be the old owner of a key
/// that moves only if its draw grows by more than `r`, so `r < w / w'`, and the new one only if
/// `r > w / w'`. Integrated over `s`, the density of such a pair is `w w' / (a + b r)^2`, with `a`
/// the sum of `w` over the nodes of the first kind and `b` that of `w'` over those of the second.
fn moved(weights: &[(f64, f64)]) -> f64 {
    let mut ratios: Vec<_> = weights.iter().map(|(old, new)| (old / new, *old, *new)).collect();
    ratios.retain(|(ratio, ..)| !ratio.is_nan());
    ratios.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut a: f64 = weights.iter().map(|(old, _)| old).sum();
    let (mut b, mut moved) = (0.0, 0.0);
    for (at, (ratio, old, new)) in ratios.iter().enumerate() {
        if ratio.is_infinite() {
            break;
        }
        a -= old;
        b += new;
        let next = ratios.get(at + 1).map_or(f64::INFINITY, |next| next.0);
        if next > *ratio && a > 0.0 {
            moved += a / (a + b * ratio) - a / (a + b * next);
        }
    }
    let nobody_before = weights.iter().all(|(old, _)| *old == 0.0);
    let nobody_after = weights.iter().all(|(_, new)| *new == 0.0);
    if nobody_before != nobody_after { 1.0 } else { moved }
}

/// Nodes that one pass over all of them finds after the first.
const BATCH: usize = 8;

/// The best few of a pass, ascending.
#[derive(Clone, Debug)]
struct Batch {
    draws: [Draw; BATCH],
    len: usize,
    max: usize,
}

impl Batch {
    /// Room for `max` draws.
    fn new(max: usize) -> Self {
        Self { draws: [(f64::INFINITY, u64::MAX, u32::MAX); BATCH], len: 0, max }
    }

    /// The draw that a further one has to beat.
    fn worst(&self) -> f64 {
        if self.len < self.max { f64::INFINITY } else { self.draws[self.len - 1].0 }
    }

    fn insert(&mut self, draw: Draw) {
        let at = self.draws[..self.len].partition_point(|known| *known < draw);
        if at < self.max {
            self.len = (self.len + 1).min(self.max);
            self.draws[at..self.len].rotate_right(1);
            self.draws[at] = draw;
        }
    }
}

/// The nodes for a key, by what they drew; made by [`Rendezvous`].
///
/// The first costs a lookup, and each eight of the others one more.
#[must_use = "a walk does nothing until it is iterated"]
pub struct RendezvousWalk<'p, N> {
    placement: &'p Rendezvous<N>,
    scores: Scores,
    batch: Batch,
    /// How many of the batch were given.
    given: usize,
    last: Option<Draw>,
    remaining: usize,
}

impl<N> RendezvousWalk<'_, N> {
    /// Fills the batch with the best after the last.
    fn refill(&mut self) {
        // The owner alone is what most callers want.
        self.batch = Batch::new(if self.last.is_none() { 1 } else { BATCH });
        self.given = 0;
        for (weight, range) in self.placement.ranges() {
            let mut lowest_score = 0;
            for position in range {
                let score = self.scores.of_seed(self.placement.seeds[position]);
                if score < lowest_score {
                    continue;
                }
                let owner = self.placement.owners[position];
                let draw = (neg_ln(score) / weight, !score, owner);
                if self.last.is_none_or(|last| draw > last) {
                    self.batch.insert(draw);
                    lowest_score = score_for(self.batch.worst() * weight);
                }
            }
        }
    }
}

/// A score that is certainly too low for a draw below this, times its weight. It only spares
/// logarithms, so it may be a little lower than needed on some platform.
fn score_for(draw: f64) -> u64 {
    ((-draw).exp() * (1.0 - 1e-9) * 2_f64.powi(64)) as u64
}

impl<'p, N> Iterator for RendezvousWalk<'p, N> {
    type Item = &'p Arc<Node<N>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == 0 {
            return None;
        }
        if self.given == self.batch.len {
            self.refill();
        }
        let draw = *self.batch.draws.get(self.given)?;
        self.given += 1;
        self.remaining -= 1;
        self.last = Some(draw);
        self.placement.nodes.get(draw.2 as usize)
    }
}

impl<N> FusedIterator for RendezvousWalk<'_, N> {}

impl<N> Clone for RendezvousWalk<'_, N> {
    fn clone(&self) -> Self {
        Self { batch: self.batch.clone(), ..*self }
    }
}

impl<N> fmt::Debug for RendezvousWalk<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RendezvousWalk").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

impl<N: PartialEq> PartialEq for Rendezvous<N> {
    fn eq(&self, other: &Self) -> bool {
        self.nodes == other.nodes
    }
}

impl<N: fmt::Debug> fmt::Debug for Rendezvous<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendezvous").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}
