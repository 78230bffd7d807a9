//! Whether others reach this member at the address that it advertises.
//!
//! A member whose address leads nowhere can still dial the others, and the
//! answers to its own pings tell it of every suspicion. If it contradicted
//! those, it would be alive for ever without anybody reaching it, and its keys
//! would have two owners. What contradicts a suspicion is therefore direct
//! contact: a member that was not reached lately asks for a ping first
//! (`dial_back.rs`), and refutes when a request arrives. If none does, the
//! others are right: it goes off the ring, also in its own view.

use crate::address::Address;
use crate::core::{Core, Isolation};
use crate::event::{Cause, Event};
use crate::limits::CONTACT_PERIODS;
use crate::member::{Member, Status};
use crate::time::Instant;
use crate::timers::Timer;

/// What this member knows about being reached.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    /// When a request of another member last arrived.
    last_request: Instant,
    /// When a member last answered a request of this one.
    last_answer: Instant,
    /// The strongest statement about this member that waits for a contact
    /// before it is contradicted, with its sender.
    held: Option<(Member, Option<Address>)>,
    /// Since when this member doubts by itself that others reach it.
    doubted_since: Option<Instant>,
    /// Since when nobody reaches this member, as far as it was told.
    unreachable_since: Option<Instant>,
    /// When the next dial-back is due, while a statement is held.
    pub(crate) dial_back_at: Option<Instant>,
}

impl Contact {
    pub(crate) const fn is_unreachable(&self) -> bool {
        self.unreachable_since.is_some()
    }

    pub(crate) const fn is_in_doubt(&self) -> bool {
        self.held.is_some()
    }
}

impl Core {
    /// Another member reached this one: whatever waited for it is contradicted.
    pub(crate) fn contacted(&mut self) {
        self.contact.last_request = self.now;
        self.contact.doubted_since = None;
        let Some((member, from)) = self.contact.held.take() else { return };
        self.cancel_dial_back();
        // An own doubt that nobody heard of needs no contradiction.
        if from.is_some() || !member.is_reachable() {
            self.refute(member, from);
        }
        if let Some(since) = self.contact.unreachable_since.take() {
            let (address, duration) = (self.local.clone(), self.now - since);
            self.event(Event::ReachableAgain { address, duration });
        }
    }

    /// A member that is about to begin has the benefit of the doubt.
    pub(crate) fn assume_contact(&mut self) {
        self.contact.last_request = self.now;
    }

    /// Whether a statement about this member has to wait for a contact.
    pub(crate) fn needs_contact(&self, member: &Member) -> bool {
        let local = self.local_member().status;
        let present = local == Status::Alive || self.contact.is_unreachable();
        let window = self.config.protocol_period() * CONTACT_PERIODS;
        present && member.status != Status::Alive && self.now - self.contact.last_request > window
    }

    /// Keeps a statement about this member until somebody reaches it. One that
    /// says that it is gone is agreed with meanwhile: the others do not reach
    /// it, so that it owns nothing.
    pub(crate) fn hold_refutation(&mut self, member: Member, from: Option<Address>) {
        let (gone, incarnation) = (!member.is_reachable(), member.incarnation);
        let known = self.contact.held.as_ref().map(|(known, _)| known.rank());
        if known.is_none_or(|known| known < member.rank()) {
            self.contact.held = Some((member, from));
        }
        if self.contact.dial_back_at.is_none() {
            self.arm_dial_back(self.now);
        }
        if gone {
            self.accept_faulty(incarnation);
        }
    }

    /// A member answered a request of this one.
    pub(crate) fn answered(&mut self) {
        self.contact.last_answer = self.now;
    }

    /// Doubts by itself, once in a period, that others reach this member: they
    /// answer, and none sends a request. One that nobody could ever reach is never
    /// added by the others (`newcomers.rs`), and hears of no suspicion.
    pub(crate) fn doubt_contact(&mut self) {
        let alone = self.others() == 0 || self.isolation.isolation() == Isolation::Alone;
        if alone && self.contact.is_in_doubt() {
            // Nobody is left who could reach it, or own its keys instead.
            self.contacted();
        }
        let window = self.config.protocol_period() * CONTACT_PERIODS;
        let silence = self.now - self.contact.last_request;
        if silence <= window * 2 {
            return;
        }
        let patience = self.suspicion_bounds().min.max(window * 4) - window * 2;
        let answered = self.now - self.contact.last_answer <= window * 2;
        let alive = self.local_member().status == Status::Alive;
        if !self.config.verify_claims() || !alive || !answered || self.others() == 0 {
            return;
        }
        let local = self.local_member().clone();
        let doubt = |status| Member { status, ..local };
        // Since it asked to be dialled: a process that slept was silent itself.
        let since = *self.contact.doubted_since.get_or_insert(self.now);
        if self.now - since >= patience {
            self.hold_refutation(doubt(Status::Faulty), None);
            // Nobody else may have said so.
            self.spread_local();
        } else if !self.contact.is_in_doubt() {
            self.hold_refutation(doubt(Status::Suspect), None);
        }
    }

    /// Takes itself for faulty, at the incarnation at which the others do, so
    /// that views agree.
    fn accept_faulty(&mut self, incarnation: u64) {
        let before = self.local_member().clone();
        let after = Member { status: Status::Faulty, incarnation, ..before.clone() };
        if after.rank() <= before.rank() {
            return;
        }
        self.incarnation = incarnation;
        self.members.set(after.clone(), &mut self.rng);
        self.gossip.forget(self.local_slot);
        self.changed(Some(before), Some(after), None, Cause::Contact);
        if self.contact.unreachable_since.is_none() {
            self.contact.unreachable_since = Some(self.now);
            self.stats.unreachable += 1;
            self.event(Event::Unreachable { address: self.local.clone() });
        }
    }

    /// A member that leaves contradicts nothing any more.
    pub(crate) fn stop_waiting_for_contact(&mut self) {
        self.contact.held = None;
        self.contact.doubted_since = None;
        self.contact.unreachable_since = None;
        self.cancel_dial_back();
    }

    pub(crate) fn arm_dial_back(&mut self, at: Instant) {
        self.cancel_dial_back();
        self.contact.dial_back_at = Some(at);
        self.timers.set(at, Timer::DialBack);
    }

    fn cancel_dial_back(&mut self) {
        if let Some(at) = self.contact.dial_back_at.take() {
            self.timers.cancel(at, Timer::DialBack);
        }
    }

    /// See [`Node::check_invariants`](crate::Node::check_invariants).
    pub(crate) fn check_contact(&self) {
        let Contact { held, unreachable_since, dial_back_at, .. } = &self.contact;
        assert_eq!(held.is_some(), dial_back_at.is_some(), "who waits for a contact asks for it");
        assert!(held.is_some() || unreachable_since.is_none(), "nobody is unreachable for nothing");
        if let Some(at) = dial_back_at {
            assert!(self.timers.contains(*at, Timer::DialBack), "the dial-back is armed");
        }
    }
}
