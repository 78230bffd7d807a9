//! The requests under way: who was asked, until when, and for what.
//!
//! A reply, a refusal or a timeout is one look-up in this table and one match on
//! the purpose of its request (`node/reactions.rs`).

use fxhash::FxHashMap;

use crate::address::Address;
use crate::membership::SlotId;
use crate::time::Instant;

/// Why a request was sent. A probe is named by the slot of its target: no member
/// is probed twice at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The direct ping of a probe.
    Ping(SlotId),
    /// The ping of a probe on the second path.
    SecondPing(SlotId),
    /// A ping-req of a probe.
    PingReq(SlotId),
    /// A ping on behalf of another member.
    Relay,
    /// A page of a peer's member list, to join.
    Join,
    /// A step of a full sync.
    Sync,
    /// A page of a peer's member list, for a reverse full sync.
    ReverseSync,
    /// A page of the list of a host that was joined, some time after the join.
    SecondLook,
    /// A page of the member list of another partition.
    HealList,
    /// A ping that brings changes to another partition.
    HealPing,
    /// A ping that announces that this member leaves.
    Leave,
    /// A ping of a newcomer.
    Newcomer,
    /// A ping of a member that a request claims to be gone.
    Claim,
    /// A ping-req that asks a helper to dial this member.
    DialBack,
}

impl Purpose {
    /// Whether a member may answer that advertises another address than the one
    /// that was asked: an address that discovery lists may be an alias.
    const fn accepts_aliases(self) -> bool {
        matches!(self, Self::Join | Self::HealList)
    }

    /// Whether the request belongs to a probe.
    pub(crate) const fn is_probe(self) -> bool {
        matches!(self, Self::Ping(_) | Self::SecondPing(_) | Self::PingReq(_))
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) to: Address,
    /// `None` once it has passed. A ping stays open after that, while helpers are
    /// asked.
    pub(crate) deadline: Option<Instant>,
    pub(crate) purpose: Purpose,
}

/// The requests under way, by their sequence numbers.
#[derive(Debug, Default)]
pub(crate) struct Requests(FxHashMap<u64, Request>);

impl Requests {
    pub(crate) fn insert(&mut self, seq: u64, request: Request) {
        self.0.insert(seq, request);
    }

    pub(crate) fn remove(&mut self, seq: u64) -> Option<Request> {
        self.0.remove(&seq)
    }

    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut Request> {
        self.0.get_mut(&seq)
    }

    /// Why the request with this number was sent, while it is under way.
    pub(crate) fn purpose(&self, seq: u64) -> Option<Purpose> {
        self.0.get(&seq).map(|request| request.purpose)
    }

    /// The request that a reply answers.
    pub(crate) fn answered_by(&self, from: &Address, seq: u64) -> Option<&Request> {
        let request = self.0.get(&seq)?;
        (request.to == *from || request.purpose.accepts_aliases()).then_some(request)
    }

    /// How many requests have this purpose, for checks: O(requests).
    pub(crate) fn count(&self, purpose: impl Fn(Purpose) -> bool) -> usize {
        self.0.values().filter(|request| purpose(request.purpose)).count()
    }

    /// The deadlines of all requests, in no particular order.
    pub(crate) fn deadlines(&self) -> impl Iterator<Item = (u64, Instant)> {
        self.0.iter().filter_map(|(seq, request)| Some((*seq, request.deadline?)))
    }
}
