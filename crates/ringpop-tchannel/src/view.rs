//! What this member knows of the cluster, as one immutable value.

use std::sync::Arc;

use hashring::{BuildError, Edit, Node as RingNode, Ring, Ringpop, UpdateError};
use swim_core::{Address, Member, MemberList};

/// Members and ring at one moment.
///
/// A new view is published after each batch of changes and before anybody is answered: a caller
/// that was told of a change finds it in the view.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct View {
    /// All known members, sorted by address, whatever their status.
    pub members: MemberList,
    /// The reachable members on their points, laid out as by Ringpop: equal to
    /// the rings of all members with an equal view. Empty before the join.
    pub ring: Arc<Ring<(), Ringpop>>,
    /// The membership checksum in the form of the cluster.
    pub membership_checksum: u32,
    /// The ring checksum that Ringpop members compare.
    pub ring_checksum: u32,
    /// Whether the ring is that of the members.
    joined: bool,
}

impl View {
    pub(crate) fn empty() -> Result<Self, BuildError> {
        let ring = Ring::builder().scheme(Ringpop).build()?;
        let ring_checksum = ring.identity_checksum();
        let (members, ring) = (MemberList::default(), Arc::new(ring));
        Ok(Self { members, ring, membership_checksum: 0, ring_checksum, joined: false })
    }

    /// The view after changes: the members that changed as they are now, `None` for those that are
    /// forgotten. The other members are not looked at, and a ring on which nobody changed is the
    /// former one.
    pub(crate) fn next(
        &self,
        changes: impl IntoIterator<Item = (Address, Option<Member>)>,
        membership_checksum: u32,
        joined: bool,
    ) -> Result<Self, UpdateError> {
        let (mut members, mut edits) = (self.members.clone(), Vec::new());
        for (address, member) in changes {
            let placed = member.as_ref().filter(|member| member.is_reachable());
            edits.extend(self.edit(&address, placed));
            match member {
                Some(member) => members.insert(member),
                None => members.remove(address.as_str()),
            }
        }
        let ring = if joined != self.joined {
            let placed = members.iter().filter(|member| joined && member.is_reachable());
            Arc::new(self.ring.with_nodes(placed.map(node))?)
        } else if joined && !edits.is_empty() {
            Arc::new(self.ring.apply(edits)?)
        } else {
            Arc::clone(&self.ring)
        };
        let ring_checksum = ring.identity_checksum();
        Ok(Self { members, ring, membership_checksum, ring_checksum, joined })
    }

    /// What gives an address its place on the ring, or takes it.
    fn edit(&self, address: &Address, placed: Option<&Member>) -> Option<Edit<()>> {
        match (self.ring.node(address.as_str()), placed) {
            (Some(_), None) => Some(Edit::remove(address.as_str())),
            (None, Some(member)) => Some(Edit::add(node(member))),
            (Some(former), Some(member)) if former.identity() != member.identity() => {
                Some(Edit::replace(node(member)))
            }
            _ => None,
        }
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

    /// A member, as this one sees it.
    #[must_use]
    pub fn member(&self, address: &str) -> Option<&Member> {
        self.members.get(address)
    }
}

fn node(member: &Member) -> RingNode<()> {
    RingNode::new(member.address.as_str()).with_identity(member.identity())
}

#[cfg(test)]
mod tests {
    use swim_core::{IDENTITY_LABEL, Labels, Status};

    use super::*;

    fn member(i: u32, status: Status, identity: &str) -> Member {
        let address = Address::new(&format!("10.0.0.{i}:3000")).unwrap();
        let labels = Labels::new([(IDENTITY_LABEL, identity)]).unwrap();
        Member::new(address, status, 1, labels)
    }

    /// Change by change, the view becomes what it would be at once; and nothing
    /// is copied for changes that do not concern the ring.
    #[test]
    fn a_view_follows_changes_as_if_it_were_made_anew() {
        let mut view = View::empty().unwrap();
        let history = [
            (1, Some(Status::Alive), "a", false),
            (2, Some(Status::Alive), "b", false),
            (3, Some(Status::Faulty), "c", true),
            (2, Some(Status::Suspect), "b", true),
            (2, Some(Status::Suspect), "d", true),
            (3, Some(Status::Alive), "c", true),
            (1, Some(Status::Leave), "a", true),
            (1, None, "a", true),
            (4, Some(Status::Alive), "e", false),
            (4, Some(Status::Alive), "f", true),
        ];
        for (i, status, identity, joined) in history {
            let address = member(i, Status::Alive, identity).address;
            let known = status.map(|status| member(i, status, identity));
            let next = view.next([(address, known)], i, joined).unwrap();
            let all = next.members.iter().map(|m| (m.address.clone(), Some(m.clone())));
            let anew = View::empty().unwrap().next(all, i, joined).unwrap();
            assert_eq!((&next.members, next.ring_checksum), (&anew.members, anew.ring_checksum));
            assert_eq!(next.ring.nodes(), anew.ring.nodes());
            let same = next.ring.nodes() == view.ring.nodes();
            assert_eq!(Arc::ptr_eq(&next.ring, &view.ring), same && joined == view.joined);
            view = next;
        }
        assert_eq!((view.members.len(), view.ring.len()), (3, 3));
    }
}
