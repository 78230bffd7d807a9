//! The outputs of the machine.

use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::member::Member;
use crate::message::{Message, Refusal};

/// One effect of an input, in the order in which the effects happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a message.
    Transmit(Transmit),
    /// Something happened.
    Event(Event),
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The receiver.
    pub to: Address,
    /// The message.
    pub message: Message,
    /// The path to send it on.
    pub path: Path,
}

/// The path of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Path {
    /// The usual one.
    #[default]
    First,
    /// One that does not share the faults of the first, such as TCP beside
    /// UDP. Used only when the configuration says that the driver has one.
    Second,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A member changed, as this member sees it.
    MemberChanged {
        /// The member before; `None` when it is new.
        before: Option<Member>,
        /// The member now; `None` when it was removed.
        after: Option<Member>,
        /// The member that made the change; `None` when unknown.
        source: Option<Address>,
        /// The cause, with the member that passed the change on.
        cause: Cause,
    },
    /// This member refuted a wrong change about itself with a higher
    /// incarnation.
    Refuted {
        /// This member as the refuted change described it.
        member: Member,
        /// The member that sent the change, if one did.
        from: Option<Address>,
        /// The incarnation of the refutation.
        incarnation: u64,
    },
    /// A round over all peers brought no join, another follows. The driver may
    /// resolve its peers again and call [`Node::join`](crate::Node::join) with
    /// the result.
    JoinRetrying {
        /// How many rounds are over.
        rounds: u32,
        /// Time until the next one.
        delay: Duration,
        /// The last failure.
        failure: JoinFailure,
        /// The last failure of each peer that was asked in this round, in the
        /// order in which they came; at most
        /// [`JOIN_FAILURES_MAX`](crate::limits::JOIN_FAILURES_MAX).
        failures: Vec<JoinFailure>,
    },
    /// The join is complete: the member probes and is ready.
    JoinComplete {
        /// The members that answered, by the addresses that they advertise.
        joined: Vec<Address>,
        /// How long it took.
        duration: Duration,
        /// Members known after the join, this one included.
        members: usize,
    },
    /// The join failed; it may be tried again.
    JoinFailed {
        /// How long it was tried.
        duration: Duration,
        /// The last failure.
        failure: JoinFailure,
        /// As in [`JoinRetrying`](Self::JoinRetrying), of the last round that
        /// brought any.
        failures: Vec<JoinFailure>,
    },
    /// A probe of a member got no answer, neither directly nor by helpers.
    ProbeFailed {
        /// The member that was probed.
        target: Address,
        /// Helpers that were asked.
        helpers: usize,
        /// Whether the member is suspected for it: `false` when no helper
        /// answered, which tells nothing about the target.
        conclusive: bool,
    },
    /// A full sync with a member ended.
    SyncEnded {
        /// The other member.
        peer: Address,
        /// Changes that took effect on this side.
        applied: usize,
        /// Whether it ran to its end.
        complete: bool,
    },
    /// A message was refused and changed nothing.
    Rejected {
        /// The sender, as the message gives it.
        from: Address,
        /// Why.
        reason: Rejection,
    },
    /// It is time to look for other partitions: the driver asks discovery for
    /// its hosts and calls [`Node::discovered`](crate::Node::discovered).
    HealWanted,
    /// A healing that was asked for by [`Node::heal`](crate::Node::heal) ended.
    HealEnded {
        /// Members whose lists were compared with this member's.
        contacted: Vec<Address>,
        /// Members that did not answer.
        failures: usize,
    },
    /// Others could not reach this member and took it for faulty, and none has
    /// reached it since: its address leads elsewhere, or a firewall is in between.
    /// It is off the ring, also in its own view, and asks to be dialled until
    /// a member reaches it.
    Unreachable {
        /// The address that this member advertises.
        address: Address,
    },
    /// A member reached this one after [`Unreachable`](Self::Unreachable), and it
    /// has refuted that it is faulty.
    ReachableAgain {
        /// The address that this member advertises.
        address: Address,
        /// Time since it was unreachable.
        duration: Duration,
    },
    /// A member is damped: it fails and comes back too often, and does not
    /// belong on the ring for a while. It stays a member.
    Damped {
        /// The member.
        address: Address,
        /// The members that vote for damping it.
        voters: Vec<Address>,
    },
    /// A member is not damped any more.
    Undamped {
        /// The member.
        address: Address,
        /// The reason.
        why: DampingEnd,
    },
    /// Ring membership changed since the last `ViewChanged`; at first this member
    /// is alone on the ring. Comes only with
    /// [`coalescing`](crate::Config::coalescing), once for a burst of changes,
    /// and at once when this member has joined or leaves. All lists are sorted.
    ViewChanged {
        /// Members that came onto the ring.
        joined: Vec<Address>,
        /// Members that went off it: unreachable, damped or removed.
        left: Vec<Address>,
        /// Members on the ring whose labels changed.
        updated: Vec<Address>,
        /// Number of changes that this event stands for.
        changes: usize,
        /// Membership checksum now.
        checksum: u64,
    },
    /// This member lost contact to most of the others or to all of them, or has
    /// it again. An operator should look: the members on the other side of a
    /// partition may own the same keys.
    IsolationChanged {
        /// The isolation before.
        before: Isolation,
        /// The isolation now.
        isolation: Isolation,
        /// Members other than this one that it still takes for reachable.
        others: usize,
        /// Members that it lost within the last two minutes.
        lost: usize,
    },
    /// Full syncs with a peer change nothing, and still the two views differ. One
    /// side does not keep the changes of the other: they differ in version, dialect
    /// or settings. Emitted at the tenth such sync in a row, and then each time that
    /// number has doubled.
    SyncEndless {
        /// The peer.
        peer: Address,
        /// Full syncs in a row that changed nothing.
        syncs: u32,
    },
    /// All members to which the leave or the eviction was announced have answered,
    /// or their time to answer is over.
    LeaveComplete {
        /// Members that answered.
        acknowledged: usize,
        /// Members to which it was announced.
        told: usize,
    },
}

/// Whether a member is cut off from its cluster, as far as it can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isolation {
    /// It is in touch with most of the members that it knew of.
    #[default]
    None,
    /// It lost more members in a short time than are left. Either they failed
    /// together, or this member is on the smaller side of a partition.
    Partial,
    /// It is in touch with no other member: it is the whole cluster, or is cut off.
    Alone,
}

impl Isolation {
    /// The lower-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Partial => "partial",
            Self::Alone => "alone",
        }
    }
}

impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a member changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The driver asked for it.
    Command,
    /// A piggybacked change.
    Gossip {
        /// Its sender.
        from: Address,
    },
    /// The member list of a peer at join.
    Join {
        /// The peer.
        from: Address,
    },
    /// A full sync.
    Sync {
        /// The other member.
        from: Address,
    },
    /// The member list of another partition.
    Heal {
        /// The member of that partition.
        from: Address,
    },
    /// A failed probe of this member's own.
    Probe,
    /// The status held for its longest time.
    Timeout,
    /// Contact of this member with the others: it takes itself for faulty while no
    /// other reaches it.
    Contact,
}

/// Why a member is not damped any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DampingEnd {
    /// Too few members vote for it: their votes have ended, or they are gone.
    VotesEnded,
    /// More members have votes than may be damped, and others go first.
    TooMany,
    /// The member was removed.
    Removed,
    /// Damping was switched off.
    Off,
}

/// Why a peer could not be joined.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinFailure {
    /// The peer did not answer in time.
    Timeout {
        /// The peer.
        peer: Address,
    },
    /// The transport could not deliver the request.
    Unreachable {
        /// The peer.
        peer: Address,
        /// The error of the transport, if it gave one.
        cause: Option<Arc<str>>,
    },
    /// The peer refused.
    Refused {
        /// The peer.
        peer: Address,
        /// Why.
        reason: Refusal,
    },
    /// At the peer's address is another process that advertises this member's
    /// own. Two processes cannot share one.
    SameAddress {
        /// The peer, as it was listed.
        peer: Address,
        /// The address of this member.
        local: Address,
    },
    /// The peer belongs to another application.
    OtherApp {
        /// The peer.
        peer: Address,
        /// The name of its application.
        theirs: Arc<str>,
    },
    /// The peer's clock is more than 139 years ahead of this member's. Its answers
    /// are refused for that.
    ClockAhead {
        /// The peer.
        peer: Address,
    },
    /// The peer answered with pages that do not end.
    Endless {
        /// The peer.
        peer: Address,
    },
}

impl JoinFailure {
    /// The peer that could not be joined.
    #[must_use]
    pub const fn peer(&self) -> &Address {
        match self {
            Self::Timeout { peer }
            | Self::Unreachable { peer, .. }
            | Self::Refused { peer, .. }
            | Self::SameAddress { peer, .. }
            | Self::OtherApp { peer, .. }
            | Self::ClockAhead { peer }
            | Self::Endless { peer } => peer,
        }
    }
}

impl std::fmt::Display for JoinFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout { peer } => write!(f, "{peer} did not answer in time"),
            Self::Unreachable { peer, cause: None } => write!(f, "{peer} could not be reached"),
            Self::Unreachable { peer, cause: Some(cause) } => {
                write!(f, "{peer} could not be reached: {cause}")
            }
            Self::Refused { peer, reason } => write!(f, "{peer} refused: {}", reason.as_str()),
            Self::SameAddress { peer, local } => {
                write!(
                    f,
                    "another process at {peer} advertises {local}, the address of this member"
                )
            }
            Self::OtherApp { peer, theirs } => {
                write!(f, "{peer} belongs to application `{theirs}`")
            }
            Self::ClockAhead { peer } => write!(
                f,
                "the clock of {peer} is more than 139 years ahead of this member's; one of them is wrong"
            ),
            Self::Endless { peer } => write!(
                f,
                "{peer} sent a member list without an end, or one longer than `members_max`"
            ),
        }
    }
}

/// Why a message was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The sender belongs to another application.
    AppMismatch {
        /// The name it gave.
        theirs: Arc<str>,
    },
    /// The sender claims this member's own address.
    SelfAddress,
    /// This member has not joined yet.
    NotReady,
    /// No request with this number is open with the sender, or was lately.
    UnexpectedReply,
    /// A field is out of bounds.
    Invalid {
        /// The field that is wrong.
        what: &'static str,
    },
    /// An incarnation is too far ahead of this member's wall clock: the clock of
    /// the member that it belongs to is wrong, or this member's is.
    ClockAhead {
        /// By how many milliseconds, of which
        /// [`limits::INCARNATION_AHEAD_MAX`] are allowed.
        ///
        /// [`limits::INCARNATION_AHEAD_MAX`]: crate::limits::INCARNATION_AHEAD_MAX
        ahead_ms: u64,
    },
    /// This member serves as many requests of the kind as it allows.
    Busy,
    /// A change about a new member was dropped because the list is full.
    MembersFull,
    /// The labels of a change were dropped because they exceed the limits of the
    /// protocol ([`limits`](crate::limits)); its status counted.
    LabelsDropped,
}
