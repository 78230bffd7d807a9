//! Joining: asking several peers for their member lists.
//!
//! The peers do not add the joining member; it spreads itself afterwards by probing
//! (ringpop-go#65: a peer that adds a joiner which then fails to start has invented a
//! member).

use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::core::Core;
use crate::event::{Event, JoinFailure};
use crate::limits::{JOIN_FAILURES_MAX, JOIN_PEERS_MAX};
use crate::message::{Cursor, Refusal};
use crate::page::valid_cursor;
use crate::requests::Purpose;
use crate::time::Instant;
use crate::timers::Timer;

#[derive(Debug, Default)]
pub(crate) struct Join(Option<Attempt>);

#[derive(Debug)]
struct Attempt {
    started: Instant,
    /// When the attempt ends at the latest.
    limit: Instant,
    /// All peers but this member.
    peers: Vec<Address>,
    /// Peers that this round has still to ask; the next one is last.
    queue: Vec<Address>,
    open: Vec<Open>,
    joined: Vec<Address>,
    rounds: u32,
    /// Upper bound of the last pause.
    delay: Duration,
    next_round: Option<Instant>,
    /// Whether every peer of this round refused as another application's.
    all_foreign: bool,
    /// The failures of this round; of the last one until this one has some.
    failures: Vec<JoinFailure>,
    /// Whether `failures` are those of the last round.
    failures_are_old: bool,
}

#[derive(Debug)]
struct Open {
    seq: u64,
    peer: Address,
    /// Members received from the peer so far.
    received: usize,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum JoinEnd {
    Complete { joined: Vec<Address>, duration: Duration },
    Failed { duration: Duration, failure: JoinFailure, failures: Vec<JoinFailure> },
}

/// Why a request got no answer.
#[derive(Clone, Debug)]
pub(crate) enum NoAnswer {
    Timeout,
    /// With the error of the transport.
    Undelivered(Option<Arc<str>>),
    Refused(Refusal),
    /// It came from a member whose clock is too far ahead.
    ClockAhead,
    /// It belongs to this other application.
    OtherApp(Arc<str>),
}

impl Join {
    /// Starts to join, or goes on with other peers when a join is under way: new ones
    /// are asked at once, because a peer that discovery lists for the first time has
    /// most often just started.
    pub(crate) fn start(&mut self, core: &mut Core, peers: Vec<Address>) -> Option<JoinEnd> {
        core.stats.peers_dropped += peers.len().saturating_sub(JOIN_PEERS_MAX) as u64;
        let mut peers: Vec<Address> =
            peers.into_iter().take(JOIN_PEERS_MAX).filter(|peer| *peer != core.local).collect();
        peers.sort_unstable();
        peers.dedup();
        if let Some(attempt) = &mut self.0 {
            let is_new = |peer: &&Address| attempt.peers.binary_search(peer).is_err();
            let new: Vec<Address> = peers.iter().filter(is_new).cloned().collect();
            attempt.all_foreign &= new.is_empty();
            attempt.queue.extend(new);
            attempt.peers = peers;
            return self.advance(core);
        }
        let limit = core.now + core.config.join_duration_max();
        core.timers.set(limit, Timer::JoinLimit);
        let mut attempt = Attempt {
            started: core.now,
            limit,
            peers,
            queue: Vec::new(),
            open: Vec::new(),
            joined: Vec::new(),
            rounds: 0,
            delay: Duration::ZERO,
            next_round: None,
            all_foreign: true,
            failures: Vec::new(),
            failures_are_old: false,
        };
        attempt.refill(core);
        self.0 = Some(attempt);
        self.advance(core)
    }

    /// The next round begins.
    pub(crate) fn on_round(&mut self, core: &mut Core) -> Option<JoinEnd> {
        let attempt = self.0.as_mut()?;
        attempt.next_round = None;
        attempt.refill(core);
        self.advance(core)
    }

    /// The attempt has taken its longest time.
    pub(crate) fn on_limit(&mut self, core: &mut Core) -> Option<JoinEnd> {
        let attempt = self.0.as_ref()?;
        if attempt.joined.is_empty() { self.fail(core) } else { self.complete(core) }
    }

    /// A page arrived; its members are applied already. The answer may come from a
    /// member that advertises another address than the one that was asked.
    pub(crate) fn on_page(
        &mut self,
        core: &mut Core,
        from: &Address,
        seq: u64,
        received: usize,
        next: Option<Cursor>,
    ) -> Option<JoinEnd> {
        let attempt = self.0.as_mut()?;
        let mut open = attempt.take(core, seq)?;
        core.aliases.learn(&open.peer, from);
        open.received += received;
        let Some(cursor) = next else {
            // Two addresses in the list may lead to one member.
            if !attempt.joined.contains(from) {
                attempt.joined.push(from.clone());
            }
            return self.advance(core);
        };
        // An empty page, too many members, or an invalid cursor would never end.
        if received == 0 || !valid_cursor(&cursor) || open.received > core.config.members_max() {
            core.stats.joins_failed += 1;
            attempt.all_foreign = false;
            attempt.fail_with(JoinFailure::Endless { peer: open.peer });
            return self.advance(core);
        }
        attempt.ask(core, from.clone(), Some(cursor), open.received);
        None
    }

    /// A request came back to this process: the peer is this member by another
    /// name.
    pub(crate) fn on_own_request(&mut self, core: &mut Core, seq: u64) -> Option<JoinEnd> {
        let attempt = self.0.as_mut()?;
        let open = attempt.take(core, seq)?;
        core.aliases.learn(&open.peer, &core.local);
        attempt.peers.retain(|peer| *peer != open.peer);
        attempt.all_foreign &= !attempt.peers.is_empty();
        self.advance(core)
    }

    /// A request got no answer.
    pub(crate) fn on_no_answer(
        &mut self,
        core: &mut Core,
        seq: u64,
        why: NoAnswer,
    ) -> Option<JoinEnd> {
        let attempt = self.0.as_mut()?;
        let Open { peer, .. } = attempt.take(core, seq)?;
        core.late.expect(peer.clone(), seq, Vec::new());
        core.stats.joins_failed += 1;
        attempt.all_foreign &= matches!(why, NoAnswer::OtherApp(_));
        attempt.fail_with(match why {
            NoAnswer::Timeout => JoinFailure::Timeout { peer },
            NoAnswer::Undelivered(cause) => JoinFailure::Unreachable { peer, cause },
            NoAnswer::Refused(Refusal::SelfAddress) => {
                JoinFailure::SameAddress { peer, local: core.local.clone() }
            }
            NoAnswer::Refused(reason) => JoinFailure::Refused { peer, reason },
            NoAnswer::ClockAhead => JoinFailure::ClockAhead { peer },
            NoAnswer::OtherApp(theirs) => JoinFailure::OtherApp { peer, theirs },
        });
        self.advance(core)
    }

    /// Sends the requests that may be sent, and ends the attempt or the round when it
    /// is over.
    fn advance(&mut self, core: &mut Core) -> Option<JoinEnd> {
        let attempt = self.0.as_mut()?;
        let wanted = core.config.join_size().min(attempt.peers.len());
        if attempt.joined.len() >= wanted {
            return self.complete(core);
        }
        let parallel = (wanted - attempt.joined.len()) * core.config.join_parallelism();
        while attempt.open.len() < parallel {
            let Some(peer) = attempt.queue.pop() else {
                break;
            };
            core.stats.joins_sent += 1;
            attempt.ask(core, peer, None, 0);
        }
        if !attempt.open.is_empty() {
            return None;
        }
        // All peers were asked. One answer is enough to know the cluster; more are
        // wanted only in case a peer knows a part of it.
        if !attempt.joined.is_empty() {
            return self.complete(core);
        }
        if attempt.next_round.is_some() {
            return None;
        }
        if attempt.all_foreign {
            return self.fail(core);
        }
        attempt.pause(core);
        None
    }

    fn complete(&mut self, core: &mut Core) -> Option<JoinEnd> {
        let attempt = self.take(core)?;
        Some(JoinEnd::Complete { joined: attempt.joined, duration: core.now - attempt.started })
    }

    fn fail(&mut self, core: &mut Core) -> Option<JoinEnd> {
        let attempt = self.take(core)?;
        let failure = attempt.failures.last().cloned().or_else(|| {
            let open = attempt.open.into_iter().next()?;
            Some(JoinFailure::Timeout { peer: open.peer })
        });
        Some(JoinEnd::Failed {
            duration: core.now - attempt.started,
            failure: failure.unwrap_or_else(|| JoinFailure::Timeout { peer: core.local.clone() }),
            failures: attempt.failures,
        })
    }

    /// Moves the end of the attempt to where the new settings put it.
    pub(crate) fn rearm_limit(&mut self, core: &mut Core) {
        let Some(attempt) = &mut self.0 else { return };
        core.timers.cancel(attempt.limit, Timer::JoinLimit);
        attempt.limit = (attempt.started + core.config.join_duration_max()).max(core.now);
        core.timers.set(attempt.limit, Timer::JoinLimit);
    }

    /// Ends the attempt without a result.
    pub(crate) fn abort(&mut self, core: &mut Core) {
        self.take(core);
    }

    fn take(&mut self, core: &mut Core) -> Option<Attempt> {
        let attempt = self.0.take()?;
        core.timers.cancel(attempt.limit, Timer::JoinLimit);
        if let Some(at) = attempt.next_round {
            core.timers.cancel(at, Timer::JoinRound);
        }
        for open in &attempt.open {
            core.give_up(open.seq, Vec::new());
        }
        Some(attempt)
    }
}

impl Attempt {
    /// Puts the peers in the order in which they are asked: random, those on
    /// other hosts first, since they are less likely to share a fault with us.
    fn refill(&mut self, core: &mut Core) {
        let is_asked = |peer: &&Address| self.open.iter().any(|open| open.peer == **peer);
        self.queue = self.peers.iter().filter(|peer| !is_asked(peer)).cloned().collect();
        core.rng.shuffle(&mut self.queue);
        let host = core.local.host();
        self.queue.sort_by_key(|peer| peer.host() != host);
        self.all_foreign = !self.peers.is_empty();
        self.failures_are_old = true;
    }

    /// Asks a peer for a page of its list, after `received` members.
    fn ask(&mut self, core: &mut Core, peer: Address, cursor: Option<Cursor>, received: usize) {
        let (body, timeout) = (core.join_body(cursor), core.config.join_timeout());
        let seq = core.request(Purpose::Join, peer.clone(), timeout, body);
        self.open.push(Open { seq, peer, received });
    }

    /// Takes out a request that is over.
    fn take(&mut self, core: &mut Core, seq: u64) -> Option<Open> {
        let i = self.open.iter().position(|open| open.seq == seq)?;
        core.close(seq);
        Some(self.open.swap_remove(i))
    }

    /// Remembers why a peer could not be joined, once for each peer.
    fn fail_with(&mut self, failure: JoinFailure) {
        if std::mem::take(&mut self.failures_are_old) {
            self.failures.clear();
        }
        self.failures.retain(|earlier| earlier.peer() != failure.peer());
        if self.failures.len() == JOIN_FAILURES_MAX {
            self.failures.remove(0);
        }
        self.failures.push(failure);
    }

    /// Pauses before the next round: the bound doubles each time, the pause is
    /// drawn between the former bound and the new one (ringpop-go).
    fn pause(&mut self, core: &mut Core) {
        self.rounds += 1;
        core.stats.joins_retried += 1;
        let former = self.delay;
        self.delay = (former * 2).clamp(core.config.join_delay_min(), core.config.join_delay_max());
        let span = usize::try_from((self.delay - former).as_micros()).unwrap_or(usize::MAX);
        let extra = Duration::from_micros(core.rng.below(span) as u64);
        let delay = if span == 0 { self.delay } else { former + extra };
        let at = core.now + delay;
        self.next_round = Some(at);
        core.timers.set(at, Timer::JoinRound);
        let failures = self.failures.clone();
        if let Some(failure) = failures.last().cloned() {
            core.event(Event::JoinRetrying { rounds: self.rounds, delay, failure, failures });
        }
    }
}
