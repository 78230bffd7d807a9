//! Claims in requests that a member which is reachable here is gone.
//!
//! Anybody who reaches a port can say that everybody is faulty, or has left. If that
//! were believed, a handful of messages would leave a member alone. So the member in
//! question is asked itself, by one ping that tells it so: it contradicts with a newer
//! incarnation, which stands in its answer, or agrees, because it leaves. The claim is
//! taken when it agrees or does not answer. When it has been suspect here for so long
//! that its contradiction would have arrived, it need not be asked: so it is with
//! nearly every member that died. What answers to this member's own requests say is
//! taken at once.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::core::Core;
use crate::dial_budget::DialBudget;
use crate::event::{Cause, Path};
use crate::limits::CLAIMS_MAX;
use crate::member::{Member, Status};
use crate::message::Change;
use crate::newcomers::Trust;
use crate::sending::Request;

/// The claims that wait for an answer, by the address of whom they are about.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    held: BTreeMap<Address, Claim>,
    budget: DialBudget,
}

#[derive(Debug)]
struct Claim {
    change: Change,
    cause: Cause,
    ping: Request,
    /// The incarnation at which the ping says that the member is suspect.
    told: u64,
}

impl Core {
    /// Whether a statement takes a member off the ring on nothing but the word of
    /// whoever sent the present request.
    pub(crate) fn wants_checking(&self, member: &Member) -> bool {
        let believed = matches!(self.trust, Trust::Listed | Trust::Member);
        if believed || member.is_reachable() || !self.config.verify_claims() {
            return false;
        }
        let Some(id) = self.members.find(&member.address) else { return false };
        let known = &self.members.slot(id).member;
        if id == self.local_slot || !known.is_reachable() {
            return false;
        }
        // Half of the time that a refutation has: claims that are true come later, for
        // whoever makes them has waited for all of it.
        let enough = self.suspicion_bounds().min / 2;
        let suspicion = self.members.suspicion(id);
        let suspect_for_long = suspicion.is_some_and(|since| self.now - since.started >= enough);
        !(suspect_for_long && known.incarnation == member.incarnation)
    }

    /// Asks the member itself. Beyond the budget the claim counts as a suspicion, which
    /// the member contradicts. Returns whether what is known has changed.
    pub(crate) fn check_claim(&mut self, change: Change, cause: &Cause) -> bool {
        let address = change.member.address.clone();
        if let Some(claim) = self.claims.held.get_mut(&address) {
            if self.members.overrides(&change.member, Some(&claim.change.member)) {
                claim.change = change;
            }
            return false;
        }
        if self.claims.held.len() < CLAIMS_MAX && self.claims.budget.take(self.now) {
            self.stats.claims_checked += 1;
            self.ask_about(change, cause.clone());
            return false;
        }
        self.stats.claims_unchecked += 1;
        let Change { member, source } = change;
        let member = Member { status: Status::Suspect, ..member };
        let news = self.members.overrides(&member, self.members.get(&address));
        if news {
            self.set(member, source, cause.clone());
        }
        news
    }

    fn ask_about(&mut self, change: Change, cause: Cause) {
        let address = change.member.address.clone();
        let told = change.member.incarnation;
        // As a suspicion: one that leaves has nothing to say against that.
        let member = Member { status: Status::Suspect, ..change.member.clone() };
        let suspicion = Change { member, source: None };
        let timeout = self.config.ping_timeout();
        let ping = self.ping_with(Path::First, address.clone(), timeout, vec![suspicion]);
        self.claims.held.insert(address, Claim { change, cause, ping, told });
    }

    pub(crate) fn is_claim_ping(&self, from: &Address, seq: u64) -> bool {
        self.claims.held.get(from).is_some_and(|claim| claim.ping.is(from, seq))
    }

    fn take_claim(&mut self, from: &Address, seq: u64) -> Option<Claim> {
        if !self.is_claim_ping(from, seq) {
            return None;
        }
        let claim = self.claims.held.remove(from)?;
        self.disarm(&claim.ping);
        Some(claim)
    }

    /// The member answered, at its present incarnation: one that contradicts has a newer
    /// one than the claim. `false` when the number belongs to no ping of these.
    pub(crate) fn on_claim_ack(&mut self, from: &Address, incarnation: u64, seq: u64) -> bool {
        let Some(claim) = self.take_claim(from, seq) else { return false };
        let claimed = claim.change.member.incarnation;
        if claim.told < claimed && incarnation <= claimed {
            // It was not asked about this yet.
            self.ask_about(claim.change, claim.cause);
        } else if incarnation == claimed {
            self.believe(claim.change, &claim.cause);
        } else {
            self.stats.claims_refuted += 1;
        }
        true
    }

    /// The member refused the ping, so it lives. `false` when the number belongs to no
    /// ping of these.
    pub(crate) fn on_claim_refused(&mut self, from: &Address, seq: u64) -> bool {
        let refuted = self.take_claim(from, seq).is_some();
        self.stats.claims_refuted += u64::from(refuted);
        refuted
    }

    /// The member did not answer. `false` when the number belongs to no ping of these.
    pub(crate) fn on_claim_silent(&mut self, seq: u64) -> bool {
        let found = self.claims.held.iter().find(|(_, claim)| claim.ping.seq == seq);
        let Some(address) = found.map(|(address, _)| address.clone()) else { return false };
        if let Some(claim) = self.take_claim(&address, seq) {
            self.late.expect(claim.ping, Vec::new());
            self.believe(claim.change, &claim.cause);
        }
        true
    }

    /// See [`Node::check_invariants`](crate::Node::check_invariants).
    pub(crate) fn check_claims(&self) {
        assert!(self.claims.held.len() <= CLAIMS_MAX, "claims are bounded");
    }
}
