//! The state that all parts of the machine share, and the one place that decides
//! which changes take effect.
//!
//! The modules below are parts of the same state: each has its fields and its rules
//! in a file of its own. Nothing above them is called from here.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::address::Address;
use crate::aliases::Aliases;
use crate::awareness::Awareness;
use crate::config::Config;
use crate::dial_budget::DialBudget;
use crate::dialect::Dialect;
use crate::dissemination::Dissemination;
use crate::event::{Cause, Event, Output, Rejection};
use crate::flaps::Flaps;
use crate::labels::{LabelLimits, Labels};
use crate::late::LateAnswers;
use crate::limits::{INCARNATION_AHEAD_MAX, REPLY_TOMBSTONES_MAX, UNIX_MS_MAX};
use crate::member::{Member, Status};
use crate::membership::{Membership, SlotId};
use crate::message::{Body, Change, Cursor, Source};
use crate::mutation::{Mutation, active};
use crate::removed::RemovedMembers;
use crate::requests::Requests;
use crate::responders::Responders;
use crate::rng::SplitMix64;
use crate::stats::Stats;
use crate::suspicion::Suspicion;
use crate::time::Instant;
use crate::timers::{Timer, Timers};

mod agreement;
mod claims;
mod contact;
mod damping;
mod expiry;
mod isolation;
mod newcomers;
mod sending;
mod view_change;

use agreement::Agreement;
use claims::Claims;
use contact::Contact;
use damping::Ballots;
pub use damping::VOTES_LABEL;
use isolation::IsolationWatch;
use newcomers::Newcomers;
pub(crate) use newcomers::Trust;
pub(crate) use sending::Reply;
use view_change::Burst;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Arc<Config>,
    pub(crate) app: Arc<str>,
    pub(crate) local: Address,
    pub(crate) local_slot: SlotId,
    /// Number of this process, by which it recognises its own requests.
    pub(crate) nonce: u64,
    pub(crate) aliases: Aliases,
    /// Incarnation of the local member, which goes into every message.
    pub(crate) incarnation: u64,
    pub(crate) now: Instant,
    /// Wall clock at the driver's start, in milliseconds of the Unix epoch.
    unix_ms_at_start: u64,
    pub(crate) rng: SplitMix64,
    pub(crate) members: Membership,
    pub(crate) gossip: Dissemination,
    pub(crate) timers: Timers,
    pub(crate) outbox: VecDeque<Output>,
    pub(crate) stats: Stats,
    pub(crate) awareness: Awareness,
    pub(crate) isolation: IsolationWatch,
    pub(crate) agreement: Agreement,
    pub(crate) removed: RemovedMembers,
    pub(crate) flaps: Flaps,
    pub(crate) ballots: Ballots,
    pub(crate) burst: Burst,
    pub(crate) contact: Contact,
    pub(crate) newcomers: Newcomers,
    pub(crate) claims: Claims,
    dial_budget: DialBudget,
    pub(crate) late: LateAnswers,
    pub(crate) responders: Responders,
    /// Tombstones for the reply to the current message: removed members that the
    /// message mentions.
    pub(crate) reply_tombstones: Vec<Change>,
    /// Tombstones found while an answer was handled. They go to its sender with
    /// the reply to its next request.
    deferred_tombstones: Option<(Address, Vec<Change>)>,
    pub(crate) requests: Requests,
    pub(crate) next_seq: u64,
}

impl Core {
    pub(crate) fn new(
        config: Arc<Config>,
        dialect: Option<Arc<dyn Dialect>>,
        app: Arc<str>,
        local: Member,
        seed: u64,
        now: Instant,
        unix_ms: u64,
    ) -> Self {
        let mut rng = SplitMix64::new(seed);
        let mut members = Membership::new(rng.next(), dialect);
        // Numbers begin at random: a reply to a former process at this address must
        // not pass for one to this process. Below 2^28 they take four bytes.
        let next_seq = rng.next() >> 37;
        let Member { ref address, incarnation, .. } = local;
        let address = address.clone();
        let (local_slot, _) = members.set(local, &mut rng);
        let awareness = Awareness::new(config.awareness_max());
        Self {
            config,
            app,
            local: address,
            local_slot,
            // Not drawn from `rng`, and never 0, which stands for none.
            nonce: SplitMix64::mix(!seed).max(1),
            aliases: Aliases::default(),
            incarnation,
            now,
            unix_ms_at_start: unix_ms.saturating_sub(now.as_millis()),
            rng,
            members,
            gossip: Dissemination::default(),
            timers: Timers::default(),
            outbox: VecDeque::new(),
            stats: Stats::default(),
            awareness,
            isolation: IsolationWatch::default(),
            agreement: Agreement::default(),
            removed: RemovedMembers::default(),
            flaps: Flaps::default(),
            ballots: Ballots::default(),
            burst: Burst::default(),
            contact: Contact::default(),
            newcomers: Newcomers::default(),
            claims: Claims::default(),
            dial_budget: DialBudget::default(),
            late: LateAnswers::default(),
            responders: Responders::default(),
            reply_tombstones: Vec::new(),
            deferred_tombstones: None,
            requests: Requests::default(),
            next_seq,
        }
    }

    pub(crate) fn local_member(&self) -> &Member {
        &self.members.slot(self.local_slot).member
    }

    pub(crate) fn unix_ms(&self) -> u64 {
        self.unix_ms_at_start.saturating_add(self.now.as_millis()).min(UNIX_MS_MAX)
    }

    /// Refuses an incarnation that is further ahead of the wall clock than any
    /// plausible clock.
    pub(crate) fn check_clock(&self, incarnation: u64) -> Result<(), Rejection> {
        let ahead_ms = incarnation.saturating_sub(self.unix_ms());
        let ahead = ahead_ms > INCARNATION_AHEAD_MAX;
        if ahead { Err(Rejection::ClockAhead { ahead_ms }) } else { Ok(()) }
    }

    /// Reachable members other than this one.
    pub(crate) fn others(&self) -> usize {
        self.members.reachable() - usize::from(self.local_member().is_reachable())
    }

    /// Asks for a page of a member list.
    pub(crate) const fn join_body(&self, cursor: Option<Cursor>) -> Body {
        Body::Join { cursor, nonce: self.nonce }
    }

    // --- Changes ---

    /// The incarnation of a tombstone or of a removed member.
    pub(crate) fn tombstone_at(&self, address: &Address) -> Option<u64> {
        match self.members.get(address) {
            Some(member) if member.status == Status::Tombstone => Some(member.incarnation),
            Some(_) => None,
            None => self.removed.find(address),
        }
    }

    /// The incarnation at which an unknown member was removed, unless
    /// `incarnation` is newer.
    fn removed_at(&self, address: &Address, incarnation: u64) -> Option<u64> {
        self.removed.find(address).filter(|removed| incarnation <= *removed)
    }

    /// Answers the current message with the tombstone of a member that was removed
    /// at `incarnation` or later.
    pub(crate) fn reply_with_tombstone(&mut self, address: &Address, incarnation: u64) {
        let Some(incarnation) = self.removed_at(address, incarnation) else { return };
        if self.reply_tombstones.len() < REPLY_TOMBSTONES_MAX {
            let labels = Labels::default();
            let member = Member::new(address.clone(), Status::Tombstone, incarnation, labels);
            self.reply_tombstones.push(Change { member, source: None });
        }
    }

    /// Keeps the tombstones for the sender of an answer, which gets no reply.
    pub(crate) fn defer_tombstones(&mut self, from: &Address) {
        if !self.reply_tombstones.is_empty() {
            let tombstones = std::mem::take(&mut self.reply_tombstones);
            self.deferred_tombstones = Some((from.clone(), tombstones));
        }
    }

    /// Lets the reply to a request carry the tombstones kept for its sender.
    pub(crate) fn resume_tombstones(&mut self, from: &Address) {
        if let Some((_, tombstones)) = self.deferred_tombstones.take_if(|(to, _)| to == from) {
            self.reply_tombstones = tombstones;
        }
    }

    /// Applies changes that were received. Returns how many took effect.
    pub(crate) fn apply(&mut self, changes: Vec<Change>, cause: &Cause, trust: Trust) -> usize {
        self.stats.changes_received += changes.len() as u64;
        let mut applied = 0;
        for change in changes {
            applied += usize::from(self.apply_change(change, cause, trust));
        }
        self.stats.changes_applied += applied as u64;
        applied
    }

    /// Whether [`apply`](Self::apply) would do nothing with a change, whatever else
    /// the message carries: only newer changes replace a known member.
    #[cfg(feature = "wire")]
    pub(crate) fn would_ignore<'a>(
        &'a self,
        address: &[u8],
        rank: (u64, Status),
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> bool {
        let Some(id) = self.members.find_bytes(address) else { return false };
        let known = &self.members.slot(id).member;
        // A suspicion may confirm another one.
        let may_confirm = rank == known.rank() && known.status == Status::Suspect;
        if rank > known.rank() || may_confirm {
            return false;
        }
        // Other labels may win at equal rank, and may be invalid at any.
        let mut labels = labels.peekable();
        let none = labels.peek().is_none();
        (none && rank < known.rank()) || labels.eq(known.labels.iter())
    }

    fn apply_change(&mut self, mut change: Change, cause: &Cause, trust: Trust) -> bool {
        let Member { ref address, incarnation, status, .. } = change.member;
        let id = self.members.find(address);
        if id.is_none() && self.removed_at(address, incarnation).is_some() {
            if status != Status::Tombstone {
                self.reply_with_tombstone(address, incarnation);
            }
            self.stats.changes_about_removed += 1;
            return false;
        }
        if active(Mutation::RefutesForOthers) && status == Status::Suspect {
            change.member.status = Status::Alive;
            change.member.incarnation += 1;
        }
        let known = id.map(|id| &self.members.slot(id).member);
        let resurrects = active(Mutation::ResurrectingSync)
            && status == Status::Alive
            && matches!(cause, Cause::Sync { .. });
        if !self.members.overrides(&change.member, known) && !resurrects {
            return id.is_some_and(|id| self.confirm(id, &change));
        }
        if let Err(rejection) = self.check_change(&change.member, known) {
            let dropped_labels = rejection == Rejection::LabelsDropped;
            let labels = known.map(|known| known.labels.clone()).unwrap_or_default();
            let from = sender(cause).unwrap_or(&self.local).clone();
            self.reject(&from, rejection);
            change.member.labels = labels;
            let known = id.map(|id| &self.members.slot(id).member);
            if !dropped_labels || !self.members.overrides(&change.member, known) {
                return false;
            }
        }
        if let Some(from) = sender(cause)
            && !self.is_believed(&change.member.address, from, trust)
            && self.appears(&change.member)
        {
            self.hold_newcomer(change, from, cause, trust);
            return false;
        }
        if self.needs_check(&change.member, trust) {
            return self.check_claim(change, cause);
        }
        if change.member.address == self.local && !active(Mutation::BelievesItsEnd) {
            self.on_change_about_self(change.member, sender(cause).cloned());
            return true;
        }
        self.set(change.member, change.source, cause.clone());
        true
    }

    /// Checks a change from the network. Labels beyond the limits of the protocol
    /// must not hide a failure: they are dropped and the status still counts, as in
    /// Temporal's fork of ringpop-go. This member's own limits do not matter: all
    /// members must judge alike.
    fn check_change(&self, member: &Member, known: Option<&Member>) -> Result<(), Rejection> {
        self.check_clock(member.incarnation)?;
        if known.is_none() && self.members.len() >= self.config.members_max() {
            return Err(Rejection::MembersFull);
        }
        let labels = member.labels.check(&LabelLimits::PROTOCOL);
        labels.map_err(|_| Rejection::LabelsDropped)
    }

    /// Handles a wrong change about this member.
    fn on_change_about_self(&mut self, member: Member, from: Option<Address>) {
        if active(Mutation::NoRefutation) {
            return;
        }
        if self.needs_contact(&member) {
            self.hold_refutation(member, from);
        } else {
            self.refute(member, from);
        }
    }

    /// Refutes a change about this member with a higher incarnation. The status
    /// stays: a member that left refutes as one that left.
    pub(crate) fn refute(&mut self, member: Member, from: Option<Address>) {
        self.stats.refuted += 1;
        // Another member was not answered in time: a sign that this one is slow.
        self.awareness.worsen();
        let before = self.local_member().clone();
        let status = if self.contact.is_unreachable() { Status::Alive } else { before.status };
        let incarnation = self.reincarnate(status, before.labels.clone(), member.incarnation);
        if status != before.status {
            let (after, source) = (self.local_member().clone(), self.local.clone());
            self.changed(Some(before), Some(after), Some(source), Cause::Contact);
        }
        self.event(Event::Refuted { member, from, incarnation });
    }

    /// Changes the status or the labels of this member.
    pub(crate) fn set_local(&mut self, status: Status, labels: Labels) {
        let before = self.local_member().clone();
        self.reincarnate(status, labels, before.incarnation);
        let after = self.local_member().clone();
        self.changed(Some(before), Some(after), Some(self.local.clone()), Cause::Command);
    }

    /// Raises the own incarnation above `seen` and spreads the change.
    ///
    /// Ringpop takes the wall clock alone: a member whose clock is behind cannot
    /// refute. The larger of clock and `seen + 1` always can, and still exceeds the
    /// incarnation of a former process at this address.
    fn reincarnate(&mut self, status: Status, labels: Labels, seen: u64) -> u64 {
        let seen = self.incarnation.max(seen) + 1;
        let seen = if active(Mutation::WallClockOnly) { 0 } else { seen };
        let incarnation = self.unix_ms().max(seen);
        let member = Member::new(self.local.clone(), status, incarnation, labels);
        self.members.set(member, &mut self.rng);
        self.incarnation = incarnation;
        self.spread_local();
        incarnation
    }

    /// Whether the budget allows a request to an address that only a stranger named.
    pub(crate) fn may_dial_stranger(&mut self) -> bool {
        let may = self.dial_budget.take(self.now);
        let stats = &mut self.stats;
        let counter =
            if may { &mut stats.stranger_dials } else { &mut stats.stranger_dials_omitted };
        *counter += 1;
        may
    }

    /// Spreads the change about this member.
    pub(crate) fn spread_local(&mut self) {
        let source = self.local_source();
        self.gossip.record(self.local_slot, Some(source));
    }

    pub(crate) fn local_source(&self) -> Source {
        Source { address: self.local.clone(), incarnation: self.incarnation }
    }

    /// Makes a change about another member. It has no effect when a newer one is
    /// known.
    pub(crate) fn declare(
        &mut self,
        address: &Address,
        status: Status,
        incarnation: u64,
        cause: Cause,
    ) {
        let Some(id) = self.members.find(address) else { return };
        let known = &self.members.slot(id).member;
        let member = Member { status, incarnation, ..known.clone() };
        let wins = self.members.overrides(&member, Some(known));
        let change = Change { member, source: Some(self.local_source()) };
        if wins {
            self.set(change.member, change.source, cause);
        } else {
            self.confirm(id, &change);
        }
    }

    /// Confirms a known suspicion: another member that suspects the same on its own
    /// account shortens it. The confirmation is gossiped, up to the number that
    /// counts (Lifeguard, section IV.B). Returns whether it counted.
    fn confirm(&mut self, id: SlotId, change: &Change) -> bool {
        let Change { member, source: Some(source) } = change else { return false };
        let known = &self.members.slot(id).member;
        let same = member.status == Status::Suspect
            && known.status == Status::Suspect
            && known.incarnation == member.incarnation
            && source.address != member.address;
        if !same {
            return false;
        }
        let to_be_faulty = self.config.faulty_accusers_min() - 1;
        let to_flap = self.config.damping().map_or(0, |damping| damping.quorum - 1);
        let wanted = self.config.suspect_confirmations().max(to_be_faulty).max(to_flap);
        let suspicion = &mut self.members.watch_mut(id).suspicion;
        let confirmed =
            suspicion.as_mut().is_some_and(|known| known.confirm(&source.address, wanted));
        if confirmed {
            self.stats.suspicions_confirmed += 1;
            self.gossip.record(id, change.source.clone());
            self.arm_expiry(id);
            if self.accusers(id) == to_flap + 1 {
                self.count_flap(id);
            }
        }
        confirmed
    }

    /// Records a change that took effect, spreads it and arms its deadline.
    pub(crate) fn set(&mut self, member: Member, source: Option<Source>, cause: Cause) {
        let after = member.clone();
        let (id, before) = self.members.set(member, &mut self.rng);
        self.release_newcomer(&after.address);
        let origin = source.as_ref().map(|source| source.address.clone());
        let accuser = origin.as_ref().or_else(|| sender(&cause)).unwrap_or(&self.local).clone();
        let watch = self.members.watch_mut(id);
        watch.inconclusive = 0;
        let former = watch.suspicion.take();
        watch.suspicion =
            (after.status == Status::Suspect).then(|| Suspicion::new(self.now, accuser));
        // The list of a peer at join is not spread: all members have it already
        // (ringpop-go `AddJoinList`).
        if !matches!(cause, Cause::Join { .. }) {
            self.gossip.record(id, source);
        }
        self.arm_expiry(id);
        tracing::debug!(
            local = %self.local,
            member = %after.address,
            status = %after.status,
            incarnation = after.incarnation,
            "member changed"
        );
        let refuted = after.status == Status::Alive;
        self.changed(before, Some(after), origin, cause);
        if let Some(former) = former.filter(|_| refuted) {
            self.suspicion_refuted(id, &former.accusers);
        }
    }

    /// Emits the event for a changed member, then updates the ring and the votes.
    pub(crate) fn changed(
        &mut self,
        before: Option<Member>,
        after: Option<Member>,
        source: Option<Address>,
        cause: Cause,
    ) {
        let watched = self.config.damping().is_some() || self.config.coalescing().is_some();
        let copies = watched.then(|| (before.clone(), after.clone()));
        if active(Mutation::LostEvent) && cause == Cause::Timeout {
            return;
        }
        if active(Mutation::RepeatedEvent) && matches!(cause, Cause::Sync { .. }) {
            let (before, after, source) = (before.clone(), after.clone(), source.clone());
            self.event(Event::MemberChanged { before, after, source, cause: cause.clone() });
        }
        if let (Some(before), Some(after)) = (&before, &after) {
            let says_so_itself = source.as_ref() == Some(&after.address);
            self.isolation.on_change(before, after, says_so_itself);
        }
        self.event(Event::MemberChanged { before, after, source, cause });
        if let Some((before, after)) = copies {
            self.on_ring_change(before.as_ref(), after.as_ref());
            self.update_votes(before.as_ref(), after.as_ref());
        }
    }

    /// See [`Node::check_invariants`](crate::Node::check_invariants).
    pub(crate) fn check(&self) {
        self.members.check();
        self.gossip.check(&self.members);
        self.removed.check();
        self.late.check();
        for (seq, deadline) in self.requests.deadlines() {
            let armed = self.timers.contains(deadline, Timer::Request(seq));
            assert!(armed, "the deadline of request {seq} is armed");
        }
        self.responders.check();
        self.agreement.check();
        self.check_damping();
        self.check_burst();
        self.check_contact();
        self.check_newcomers();
        self.check_claims();
        let local = self.local_member();
        assert_eq!(local.address, self.local, "the local slot holds the local member");
        assert_eq!(
            local.incarnation, self.incarnation,
            "the own incarnation is the local member's"
        );
        assert!(
            !matches!(local.status, Status::Suspect | Status::Tombstone),
            "a member never takes itself for suspect or removed"
        );
        for member in self.members.iter() {
            let id = self.members.find(&member.address).expect("every member is indexed");
            let expiry = self.members.watch(id).and_then(|known| known.expiry);
            let armed = expiry.is_some_and(|at| self.timers.contains(at, Timer::Expiry(id)));
            let wants = member.status != Status::Alive && id != self.local_slot;
            let calm = self.members.watch(id).is_none_or(|known| !known.is_idle());
            assert!(calm, "{} is watched for nothing", member.address);
            assert_eq!(armed, wants, "deadline of {} ({})", member.address, member.status);
        }
    }
}

/// The sender of the message behind a cause.
fn sender(cause: &Cause) -> Option<&Address> {
    match cause {
        Cause::Gossip { from }
        | Cause::Join { from }
        | Cause::Sync { from }
        | Cause::Heal { from } => Some(from),
        Cause::Command | Cause::Probe | Cause::Timeout | Cause::Contact => None,
    }
}
