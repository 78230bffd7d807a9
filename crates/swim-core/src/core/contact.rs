//! Whether others reach this member at the address that it advertises.
//!
//! A member whose address leads nowhere can still dial the others, and the
//! answers to its own pings carry every suspicion of it. If it refuted those, it
//! would be alive for ever although no other reaches it, and its keys would have
//! two owners. A refutation therefore needs direct contact: a member that was not
//! reached lately asks for a ping first (`dial_back.rs`), and refutes when a
//! request arrives. If none does, the others are right: it goes off the ring, also
//! in its own view.

use crate::address::Address;
use crate::core::Core;
use crate::event::Isolation;
use crate::event::{Cause, Event};
use crate::limits::CONTACT_PERIODS;
use crate::member::{Member, Status};
use crate::time::Instant;
use crate::timers::Timer;

/// The contact of this member with the others.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    /// When a request of another member last arrived.
    last_request: Instant,
    /// When a member last answered a request of this one.
    last_answer: Instant,
    /// The strongest change about this member that waits for a contact before it is
    /// refuted, with its sender.
    held: Option<(Member, Option<Address>)>,
    /// Since when this member doubts by itself that others reach it.
    doubted_since: Option<Instant>,
    /// Since when no other reaches this member, as far as it knows.
    unreachable_since: Option<Instant>,
    /// When the next dial-back is due, while a refutation is held.
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
    /// Another member reached this one: refutes the change that waited for it.
    pub(crate) fn on_direct_contact(&mut self) {
        self.contact.last_request = self.now;
        self.contact.doubted_since = None;
        let Some((member, from)) = self.contact.held.take() else { return };
        self.cancel_dial_back();
        // A doubt of this member alone, which no other knows of, needs no refutation.
        if from.is_some() || !member.is_reachable() {
            self.refute(member, from);
        }
        if let Some(since) = self.contact.unreachable_since.take() {
            let (address, duration) = (self.local.clone(), self.now - since);
            self.event(Event::ReachableAgain { address, duration });
        }
    }

    /// Treats this member as reached just now: one that joins has the benefit of the
    /// doubt.
    pub(crate) fn assume_contact(&mut self) {
        self.contact.last_request = self.now;
    }

    /// Whether the refutation of a change about this member has to wait for a contact.
    pub(crate) fn needs_contact(&self, member: &Member) -> bool {
        let local = self.local_member().status;
        let present = local == Status::Alive || self.contact.is_unreachable();
        let window = self.config.protocol_period() * CONTACT_PERIODS;
        present && member.status != Status::Alive && self.now - self.contact.last_request > window
    }

    /// Holds the refutation of a change about this member until a request arrives.
    /// Meanwhile it agrees with a change that calls it gone: the others do not reach
    /// it, and it owns nothing.
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

    /// Doubts, once in a period, that others reach this member, when they answer and
    /// none sends a request. A member that none could ever reach is never added by the
    /// others (`newcomers.rs`), and no suspicion reaches it.
    pub(crate) fn doubt_contact(&mut self) {
        let alone = self.others() == 0 || self.isolation.isolation() == Isolation::Alone;
        if alone && self.contact.is_in_doubt() {
            // No other is left that could reach it, or own its keys instead.
            self.on_direct_contact();
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
            // The others may not know it yet.
            self.spread_local();
        } else if !self.contact.is_in_doubt() {
            self.hold_refutation(doubt(Status::Suspect), None);
        }
    }

    /// Takes itself for faulty at the incarnation of the others: views agree.
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

    /// Drops the held refutation: a member that leaves refutes nothing more.
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
        assert_eq!(
            held.is_some(),
            dial_back_at.is_some(),
            "a member that waits for a contact asks for it"
        );
        assert!(
            held.is_some() || unreachable_since.is_none(),
            "an unreachable member holds a refutation"
        );
        if let Some(at) = dial_back_at {
            assert!(self.timers.contains(*at, Timer::DialBack), "the dial-back is armed");
        }
    }
}
