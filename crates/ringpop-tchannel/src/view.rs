//! What this member knows of the cluster, as one immutable value.

use std::sync::Arc;

use hashring::{BuildError, Node as RingNode, Ring, Ringpop};
use swim_core::Member;

/// Members and ring at one moment.
///
/// A new view is published after each batch of changes and before anybody is
/// answered, so that who was told of a change finds it in the view.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct View {
    /// All known members, sorted by address, whatever their status.
    pub members: Arc<[Member]>,
    /// The reachable members on their points, laid out as by Ringpop: equal to
    /// the rings of all members with an equal view. Empty before the join.
    pub ring: Ring<(), Ringpop>,
    /// The membership checksum in the form of the cluster.
    pub membership_checksum: u32,
    /// The ring checksum that Ringpop members compare.
    pub ring_checksum: u32,
}

impl View {
    pub(crate) fn empty() -> Result<Self, BuildError> {
        let ring = Ring::builder().scheme(Ringpop).build()?;
        let ring_checksum = ring.identity_checksum();
        Ok(Self { members: Arc::new([]), ring, membership_checksum: 0, ring_checksum })
    }

    /// The view after changes. It costs what differs on the ring, and a copy of
    /// the list.
    pub(crate) fn next(
        &self,
        mut members: Vec<Member>,
        membership_checksum: u32,
        joined: bool,
    ) -> Result<Self, BuildError> {
        members.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        let placed = members.iter().filter(|member| joined && member.is_reachable());
        let nodes = placed
            .map(|member| RingNode::new(member.address.as_str()).with_identity(member.identity()));
        let ring = self.ring.with_nodes(nodes)?;
        let ring_checksum = ring.identity_checksum();
        Ok(Self { members: members.into(), ring, membership_checksum, ring_checksum })
    }

    /// The address of the member that owns a key; `None` when nobody is on the
    /// ring.
    #[must_use]
    pub fn lookup(&self, key: &[u8]) -> Option<&str> {
        self.ring.lookup(key).map(|node| node.id())
    }

    /// The first `n` distinct owners of a key, best first; fewer when there are
    /// fewer.
    #[must_use]
    pub fn lookup_n(&self, key: &[u8], n: usize) -> Vec<&str> {
        self.ring.walk(key).take(n).map(|node| node.id()).collect()
    }

    /// What is known about a member.
    #[must_use]
    pub fn member(&self, address: &str) -> Option<&Member> {
        let place = self.members.binary_search_by(|member| member.address.as_str().cmp(address));
        place.ok().map(|place| &self.members[place])
    }
}
