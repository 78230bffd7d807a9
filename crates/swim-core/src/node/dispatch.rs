//! Messages in: their checks, and the handlers that they go to.

use std::sync::Arc;

use super::{Node, State};
use crate::address::Address;
use crate::core::Trust;
use crate::event::{Cause, Rejection};
use crate::evidence::{Evidence, evidence, reaches_receiver};
use crate::join::NoAnswer;
use crate::limits::CHANGES_PER_MESSAGE_MAX;
use crate::member::Member;
use crate::message::{Body, Change, Message, Refusal};
use crate::relay::Requester;
use crate::requests::{Purpose, Request};
use crate::sync;

/// A message without its body.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) app: Arc<str>,
    pub(super) from: Address,
    pub(super) incarnation: u64,
    pub(super) seq: u64,
    /// Changes that the decoder skipped because this member knows them.
    pub(super) known_changes: usize,
}

impl Node {
    /// Handles a message whose already-known changes the decoder skipped.
    pub(super) fn dispatch(&mut self, message: Message, known_changes: usize) {
        self.core.reply_tombstones.clear();
        let is_reply = message.is_reply();
        let Message { app, from, from_incarnation: incarnation, seq, body } = message;
        if let Body::Join { nonce, .. } = body
            && nonce == self.core.nonce
        {
            self.on_own_request(&from, seq);
            return;
        }
        let envelope = Envelope { app, from, incarnation, seq, known_changes };
        match (self.validate(&envelope, &body), is_reply) {
            (Ok(()), true) => {
                self.on_reply(&envelope, body);
                self.core.defer_tombstones(&envelope.from);
            }
            (Ok(()), false) => self.on_request(envelope, body),
            (Err(reason), true) => self.on_invalid_reply(&envelope.from, seq, reason),
            (Err(reason), false) => self.core.refuse(&envelope.from, seq, reason),
        }
    }

    /// Checks whether a message may be handled at all.
    fn validate(&self, envelope: &Envelope, body: &Body) -> Result<(), Rejection> {
        let Envelope { app, from, incarnation, known_changes, .. } = envelope;
        // A refusal by a member of another application is an answer, too.
        let same_app = Arc::ptr_eq(app, &self.core.app) || *app == self.core.app;
        if !same_app && !matches!(body, Body::Refused { .. }) {
            return Err(Rejection::AppMismatch { theirs: app.clone() });
        }
        if *from == self.core.local {
            // Another process with this address refuses a join request for that
            // reason. So did this one when its own request came back.
            return match body {
                Body::Refused { reason: Refusal::SelfAddress } => Ok(()),
                _ => Err(Rejection::SelfAddress),
            };
        }
        self.core.check_clock(*incarnation)?;
        if body.changes().len() + known_changes > CHANGES_PER_MESSAGE_MAX {
            return Err(Rejection::Invalid { what: "too many changes in one message" });
        }
        let joined = !matches!(self.state, State::Idle | State::Joining);
        match body {
            Body::Ping { .. } | Body::PingReq { .. } | Body::Sync(_) if !joined => {
                Err(Rejection::NotReady)
            }
            // A stranger may ask to be dialled itself, within a budget.
            Body::PingReq { target, .. }
                if target != from
                    && self.core.members.find(target).is_none()
                    && self.core.tombstone_at(target).is_none() =>
            {
                Err(Rejection::Invalid { what: "target of a ping-req is unknown here" })
            }
            _ => Ok(()),
        }
    }

    /// Handles a request.
    fn on_request(&mut self, envelope: Envelope, body: Body) {
        let reachable = self.is_sender_reachable(&envelope.from, &body);
        if reachable.is_some() {
            self.core.isolation.on_message(self.core.now);
        }
        self.core.resume_tombstones(&envelope.from);
        if reaches_receiver(&body) {
            self.core.on_direct_contact();
            self.dial_back.reached();
        }
        // A sender that is unknown or gone is dialled later, unless its request
        // brings it back.
        let gone = (reachable != Some(true)).then(|| envelope.from.clone());
        match body {
            Body::Ping { checksum, changes } => self.on_ping(&envelope, checksum, changes),
            Body::PingReq { target, checksum, changes } => {
                self.apply_gossip(&envelope, changes, Trust::Request);
                let Envelope { from: address, incarnation, seq, .. } = envelope;
                let requester = Requester { address, incarnation, checksum, seq };
                self.relays.start(&mut self.core, requester, target);
            }
            Body::Join { cursor, .. } => {
                sync::answer_join(&mut self.core, &envelope.from, envelope.seq, cursor);
            }
            Body::Sync(step) => {
                sync::answer(&mut self.core, &envelope.from, envelope.seq, step);
            }
            Body::Ack { .. }
            | Body::PingReqAck { .. }
            | Body::JoinAck { .. }
            | Body::SyncAck { .. }
            | Body::Refused { .. } => {}
        }
        if let Some(sender) = gone
            && self.state == State::Ready
        {
            self.redial.on_request_of(&self.core, &sender);
        }
    }

    /// Whether the sender of a request is a member that is reachable here; `None`
    /// when it is no member. In a quiet cluster the checksum of a ping tells: its
    /// sender sees the same members as this one, and all of them are reachable.
    /// That spares a look-up in a large table that is in no cache.
    fn is_sender_reachable(&self, from: &Address, body: &Body) -> Option<bool> {
        let members = &self.core.members;
        if let Body::Ping { checksum, .. } = body
            && self.core.others() + 1 == members.len()
            && *checksum == members.checksum()
        {
            return Some(true);
        }
        members.get(from).map(Member::is_reachable)
    }

    /// Handles a reply, if it answers a request of this member.
    fn on_reply(&mut self, envelope: &Envelope, body: Body) {
        let Envelope { from, seq, .. } = envelope;
        let request = self.core.requests.answered_by(from, *seq);
        let purpose = request.map(|request| request.purpose);
        // Nobody knows whether the address that such a member advertises leads to it.
        let by_alias = request.is_some_and(|Request { to, .. }| to != from);
        let answers_probe = purpose.is_some_and(Purpose::is_probe);
        // Only members are probed, which spares a look-up in a large table.
        let reachable = if answers_probe && matches!(body, Body::Ack { .. }) {
            Some(true)
        } else {
            self.core.members.get(from).map(Member::is_reachable)
        };
        if reachable.is_some() {
            self.core.isolation.on_message(self.core.now);
        }
        if self.state == State::Joining {
            // A member that joins refuses the pings of others, so none can have
            // reached it yet.
            self.core.assume_contact();
        }
        let evidence = if by_alias { Evidence::Nothing } else { evidence(&body) };
        let trust = trust(purpose, reachable == Some(true));
        match purpose {
            Some(purpose) => {
                if evidence == Evidence::Contact {
                    self.core.responders.answered_in_time(self.core.now, from);
                }
                self.on_answer(envelope, purpose, trust, body);
            }
            // The end of an own request that came back.
            None if *from == self.core.local => return,
            None => {
                if !self.on_late_answer(envelope, trust, body) {
                    self.core.reject(from, Rejection::UnexpectedReply);
                    return;
                }
            }
        }
        if evidence == Evidence::Contact {
            self.core.responders.answered(from);
            self.core.answered();
            self.probes.on_contact(&mut self.core, from);
        }
    }

    /// Handles a reply that cannot be applied. When the clock of its sender is the
    /// reason, the request fails with it instead of waiting in vain.
    fn on_invalid_reply(&mut self, from: &Address, seq: u64, reason: Rejection) {
        let clock = matches!(reason, Rejection::ClockAhead { .. });
        self.core.reject(from, reason);
        if clock && self.core.requests.answered_by(from, seq).is_some() {
            self.on_no_answer(seq, NoAnswer::ClockAhead);
        }
    }

    /// Handles an answer to a request that was given up. Its changes are as true as
    /// if it had come in time. `false` when no such request is remembered.
    fn on_late_answer(&mut self, envelope: &Envelope, trust: Trust, body: Body) -> bool {
        let Envelope { from, seq, .. } = envelope;
        let follow = matches!(body, Body::PingReqAck { pending: true, .. });
        let Some(issued) = self.core.late.take(from, *seq, follow) else { return false };
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
        // A peer that is gone by now may be of another partition. Its list must not
        // be merged before all members have refuted.
        let gone = self.core.members.get(from).is_some_and(|member| !member.is_reachable());
        if !gone {
            self.core.stats.changes_received += envelope.known_changes as u64;
            self.core.apply(body.into_changes(), &cause, trust);
        }
        true
    }

    /// Applies piggybacked changes; usually there are none.
    pub(super) fn apply_gossip(&mut self, envelope: &Envelope, changes: Vec<Change>, trust: Trust) {
        self.core.stats.changes_received += envelope.known_changes as u64;
        if !changes.is_empty() {
            self.core.apply(changes, &Cause::Gossip { from: envelope.from.clone() }, trust);
        }
    }
}

/// How far a reply is believed about other members.
const fn trust(purpose: Option<Purpose>, from_member: bool) -> Trust {
    match purpose {
        Some(Purpose::Join | Purpose::SecondLook | Purpose::HealList | Purpose::HealPing) => {
            Trust::Listed
        }
        _ if from_member => Trust::Member,
        _ => Trust::Stranger,
    }
}
