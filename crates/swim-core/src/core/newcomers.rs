//! Newcomers: unknown or gone members that a message calls alive.
//!
//! Any process that reaches a port can send a request that names any members, and any
//! member can name them in its answers. If those went onto the ring, one message could
//! take most keys away from the members that serve them. So a newcomer comes onto the
//! ring on evidence that one process cannot make up: this member has reached it, or
//! two members named it in answers to requests of this one. A host that this member
//! joins or merges with is believed, because discovery lists it; where many newcomers
//! come at once, its list is asked for again (`node/second_look.rs`). Until then a
//! newcomer is held, off the ring and not gossiped, and pinged within a budget that
//! the senders which name newcomers share evenly.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use crate::address::Address;
use crate::core::Core;
use crate::dial_budget::DialBudget;
use crate::event::Cause;
use crate::limits::{
    NEWCOMER_OF_MEMBERS_INTERVAL, NEWCOMER_PAUSE, NEWCOMERS_MAX, NEWCOMERS_OF_MEMBER_MAX,
    NEWCOMERS_OF_MEMBERS_BURST, NEWCOMERS_OF_MEMBERS_MAX, NEWCOMERS_OF_SOURCE_MAX,
    NEWCOMERS_UNREACHED_MAX, STRANGER_DIAL_INTERVAL, STRANGER_DIALS_BURST,
};
use crate::member::{Member, Status};
use crate::message::Change;
use crate::requests::Purpose;
use crate::time::Instant;
use crate::timers::Timer;

/// How far a message is believed about other members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A request: not at all.
    Request,
    /// The answer of a process that is not a member: it lives, and no more.
    Stranger,
    /// The answer of a member: one of the two that are needed.
    Member,
    /// The answer to a join or a healing of a host that discovery lists: wholly.
    Listed,
}

/// The members that are held, by address.
#[derive(Debug, Default)]
pub(crate) struct Newcomers {
    held: BTreeMap<Address, Newcomer>,
    /// Those that requests named, and those that answers of members named.
    named: [Named; 2],
    /// Those that members named and that did not answer, the first one first. They
    /// stay held, because another member may name them, too.
    unreached: VecDeque<Address>,
    /// When the next ones are pinged.
    next: Option<Instant>,
}

/// The newcomers that were named in one of the two ways.
#[derive(Debug, Default)]
struct Named {
    held: usize,
    /// Those that are to be pinged, by sender. Some may no longer be held.
    waiting: BTreeMap<Address, Vec<Address>>,
    /// The next one, when the budget has room.
    first: Option<Address>,
    /// The sender of the one that was pinged last.
    last: Option<Address>,
    budget: DialBudget,
}

const BY_REQUESTS: usize = 0;
const BY_MEMBERS: usize = 1;

#[derive(Debug)]
struct Newcomer {
    change: Change,
    cause: Cause,
    /// How it was named first: [`BY_REQUESTS`] or [`BY_MEMBERS`].
    way: usize,
    /// The member that named it in an answer.
    vouched_by: Option<Address>,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    /// By the request with this number.
    Pinged(u64),
    /// It had not answered by this time.
    Unreached(Instant),
}

impl Named {
    /// The next one to be pinged: round-robin over the senders, and a random one of
    /// each, because other members choose from the same ones.
    fn next(&mut self, below: impl FnOnce(usize) -> usize) -> Option<Address> {
        let after = self.last.as_ref().and_then(|last| {
            let later = (Bound::Excluded(last), Bound::Unbounded);
            self.waiting.range::<Address, _>(later).next()
        });
        let source = after.or_else(|| self.waiting.first_key_value())?.0.clone();
        let waiting = self.waiting.get_mut(&source)?;
        let address = waiting.swap_remove(below(waiting.len()));
        if waiting.is_empty() {
            self.waiting.remove(&source);
        }
        self.last = Some(source);
        Some(address)
    }

    fn of_source(&self, source: &Address) -> usize {
        self.waiting.get(source).map_or(0, Vec::len)
    }

    fn wait(&mut self, address: Address, source: &Address) {
        self.waiting.entry(source.clone()).or_default().push(address);
    }
}

impl Newcomers {
    /// How many are held.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }
}

impl Core {
    /// Whether a change puts a member on the ring that is unknown or gone here.
    pub(crate) fn appears(&self, member: &Member) -> bool {
        let known = self.members.get(&member.address);
        member.is_reachable()
            && !known.is_some_and(Member::is_reachable)
            && member.address != self.local
    }

    /// Whether a message is believed about such a member at once.
    pub(crate) fn is_believed(&self, subject: &Address, from: &Address, trust: Trust) -> bool {
        match trust {
            _ if !self.config.verify_claims() => true,
            Trust::Listed => true,
            Trust::Member => subject == from || self.is_vouched_for(subject, from),
            Trust::Stranger => subject == from,
            Trust::Request => false,
        }
    }

    /// Whether another member than `from` named it in an answer.
    fn is_vouched_for(&self, subject: &Address, from: &Address) -> bool {
        let newcomer = self.newcomers.held.get(subject);
        let other = newcomer.and_then(|newcomer| newcomer.vouched_by.as_ref());
        other.is_some_and(|other| {
            other != from && self.members.get(other).is_some_and(Member::is_reachable)
        })
    }

    /// Whether a process is held as a newcomer that is about to be pinged.
    pub(crate) fn is_newcomer(&self, address: &Address) -> bool {
        let newcomer = self.newcomers.held.get(address);
        newcomer.is_some_and(|newcomer| !matches!(newcomer.state, State::Unreached(_)))
    }

    /// Holds a change about a newcomer until there is evidence.
    pub(crate) fn hold_newcomer(
        &mut self,
        change: Change,
        from: &Address,
        cause: &Cause,
        trust: Trust,
    ) {
        let address = change.member.address.clone();
        let way = if trust == Trust::Member { BY_MEMBERS } else { BY_REQUESTS };
        let voucher = (way == BY_MEMBERS).then(|| from.clone());
        let room = self.newcomers.named[BY_MEMBERS].held < NEWCOMERS_OF_MEMBERS_MAX;
        if let Some(known) = self.newcomers.held.get_mut(&address) {
            let vouched = known.vouched_by.is_none() && voucher.is_some() && room;
            if vouched {
                self.newcomers.named[known.way].held -= 1;
                self.newcomers.named[way].held += 1;
                (known.vouched_by, known.way) = (voucher, way);
            }
            if self.members.overrides(&change.member, Some(&known.change.member)) {
                known.change = change;
            }
            // A newcomer that a more trusted sender names, or that names itself, does
            // not wait in the queue of another sender.
            let own = address == *from;
            let again = match &known.state {
                State::Waiting => own || vouched,
                State::Pinged(_) => false,
                State::Unreached(since) => own || self.now - *since >= NEWCOMER_PAUSE,
            };
            if again {
                known.state = State::Waiting;
                let named = &mut self.newcomers.named[way];
                if named.of_source(from) < most_waiting(way) {
                    named.wait(address, from);
                }
                self.ping_newcomers();
            }
            return;
        }
        let named = &mut self.newcomers.named[way];
        let most = if way == BY_MEMBERS { NEWCOMERS_OF_MEMBERS_MAX } else { NEWCOMERS_MAX };
        if named.held >= most || named.of_source(from) >= most_waiting(way) {
            self.stats.newcomers_omitted += 1;
            return;
        }
        self.stats.newcomers_held += 1;
        named.held += 1;
        named.wait(address.clone(), from);
        let (cause, state) = (cause.clone(), State::Waiting);
        let newcomer = Newcomer { change, cause, way, vouched_by: voucher, state };
        self.newcomers.held.insert(address, newcomer);
        self.ping_newcomers();
    }

    /// Pings those that wait, as far as the budget goes.
    fn ping_newcomers(&mut self) {
        if self.newcomers.next.is_none() {
            self.on_newcomers_due();
        }
    }

    /// The budget may have room again.
    pub(crate) fn on_newcomers_due(&mut self) {
        self.newcomers.next = None;
        for way in [BY_REQUESTS, BY_MEMBERS] {
            let (interval, burst) = ping_rate(way);
            while let Some(address) = self.next_newcomer(way) {
                let named = &mut self.newcomers.named[way];
                if !named.budget.take_at(self.now, interval, burst) {
                    named.first = Some(address);
                    self.newcomers.next = Some(self.now + STRANGER_DIAL_INTERVAL);
                    break;
                }
                self.ping_newcomer(address);
            }
        }
        if let Some(at) = self.newcomers.next {
            self.timers.set(at, Timer::Newcomers);
        }
    }

    /// The next one that is still to be pinged.
    fn next_newcomer(&mut self, way: usize) -> Option<Address> {
        let Newcomers { held, named, .. } = &mut self.newcomers;
        let waits = |address: &Address| {
            held.get(address).is_some_and(|newcomer| matches!(newcomer.state, State::Waiting))
        };
        loop {
            let rng = &mut self.rng;
            let next = named[way].first.take();
            let next = next.or_else(|| named[way].next(|count| rng.below(count)))?;
            if waits(&next) {
                return Some(next);
            }
        }
    }

    fn ping_newcomer(&mut self, address: Address) {
        let Some(newcomer) = self.newcomers.held.get(&address) else { return };
        // A suspect gets the suspicion along with the ping, and refutes it at once.
        let suspect = newcomer.change.member.status == Status::Suspect;
        let changes = if suspect { vec![newcomer.change.clone()] } else { Vec::new() };
        let timeout = self.config.ping_timeout();
        let ping = self.ping_with(Purpose::Newcomer, address.clone(), timeout, changes);
        if let Some(newcomer) = self.newcomers.held.get_mut(&address) {
            newcomer.state = State::Pinged(ping);
        }
    }

    /// A newcomer answered: it is a member.
    pub(crate) fn on_newcomer_ack(&mut self, from: &Address) {
        let Some(newcomer) = self.take_newcomer(from) else { return };
        self.stats.newcomers_reached += 1;
        self.believe(newcomer.change, &newcomer.cause);
    }

    /// Applies a change that this member has checked.
    pub(crate) fn believe(&mut self, change: Change, cause: &Cause) {
        self.apply(vec![change], cause, Trust::Listed);
    }

    /// A newcomer did not answer.
    pub(crate) fn on_newcomer_unanswered(&mut self, seq: u64) {
        let Some(address) = self.close(seq) else { return };
        let Some(newcomer) = self.newcomers.held.get_mut(&address) else { return };
        self.stats.newcomers_unreached += 1;
        if newcomer.vouched_by.is_none() {
            self.take_newcomer(&address);
            return;
        }
        newcomer.state = State::Unreached(self.now);
        self.newcomers.unreached.push_back(address);
        while self.newcomers.unreached.len() > NEWCOMERS_UNREACHED_MAX {
            let Some(first) = self.newcomers.unreached.pop_front() else { break };
            let held = self.newcomers.held.get(&first);
            if held.is_some_and(|newcomer| matches!(newcomer.state, State::Unreached(_))) {
                self.take_newcomer(&first);
            }
        }
    }

    /// Stops holding a member that was added.
    pub(crate) fn release_newcomer(&mut self, address: &Address) {
        self.take_newcomer(address);
    }

    fn take_newcomer(&mut self, address: &Address) -> Option<Newcomer> {
        let newcomer = self.newcomers.held.remove(address)?;
        self.newcomers.named[newcomer.way].held -= 1;
        if let State::Pinged(ping) = newcomer.state {
            self.close(ping);
        }
        Some(newcomer)
    }

    /// See [`Node::check_invariants`](crate::Node::check_invariants).
    pub(crate) fn check_newcomers(&self) {
        let Newcomers { held, named, unreached, next } = &self.newcomers;
        assert!(named[BY_REQUESTS].held <= NEWCOMERS_MAX, "newcomers are bounded");
        assert!(named[BY_MEMBERS].held <= NEWCOMERS_OF_MEMBERS_MAX, "newcomers are bounded");
        assert!(unreached.len() <= NEWCOMERS_UNREACHED_MAX, "unreached newcomers are bounded");
        assert_eq!(named[0].held + named[1].held, held.len(), "each was named in one way first");
        for address in held.keys() {
            let known = self.members.get(address);
            assert!(!known.is_some_and(Member::is_reachable), "{address} is a member already");
        }
        let pinged = held.values().filter(|held| matches!(held.state, State::Pinged(_))).count();
        let requests = self.requests.count(|purpose| purpose == Purpose::Newcomer);
        assert_eq!(pinged, requests, "one request for each newcomer that is pinged");
        let waits = named.iter().any(|named| !named.waiting.is_empty() || named.first.is_some());
        assert!(!waits || next.is_some(), "newcomers that wait will be pinged");
        if let Some(at) = next {
            assert!(self.timers.contains(*at, Timer::Newcomers), "the next pings are armed");
        }
    }
}

/// The interval between the pings of newcomers, and how many may be sent at once.
const fn ping_rate(way: usize) -> (Duration, u32) {
    match way {
        BY_MEMBERS => (NEWCOMER_OF_MEMBERS_INTERVAL, NEWCOMERS_OF_MEMBERS_BURST),
        _ => (STRANGER_DIAL_INTERVAL, STRANGER_DIALS_BURST),
    }
}

/// Most newcomers of one sender that wait at once.
const fn most_waiting(way: usize) -> usize {
    if way == BY_MEMBERS { NEWCOMERS_OF_MEMBER_MAX } else { NEWCOMERS_OF_SOURCE_MAX }
}
