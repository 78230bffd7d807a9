//! Flap damping: which members are kept off the ring, by agreement.
//!
//! A member votes in an internal label of its own. So a vote is gossiped, compared
//! in the checksum, repaired by a full sync and withdrawn by its voter like any
//! label; members with equal checksums damp the same members; and members of a
//! version without votes pass them on.
//!
//! A broken member cannot damp another alone. Its own suspicions are no failures
//! until other members confirm them, and its vote is one of several that are
//! needed. Forged votes are refuted by the members in whose name they are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::address::Address;
use crate::config::Damping;
use crate::core::Core;
use crate::event::{DampingEnd, Event};
use crate::flaps::{Flaps, Vote};
use crate::limits::{DAMPED_PERCENT_MAX, VOTES_BYTES_MAX, VOTES_MAX};
use crate::member::{Member, Status};
use crate::membership::SlotId;
use crate::time::Instant;
use crate::timers::Timer;

/// Label that carries the votes of a member: addresses, sorted, with a space
/// between them.
pub const VOTES_LABEL: &str = "__damp";

/// The votes of all members, and the members that they damp.
#[derive(Debug, Default)]
pub(crate) struct Ballots {
    /// The reachable members that vote for each address.
    voters: BTreeMap<Address, BTreeSet<Address>>,
    /// Known members with enough votes, but for tombstones.
    candidates: BTreeSet<Address>,
    /// The first of the candidates, as many as may be damped.
    damped: BTreeSet<Address>,
}

impl Ballots {
    fn votes_for(&self, address: &Address) -> usize {
        self.voters.get(address).map_or(0, BTreeSet::len)
    }

    pub(crate) fn is_damped(&self, address: &Address) -> bool {
        self.damped.contains(address)
    }

    pub(crate) const fn damped(&self) -> &BTreeSet<Address> {
        &self.damped
    }

    fn vote(&mut self, voter: &Address, subject: Address) {
        self.voters.entry(subject).or_default().insert(voter.clone());
    }

    fn withdraw(&mut self, voter: &Address, subject: &Address) {
        if let Some(voters) = self.voters.get_mut(subject) {
            voters.remove(voter);
            if voters.is_empty() {
                self.voters.remove(subject);
            }
        }
    }
}

/// The votes of a member. Those of one that is not reachable do not count, nor does
/// a vote for itself.
fn votes_of(member: Option<&Member>) -> BTreeSet<Address> {
    let voter = member.filter(|member| member.is_reachable());
    let Some(voter) = voter else { return BTreeSet::new() };
    let text = voter.labels.get(VOTES_LABEL).unwrap_or_default();
    let names = text.split(' ').take(VOTES_MAX).filter_map(|name| Address::new(name).ok());
    names.filter(|subject| *subject != voter.address).collect()
}

/// Whether a member counts: the checksum leaves tombstones out, too.
fn is_remembered(member: Option<&Member>) -> bool {
    member.is_some_and(|member| member.status != Status::Tombstone)
}

impl Core {
    /// Counts a failure: a suspicion got as many distinct accusers as that takes.
    pub(crate) fn count_flap(&mut self, slot: SlotId) {
        let Some(damping) = self.config.damping() else { return };
        self.stats.flaps += 1;
        // About one vote in a period, whatever the size of the cluster: a member that
        // sees enough votes before its own is due does not vote.
        let span = self.config.protocol_period().saturating_mul(self.others() as u32);
        let micros = usize::try_from(span.as_micros()).unwrap_or(usize::MAX);
        let delay = Duration::from_micros(self.rng.below(micros) as u64);
        let former = self.vote_deadline(slot);
        self.flaps.count(&damping, slot, self.now, delay);
        self.arm_vote(slot, former);
    }

    /// A member refuted a suspicion with too few accusers for a failure to count. One
    /// alone means nothing: the accuser may be the unhealthy one. But a member that
    /// many accuse one after the other, and that refutes each time, fails as often as
    /// one that becomes faulty.
    pub(crate) fn suspicion_refuted(&mut self, slot: SlotId, accusers: &[Address]) {
        let Some(damping) = self.config.damping() else { return };
        // With enough accusers it counted when they confirmed it.
        if accusers.len() < damping.quorum && self.flaps.refuted(&damping, slot, self.now, accusers)
        {
            self.count_flap(slot);
        }
    }

    fn vote_deadline(&self, slot: SlotId) -> Option<Instant> {
        self.flaps.score(slot)?.vote.deadline()
    }

    fn arm_vote(&mut self, slot: SlotId, former: Option<Instant>) {
        let at = self.vote_deadline(slot);
        if let Some(former) = former {
            self.timers.cancel(former, Timer::Vote(slot));
        }
        if let Some(at) = at {
            self.timers.set(at, Timer::Vote(slot));
        }
    }

    /// It is time to vote for a member, or for the vote to end.
    pub(crate) fn on_vote_due(&mut self, slot: SlotId) {
        let Some(damping) = self.config.damping() else { return };
        let Some(score) = self.flaps.score(slot) else { return };
        let address = self.members.slot(slot).member.address.clone();
        match score.vote {
            Vote::None => {}
            Vote::Due(_) => {
                let faded = score.points(&damping, self.now) <= f64::from(damping.reuse_limit);
                let decided = self.ballots.votes_for(&address) >= damping.quorum;
                if faded || decided {
                    self.flaps.pass(slot);
                } else {
                    self.cast_vote(&damping, slot, address);
                }
            }
            Vote::Cast { .. } => {
                self.flaps.forget(slot, &address);
                self.stats.damp_votes_withdrawn += 1;
                self.publish_votes();
            }
        }
    }

    fn cast_vote(&mut self, damping: &Damping, slot: SlotId, address: Address) {
        let taken = self.flaps.votes.iter().map(|vote| vote.as_str().len() + 1).sum::<usize>();
        let room = VOTES_BYTES_MAX.saturating_sub(taken);
        if self.flaps.votes.len() >= VOTES_MAX || address.as_str().len() > room {
            self.stats.damp_votes_omitted += 1;
            self.flaps.pass(slot);
            return;
        }
        self.stats.damp_votes_cast += 1;
        self.flaps.cast(damping, slot, address, self.now);
        self.arm_vote(slot, None);
        self.publish_votes();
    }

    /// Puts the votes of this member into its label.
    fn publish_votes(&mut self) {
        let local = self.local_member();
        let names: Vec<&str> = self.flaps.votes.iter().map(Address::as_str).collect();
        let labels = if names.is_empty() {
            local.labels.without(VOTES_LABEL)
        } else {
            let labels = local.labels.with(VOTES_LABEL, &names.join(" "));
            labels.expect("public labels take half of the labels at most")
        };
        let status = local.status;
        if labels != local.labels {
            self.set_local(status, labels);
        }
    }

    /// A member changed: counts its votes again, and damps accordingly.
    pub(crate) fn update_votes(&mut self, before: Option<&Member>, after: Option<&Member>) {
        let Some(damping) = self.config.damping() else { return };
        let Some(address) = after.or(before).map(|member| member.address.clone()) else { return };
        let (old, new) = (votes_of(before), votes_of(after));
        for subject in old.difference(&new) {
            self.ballots.withdraw(&address, subject);
            self.judge(&damping, subject);
        }
        for subject in new.difference(&old) {
            self.ballots.vote(&address, subject.clone());
            self.judge(&damping, subject);
        }
        if is_remembered(before) != is_remembered(after) {
            self.judge(&damping, &address);
        }
        self.damp();
    }

    /// Whether a member has enough votes.
    fn judge(&mut self, damping: &Damping, subject: &Address) {
        let enough = self.ballots.votes_for(subject) >= damping.quorum;
        if enough && is_remembered(self.members.get(subject)) {
            self.ballots.candidates.insert(subject.clone());
        } else {
            self.ballots.candidates.remove(subject);
        }
    }

    /// How many members may be damped.
    fn damped_max(&self) -> usize {
        self.members.reachable() * DAMPED_PERCENT_MAX / 100
    }

    /// Damps the first candidates, as many as may be. The order is that of the
    /// addresses: all members choose the same ones, and a choice stands for as long as
    /// its candidates do.
    fn damp(&mut self) {
        let max = self.damped_max();
        let Ballots { candidates, damped, .. } = &self.ballots;
        let chosen = candidates.iter().take(max);
        if damped.iter().eq(chosen.clone()) {
            return;
        }
        let chosen: BTreeSet<Address> = chosen.cloned().collect();
        let former = std::mem::replace(&mut self.ballots.damped, chosen.clone());
        for address in former.difference(&chosen) {
            let why = if self.ballots.candidates.contains(address) {
                DampingEnd::TooMany
            } else if !is_remembered(self.members.get(address)) {
                DampingEnd::Removed
            } else {
                DampingEnd::VotesEnded
            };
            self.undamped(address, why);
        }
        for address in chosen.difference(&former) {
            self.stats.damped += 1;
            let voters = self.ballots.voters.get(address);
            let voters = voters.into_iter().flatten().cloned().collect();
            let before = self.members.get(address).filter(|member| member.is_reachable()).cloned();
            self.record_ring_change(address, before.as_ref());
            self.event(Event::Damped { address: address.clone(), voters });
        }
    }

    fn undamped(&mut self, address: &Address, why: DampingEnd) {
        self.stats.undamped += 1;
        self.record_ring_change(address, None);
        self.event(Event::Undamped { address: address.clone(), why });
        if why == DampingEnd::VotesEnded {
            self.reset_score(address);
        }
    }

    /// Resets the score when damping ends. Otherwise the members that did not vote
    /// would prolong the damping one after the other.
    fn reset_score(&mut self, address: &Address) {
        let Some(slot) = self.members.find(address) else { return };
        if !self.flaps.votes.contains(address) {
            if let Some(at) = self.vote_deadline(slot) {
                self.timers.cancel(at, Timer::Vote(slot));
            }
            self.flaps.forget(slot, address);
        }
    }

    /// A member was removed: drops its score and the vote for it.
    pub(crate) fn forget_flaps(&mut self, slot: SlotId, address: &Address) {
        if let Some(at) = self.vote_deadline(slot) {
            self.timers.cancel(at, Timer::Vote(slot));
        }
        if self.flaps.forget(slot, address) {
            self.stats.damp_votes_withdrawn += 1;
            self.publish_votes();
        }
    }

    /// Other settings: votes are counted anew. Without damping, the scores and
    /// votes of this member are dropped.
    pub(crate) fn restart_damping(&mut self) {
        let damped = std::mem::take(&mut self.ballots).damped;
        if let Some(damping) = self.config.damping() {
            self.ballots = Ballots { damped, ..self.count_votes(&damping) };
            self.damp();
            return;
        }
        for (at, slot) in self.flaps.deadlines() {
            self.timers.cancel(at, Timer::Vote(slot));
        }
        self.stats.damp_votes_withdrawn += self.flaps.votes.len() as u64;
        self.flaps = Flaps::default();
        self.publish_votes();
        damped.iter().for_each(|address| self.undamped(address, DampingEnd::Off));
    }

    /// The votes of all members, counted from the beginning.
    fn count_votes(&self, damping: &Damping) -> Ballots {
        let mut ballots = Ballots::default();
        for voter in self.members.iter() {
            for subject in votes_of(Some(voter)) {
                ballots.vote(&voter.address, subject);
            }
        }
        let elected = |subject: &&Address| {
            ballots.votes_for(subject) >= damping.quorum && is_remembered(self.members.get(subject))
        };
        ballots.candidates = ballots.voters.keys().filter(elected).cloned().collect();
        ballots
    }

    /// See [`Node::check_invariants`](crate::Node::check_invariants).
    pub(crate) fn check_damping(&self) {
        let Flaps { votes, .. } = &self.flaps;
        let names: Vec<&str> = votes.iter().map(Address::as_str).collect();
        let label = self.local_member().labels.get(VOTES_LABEL).unwrap_or_default();
        assert_eq!(label, names.join(" "), "the label holds the votes");
        assert!(votes.len() <= VOTES_MAX && label.len() <= VOTES_BYTES_MAX, "votes are bounded");
        assert!(self.flaps.len() <= self.members.len(), "one score for each member at most");
        for (at, slot) in self.flaps.deadlines() {
            assert!(self.members.contains(slot), "only known members have a score");
            assert!(self.timers.contains(at, Timer::Vote(slot)), "the vote is armed");
        }
        let Ballots { voters, candidates, damped } = &self.ballots;
        let Some(damping) = self.config.damping() else {
            assert!(voters.is_empty() && votes.is_empty(), "without damping there are no votes");
            assert!(damped.is_empty(), "without damping no member is damped");
            return;
        };
        let counted = self.count_votes(&damping);
        assert_eq!(*voters, counted.voters, "each vote counts");
        assert_eq!(*candidates, counted.candidates, "a member with enough votes is a candidate");
        assert!(
            damped.iter().eq(candidates.iter().take(self.damped_max())),
            "the first are damped"
        );
    }
}
