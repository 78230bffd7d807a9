//! Claims: requests that call a member gone which is reachable here.
//!
//! Any process that reaches a port can call all members faulty, or left. If that were
//! believed, a handful of messages would leave a member alone. So the member in
//! question gets a ping with the claim: it refutes with a newer incarnation, which is
//! in its answer, or agrees, because it leaves. The claim is applied when it agrees or
//! does not answer. A member that has been suspect here for so long that its
//! refutation would have arrived is not asked; nearly every dead member is one.
//! Answers to this member's own requests are believed at once.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::core::{Core, Trust};
use crate::dial_budget::DialBudget;
use crate::event::Cause;
use crate::limits::CLAIMS_MAX;
use crate::member::{Member, Status};
use crate::message::Change;
use crate::requests::Purpose;

/// The claims that wait for an answer, by the address of their subject.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    held: BTreeMap<Address, Claim>,
    budget: DialBudget,
}

#[derive(Debug)]
struct Claim {
    change: Change,
    cause: Cause,
    /// The number of the request.
    ping: u64,
    /// The incarnation of the suspicion in the ping.
    told: u64,
}

impl Core {
    /// Whether a change would take a member off the ring on the word of the sender of
    /// a request alone.
    pub(crate) fn needs_check(&self, member: &Member, trust: Trust) -> bool {
        let believed = matches!(trust, Trust::Listed | Trust::Member);
        if believed || member.is_reachable() || !self.config.verify_claims() {
            return false;
        }
        let Some(id) = self.members.find(&member.address) else { return false };
        let known = &self.members.slot(id).member;
        if id == self.local_slot || !known.is_reachable() {
            return false;
        }
        // Half of the time that a refutation has. True claims come later: their sender
        // has waited for all of it.
        let enough = self.suspicion_bounds().min / 2;
        let suspicion = self.members.suspicion(id);
        let suspect_for_long = suspicion.is_some_and(|since| self.now - since.started >= enough);
        !(suspect_for_long && known.incarnation == member.incarnation)
    }

    /// Pings the member. Beyond the budget the claim counts as a suspicion, which the
    /// member refutes. Returns whether the claim took effect.
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
        let wins = self.members.overrides(&member, self.members.get(&address));
        if wins {
            self.set(member, source, cause.clone());
        }
        wins
    }

    fn ask_about(&mut self, change: Change, cause: Cause) {
        let address = change.member.address.clone();
        let told = change.member.incarnation;
        // As a suspicion: a member that leaves does not refute that.
        let member = Member { status: Status::Suspect, ..change.member.clone() };
        let suspicion = Change { member, source: None };
        let timeout = self.config.ping_timeout();
        let ping = self.ping_with(Purpose::Claim, address.clone(), timeout, vec![suspicion]);
        self.claims.held.insert(address, Claim { change, cause, ping, told });
    }

    /// The member answered, at its current incarnation: one that refutes has a newer one
    /// than the claim.
    pub(crate) fn on_claim_ack(&mut self, from: &Address, incarnation: u64) {
        let Some(claim) = self.claims.held.remove(from) else { return };
        self.close(claim.ping);
        let claimed = claim.change.member.incarnation;
        if claim.told < claimed && incarnation <= claimed {
            // It was not asked about this yet.
            self.ask_about(claim.change, claim.cause);
        } else if incarnation == claimed {
            self.believe(claim.change, &claim.cause);
        } else {
            self.stats.claims_refuted += 1;
        }
    }

    /// The member refused the ping, so it lives.
    pub(crate) fn on_claim_refused(&mut self, from: &Address) {
        if let Some(claim) = self.claims.held.remove(from) {
            self.close(claim.ping);
            self.stats.claims_refuted += 1;
        }
    }

    /// The member did not answer.
    pub(crate) fn on_claim_unanswered(&mut self, seq: u64) {
        let Some(address) = self.close(seq) else { return };
        if let Some(claim) = self.claims.held.remove(&address) {
            self.late.expect(address, seq, Vec::new());
            self.believe(claim.change, &claim.cause);
        }
    }

    /// See [`Node::check_invariants`](crate::Node::check_invariants).
    pub(crate) fn check_claims(&self) {
        assert!(self.claims.held.len() <= CLAIMS_MAX, "claims are bounded");
        let requests = self.requests.count(|purpose| purpose == Purpose::Claim);
        assert_eq!(self.claims.held.len(), requests, "one request for each claim");
    }
}
