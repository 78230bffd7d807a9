//! One host: the process that runs on it, its clock, and what holds it up.

use std::collections::VecDeque;

use crate::machine::{HostId, Machine};
use crate::time::{Clock, Nanos};

/// Packets that wait for a process that does not take them; further ones are
/// lost, as in the receive buffer of a socket: the usual 208 KiB hold about
/// this many small ones.
pub(crate) const INBOX_MAX: usize = 256;

/// Ways in which a process may stand still. What Lifeguard's authors measured
/// depends on which one it is, see `docs/simulation.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Nothing runs, as under SIGSTOP. Afterwards packets that waited come
    /// first, then due timers.
    Frozen,
    /// As frozen, but due timers come first.
    FrozenTimersFirst,
    /// As a process of many threads whose every send and receive blocks. The thread that probes is
    /// stuck in its first send: its probe neither goes on nor ends. Its time runs, though:
    /// afterwards it fails when it took too long, and the next begins at once. Other timers run,
    /// those of suspicions among them, and they run before what waited is received.
    Blocked,
    /// All timers run in time; messages in both directions wait.
    Deaf,
}

impl Pause {
    /// All models.
    pub const ALL: [Self; 4] = [Self::Frozen, Self::FrozenTimersFirst, Self::Blocked, Self::Deaf];

    /// Whether timers run meanwhile.
    #[must_use]
    pub const fn runs_timers(self) -> bool {
        matches!(self, Self::Blocked | Self::Deaf)
    }

    /// Its name in commands and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::FrozenTimersFirst => "frozen-timers-first",
            Self::Blocked => "blocked",
            Self::Deaf => "deaf",
        }
    }
}

/// A packet on its way: as a value, or as bytes when they were damaged.
#[derive(Debug)]
pub(crate) enum Parcel<P> {
    Packet(P),
    Bytes(Box<[u8]>),
    /// The sender's own packet, which could not be delivered.
    Returned(P),
}

/// What a host sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes, UDP and IP headers included.
    pub bytes: u64,
}

/// Bytes of the headers of UDP and IPv4.
const HEADER_BYTES: u64 = 28;

impl Traffic {
    pub(crate) const fn add(&mut self, payload: usize) {
        self.packets += 1;
        self.bytes += payload as u64 + HEADER_BYTES;
    }
}

#[derive(Debug)]
pub(crate) struct Host<M, P> {
    pub(crate) machine: Option<M>,
    pub(crate) clock: Clock,
    /// When its wake-up that counts is due; others in the queue are stale.
    pub(crate) armed: Option<Nanos>,
    pub(crate) pause: Option<Pause>,
    /// What waits to be taken.
    pub(crate) inbox: VecDeque<Parcel<P>>,
    /// What waits to be sent.
    pub(crate) outbox: Vec<(Option<HostId>, P)>,
    /// How long the process takes for one packet.
    pub(crate) service: Nanos,
    /// Whether the next packet is being worked on.
    pub(crate) serving: bool,
    /// Processes that were started here.
    pub(crate) lives: u64,
    pub(crate) sent: Traffic,
    pub(crate) received: Traffic,
}

impl<M, P> Default for Host<M, P> {
    fn default() -> Self {
        Self {
            machine: None,
            clock: Clock::default(),
            armed: None,
            pause: None,
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            service: 0,
            serving: false,
            lives: 0,
            sent: Traffic::default(),
            received: Traffic::default(),
        }
    }
}

impl<M, P> Host<M, P> {
    /// The virtual time at which its process wants to run.
    pub(crate) fn deadline(&self) -> Option<Nanos>
    where
        M: Machine,
    {
        let local = self.machine.as_ref()?.deadline()?;
        Some(self.clock.virtual_at(local))
    }

    /// Whether its process has something to do.
    pub(crate) fn is_due(&self, now: Nanos) -> bool
    where
        M: Machine,
    {
        self.deadline().is_some_and(|at| at <= now)
    }

    /// Whether it takes a packet the moment it arrives.
    pub(crate) const fn is_prompt(&self) -> bool {
        self.pause.is_none() && self.service == 0
    }

    /// Lets a packet wait; `false` when there is no room for it.
    pub(crate) fn hold(&mut self, parcel: Parcel<P>) -> bool {
        let room = self.inbox.len() < INBOX_MAX;
        if room {
            self.inbox.push_back(parcel);
        }
        room
    }
}
