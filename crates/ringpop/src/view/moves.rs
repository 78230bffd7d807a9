//! The keys that a change of the ring moves, computed when somebody asks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hashring::{Edit, Movement, Node, Placement as _};
use ringpop_forward::{Owner, Peer};
use swim_core::{Address, Member};

use super::MemberRing;
use crate::limits::MOVES_BYTES_MAX;
use crate::place::place_name;
use crate::weight::weight_of;

/// The keys that a change of the ring moves; see [`RingChange::moves`](super::RingChange::moves).
/// Keeps both rings in memory.
#[derive(Debug, Clone)]
pub struct Moves {
    before: Arc<MemberRing>,
    after: Arc<MemberRing>,
}

/// A member as it stands on the ring.
pub(super) fn place(member: &Member, weight: u32, owner: Owner) -> Node<Owner> {
    Node::new(member.address.as_str())
        .with_identity(place_name(member))
        .with_weight(weight)
        .with_data(owner)
}

/// How a member is reached; `None` for one that cannot be dialled.
pub(super) fn owner(member: &Member, is_local: bool) -> Option<Owner> {
    if is_local {
        return Some(Owner::Local);
    }
    Peer::new(member.address.as_str()).ok().map(|peer| Owner::Remote(Arc::new(peer)))
}

/// A key that has another owner than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved<'c> {
    /// The owner before; `None` when nobody was on the ring.
    pub from: Option<&'c str>,
    /// The owner now; `None` when nobody is on the ring.
    pub to: Option<&'c str>,
}

impl Moves {
    pub(super) fn new(before: &Arc<MemberRing>, after: &Arc<MemberRing>) -> Self {
        Self { before: Arc::clone(before), after: Arc::clone(after) }
    }

    /// The keys that move when a member has another weight, 0 to take it off the ring, and nothing
    /// else changes but that its successor, when it has one, takes its place. `None` when that is
    /// no change.
    pub(crate) fn planned(
        before: &Arc<MemberRing>,
        member: &Member,
        weight: u32,
        successor: Option<&Member>,
        local: &Address,
    ) -> Option<Self> {
        let add = |member: &Member, weight| {
            Some(Edit::add(place(member, weight, owner(member, member.address == *local)?)))
        };
        let node = before.node(member.address.as_str());
        let edit = match (node, weight) {
            (None, 0) => return None,
            (Some(node), weight) if node.weight() == weight => return None,
            (Some(node), 0) => Edit::remove(node.shared_id().clone()),
            (Some(node), weight) => Edit::replace(place(member, weight, node.data().clone())),
            (None, weight) => add(member, weight)?,
        };
        let successor = successor.filter(|_| weight == 0);
        let successor = successor.and_then(|member| add(member, weight_of(&member.labels, false)));
        let edits = std::iter::once(edit).chain(successor).collect();
        let after = before.next(before.placement(), edits).ok()?;
        Some(Self::new(before, &Arc::new(after)))
    }

    /// The owners of a key before and now, when they differ. Costs a lookup on either ring.
    #[must_use]
    pub fn of(&self, key: &[u8]) -> Option<Moved<'_>> {
        let owner = |ring| MemberRing::lookup(ring, key).map(|node| node.id());
        let moved = Moved { from: owner(&self.before), to: owner(&self.after) };
        (moved.from != moved.to).then_some(moved)
    }

    /// The part of all keys that moves, from 0 to 1: exact from rendezvous to rendezvous, unless a
    /// member takes the place of another one, and from ring to ring of one kind, and counted on
    /// 2^17 places otherwise.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.before.moved(&self.after).unwrap_or(1.0)
    }

    /// The ranges of places that move, each with both owners, clockwise. `None` unless both are
    /// classic rings, or both are rings of Ringpop. Reads all points of both.
    #[must_use]
    pub fn ranges(&self) -> Option<Movement<'_, Owner>> {
        if let (Some(before), Some(after)) = (self.before.as_ringpop(), self.after.as_ringpop()) {
            return hashring::diff(before, after).ok();
        }
        hashring::diff(self.before.as_ring()?, self.after.as_ring()?).ok()
    }
}

/// The moves of one change, shared by all clones of its event.
#[derive(Debug)]
pub(super) struct Kept(Mutex<Option<Moves>>);

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Option<Moves>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self) -> Option<Moves> {
        self.lock().clone()
    }
}

/// The changes whose events wait for their listeners. They keep rings in memory that nobody else
/// uses any more, each the one before it; beyond a bound the oldest changes lose theirs.
#[derive(Debug)]
pub(super) struct Waiting {
    changes: VecDeque<(Weak<Kept>, usize)>,
    pub(super) bytes_max: usize,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { changes: VecDeque::new(), bytes_max: MOVES_BYTES_MAX }
    }
}

impl Waiting {
    /// Keeps the moves of the latest change.
    pub(super) fn keep(&mut self, moves: Moves) -> Arc<Kept> {
        let bytes = moves.before.size_bytes();
        let kept = Arc::new(Kept(Mutex::new(Some(moves))));
        self.changes.retain(|(change, _)| change.strong_count() > 0);
        self.changes.push_back((Arc::downgrade(&kept), bytes));
        let mut held: usize = self.changes.iter().map(|(_, bytes)| bytes).sum();
        while held > self.bytes_max && self.changes.len() > 1 {
            let Some((oldest, bytes)) = self.changes.pop_front() else { break };
            held -= bytes;
            if let Some(oldest) = oldest.upgrade() {
                oldest.lock().take();
            }
        }
        kept
    }
}
