//! Subrings: a few members of a ring for each tenant (shuffle sharding).
//!
//! A tenant whose requests bring members down takes few others with it: two tenants seldom have the
//! same members. MacCárthaigh, "Workload isolation using shuffle-sharding" (2019), has the idea;
//! Cortex and Mimir do it with rings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hashring::{Node, Placement as _, Rendezvous, Scheme as _, Xxh3};
use ringpop_forward::Owner as Reached;

use super::{MemberRing, View};
use crate::limits::SUBRINGS_BYTES_MAX;
use crate::owner::Owner;

/// Some members of a ring that serve one tenant; see
/// [`Ringpop::subring`](crate::Ringpop::subring). It does not change: ask for it again to see the
/// members of now.
///
/// Keys are placed on its members by rendezvous, whatever the placement of the ring.
#[derive(Debug, Clone)]
pub struct Subring(Arc<Rendezvous<Reached>>);

impl Subring {
    /// The owner of a key among the members of the tenant; `None` when nobody is on the ring.
    #[must_use]
    pub fn lookup(&self, key: &[u8]) -> Option<Owner> {
        self.0.lookup(key).map(Owner::of)
    }

    /// The first `n` distinct owners of a key, best first.
    #[must_use]
    pub fn lookup_n(&self, key: &[u8], n: usize) -> Vec<Owner> {
        self.0.walk(key).take(n).map(Owner::of).collect()
    }

    /// Whether this member owns a key of the tenant.
    #[must_use]
    pub fn owns(&self, key: &[u8]) -> bool {
        self.lookup(key).is_some_and(|owner| owner.is_local())
    }

    /// The members, sorted by address.
    pub fn members(&self) -> impl Iterator<Item = Owner> + '_ {
        self.0.nodes().iter().map(Owner::of)
    }

    /// Whether the member of this address serves the tenant.
    #[must_use]
    pub fn contains(&self, address: &str) -> bool {
        self.0.node(address).is_some()
    }

    /// Number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.nodes().len()
    }

    /// Whether nobody is on the ring.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.nodes().is_empty()
    }

    /// A fingerprint: members with equal ones agree on the owner of every key of the tenant.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        self.0.checksum()
    }
}

/// The subrings of one ring, which are kept as long as the ring does not change.
#[derive(Debug, Default)]
pub(crate) struct Subrings {
    candidates: OnceLock<Candidates>,
    cache: Mutex<Cache>,
}

impl Subrings {
    /// The subring of a tenant. `ring` is the ring of `view` that these are the subrings of.
    pub(crate) fn get(&self, view: &View, ring: &MemberRing, tenant: &[u8], n: usize) -> Subring {
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(subring) = cache().get(tenant, n) {
            return subring;
        }
        let candidates = self.candidates.get_or_init(|| Candidates::of(view, ring));
        let subring = Subring(Arc::new(candidates.choose(tenant, n)));
        cache().insert(tenant, n, subring.clone());
        subring
    }
}

/// The members of a ring with their zones.
#[derive(Debug)]
pub(super) struct Candidates {
    members: Rendezvous<Candidate>,
    zones: Vec<Box<str>>,
}

#[derive(Debug, Clone)]
struct Candidate {
    node: Arc<Node<Reached>>,
    /// Index of the zone.
    zone: usize,
}

impl Candidates {
    fn of(view: &View, ring: &MemberRing) -> Self {
        // Members without a zone are one zone of their own.
        let zone = |address: &str| view.zone(address).unwrap_or_default();
        Self::new(ring.nodes().iter().map(|node| (Arc::clone(node), zone(node.id()))))
    }

    pub(super) fn new<'z>(members: impl Iterator<Item = (Arc<Node<Reached>>, &'z str)>) -> Self {
        let (mut zones, mut index) = (Vec::new(), HashMap::new());
        let mut candidate = |(node, zone): (Arc<Node<Reached>>, &'z str)| {
            let zone = *index.entry(zone).or_insert_with(|| {
                zones.push(Box::from(zone));
                zones.len() - 1
            });
            Node::new(node.shared_id())
                .with_identity(node.identity())
                .with_weight(node.weight())
                .with_data(Candidate { node, zone })
        };
        let nodes: Vec<_> = members.map(&mut candidate).collect();
        let members = Rendezvous::new(nodes).expect("a ring has each member once");
        Self { members, zones }
    }

    /// The first `n` members by their rank in their zone, and of equal ranks by an order of zones
    /// that is the tenant's own. The rank is by rendezvous of the tenant: it depends on the members
    /// of the zone alone.
    ///
    /// A member more or less therefore changes at most one of the others. Where it is chosen, the
    /// ranks behind it in its zone move by one, and the last of those chosen there gives its place
    /// up or the next one takes it; where its zone is chosen as a whole, it is the last of all
    /// chosen or the next of all.
    pub(super) fn choose(&self, tenant: &[u8], n: usize) -> Rendezvous<Reached> {
        let zones = self.zones.len().max(1);
        let order: Vec<u64> = self
            .zones
            .iter()
            .map(|zone| Xxh3.hash_key(&[tenant, &[0], zone.as_bytes()].concat()))
            .collect();
        let (mut ranks, mut full) = (vec![0_usize; zones], 0);
        let enough = n.div_ceil(zones).max(1);
        let mut chosen = Vec::new();
        for candidate in self.members.walk(tenant) {
            if full == zones {
                // All that follow have a higher rank than the first `n`.
                break;
            }
            let Candidate { node, zone } = candidate.data();
            chosen.push((ranks[*zone], order[*zone], *zone, node));
            ranks[*zone] += 1;
            full += usize::from(ranks[*zone] == enough);
        }
        chosen.sort_unstable_by_key(|(rank, order, zone, _)| (*rank, *order, *zone));
        chosen.truncate(n);
        let nodes = chosen.into_iter().map(|(.., node)| Arc::clone(node));
        let nobody = Rendezvous::new(std::iter::empty::<Node<Reached>>());
        let chosen = nobody.and_then(|nobody| nobody.with_nodes(nodes));
        chosen.expect("a ring has each member once")
    }
}

/// Subrings by tenant, the latest of each. When it is full, those go that were not asked for since
/// it was last half full.
#[derive(Debug, Default)]
struct Cache {
    recent: HashMap<Box<[u8]>, (usize, Subring)>,
    older: HashMap<Box<[u8]>, (usize, Subring)>,
    /// Bytes of the recent ones.
    bytes: usize,
}

impl Cache {
    fn get(&mut self, tenant: &[u8], n: usize) -> Option<Subring> {
        if let Some((size, subring)) = self.recent.get(tenant) {
            return (*size == n).then(|| subring.clone());
        }
        let (size, subring) = self.older.remove(tenant)?;
        self.insert(tenant, size, subring.clone());
        (size == n).then_some(subring)
    }

    fn insert(&mut self, tenant: &[u8], n: usize, subring: Subring) {
        let bytes = ENTRY_BYTES + tenant.len() + subring.0.size_bytes();
        if self.bytes + bytes > SUBRINGS_BYTES_MAX / 2 {
            self.older = std::mem::take(&mut self.recent);
            self.bytes = 0;
        }
        // One that replaces another counts twice until the next turn: that is on the safe side.
        self.bytes += bytes;
        self.recent.insert(tenant.into(), (n, subring));
    }
}

/// Bytes of an entry beside its tenant and its members.
const ENTRY_BYTES: usize = 128;

#[cfg(test)]
mod tests;
