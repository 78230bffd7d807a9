//! What follows from messages that arrive, and from answers that do not.

use std::sync::Arc;

use super::{Node, State};
use crate::address::Address;
use crate::dissemination::Gossip;
use crate::event::{Cause, Event, Rejection};
use crate::evidence::{Evidence, evidence};
use crate::join::{JoinEnd, NoAnswer};
use crate::limits::CHANGES_PER_MESSAGE_MAX;
use crate::member::Member;
use crate::message::{Body, Change, Cursor, Refusal};
use crate::newcomers::Trust;
use crate::relay::Asker;
use crate::sending::Reply;

impl Node {
    /// What speaks against taking a message at all.
    pub(super) fn objection(
        &self,
        app: &Arc<str>,
        from: &Address,
        from_incarnation: u64,
        body: &Body,
    ) -> Option<Rejection> {
        // A refusal by a member of another application is an answer, too.
        let same_app = Arc::ptr_eq(app, &self.core.app) || *app == self.core.app;
        if !same_app && !matches!(body, Body::Refused { .. }) {
            return Some(Rejection::AppMismatch { theirs: app.clone() });
        }
        if *from == self.core.local {
            // Another process that has this address says so when it is asked to
            // be joined; an own request that came back was answered like that.
            return match body {
                Body::Refused { reason: Refusal::SelfAddress } => None,
                _ => Some(Rejection::SelfAddress),
            };
        }
        if let Err(ahead) = self.core.check_clock(from_incarnation) {
            return Some(ahead);
        }
        if body.changes().len() + self.core.known_changes > CHANGES_PER_MESSAGE_MAX {
            return Some(Rejection::Invalid { what: "too many changes in one message" });
        }
        let joined = !matches!(self.state, State::Idle | State::Joining);
        match body {
            Body::Ping { .. } | Body::PingReq { .. } | Body::Sync(_) if !joined => {
                Some(Rejection::NotReady)
            }
            // A stranger may ask to be dialled itself, within a budget.
            Body::PingReq { target, .. }
                if target != from
                    && self.core.members.find(target).is_none()
                    && self.core.forgotten_at(target).is_none() =>
            {
                Some(Rejection::Invalid { what: "target of a ping-req is unknown here" })
            }
            _ => None,
        }
    }

    /// Whether the sender of a message is a member that is reachable here; `None`
    /// when it is no member. In a quiet cluster the message itself tells, without a
    /// look-up in a large table that is in no cache: it answers a probe, or its
    /// sender sees the same members as this one, who has all of them reachable.
    pub(super) fn is_reachable(&self, from: &Address, seq: u64, body: &Body) -> Option<bool> {
        let members = &self.core.members;
        let told = match body {
            Body::Ping { checksum, .. } => {
                self.core.others() + 1 == members.len() && *checksum == members.checksum()
            }
            Body::Ack { .. } => self.probes.is_open(from, seq),
            _ => false,
        };
        if told { Some(true) } else { members.get(from).map(Member::is_reachable) }
    }

    /// Whether a reply with this number from this peer is welcome: whoever
    /// sent the request knows.
    fn expects(&self, from: &Address, seq: u64) -> bool {
        self.probes.is_open(from, seq)
            || self.relays.is_open(from, seq)
            || self.syncs.is_open(from, seq)
            || self.reverse_syncs.is_open(from, seq)
            || self.join.is_open(seq)
            || self.heal.is_open(from, seq)
            || self.leave.is_open(from, seq)
            || self.core.is_newcomer_ping(from, seq)
            || self.core.is_claim_ping(from, seq)
            || self.dial_back.is_open(from, seq)
    }

    /// What an answer shows about what it says of others.
    fn trust(&self, (from, is_member): (&Address, bool), seq: u64) -> Trust {
        if self.join.is_open(seq) || self.heal.is_open(from, seq) {
            Trust::Listed
        } else if is_member {
            Trust::Member
        } else {
            Trust::Stranger
        }
    }

    /// Takes a reply, when it answers a request of this member. The sender comes
    /// with its incarnation and whether it is a member that is reachable here.
    pub(super) fn on_reply(
        &mut self,
        app: &Arc<str>,
        (from, incarnation, is_member): (&Address, u64, bool),
        seq: u64,
        body: Body,
    ) {
        if self.state == State::Joining {
            // Nobody has had the time to reach a member that is about to begin, and it
            // refuses who tries.
            self.core.assume_contact();
        }
        let by_another_name =
            self.join.is_by_another_name(from, seq) || self.heal.is_by_another_name(from, seq);
        // Reached under another name, nobody knows whether its own leads to it.
        let evidence = if by_another_name { Evidence::Nothing } else { evidence(&body) };
        self.core.trust = self.trust((from, is_member), seq);
        let in_time = self.expects(from, seq);
        if in_time && evidence == Evidence::Contact {
            self.core.responders.answered_in_time(self.core.now, from);
        }
        if in_time {
            match body {
                Body::Ack { checksum, changes } => {
                    self.on_ack((from, incarnation), seq, checksum, changes);
                }
                Body::PingReqAck { reached, pending, changes, .. } => {
                    self.on_ping_req_ack(from, seq, reached, pending, changes);
                }
                Body::JoinAck { changes, next, .. } => self.on_join_ack(from, seq, changes, next),
                Body::SyncAck { differing, changes, next, .. } => {
                    self.syncs.on_ack(&mut self.core, seq, differing, changes, next);
                }
                Body::Refused { reason } => self.on_refused(app, from, seq, reason),
                Body::Ping { .. } | Body::PingReq { .. } | Body::Join { .. } | Body::Sync(_) => {}
            }
        } else if *from == self.core.local {
            // The end of an own request that came back.
            return;
        } else if !self.on_late_answer(from, seq, body) {
            self.core.reject(from, Rejection::UnexpectedReply);
            return;
        }
        if evidence == Evidence::Contact {
            self.core.responders.answered(from);
            self.core.answered();
            self.probes.on_contact(&mut self.core, from);
        }
    }

    /// A reply cannot be taken. When it is for the clock of its sender, whoever
    /// waits for it learns the reason instead of waiting in vain.
    pub(super) fn on_refused_reply(&mut self, from: &Address, seq: u64, reason: Rejection) {
        let clock = matches!(reason, Rejection::ClockAhead { .. });
        self.core.reject(from, reason);
        if clock && self.expects(from, seq) {
            self.on_no_answer(seq, NoAnswer::ClockAhead);
        }
    }

    /// An answer to a request that was given up. What it says is as true as if
    /// it had come in time. `false` when it answers no request of late.
    fn on_late_answer(&mut self, from: &Address, seq: u64, body: Body) -> bool {
        let follow = matches!(body, Body::PingReqAck { pending: true, .. });
        let Some(issued) = self.core.late.take(from, seq, follow) else { return false };
        if matches!(body, Body::Refused { .. }) {
            return true;
        }
        self.core.stats.late_answers += 1;
        self.core.delivered(&issued);
        let cause = match body {
            Body::JoinAck { .. } => Cause::Join { from: from.clone() },
            Body::SyncAck { .. } => Cause::Sync { from: from.clone() },
            _ => Cause::Gossip { from: from.clone() },
        };
        // A peer that is gone by now may be of another partition, whose list
        // must not be merged before all have refuted.
        let gone = self.core.members.get(from).is_some_and(|member| !member.is_reachable());
        if !gone {
            self.core.apply(body.into_changes(), &cause);
        }
        true
    }

    /// A request was refused. When the target of a probe refuses a ping, that
    /// answers what was asked: whether it lives.
    fn on_refused(&mut self, app: &Arc<str>, from: &Address, seq: u64, reason: Refusal) {
        let lives = evidence(&Body::Refused { reason }) == Evidence::Contact;
        let known = lives
            && (self.probes.on_refused(&mut self.core, from, seq)
                || self.relays.on_refused(&mut self.core, from, seq)
                || self.core.on_claim_refused(from, seq));
        if !known {
            let why = match reason {
                Refusal::AppMismatch => NoAnswer::OtherApp(app.clone()),
                reason => NoAnswer::Refused(reason),
            };
            self.on_no_answer(seq, why);
        }
    }

    /// A join request of this process came back to it: the address that it asked
    /// is another name of this member. The answer only ends the call.
    pub(super) fn on_own_request(&mut self, from: &Address, seq: u64) {
        if !self.heal.on_own_request(&mut self.core, seq) {
            let end = self.join.on_own_request(&mut self.core, seq);
            self.on_join_end(end);
        }
        let body = Body::Refused { reason: Refusal::SelfAddress };
        self.core.send(from.clone(), seq, body);
    }

    pub(super) fn on_ping(
        &mut self,
        from: Address,
        from_incarnation: u64,
        seq: u64,
        checksum: u64,
        changes: Vec<Change>,
    ) {
        self.core.stats.pings_received += 1;
        self.core.hear(changes, &from);
        let reply = self.core.piggyback_reply(&from, from_incarnation, checksum);
        let Reply { changes, gossip } = reply;
        let ours = self.core.members.checksum();
        self.core.send(from.clone(), seq, Body::Ack { checksum: ours, changes });
        self.sync_if_needed(&from, checksum, gossip);
    }

    /// Gossip is not enough when it has nothing left to say and the views
    /// still differ (ringpop-go). Nor is it when it has more to say than fits:
    /// then a sync in each period spreads whole lists like an infection, where
    /// one change after the other would take minutes.
    fn sync_if_needed(&mut self, peer: &Address, checksum: u64, gossip: Gossip) {
        if checksum == self.core.members.checksum() {
            self.core.agreement.on_equal(peer);
            return;
        }
        let period = self.core.config.protocol_period();
        let recent = self.last_sync.is_some_and(|at| self.core.now - at < period / 2);
        // A peer that is faulty here may be of another partition that is being
        // healed: lists must not be merged while there is anything to refute.
        let gone = self.core.members.get(peer).is_some_and(|member| !member.is_reachable());
        let needed = match gossip {
            Gossip::Silent => true,
            Gossip::Overflowing => !recent && !gone,
            Gossip::Flowing => self.backstop_due && !gone,
        };
        if needed {
            self.backstop_due = false;
            self.last_sync = Some(self.core.now);
            self.start_sync(peer);
        }
    }

    /// Starts a full sync with a peer: by digests, or, when its first half is
    /// the list that the peer just got, by asking for the peer's in return.
    fn start_sync(&mut self, peer: &Address) {
        // Nobody is dialled on a stranger's word, but for a few.
        let stranger = self.core.members.find(peer).is_none();
        if stranger && (self.core.is_newcomer(peer) || !self.core.may_dial_stranger()) {
            return;
        }
        if self.core.config.sync_whole_list() {
            self.reverse_syncs.start(&mut self.core, peer);
        } else {
            self.syncs.start(&mut self.core, peer);
        }
    }

    fn on_ack(
        &mut self,
        (from, incarnation): (&Address, u64),
        seq: u64,
        checksum: u64,
        changes: Vec<Change>,
    ) {
        // What another partition says rides on the merge only: taken from the
        // answer to a ping, it would merge before all have refuted.
        if self.heal.on_ack(&mut self.core, from, seq) {
            self.on_heal_step();
            return;
        }
        let known = self.probes.on_ack(&mut self.core, from, seq)
            || self.relays.on_ack(&mut self.core, from, seq)
            || self.on_leave_ack(from, seq)
            || self.core.on_newcomer_ack(from, seq)
            || self.core.on_claim_ack(from, incarnation, seq);
        if !known {
            self.core.reject(from, Rejection::UnexpectedReply);
            return;
        }
        self.core.hear(changes, from);
        // The one who was asked syncs when gossip is silent; here it is enough
        // to look at what silence would not repair.
        let overflowing = self.core.gossip.bytes_min() > self.core.config.message_bytes_max();
        let gossip = if overflowing { Gossip::Overflowing } else { Gossip::Flowing };
        if self.state == State::Ready {
            self.sync_if_needed(from, checksum, gossip);
        }
    }

    fn on_heal_step(&mut self) {
        if let Some(outcome) = self.heal.take_outcome() {
            self.redial.on_outcome(&self.core, outcome);
        }
    }

    fn on_leave_ack(&mut self, from: &Address, seq: u64) -> bool {
        let over = self.leave.on_ack(&mut self.core, from, seq);
        if over == Some(true) {
            self.state = State::Left;
        }
        over.is_some()
    }

    pub(super) fn on_ping_req(&mut self, asker: Asker, target: Address, changes: Vec<Change>) {
        self.core.hear(changes, &asker.address);
        self.relays.start(&mut self.core, asker, target);
    }

    fn on_ping_req_ack(
        &mut self,
        from: &Address,
        seq: u64,
        reached: bool,
        pending: bool,
        changes: Vec<Change>,
    ) {
        let known = if self.dial_back.is_open(from, seq) {
            pending || self.dial_back.on_answer(&mut self.core, seq)
        } else {
            self.probes.on_helper(&mut self.core, (from, seq), reached, pending)
        };
        if !known {
            self.core.reject(from, Rejection::UnexpectedReply);
            return;
        }
        self.core.hear(changes, from);
    }

    /// A page of a member list belongs to a join, a healing or a full sync.
    fn on_join_ack(
        &mut self,
        from: &Address,
        seq: u64,
        changes: Vec<Change>,
        next: Option<Cursor>,
    ) {
        if self.join.is_open(seq) {
            let received = changes.len();
            self.core.apply(changes, &Cause::Join { from: from.clone() });
            let end = self.join.on_ack(&mut self.core, from, seq, received, next);
            self.on_join_end(end);
        } else if self.heal.is_open(from, seq) {
            self.heal.on_join_ack(&mut self.core, (from, seq), changes, next);
            self.on_heal_step();
        } else {
            self.reverse_syncs.on_join_ack(&mut self.core, seq, changes, next);
        }
    }

    /// A request got no answer; the number tells whose it was. A number of no
    /// open request belongs to a report that came too late.
    pub(super) fn on_no_answer(&mut self, seq: u64, why: NoAnswer) {
        if !matches!(why, NoAnswer::Refused(_) | NoAnswer::OtherApp(_)) {
            self.core.isolation.on_no_answer();
        }
        let known = self.probes.on_no_answer(&mut self.core, seq)
            || self.relays.on_no_answer(&mut self.core, seq)
            || self.syncs.on_no_answer(&mut self.core, seq)
            || self.reverse_syncs.on_no_answer(&mut self.core, seq)
            || self.heal.on_no_answer(&mut self.core, seq)
            || self.dial_back.on_no_answer(&mut self.core, seq)
            || self.core.on_newcomer_silent(seq)
            || self.core.on_claim_silent(seq);
        if known {
            return;
        }
        if let Some(over) = self.leave.on_no_answer(&mut self.core, seq) {
            if over {
                self.state = State::Left;
            }
            return;
        }
        if let Ok(end) = self.join.on_no_answer(&mut self.core, seq, why) {
            self.on_join_end(end);
        }
    }

    pub(super) fn on_join_end(&mut self, end: Option<JoinEnd>) {
        match end {
            None => {}
            Some(JoinEnd::Complete { joined, duration }) => {
                self.state = State::Ready;
                self.core.assume_contact();
                let members = self.core.members.len();
                self.core.event(Event::JoinComplete { joined, duration, members });
                self.core.announce_view();
                // Nobody knows of this member yet: it spreads itself.
                self.core.spread_local();
                self.start_routine();
            }
            Some(JoinEnd::Failed { duration, failure, failures }) => {
                self.state = State::Idle;
                self.core.event(Event::JoinFailed { duration, failure, failures });
            }
        }
    }
}
