//! The outputs of the machine: events, requests, replies with piggybacked changes,
//! and refusals.

use std::time::Duration;

use crate::address::Address;
use crate::core::Core;
use crate::dissemination::{Backlog, Issued, Picked, sends_max};
use crate::event::{Event, Output, Path, Rejection, Transmit};
use crate::member::Status;
use crate::membership::SlotId;
use crate::message::{Body, Change, Message, Refusal};
use crate::page::excerpt;
use crate::requests::{Purpose, Request};
use crate::timers::Timer;

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The changes that are piggybacked on a reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) changes: Vec<Change>,
    pub(crate) backlog: Backlog,
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

    /// Sends a request, enters it in the table and arms its deadline. Returns its
    /// number.
    pub(crate) fn request(
        &mut self,
        purpose: Purpose,
        to: Address,
        timeout: Duration,
        body: Body,
    ) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        let deadline = self.now + timeout;
        self.timers.set(deadline, Timer::Request(seq));
        let second = matches!(purpose, Purpose::SecondPing(_));
        let path = if second { Path::Second } else { Path::First };
        self.send_by(path, to.clone(), seq, body);
        let request = Request { to, deadline: Some(deadline), purpose };
        self.requests.insert(seq, request);
        seq
    }

    /// Disarms the deadline of a request, which stays open.
    pub(crate) fn disarm(&mut self, seq: u64) {
        let deadline = self.requests.get_mut(seq).and_then(|request| request.deadline.take());
        if let Some(deadline) = deadline {
            self.timers.cancel(deadline, Timer::Request(seq));
        }
    }

    /// Takes a request out of the table, if it is under way. Returns its receiver.
    pub(crate) fn close(&mut self, seq: u64) -> Option<Address> {
        self.disarm(seq);
        self.requests.remove(seq).map(|request| request.to)
    }

    /// Stops waiting for the answer to a request. The changes in a late answer are
    /// applied all the same.
    pub(crate) fn give_up(&mut self, seq: u64, issued: Vec<Issued>) {
        if let Some(to) = self.close(seq) {
            self.late.expect(to, seq, issued);
        }
    }

    /// Pings a member. The piggybacked changes count as sent only when it answers.
    pub(crate) fn ping(
        &mut self,
        purpose: Purpose,
        to: SlotId,
        timeout: Duration,
    ) -> (u64, Vec<Issued>) {
        let (changes, issued) = self.piggyback(to);
        self.stats.pings_sent += 1;
        let to = self.members.slot(to).member.address.clone();
        let body = Body::Ping { checksum: self.members.checksum(), changes };
        (self.request(purpose, to, timeout, body), issued)
    }

    /// Pings a member with these changes only. They do not count as sent.
    pub(crate) fn ping_with(
        &mut self,
        purpose: Purpose,
        to: Address,
        timeout: Duration,
        changes: Vec<Change>,
    ) -> u64 {
        self.stats.pings_sent += 1;
        self.stats.changes_sent += changes.len() as u64;
        let body = Body::Ping { checksum: self.members.checksum(), changes };
        self.request(purpose, to, timeout, body)
    }

    /// The changes for a request to a member. With Lifeguard's buddy system a suspect
    /// always gets the suspicion, and refutes it at the first contact.
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
            // Without room other changes wait for the next message.
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

    /// The changes for a reply to a peer whose checksum is `theirs`. They count as
    /// sent at once, because the arrival of a reply is not acknowledged. Tombstones go
    /// first: without them the two views differ until the peer removes those members
    /// by itself.
    pub(crate) fn piggyback_reply(&mut self, to: &Address, incarnation: u64, theirs: u64) -> Reply {
        if !self.removed.is_empty() && self.members.find(to).is_none() {
            self.reply_with_tombstone(to, incarnation);
        }
        let tombstones = std::mem::take(&mut self.reply_tombstones);
        if !tombstones.is_empty() {
            return Reply { changes: tombstones, backlog: Backlog::Fits };
        }
        let bytes_max = self.config.message_bytes_max();
        let picked = self.gossip.pick(&self.members, (to, Some(incarnation)), bytes_max);
        let backlog = picked.backlog();
        self.stats.changes_sent += picked.changes.len() as u64;
        let Picked { mut changes, issued, .. } = picked;
        self.delivered(&issued);
        // Ringpop's full sync. Elsewhere the digests are compared.
        let differs = theirs != self.members.checksum();
        if differs && backlog == Backlog::Empty && self.config.sync_whole_list() {
            changes = excerpt(self);
        }
        Reply { changes, backlog }
    }

    /// Counts changes that arrived.
    pub(crate) fn delivered(&mut self, issued: &[Issued]) {
        if issued.is_empty() {
            return;
        }
        let max = sends_max(self.config.piggyback_factor(), self.others());
        self.gossip.bump(issued, max);
    }

    /// Refuses a message: counts and reports it.
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
            // Not each time: such a member may send often.
            tracing::warn!(
                local = %self.local,
                %from,
                ahead_days = ahead_ms / DAY_MS,
                "the clock of a member is too far ahead of this one's; one of them is wrong"
            );
        }
        self.event(Event::Rejected { from: from.clone(), reason });
    }

    /// Refuses a request and replies with the reason.
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
