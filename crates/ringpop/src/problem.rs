//! Conditions that a person should end, as long as they last.
//!
//! Each is told three times: by a line in the log at level WARN when it begins, by an
//! [`Event`](crate::Event), and by the status of the member for as long as it lasts.

use std::fmt;
use std::time::Duration;

use swim_core::{Address, Isolation};

use crate::placement::PlacementChoice;

/// Something that a person should look after. Its text says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// This member found nobody to join and is a cluster of its own. It goes
    /// on looking.
    Alone {
        /// What discovery said.
        reason: String,
    },
    /// Nobody reaches this member at its advertised address: the others took it
    /// for faulty, and it owns no keys until one of them does.
    Unreachable {
        /// The address.
        address: Address,
    },
    /// This member hears from nobody, or lost more of the others in a short time
    /// than are left: they failed, or it is cut off from them, and then its keys
    /// have another owner on the other side.
    Isolated {
        /// How far it is.
        isolation: Isolation,
        /// Other members that were reachable as far as it knew when that began.
        others: usize,
        /// Members that it had lost lately then.
        lost: usize,
    },
    /// The members want more points than a ring may have, and heavy ones get
    /// fewer: all members cap the same ones alike.
    RingCapped {
        /// Points that the members want.
        wanted: u64,
        /// The largest weight that counts now.
        weight_max: u32,
        /// Members that got no points at all, which begins when all weights
        /// are one.
        left_out: usize,
    },
    /// Members on the ring ask for other placements than most do. All use the one of the
    /// majority: they agree on owners, but one that leaves or comes may turn the majority.
    PlacementsDiffer {
        /// The placement in use.
        in_use: PlacementChoice,
        /// One of those that ask for another one.
        address: Address,
        /// What that one asks for.
        asks_for: String,
        /// How many there are.
        members: usize,
    },
    /// The health check of this member fails: it is off the ring, unless so many others are for the
    /// same reason that it stays on.
    Unhealthy {
        /// What the last check said.
        reason: String,
    },
    /// This member has no leases: the store does not answer, or ended them.
    LeasesLost {
        /// Why.
        reason: String,
    },
    /// An operator evicted this member from the ring.
    Evicted {
        /// The member that the operator asked.
        by: Address,
        /// When it ends by itself, in milliseconds of the Unix epoch.
        until_unix_ms: u64,
    },
    /// Another member answers and has had another view for longer than a change takes: the
    /// cluster is split, and members do not agree on owners.
    ViewsDiffer {
        /// The address of such a member.
        address: Address,
    },
    /// The ring could not be changed and is that of an earlier time.
    RingStale {
        /// Why.
        reason: String,
    },
    /// The certificate of this member ends soon or has ended.
    CertificateEnds {
        /// How long it is still valid, zero when it is not.
        remaining: Duration,
        /// Where it is, for people.
        path: String,
    },
    /// The server of this member ended although it was not stopped, and the
    /// member stops for it.
    ServerEnded {
        /// What it ended with.
        reason: String,
    },
    /// Methods are routed that no service has.
    RoutesUnserved {
        /// Their paths.
        paths: Vec<String>,
    },
}

/// The kinds of problems; one of each at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProblemKind {
    Alone,
    Unreachable,
    Isolated,
    Ring,
    Placement,
    Health,
    Leases,
    Evicted,
    RingStale,
    Views,
    Certificate,
    Server,
    Routes,
}

impl Problem {
    pub(crate) const fn kind(&self) -> ProblemKind {
        match self {
            Self::Alone { .. } => ProblemKind::Alone,
            Self::Unreachable { .. } => ProblemKind::Unreachable,
            Self::Isolated { .. } => ProblemKind::Isolated,
            Self::RingCapped { .. } => ProblemKind::Ring,
            Self::PlacementsDiffer { .. } => ProblemKind::Placement,
            Self::Unhealthy { .. } => ProblemKind::Health,
            Self::LeasesLost { .. } => ProblemKind::Leases,
            Self::Evicted { .. } => ProblemKind::Evicted,
            Self::RingStale { .. } => ProblemKind::RingStale,
            Self::ViewsDiffer { .. } => ProblemKind::Views,
            Self::CertificateEnds { .. } => ProblemKind::Certificate,
            Self::ServerEnded { .. } => ProblemKind::Server,
            Self::RoutesUnserved { .. } => ProblemKind::Routes,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alone { reason } => write!(
                f,
                "nobody to join: this member is a cluster of its own and goes on looking ({reason}); when others \
                 should be there, check discovery"
            ),
            Self::Unreachable { address } => write!(
                f,
                "nobody reaches this member at {address}: the others took it for faulty, and it owns no keys until \
                 one of them does; check the advertised address, port mappings and firewalls"
            ),
            Self::Isolated { isolation: Isolation::Alone, others, lost } => write!(
                f,
                "this member hears from nobody (as that began, {others} others seemed to live and {lost} were lost \
                 lately): it owns keys for itself that others may own elsewhere; check its network, and whether the \
                 others live"
            ),
            Self::Isolated { others, lost, .. } => write!(
                f,
                "this member lost {lost} members in a short time and had {others} others left: it may be cut off \
                 from most; check its network, and whether the others live"
            ),
            Self::RingCapped { wanted, weight_max, left_out } => {
                write_capped(f, *wanted, *weight_max, *left_out)
            }
            Self::PlacementsDiffer { in_use, address, asks_for, members } => write!(
                f,
                "members ask for different placements: {in_use} is in use, for which most ask, and \
                 {members} ask for another one ({address} for {asks_for}); go on until all ask for \
                 the same, or go back: nearly all keys move when the majority changes"
            ),
            Self::Unhealthy { reason } => write!(
                f,
                "the health check of this member fails ({reason}): it is off the ring while at most half of the \
                 members are; look after what it checks"
            ),
            Self::LeasesLost { reason } => {
                write!(f, "this member has no leases ({reason}); look after the store of leases")
            }
            Self::Evicted { by, until_unix_ms } => write!(
                f,
                "an operator evicted this member from the ring by way of {by}, until {until_unix_ms} ms of the Unix \
                 epoch; undo the eviction when the cause is gone"
            ),
            Self::ViewsDiffer { address } => write!(
                f,
                "the view of {address} differs from that of this member and goes on to: the cluster is split, and \
                 members disagree on owners; look at the checksums of all members, then heal"
            ),
            Self::RingStale { reason } => write!(
                f,
                "the ring cannot follow the members and stays as it was ({reason}); restart this member"
            ),
            Self::CertificateEnds { remaining, path } => write_certificate(f, *remaining, path),
            Self::ServerEnded { reason } => write!(
                f,
                "the server of this member ended and the member stops ({reason}); start the process again"
            ),
            Self::RoutesUnserved { paths } => write!(
                f,
                "no service has the methods of these routes: {}; check their spelling and the services that are served",
                paths.join(", ")
            ),
        }
    }
}

fn write_certificate(f: &mut fmt::Formatter<'_>, remaining: Duration, path: &str) -> fmt::Result {
    if remaining.is_zero() {
        return write!(f, "the certificate in {path} has expired: others refuse it; renew it");
    }
    let (days, hours) = (remaining.as_secs() / 86_400, remaining.as_secs() / 3600 % 24);
    write!(f, "the certificate in {path} expires in {days} days and {hours} hours; renew it")
}

fn write_capped(
    f: &mut fmt::Formatter<'_>,
    wanted: u64,
    weight_max: u32,
    left_out: usize,
) -> fmt::Result {
    write!(
        f,
        "the members want {wanted} points, more than a ring may have, and weights count up to \
         {weight_max} only"
    )?;
    if left_out > 0 {
        write!(f, "; {left_out} members own no keys")?;
    }
    f.write_str("; lower the weights or the points for each unit, or look for invented members")
}
