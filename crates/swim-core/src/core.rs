//! What all parts of the machine share, and the one place where statements
//! about members are weighed.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::address::Address;
use crate::agreement::Agreement;
use crate::aliases::Aliases;
use crate::awareness::Awareness;
use crate::claims::Claims;
use crate::config::Config;
use crate::contact::Contact;
use crate::damping::Ballots;
use crate::dial_budget::DialBudget;
use crate::dialect::Dialect;
use crate::dissemination::Dissemination;
use crate::event::{Cause, Event, Output, Rejection};
use crate::flaps::Flaps;
use crate::graves::Graves;
use crate::isolation::IsolationWatch;
use crate::labels::{LabelLimits, Labels};
use crate::late::LateAnswers;
use crate::limits::{EPITAPHS_MAX, INCARNATION_AHEAD_MAX, UNIX_MS_MAX};
use crate::member::{Member, Status};
use crate::membership::{Membership, SlotId};
use crate::message::{Body, Change, Cursor, Source};
use crate::mutation::{Mutation, active};
use crate::newcomers::{Newcomers, Trust};
use crate::responders::Responders;
use crate::rng::{Rng, mix};
use crate::stats::Stats;
use crate::suspicion::Suspicion;
use crate::time::Instant;
use crate::timers::{Timer, Timers};
use crate::view_change::Burst;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Arc<Config>,
    pub(crate) app: Arc<str>,
    pub(crate) local: Address,
    pub(crate) local_slot: SlotId,
    /// Number of this process, by which it knows itself under another address.
    pub(crate) nonce: u64,
    pub(crate) aliases: Aliases,
    /// Incarnation of the local member, which goes into every message.
    pub(crate) incarnation: u64,
    pub(crate) now: Instant,
    /// Wall clock at the driver's start, in milliseconds of the Unix epoch.
    unix_ms_at_start: u64,
    pub(crate) rng: Rng,
    pub(crate) members: Membership,
    pub(crate) gossip: Dissemination,
    pub(crate) timers: Timers,
    pub(crate) outbox: VecDeque<Output>,
    pub(crate) stats: Stats,
    pub(crate) awareness: Awareness,
    pub(crate) isolation: IsolationWatch,
    pub(crate) agreement: Agreement,
    pub(crate) graves: Graves,
    pub(crate) flaps: Flaps,
    pub(crate) ballots: Ballots,
    pub(crate) burst: Burst,
    pub(crate) contact: Contact,
    pub(crate) newcomers: Newcomers,
    pub(crate) claims: Claims,
    dial_budget: DialBudget,
    pub(crate) late: LateAnswers,
    pub(crate) responders: Responders,
    /// Tombstones that the sender of the present message does not know of.
    pub(crate) epitaphs: Vec<Change>,
    /// Those that were found in an answer, with its sender, which hears them when
    /// it asks something next.
    epitaphs_owed: Option<(Address, Vec<Change>)>,
    /// Changes of the present message that were left out because they are known.
    pub(crate) known_changes: usize,
    /// What the present message shows about what it says of others.
    pub(crate) trust: Trust,
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
        let mut rng = Rng::new(seed);
        let mut members = Membership::new(rng.next(), dialect);
        // Numbers begin at random, so that a reply to a former process at this
        // address is not taken for one to this process; below 2^28, so that
        // they take four bytes.
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
            nonce: mix(!seed).max(1),
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
            graves: Graves::default(),
            flaps: Flaps::default(),
            ballots: Ballots::default(),
            burst: Burst::default(),
            contact: Contact::default(),
            newcomers: Newcomers::default(),
            claims: Claims::default(),
            dial_budget: DialBudget::default(),
            late: LateAnswers::default(),
            responders: Responders::default(),
            epitaphs: Vec::new(),
            epitaphs_owed: None,
            known_changes: 0,
            trust: Trust::Listed,
            next_seq,
        }
    }

    pub(crate) fn local_member(&self) -> &Member {
        &self.members.slot(self.local_slot).member
    }

    pub(crate) fn unix_ms(&self) -> u64 {
        self.unix_ms_at_start.saturating_add(self.now.as_millis()).min(UNIX_MS_MAX)
    }

    /// Whether an incarnation is further ahead of the wall clock than any clock
    /// that is to be believed.
    pub(crate) fn check_clock(&self, incarnation: u64) -> Result<(), Rejection> {
        let ahead_ms = incarnation.saturating_sub(self.unix_ms());
        let ahead = ahead_ms > INCARNATION_AHEAD_MAX;
        if ahead { Err(Rejection::ClockAhead { ahead_ms }) } else { Ok(()) }
    }

    /// Reachable members other than this one.
    pub(crate) fn others(&self) -> usize {
        let reachable = self.members.count(Status::Alive) + self.members.count(Status::Suspect);
        reachable - usize::from(self.local_member().is_reachable())
    }

    /// Asks for a page of a member list.
    pub(crate) const fn join_body(&self, cursor: Option<Cursor>) -> Body {
        Body::Join { cursor, nonce: self.nonce }
    }

    // --- Weighing statements ---

    /// The incarnation at which a member is forgotten, or about to be.
    pub(crate) fn forgotten_at(&self, address: &Address) -> Option<u64> {
        match self.members.get(address) {
            Some(member) if member.status == Status::Tombstone => Some(member.incarnation),
            Some(_) => None,
            None => self.graves.find(address),
        }
    }

    /// Whether a statement about an unknown member is no newer than its grave.
    pub(crate) fn is_buried(
        &mut self,
        address: &Address,
        incarnation: u64,
        status: Status,
    ) -> bool {
        let buried = self.graves.find(address).filter(|buried| incarnation <= *buried);
        let Some(buried) = buried else { return false };
        let few = self.epitaphs.len() < EPITAPHS_MAX;
        if few && status != Status::Tombstone {
            let member = Member::new(address.clone(), Status::Tombstone, buried, Labels::default());
            self.epitaphs.push(Change { member, source: None });
        }
        true
    }

    /// An answer has been taken: what its sender should forget cannot be told in
    /// a reply.
    pub(crate) fn owe_epitaphs(&mut self, from: &Address) {
        if !self.epitaphs.is_empty() {
            self.epitaphs_owed = Some((from.clone(), self.epitaphs()));
        }
    }

    /// A request arrives, whose reply tells what is owed to its sender.
    pub(crate) fn pay_epitaphs(&mut self, from: &Address) {
        if let Some((_, epitaphs)) = self.epitaphs_owed.take_if(|(to, _)| to == from) {
            self.epitaphs = epitaphs;
        }
    }

    /// Weighs the statements that came with a message; there are none as a rule.
    pub(crate) fn hear(&mut self, changes: Vec<Change>, from: &Address) {
        if !changes.is_empty() || self.known_changes > 0 {
            self.apply(changes, &Cause::Gossip { from: from.clone() });
        }
    }

    /// Weighs the statements of a message; returns how many were news.
    pub(crate) fn apply(&mut self, changes: Vec<Change>, cause: &Cause) -> usize {
        let known = std::mem::take(&mut self.known_changes);
        self.stats.changes_received += (changes.len() + known) as u64;
        let mut applied = 0;
        for change in changes {
            applied += usize::from(self.apply_one(change, cause));
        }
        self.stats.changes_applied += applied as u64;
        applied
    }

    /// Whether [`apply`](Self::apply) would do nothing with a statement, whatever
    /// else the message says: what is known of a member is replaced by newer
    /// statements only.
    #[cfg(feature = "wire")]
    pub(crate) fn knows<'a>(
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

    fn apply_one(&mut self, mut change: Change, cause: &Cause) -> bool {
        let Member { ref address, incarnation, status, .. } = change.member;
        let id = self.members.find(address);
        if id.is_none() && self.is_buried(address, incarnation, status) {
            self.stats.changes_buried += 1;
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
        if let Err(rejection) = self.validate(&change.member, known) {
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
            && !self.is_shown(&change.member.address, from)
            && self.wants_showing(&change.member)
        {
            self.hold_newcomer(change, from, cause);
            return false;
        }
        if self.wants_checking(&change.member) {
            return self.check_claim(change, cause);
        }
        if change.member.address == self.local && !active(Mutation::BelievesItsEnd) {
            self.answer_statement(change.member, sender(cause).cloned());
            return true;
        }
        self.set(change.member, change.source, cause.clone());
        true
    }

    /// Checks what the network says about a member. Labels beyond what the
    /// protocol allows must not hide a failure: they are dropped and the status
    /// still counts, as in Temporal's fork of ringpop-go. The limits in this
    /// member's settings do not matter here: all members must judge alike.
    fn validate(&self, member: &Member, known: Option<&Member>) -> Result<(), Rejection> {
        self.check_clock(member.incarnation)?;
        if known.is_none() && self.members.len() >= self.config.members_max() {
            return Err(Rejection::MembersFull);
        }
        let labels = member.labels.check(&LabelLimits::PROTOCOL);
        labels.map_err(|_| Rejection::LabelsDropped)
    }

    /// Somebody says something about this member that is not so.
    fn answer_statement(&mut self, statement: Member, from: Option<Address>) {
        if active(Mutation::NoRefutation) {
            return;
        }
        if self.wants_contact(&statement) {
            self.hold(statement, from);
        } else {
            self.refute(statement, from);
        }
    }

    /// Contradicts a statement about this member with a higher incarnation.
    /// The status stays: a member that left refutes as one that left.
    pub(crate) fn refute(&mut self, statement: Member, from: Option<Address>) {
        self.stats.refuted += 1;
        // Somebody could not reach this member in time: a sign that it is slow.
        self.awareness.worsen();
        let before = self.local_member().clone();
        let status = if self.contact.is_unreachable() { Status::Alive } else { before.status };
        let incarnation = self.reincarnate(status, before.labels.clone(), statement.incarnation);
        if status != before.status {
            let (after, source) = (self.local_member().clone(), self.local.clone());
            self.changed(Some(before), Some(after), Some(source), Cause::Contact);
        }
        self.event(Event::Refuted { statement, from, incarnation });
    }

    /// Changes what this member says about itself.
    pub(crate) fn set_local(&mut self, status: Status, labels: Labels) {
        let before = self.local_member().clone();
        self.reincarnate(status, labels, before.incarnation);
        let after = self.local_member().clone();
        self.changed(Some(before), Some(after), Some(self.local.clone()), Cause::Command);
    }

    /// Raises the own incarnation above `seen` and spreads the new statement.
    ///
    /// Ringpop takes the wall clock alone, so that a member whose clock is
    /// behind cannot refute; taking the larger of clock and `seen + 1` always
    /// can, and still exceeds what a former process at this address said.
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

    /// Whether a request may go to an address that only a stranger named.
    pub(crate) fn may_dial_stranger(&mut self) -> bool {
        let may = self.dial_budget.take(self.now);
        let stats = &mut self.stats;
        let counter =
            if may { &mut stats.stranger_dials } else { &mut stats.stranger_dials_omitted };
        *counter += 1;
        may
    }

    /// Spreads what this member says about itself.
    pub(crate) fn spread_local(&mut self) {
        let source = self.local_source();
        self.gossip.record(self.local_slot, Some(source));
    }

    pub(crate) fn local_source(&self) -> Source {
        Source { address: self.local.clone(), incarnation: self.incarnation }
    }

    /// States something about another member on this member's own account.
    /// Nothing happens when newer is known meanwhile.
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
        let news = self.members.overrides(&member, Some(known));
        let change = Change { member, source: Some(self.local_source()) };
        if news {
            self.set(change.member, change.source, cause);
        } else {
            self.confirm(id, &change);
        }
    }

    /// Weighs a statement that is no news: another member that suspects the
    /// same on its own account shortens the suspicion. The confirmation is
    /// spread in turn, up to the number that counts (Lifeguard, section IV.B).
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
        let observers = self.config.faulty_observers_min() - 1;
        let to_flap = self.config.damping().map_or(0, |damping| damping.observers_min - 1);
        let wanted = self.config.suspect_confirmations().max(observers).max(to_flap);
        let suspicion = &mut self.members.attention_mut(id).suspicion;
        let confirmed =
            suspicion.as_mut().is_some_and(|known| known.confirm(&source.address, wanted));
        if confirmed {
            self.stats.suspicions_confirmed += 1;
            self.gossip.record(id, change.source.clone());
            self.arm_expiry(id);
            if self.observers(id) == to_flap + 1 {
                self.flapped(id);
            }
        }
        confirmed
    }

    /// Records a statement that won, spreads it and arms its deadline.
    pub(crate) fn set(&mut self, member: Member, source: Option<Source>, cause: Cause) {
        let after = member.clone();
        let (id, before) = self.members.set(member, &mut self.rng);
        self.release_newcomer(&after.address);
        let origin = source.as_ref().map(|source| source.address.clone());
        let suspector = origin.as_ref().or_else(|| sender(&cause)).unwrap_or(&self.local).clone();
        let attention = self.members.attention_mut(id);
        attention.inconclusive = 0;
        let former = attention.suspicion.take();
        attention.suspicion =
            (after.status == Status::Suspect).then(|| Suspicion::new(self.now, suspector));
        // The list of a peer at join is not spread: everybody has it already
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
            self.suspicion_refuted(id, &former.suspectors);
        }
    }

    /// Tells that what is known about a member changed, and what follows.
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
            self.ring_differs(before.as_ref(), after.as_ref());
            self.recount(before.as_ref(), after.as_ref());
        }
    }

    /// See [`Node::check_invariants`](crate::Node::check_invariants).
    pub(crate) fn check(&self) {
        self.members.check();
        self.gossip.check(&self.members);
        self.graves.check();
        self.late.check();
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
            "a member never takes itself for suspect or forgotten"
        );
        for member in self.members.iter() {
            let id = self.members.find(&member.address).expect("every member is indexed");
            let expiry = self.members.attention(id).and_then(|known| known.expiry);
            let armed = expiry.is_some_and(|at| self.timers.contains(at, Timer::Expiry(id)));
            let wants = member.status != Status::Alive && id != self.local_slot;
            let calm = self.members.attention(id).is_none_or(|known| !known.is_idle());
            assert!(calm, "{} gets attention for nothing", member.address);
            assert_eq!(armed, wants, "deadline of {} ({})", member.address, member.status);
        }
    }
}

/// Who sent the message that a cause stems from.
fn sender(cause: &Cause) -> Option<&Address> {
    match cause {
        Cause::Gossip { from }
        | Cause::Join { from }
        | Cause::Sync { from }
        | Cause::Heal { from } => Some(from),
        Cause::Command | Cause::Probe | Cause::Timeout | Cause::Contact => None,
    }
}
