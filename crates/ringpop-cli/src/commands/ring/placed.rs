//! Backends by a placement that is not a ring.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hashring::limits::MAGLEV_TABLE_SIZE;
use hashring::{
    BuildError, Jump, LocalRendezvous, Maglev, Node, Placement, Rendezvous, Shares,
    SpreadMinimizing,
};
use serde::Serialize;

use super::backends::BackendRing;
use super::limits::SPREAD_POINTS;
use crate::args::PlacementName;
use crate::output::{columns, printable};
use crate::percent::percent;

type Zone = Option<String>;

/// Backends by a placement, whichever it is: what the words of `ring` ask of it.
pub(super) trait Placed {
    fn name(&self) -> &'static str;

    fn checksum(&self) -> u64;

    fn shares(&self) -> Shares<'_, Zone>;

    /// The part of the keys that moves; both must be one placement.
    fn moved(&self, next: &dyn Placed) -> f64;

    fn owners(&self, token: &str, wanted: usize, spread: bool) -> Vec<String>;

    fn as_any(&self) -> &dyn Any;
}

impl<P: Placement<Data = Zone> + 'static> Placed for P {
    fn name(&self) -> &'static str {
        Placement::name(self)
    }

    fn checksum(&self) -> u64 {
        Placement::checksum(self)
    }

    fn shares(&self) -> Shares<'_, Zone> {
        Placement::shares(self)
    }

    fn moved(&self, next: &dyn Placed) -> f64 {
        let next = next.as_any().downcast_ref();
        next.and_then(|next| Placement::moved(self, next).ok()).unwrap_or(1.0)
    }

    fn owners(&self, token: &str, wanted: usize, spread: bool) -> Vec<String> {
        let token = token.as_bytes();
        let mut owners = Vec::new();
        if spread {
            self.owners_spread(token, wanted, Node::data, &mut owners);
        } else {
            self.lookup_n(token, wanted, &mut owners);
        }
        owners.into_iter().map(|owner| owner.id().to_owned()).collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Backends by this placement, `None` by the ring itself. Where backends need numbers, they have
/// the lowest in the order of their ids.
pub(super) fn place(
    name: PlacementName,
    ring: BackendRing,
    numbers: &Numbers,
) -> Result<Option<Box<dyn Placed>>, BuildError> {
    let nodes = || ring.nodes().iter().map(|node| Node::clone(node));
    let numbered = || nodes().map(|node| numbers.give(node));
    Ok(Some(match name {
        PlacementName::Ring => return Ok(None),
        PlacementName::Rendezvous => Box::new(Rendezvous::new(nodes())?),
        PlacementName::Maglev => Box::new(Maglev::with_table_size(MAGLEV_TABLE_SIZE, nodes())?),
        PlacementName::Jump => Box::new(Jump::new(numbered())?),
        PlacementName::SpreadMinimizing => {
            Box::new(SpreadMinimizing::new(SPREAD_POINTS, numbered())?)
        }
        PlacementName::LocalRendezvous => Box::new(LocalRendezvous::new(ring)),
    }))
}

/// The numbers of backends, as many for each as its weight.
#[derive(Debug, Default)]
pub(super) struct Numbers(BTreeMap<String, Vec<u32>>);

impl Numbers {
    /// Numbers for the nodes of a ring: those that they have `before` as far as they need them, and
    /// the lowest free ones.
    pub(super) fn new(ring: &BackendRing, before: &Self) -> Self {
        let mut numbers = BTreeMap::new();
        for node in ring.nodes() {
            let mut kept = before.0.get(node.id()).cloned().unwrap_or_default();
            kept.truncate(node.weight() as usize);
            numbers.insert(node.id().to_owned(), kept);
        }
        let taken: BTreeSet<_> = numbers.values().flatten().copied().collect();
        let mut free = (0_u32..).filter(|number| !taken.contains(number));
        for node in ring.nodes() {
            if let Some(own) = numbers.get_mut(node.id()) {
                own.extend(free.by_ref().take((node.weight() as usize) - own.len()));
            }
        }
        Self(numbers)
    }

    fn give(&self, node: Node<Zone>) -> Node<Zone> {
        let own = self.0.get(node.id()).cloned().unwrap_or_default();
        node.with_ordinals(own)
    }
}

/// What moves where nobody owns ranges: so much in all, and what each backend has before and after.
#[derive(Debug, Serialize)]
pub(crate) struct Moved {
    placement: &'static str,
    /// The part of the keys that moves.
    share: f64,
    /// What would have to move for these shares.
    needed: f64,
    backends: Vec<Change>,
}

#[derive(Debug, Serialize)]
struct Change {
    id: String,
    before: f64,
    after: f64,
}

impl Moved {
    /// From what each owns before and after, by one placement; `share` of the keys moves.
    pub(crate) fn new<N>(
        placement: &'static str,
        before: &Shares<'_, N>,
        after: &Shares<'_, N>,
        share: f64,
    ) -> Self {
        let mut changes: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for share in before {
            changes.entry(share.node.id().to_owned()).or_default().0 = share.fraction;
        }
        for share in after {
            changes.entry(share.node.id().to_owned()).or_default().1 = share.fraction;
        }
        let change = |(id, (before, after))| Change { id, before, after };
        Self {
            placement,
            share,
            needed: changes.values().map(|(before, after)| (after - before).max(0.0)).sum(),
            backends: changes.into_iter().map(change).collect(),
        }
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} of the keys move by placement {}, and {} have to\n",
            percent(self.share).trim_start(),
            self.placement,
            percent(self.needed).trim_start()
        )?;
        let mut rows = vec![["BACKEND", "  BEFORE", "   AFTER"].map(str::to_owned)];
        rows.extend(
            self.backends.iter().map(|change| {
                [printable(&change.id), percent(change.before), percent(change.after)]
            }),
        );
        f.write_str(columns(&rows).trim_end())
    }
}
