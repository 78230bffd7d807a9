//! What follows from a ping, from the answer to a request, and from its absence.

use super::dispatch::Envelope;
use super::{Node, State};
use crate::address::Address;
use crate::core::Reply;
use crate::core::Trust;
use crate::dissemination::Backlog;
use crate::event::{Cause, Event, Rejection};
use crate::evidence::{Evidence, evidence};
use crate::join::{JoinEnd, NoAnswer};
use crate::message::{Body, Change, Cursor, Refusal};
use crate::requests::Purpose;

impl Node {
    pub(super) fn on_ping(&mut self, envelope: &Envelope, checksum: u64, changes: Vec<Change>) {
        let Envelope { from, incarnation, seq, .. } = envelope;
        self.core.stats.pings_received += 1;
        self.apply_gossip(envelope, changes, Trust::Request);
        let Reply { changes, backlog } = self.core.piggyback_reply(from, *incarnation, checksum);
        let ours = self.core.members.checksum();
        self.core.send(from.clone(), *seq, Body::Ack { checksum: ours, changes });
        self.sync_if_needed(from, checksum, backlog);
    }

    /// Starts a full sync when gossip cannot bring two views together: it has
    /// nothing left to say and they still differ (ringpop-go), or it has more to say
    /// than fits. In the latter case a sync in each period spreads whole lists like
    /// an infection, where one change after the other would take minutes.
    fn sync_if_needed(&mut self, peer: &Address, checksum: u64, backlog: Backlog) {
        if checksum == self.core.members.checksum() {
            self.core.agreement.on_equal(peer);
            return;
        }
        let period = self.core.config.protocol_period();
        let recent = self.last_sync.is_some_and(|at| self.core.now - at < period / 2);
        // A peer that is faulty here may be of another partition that is being
        // healed: lists must not be merged while there is anything to refute.
        let gone = self.core.members.get(peer).is_some_and(|member| !member.is_reachable());
        let needed = match backlog {
            Backlog::Empty => true,
            Backlog::Overflows => !recent && !gone,
            Backlog::Fits => self.backstop_due && !gone,
        };
        if !needed {
            return;
        }
        self.backstop_due = false;
        self.last_sync = Some(self.core.now);
        // Nobody is dialled on a stranger's word, but for a few.
        let stranger = self.core.members.find(peer).is_none();
        if !stranger || (!self.core.is_newcomer(peer) && self.core.may_dial_stranger()) {
            self.syncs.start(&mut self.core, peer);
        }
    }

    /// Handles the answer to a request that is under way.
    pub(super) fn on_answer(
        &mut self,
        envelope: &Envelope,
        purpose: Purpose,
        trust: Trust,
        body: Body,
    ) {
        let seq = envelope.seq;
        match body {
            Body::Ack { checksum, changes } => {
                self.on_ack(envelope, purpose, trust, checksum, changes);
            }
            Body::PingReqAck { reached, pending, changes, .. } => {
                match purpose {
                    Purpose::PingReq(slot) => {
                        self.probes.on_helper(&mut self.core, (slot, seq), reached, pending);
                    }
                    Purpose::DialBack if pending => {}
                    Purpose::DialBack => self.dial_back.on_answer(&mut self.core, seq),
                    _ => {
                        self.core.reject(&envelope.from, Rejection::UnexpectedReply);
                        return;
                    }
                }
                self.apply_gossip(envelope, changes, trust);
            }
            Body::JoinAck { changes, next, .. } => {
                self.on_page(envelope, purpose, trust, changes, next);
            }
            Body::SyncAck { differing, changes, next, .. } => {
                if purpose == Purpose::Sync {
                    self.syncs.on_ack(&mut self.core, (seq, trust), differing, changes, next);
                }
            }
            Body::Refused { reason } => self.on_refused(envelope, purpose, reason),
            Body::Ping { .. } | Body::PingReq { .. } | Body::Join { .. } | Body::Sync(_) => {}
        }
    }

    fn on_ack(
        &mut self,
        envelope: &Envelope,
        purpose: Purpose,
        trust: Trust,
        checksum: u64,
        changes: Vec<Change>,
    ) {
        let Envelope { from, incarnation, seq, .. } = envelope;
        let (core, seq) = (&mut self.core, *seq);
        match purpose {
            Purpose::HealPing => {
                // The changes of another partition come by the merge only: applied
                // from the answer to a ping, they would merge before all have refuted.
                self.heal.on_ack(core, seq);
                self.on_heal_step();
                return;
            }
            Purpose::Ping(slot) => self.probes.on_ack(core, slot, seq),
            Purpose::SecondPing(slot) => self.probes.on_second_ack(core, slot, seq),
            Purpose::Relay => self.relays.on_ack(core, seq),
            Purpose::Leave => {
                if self.leave.on_ack(core, seq) {
                    self.state = State::Left;
                }
            }
            Purpose::Newcomer => core.on_newcomer_ack(from),
            Purpose::Claim => core.on_claim_ack(from, *incarnation),
            Purpose::PingReq(_)
            | Purpose::DialBack
            | Purpose::Join
            | Purpose::HealList
            | Purpose::Sync
            | Purpose::ReverseSync
            | Purpose::SecondLook => {
                core.reject(from, Rejection::UnexpectedReply);
                return;
            }
        }
        self.apply_gossip(envelope, changes, trust);
        // The member that was pinged syncs when gossip is silent. What that would
        // not repair is looked at here.
        let overflowing = self.core.gossip.bytes_min() > self.core.config.message_bytes_max();
        let backlog = if overflowing { Backlog::Overflows } else { Backlog::Fits };
        if self.state == State::Ready {
            self.sync_if_needed(from, checksum, backlog);
        }
    }

    /// Handles a page of a member list.
    fn on_page(
        &mut self,
        envelope: &Envelope,
        purpose: Purpose,
        trust: Trust,
        changes: Vec<Change>,
        next: Option<Cursor>,
    ) {
        let Envelope { from, seq, .. } = envelope;
        match purpose {
            Purpose::Join => {
                let received = changes.len();
                self.core.apply(changes, &Cause::Join { from: from.clone() }, trust);
                let end = self.join.on_page(&mut self.core, from, *seq, received, next);
                self.on_join_end(end);
            }
            Purpose::HealList => {
                self.heal.on_page(&mut self.core, (from, *seq), changes, next);
                self.on_heal_step();
            }
            Purpose::ReverseSync | Purpose::SecondLook => {
                self.syncs.on_page(&mut self.core, (*seq, trust), changes, next);
            }
            _ => {}
        }
    }

    fn on_heal_step(&mut self) {
        if let Some(outcome) = self.heal.take_outcome() {
            self.redial.on_outcome(&self.core, outcome);
        }
    }

    /// Handles a refusal. A member that refuses a ping answers the question whether
    /// it lives.
    fn on_refused(&mut self, envelope: &Envelope, purpose: Purpose, reason: Refusal) {
        let Envelope { app, from, seq, .. } = envelope;
        let (core, seq) = (&mut self.core, *seq);
        let lives = evidence(&Body::Refused { reason }) == Evidence::Contact;
        match purpose {
            Purpose::Ping(slot) | Purpose::SecondPing(slot) if lives => {
                self.probes.on_refused(core, slot, seq);
            }
            Purpose::PingReq(slot) if lives => self.probes.on_helper_refused(core, slot, seq),
            Purpose::Relay if lives => self.relays.on_refused(core, seq),
            Purpose::Claim if lives => core.on_claim_refused(from),
            _ => {
                let why = match reason {
                    Refusal::AppMismatch => NoAnswer::OtherApp(app.clone()),
                    reason => NoAnswer::Refused(reason),
                };
                self.on_no_answer(seq, why);
            }
        }
    }

    /// A join request of this process came back to it: the address that it asked
    /// is another name of this member. The answer only ends the call.
    pub(super) fn on_own_request(&mut self, from: &Address, seq: u64) {
        match self.core.requests.purpose(seq) {
            Some(Purpose::HealList | Purpose::HealPing) => {
                self.heal.on_own_request(&mut self.core, seq);
            }
            Some(Purpose::Join) => {
                let end = self.join.on_own_request(&mut self.core, seq);
                self.on_join_end(end);
            }
            _ => {}
        }
        let body = Body::Refused { reason: Refusal::SelfAddress };
        self.core.send(from.clone(), seq, body);
    }

    /// Handles a request that got no answer. A number that is not in the table
    /// belongs to a report that came too late.
    pub(super) fn on_no_answer(&mut self, seq: u64, why: NoAnswer) {
        let core = &mut self.core;
        if !matches!(why, NoAnswer::Refused(_) | NoAnswer::OtherApp(_)) {
            core.isolation.on_no_answer();
        }
        let Some(purpose) = core.requests.purpose(seq) else { return };
        match purpose {
            Purpose::Ping(slot) => self.probes.on_ping_unanswered(core, slot, seq),
            Purpose::SecondPing(slot) => self.probes.on_second_unanswered(core, slot, seq),
            Purpose::PingReq(slot) => self.probes.on_helper_unanswered(core, slot, seq),
            Purpose::Relay => self.relays.on_no_answer(core, seq),
            Purpose::Sync | Purpose::ReverseSync | Purpose::SecondLook => {
                self.syncs.on_no_answer(core, seq);
            }
            Purpose::HealList | Purpose::HealPing => self.heal.on_no_answer(core, seq),
            Purpose::DialBack => self.dial_back.on_no_answer(core, seq),
            Purpose::Newcomer => core.on_newcomer_unanswered(seq),
            Purpose::Claim => core.on_claim_unanswered(seq),
            Purpose::Leave => {
                if self.leave.on_no_answer(core, seq) {
                    self.state = State::Left;
                }
            }
            Purpose::Join => {
                let end = self.join.on_no_answer(core, seq, why);
                self.on_join_end(end);
            }
        }
    }

    pub(super) fn on_join_end(&mut self, end: Option<JoinEnd>) {
        match end {
            None => {}
            Some(JoinEnd::Complete { joined, duration }) => {
                self.state = State::Ready;
                self.core.assume_contact();
                let members = self.core.members.len();
                let hosts = joined.clone();
                self.core.event(Event::JoinComplete { joined, duration, members });
                self.core.announce_view();
                // No member knows this one yet: it spreads itself.
                self.core.spread_local();
                self.start_routine();
                self.start_second_looks(hosts);
            }
            Some(JoinEnd::Failed { duration, failure, failures }) => {
                self.state = State::Idle;
                self.core.event(Event::JoinFailed { duration, failure, failures });
            }
        }
    }
}
