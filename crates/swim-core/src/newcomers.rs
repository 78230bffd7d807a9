//! Members that are new here, or gone, and that a request calls alive.
//!
//! Anybody who reaches a port can send a request and name any members in it. If
//! those went onto the ring, one message could take most keys away from the
//! members that serve them. So a member that is not on it comes onto it on evidence
//! that the sender of a request cannot make up: this member has reached it, or
//! a member that this one asked says the same. Until then it is held in a small
//! table, off the ring and not gossiped, and pinged within a budget. When there
//! are too many, answers to this member's own pings bring those that are real.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::address::Address;
use crate::core::Core;
use crate::event::{Cause, Path};
use crate::limits::{NEWCOMERS_MAX, NEWCOMERS_OF_SOURCE_MAX, STRANGER_DIAL_INTERVAL};
use crate::member::{Member, Status};
use crate::message::Change;
use crate::sending::Request;
use crate::time::Instant;
use crate::timers::Timer;

/// What the present message shows about members that are new here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is a request: nothing.
    Request,
    /// It answers a request to a process that is no member here: that process
    /// lives.
    Stranger,
    /// It answers a request to a member, or to a host that discovery lists: what
    /// it says is believed.
    Member,
}

/// The members that are held, by address.
#[derive(Debug, Default)]
pub(crate) struct Newcomers {
    held: BTreeMap<Address, Newcomer>,
    /// Those that have not been pinged yet, the first to come first; some may be
    /// held no longer.
    queue: VecDeque<Address>,
    /// When the next ones are pinged.
    next: Option<Instant>,
}

#[derive(Debug)]
struct Newcomer {
    change: Change,
    cause: Cause,
    /// The sender that named it.
    source: Address,
    ping: Option<Request>,
}

impl Newcomers {
    fn of_source(&self, source: &Address) -> usize {
        self.held.values().filter(|newcomer| newcomer.source == *source).count()
    }
}

impl Core {
    /// Whether a statement puts a member on the ring that is not on it: one that
    /// is new here, or gone.
    pub(crate) fn wants_showing(&self, member: &Member) -> bool {
        let known = self.members.get(&member.address);
        member.is_reachable()
            && !known.is_some_and(Member::is_reachable)
            && member.address != self.local
    }

    /// Whether what the present message says of such a member is taken at once.
    pub(crate) fn is_shown(&self, subject: &Address, from: &Address) -> bool {
        match self.trust {
            _ if !self.config.reach_newcomers() => true,
            Trust::Member => true,
            Trust::Stranger => subject == from,
            Trust::Request => false,
        }
    }

    /// Whether a process is held as a newcomer: it is about to be pinged.
    pub(crate) fn is_newcomer(&self, address: &Address) -> bool {
        self.newcomers.held.contains_key(address)
    }

    /// Holds a statement about a member that is new here until it is reached.
    pub(crate) fn hold_newcomer(&mut self, change: Change, from: &Address, cause: &Cause) {
        let address = change.member.address.clone();
        if let Some(known) = self.newcomers.held.get_mut(&address) {
            if self.members.overrides(&change.member, Some(&known.change.member)) {
                known.change = change;
            }
            return;
        }
        let full = self.newcomers.held.len() >= NEWCOMERS_MAX
            || self.newcomers.of_source(from) >= NEWCOMERS_OF_SOURCE_MAX;
        if full {
            self.stats.newcomers_omitted += 1;
            return;
        }
        self.stats.newcomers_held += 1;
        let newcomer = Newcomer { change, cause: cause.clone(), source: from.clone(), ping: None };
        self.newcomers.held.insert(address.clone(), newcomer);
        self.newcomers.queue.push_back(address);
        self.ping_newcomers();
    }

    /// Pings those that wait, as far as the budget goes.
    pub(crate) fn ping_newcomers(&mut self) {
        if let Some(at) = self.newcomers.next.take() {
            self.timers.cancel(at, Timer::Newcomers);
        }
        while let Some(address) = self.newcomers.queue.front().cloned() {
            let Some(newcomer) = self.newcomers.held.get(&address) else {
                self.newcomers.queue.pop_front();
                continue;
            };
            if !self.newcomer_budget.take(self.now) {
                let at = self.now + STRANGER_DIAL_INTERVAL;
                self.newcomers.next = Some(at);
                self.timers.set(at, Timer::Newcomers);
                return;
            }
            self.newcomers.queue.pop_front();
            // A suspect hears that it is one, so that it refutes at once.
            let suspect = newcomer.change.member.status == Status::Suspect;
            let changes = if suspect { vec![newcomer.change.clone()] } else { Vec::new() };
            let timeout = self.config.ping_timeout();
            let ping = self.ping_with(Path::First, address.clone(), timeout, changes);
            if let Some(newcomer) = self.newcomers.held.get_mut(&address) {
                newcomer.ping = Some(ping);
            }
        }
    }

    pub(crate) fn is_newcomer_ping(&self, from: &Address, seq: u64) -> bool {
        let ping = self.newcomers.held.get(from).and_then(|newcomer| newcomer.ping.as_ref());
        ping.is_some_and(|ping| ping.is(from, seq))
    }

    /// A newcomer answered: it is a member. `false` when the number belongs to no
    /// ping of these.
    pub(crate) fn on_newcomer_ack(&mut self, from: &Address, seq: u64) -> bool {
        if !self.is_newcomer_ping(from, seq) {
            return false;
        }
        let Some(newcomer) = self.take_newcomer(from) else { return false };
        self.stats.newcomers_reached += 1;
        // The answer proves this claim, and no other claim in it.
        let trust = std::mem::replace(&mut self.trust, Trust::Member);
        self.apply(vec![newcomer.change], &newcomer.cause);
        self.trust = trust;
        true
    }

    /// A newcomer did not answer. `false` when the number belongs to no ping of
    /// these.
    pub(crate) fn on_newcomer_silent(&mut self, seq: u64) -> bool {
        let of = |newcomer: &Newcomer| newcomer.ping.as_ref().is_some_and(|ping| ping.seq == seq);
        let found = self.newcomers.held.iter().find(|(_, newcomer)| of(newcomer));
        let Some(address) = found.map(|(address, _)| address.clone()) else { return false };
        self.take_newcomer(&address);
        self.stats.newcomers_unreached += 1;
        true
    }

    /// Holds a member no longer, because it was added.
    pub(crate) fn release_newcomer(&mut self, address: &Address) {
        self.take_newcomer(address);
    }

    fn take_newcomer(&mut self, address: &Address) -> Option<Newcomer> {
        let newcomer = self.newcomers.held.remove(address)?;
        if let Some(ping) = &newcomer.ping {
            self.disarm(ping);
        }
        Some(newcomer)
    }

    /// See [`Node::check_invariants`](crate::Node::check_invariants).
    pub(crate) fn check_newcomers(&self) {
        let Newcomers { held, queue, next } = &self.newcomers;
        assert!(held.len() <= NEWCOMERS_MAX, "newcomers are bounded");
        let waiting: BTreeSet<&Address> = queue.iter().collect();
        for (address, newcomer) in held {
            let known = self.members.get(address);
            assert!(!known.is_some_and(Member::is_reachable), "{address} is a member already");
            assert!(
                newcomer.ping.is_some() || waiting.contains(address),
                "{address} waits its turn"
            );
        }
        assert!(queue.is_empty() || next.is_some(), "those that wait are pinged some time");
        if let Some(at) = next {
            assert!(self.timers.contains(*at, Timer::Newcomers), "the next pings are armed");
        }
    }
}
