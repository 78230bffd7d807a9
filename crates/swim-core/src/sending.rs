//! What leaves the machine: events, messages with what rides on them, requests
//! that want an answer, and refusals.

use std::time::Duration;

use crate::address::Address;
use crate::core::Core;
use crate::dissemination::{Gossip, Issued, Picked, sends_max};
use crate::event::{Event, Output, Path, Rejection, Transmit};
use crate::member::Status;
use crate::membership::SlotId;
use crate::message::{Body, Change, Message, Refusal};
use crate::page::excerpt;
use crate::time::Instant;
use crate::timers::Timer;

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// An open request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) to: Address,
    pub(crate) seq: u64,
    pub(crate) deadline: Instant,
}

/// What is piggybacked on a reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) changes: Vec<Change>,
    pub(crate) gossip: Gossip,
}

impl Request {
    pub(crate) fn is(&self, from: &Address, seq: u64) -> bool {
        self.seq == seq && self.to == *from
    }
}

impl Core {
    pub(crate) fn event(&mut self, event: Event) {
        tracing::trace!(local = %self.local, ?event, "event");
        self.outbox.push_back(Output::Event(event));
    }

    pub(crate) fn send(&mut self, to: Address, seq: u64, body: Body) {
        self.send_by(Path::First, to, seq, body);
    }

    fn send_by(&mut self, path: Path, to: Address, seq: u64, body: Body) {
        let message = Message {
            app: self.app.clone(),
            from: self.local.clone(),
            from_incarnation: self.incarnation,
            seq,
            body,
        };
        self.outbox.push_back(Output::Transmit(Transmit { to, message, path }));
    }

    /// Sends a request and arms its deadline.
    pub(crate) fn request(&mut self, to: Address, timeout: Duration, body: Body) -> Request {
        self.request_by(Path::First, to, timeout, body)
    }

    fn request_by(&mut self, path: Path, to: Address, timeout: Duration, body: Body) -> Request {
        let seq = self.next_seq;
        self.next_seq += 1;
        let deadline = self.now + timeout;
        self.timers.set(deadline, Timer::Request(seq));
        self.send_by(path, to.clone(), seq, body);
        Request { to, seq, deadline }
    }

    /// Disarms the deadline of a request.
    pub(crate) fn disarm(&mut self, request: &Request) {
        self.timers.cancel(request.deadline, Timer::Request(request.seq));
    }

    /// Pings a member. The changes that go along count as sent only when it
    /// answers.
    pub(crate) fn ping(&mut self, to: SlotId, timeout: Duration) -> (Request, Vec<Issued>) {
        let (changes, issued) = self.piggyback(to);
        self.stats.pings_sent += 1;
        let to = self.members.slot(to).member.address.clone();
        let body = Body::Ping { checksum: self.members.checksum(), changes };
        (self.request(to, timeout, body), issued)
    }

    /// Pings a member with just these changes, which count as nothing.
    pub(crate) fn ping_with(
        &mut self,
        path: Path,
        to: Address,
        timeout: Duration,
        changes: Vec<Change>,
    ) -> Request {
        self.stats.pings_sent += 1;
        self.stats.changes_sent += changes.len() as u64;
        let body = Body::Ping { checksum: self.members.checksum(), changes };
        self.request_by(path, to, timeout, body)
    }

    /// The changes for a request to a member. With Lifeguard's buddy system a
    /// suspect always hears that it is one, so that it refutes at the first
    /// contact.
    pub(crate) fn piggyback(&mut self, to: SlotId) -> (Vec<Change>, Vec<Issued>) {
        let known = &self.members.slot(to).member;
        let is_suspect = known.status == Status::Suspect && self.config.buddy();
        let buddy = is_suspect.then(|| known.clone());
        let bytes_max = self.config.message_bytes_max();
        // An unknown incarnation is the source of nothing.
        let source = (!self.config.repeat_to_source()).then_some(known.incarnation);
        let peer = (&known.address, source);
        let Picked { mut changes, mut issued, .. } =
            self.gossip.pick(&self.members, peer, bytes_max);
        self.stats.changes_sent += changes.len() as u64;
        if let Some(member) = buddy
            && changes.iter().all(|change| change.member.address != member.address)
        {
            let buddy = Change { member, source: Some(self.local_source()) };
            let mut bytes: usize = changes.iter().map(Change::encoded_len).sum();
            // Other news wait for the next message when there is no room.
            while bytes + buddy.encoded_len() > bytes_max
                && let Some(last) = changes.pop()
            {
                issued.pop();
                bytes -= last.encoded_len();
                self.stats.changes_sent -= 1;
            }
            self.stats.changes_sent += 1;
            changes.push(buddy);
        }
        (changes, issued)
    }

    /// What the sender of the present message must hear, because what it says
    /// or is was forgotten here: the tombstones, so that it forgets as well,
    /// or, when it is the member itself, contradicts. Without them the two
    /// would differ until the sender forgets by itself.
    pub(crate) fn epitaphs(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.epitaphs)
    }

    /// The changes for a reply to a peer whose checksum is `theirs`. They
    /// count as sent at once, because nobody tells whether a reply arrives.
    pub(crate) fn piggyback_reply(&mut self, to: &Address, incarnation: u64, theirs: u64) -> Reply {
        if !self.graves.is_empty() && self.members.find(to).is_none() {
            self.is_buried(to, incarnation, Status::Alive);
        }
        let epitaphs = self.epitaphs();
        if !epitaphs.is_empty() {
            return Reply { changes: epitaphs, gossip: Gossip::Flowing };
        }
        let bytes_max = self.config.message_bytes_max();
        let picked = self.gossip.pick(&self.members, (to, Some(incarnation)), bytes_max);
        let gossip = picked.gossip();
        self.stats.changes_sent += picked.changes.len() as u64;
        let Picked { mut changes, issued, .. } = picked;
        self.delivered(&issued);
        // Ringpop's full sync. Elsewhere the digests are compared.
        let differs = theirs != self.members.checksum();
        if differs && gossip == Gossip::Silent && self.config.sync_whole_list() {
            changes = excerpt(self);
        }
        Reply { changes, gossip }
    }

    /// Counts changes that arrived.
    pub(crate) fn delivered(&mut self, issued: &[Issued]) {
        if issued.is_empty() {
            return;
        }
        let max = sends_max(self.config.piggyback_factor(), self.others());
        self.gossip.bump(issued, max);
    }

    /// Refuses a message: counted and reported, nothing else changes.
    pub(crate) fn reject(&mut self, from: &Address, reason: Rejection) {
        let counter = match reason {
            Rejection::AppMismatch { .. } => &mut self.stats.rejected_app,
            Rejection::SelfAddress => &mut self.stats.rejected_self,
            Rejection::NotReady => &mut self.stats.rejected_not_ready,
            Rejection::UnexpectedReply => &mut self.stats.rejected_replies,
            Rejection::Invalid { .. } => &mut self.stats.rejected_invalid,
            Rejection::ClockAhead { .. } => &mut self.stats.rejected_clock,
            Rejection::Busy => &mut self.stats.rejected_busy,
            Rejection::MembersFull => &mut self.stats.rejected_members_full,
            Rejection::LabelsDropped => &mut self.stats.rejected_labels,
        };
        *counter += 1;
        if let Rejection::ClockAhead { ahead_ms } = reason
            && counter.is_power_of_two()
        {
            // Not each time: who sends it may do so often.
            tracing::warn!(
                local = %self.local,
                %from,
                ahead_days = ahead_ms / DAY_MS,
                "the clock of a member is too far ahead of this one's; one of them is wrong"
            );
        }
        self.event(Event::Rejected { from: from.clone(), reason });
    }

    /// Refuses a request and says so to its sender.
    pub(crate) fn refuse(&mut self, from: &Address, seq: u64, reason: Rejection) {
        let refusal = match reason {
            Rejection::AppMismatch { .. } => Refusal::AppMismatch,
            Rejection::SelfAddress => Refusal::SelfAddress,
            Rejection::NotReady => Refusal::NotReady,
            Rejection::ClockAhead { .. } => Refusal::ClockAhead,
            Rejection::Busy => Refusal::Busy,
            Rejection::UnexpectedReply
            | Rejection::Invalid { .. }
            | Rejection::MembersFull
            | Rejection::LabelsDropped => Refusal::Invalid,
        };
        self.reject(from, reason);
        self.send(from.clone(), seq, Body::Refused { reason: refusal });
    }
}
