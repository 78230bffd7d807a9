//! Backends by a placement that is not a ring.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use clap::ValueEnum;
use hashring::limits::MAGLEV_TABLE_SIZE;
use hashring::{
    BuildError, Jump, LocalRendezvous, Maglev, Node, Placement, Rendezvous, Scheme, Shares,
    SpreadMinimizing,
};
use serde::Serialize;

use super::backends::BackendRing;
use super::limits::SPREAD_POINTS;
use crate::output::{columns, printable};
use crate::percent::percent;

type Zone = Option<String>;

/// The placements by the names that they have in the ring library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum PlacementName {
    /// A backend owns the keys before its points on a circle
    #[default]
    Ring,
    /// The best of the points near a key on such a circle: evener with the same points
    LocalRendezvous,
    /// The best of all backends: exactly by weight, in time that grows with their number
    Rendezvous,
    /// A table that all backends fill in turns: one read, and some keys move needlessly
    Maglev,
    /// Numbered backends, computed without a table
    Jump,
    /// Numbered backends whose points are chosen for even shares
    SpreadMinimizing,
}

impl PlacementName {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::LocalRendezvous => "local-rendezvous",
            Self::Rendezvous => "rendezvous",
            Self::Maglev => "maglev",
            Self::Jump => "jump",
            Self::SpreadMinimizing => "spread-minimizing",
        }
    }
}

/// Backends by any placement but the ring by itself.
pub(super) enum Placed {
    LocalRendezvous(LocalRendezvous<Zone, Arc<dyn Scheme>>),
    Rendezvous(Rendezvous<Zone>),
    Maglev(Maglev<Zone>),
    Jump(Jump<Zone>),
    SpreadMinimizing(SpreadMinimizing<Zone>),
}

/// Evaluates an expression on the placement, whichever it is.
macro_rules! on_placement {
    ($placed:expr, $placement:ident => $value:expr) => {
        match $placed {
            Placed::LocalRendezvous($placement) => $value,
            Placed::Rendezvous($placement) => $value,
            Placed::Maglev($placement) => $value,
            Placed::Jump($placement) => $value,
            Placed::SpreadMinimizing($placement) => $value,
        }
    };
}

impl Placed {
    /// Backends by this placement, `None` by the ring itself. Where backends need numbers, they
    /// have the lowest in the order of their ids.
    pub(super) fn new(
        name: PlacementName,
        ring: BackendRing,
        numbers: &Numbers,
    ) -> Result<Option<Self>, BuildError> {
        let nodes = || ring.nodes().iter().map(|node| Node::clone(node));
        let numbered = || nodes().map(|node| numbers.give(node));
        Ok(Some(match name {
            PlacementName::Ring => return Ok(None),
            PlacementName::Rendezvous => Self::Rendezvous(Rendezvous::new(nodes())?),
            PlacementName::Maglev => {
                Self::Maglev(Maglev::with_table_size(MAGLEV_TABLE_SIZE, nodes())?)
            }
            PlacementName::Jump => Self::Jump(Jump::new(numbered())?),
            PlacementName::SpreadMinimizing => {
                Self::SpreadMinimizing(SpreadMinimizing::new(SPREAD_POINTS, numbered())?)
            }
            PlacementName::LocalRendezvous => Self::LocalRendezvous(LocalRendezvous::new(ring)),
        }))
    }

    pub(super) fn name(&self) -> &'static str {
        on_placement!(self, placement => placement.name())
    }

    pub(super) fn checksum(&self) -> u64 {
        on_placement!(self, placement => placement.checksum())
    }

    pub(super) fn shares(&self) -> Shares<'_, Zone> {
        on_placement!(self, placement => placement.shares())
    }

    /// The part of the keys that moves; both must be one placement.
    pub(super) fn moved(&self, next: &Self) -> f64 {
        let moved = match (self, next) {
            (Self::LocalRendezvous(old), Self::LocalRendezvous(new)) => old.moved(new),
            (Self::Rendezvous(old), Self::Rendezvous(new)) => old.moved(new),
            (Self::Maglev(old), Self::Maglev(new)) => old.moved(new),
            (Self::Jump(old), Self::Jump(new)) => old.moved(new),
            (Self::SpreadMinimizing(old), Self::SpreadMinimizing(new)) => old.moved(new),
            _ => Ok(1.0),
        };
        moved.unwrap_or(1.0)
    }

    pub(super) fn owners(&self, token: &str, wanted: usize, spread: bool) -> Vec<String> {
        let token = token.as_bytes();
        on_placement!(self, placement => {
            let mut owners = Vec::new();
            if spread {
                placement.owners_spread(token, wanted, Node::data, &mut owners);
            } else {
                placement.lookup_n(token, wanted, &mut owners);
            }
            owners.into_iter().map(|owner| owner.id().to_owned()).collect()
        })
    }
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
