//! The owners of a key in an order that honours zones.

use std::sync::Arc;

use hashring::{Node, Placement as _};
use ringpop_forward::Owner;

use super::{MemberRing, View};

/// In which order the members behind the owner of a key are asked, by retries, hedges and
/// replicators. The owner stays the first; members without a zone count as one zone.
///
/// All members must have the same order: a member takes a request for a key that it does not own
/// when it is among the first owners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ZoneOrder {
    /// As the ring has them, whatever their zones.
    #[default]
    Ignored,
    /// First one member of each other zone, then the rest: a key outlives the loss of a zone.
    OtherZonesFirst,
    /// First those of the owner's zone, then the rest: traffic stays in the zone.
    OwnersZoneFirst,
}

impl ZoneOrder {
    /// Gives the first `n` owners of a key to `take`.
    pub(super) fn owners<'v>(
        self,
        view: &'v View,
        ring: &'v MemberRing,
        key: &[u8],
        n: usize,
        mut take: impl FnMut(&'v Arc<Node<Owner>>),
    ) {
        match self {
            _ if n <= 1 => ring.walk(key).take(n).for_each(take),
            Self::Ignored => ring.walk(key).take(n).for_each(take),
            Self::OtherZonesFirst => spread(view, ring, key, n).into_iter().for_each(take),
            Self::OwnersZoneFirst => {
                let Some(owner) = ring.lookup(key) else { return };
                let zone = view.zone(owner.id());
                let is_near = |node: &&Arc<Node<Owner>>| view.zone(node.id()) == zone;
                let mut left = n;
                for node in ring.walk(key).filter(is_near).take(n) {
                    left -= 1;
                    take(node);
                }
                if left > 0 {
                    ring.walk(key).filter(|node| !is_near(node)).take(left).for_each(take);
                }
            }
        }
    }
}

/// The first `n` owners of a key whose zones differ while that is possible.
pub(super) fn spread<'v>(
    view: &'v View,
    ring: &'v MemberRing,
    key: &[u8],
    n: usize,
) -> Vec<&'v Arc<Node<Owner>>> {
    let mut owners = Vec::new();
    ring.owners_spread(key, n, |node| view.zone(node.id()), &mut owners);
    owners
}
