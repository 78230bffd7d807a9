//! Dials of addresses that are gone.
//!
//! A partition looks just like hosts that are gone for good. So no address is
//! given up while discovery lists it, however often it failed; only the pace is
//! bounded. The members of a cluster share the dials by the wall clock, as they share
//! probes (see `membership/rounds.rs`): in each round of a second, one member dials
//! one address. The more addresses are gone, the rarer each is dialled. Members whose
//! clocks or lists differ dial as if at random.

use std::collections::VecDeque;
use std::time::Duration;

use crate::address::Address;
use crate::core::Core;
use crate::heal::{Heal, Outcome, alias_to_retry, is_reachable_here};
use crate::limits::{DIAL_ROUND, FOLLOW_UPS_MAX, JOIN_PEERS_MAX, REMEMBERED_MAX, URGENT_DIALS_MAX};
use crate::member::{Member, Status};
use crate::time::Instant;

/// Every so many rounds are for members that are remembered and not listed, as
/// long as there are listed ones to dial as well.
const REMEMBERED_EVERY: u64 = 4;

/// Periods that refutations get before the next attempt to merge.
const FOLLOW_UP_PERIODS: u32 = 10;

#[derive(Debug, Default)]
pub(crate) struct Redial {
    /// The list of discovery, sorted.
    listed: Vec<Address>,
    /// Listed addresses that are gone, sorted.
    gone: Vec<Address>,
    /// Members that are faulty and not listed, sorted.
    remembered: Vec<Address>,
    /// The state of the member list for which the two hold.
    revision: Option<u64>,
    /// Addresses that do not wait for their round.
    urgent: VecDeque<Next>,
    /// No rounds before this time.
    quiet_until: Instant,
}

/// An address that does not wait for its round.
#[derive(Debug)]
struct Next {
    address: Address,
    due: Instant,
    /// How often it was followed up already.
    follow_ups: u32,
}

impl Redial {
    /// Hosts that are not there when this member starts may be starting
    /// themselves: it takes no turns at first.
    pub(crate) fn start(&mut self, core: &Core) {
        self.quiet_until = core.now + core.config.redial_period();
        self.urgent.clear();
    }

    /// Stores the list of discovery.
    pub(crate) fn list(&mut self, mut hosts: Vec<Address>) {
        hosts.truncate(JOIN_PEERS_MAX);
        hosts.sort_unstable();
        hosts.dedup();
        self.listed = hosts;
        self.revision = None;
    }

    /// Stores the list of discovery and dials addresses that are new in it: a member
    /// that is alone several, one of many only one, since the others see them, too.
    pub(crate) fn on_listed(&mut self, core: &mut Core, heal: &mut Heal, hosts: Vec<Address>) {
        let before = std::mem::take(&mut self.listed);
        core.stats.peers_dropped += hosts.len().saturating_sub(JOIN_PEERS_MAX) as u64;
        self.list(hosts);
        core.aliases.retain(&self.listed);
        self.refresh(core);
        if let Some(name) = alias_to_retry(core, &self.listed) {
            heal.dial(core, name, 0);
        }
        let is_new = |address: &&Address| before.binary_search(address).is_err();
        let mut new: Vec<Address> = self.gone.iter().filter(is_new).cloned().collect();
        core.rng.shuffle(&mut new);
        new.truncate((URGENT_DIALS_MAX / (core.others() + 1)).max(1));
        for address in new {
            self.add(Next { address, due: core.now, follow_ups: 0 });
        }
        self.dial_urgent(core, heal);
    }

    /// An address that is gone or unknown sent a request. Unless that brings it back,
    /// it is dialled.
    pub(crate) fn on_request_of(&mut self, core: &Core, from: &Address) {
        let wanted = match core.members.get(from) {
            Some(member) => !member.is_reachable(),
            None => self.listed.binary_search(from).is_ok(),
        };
        if wanted {
            let due = core.now + core.config.redial_period() / 3;
            self.add(Next { address: from.clone(), due, follow_ups: 0 });
        }
    }

    fn add(&mut self, next: Next) {
        let known = self.urgent.iter().any(|other| other.address == next.address);
        if !known && self.urgent.len() < URGENT_DIALS_MAX {
            self.urgent.push_back(next);
        }
    }

    /// A healing that this member began by itself has ended.
    pub(crate) fn on_outcome(&mut self, core: &Core, outcome: Outcome) {
        let Outcome { target, merged, follow_ups } = outcome;
        if !merged && follow_ups < FOLLOW_UPS_MAX {
            let due = core.now + core.config.protocol_period() * FOLLOW_UP_PERIODS;
            self.add(Next { address: target, due, follow_ups: follow_ups + 1 });
        }
    }

    /// Whether there is an address to dial, or may be since members changed. In a
    /// quiet cluster there is none, and rounds cost nothing.
    pub(crate) fn has_work(&self, core: &Core) -> bool {
        let changed = self.revision != Some(core.members.revision());
        let known = [self.gone.len(), self.remembered.len(), self.urgent.len()];
        core.config.heal_probability_base() > 0 && (changed || known != [0; 3])
    }

    /// A round begins.
    pub(crate) fn on_round(&mut self, core: &mut Core, heal: &mut Heal) {
        if core.config.heal_probability_base() == 0 || self.dial_urgent(core, heal) {
            return;
        }
        self.refresh(core);
        let Some(address) = self.target_of_round(core).cloned() else { return };
        // It may be forgotten, or be back, since the lists were made.
        if core.now >= self.quiet_until && is_gone(core, &address) {
            heal.dial(core, address, 0);
        }
    }

    /// Dials the next urgent address, if it is due.
    fn dial_urgent(&mut self, core: &mut Core, heal: &mut Heal) -> bool {
        self.urgent.retain(|next| is_gone(core, &next.address));
        let due = self.urgent.iter().position(|next| next.due <= core.now);
        let Some(next) = due.and_then(|i| self.urgent.remove(i)) else { return false };
        heal.dial(core, next.address, next.follow_ups);
        true
    }

    /// The address that this member dials in the current round, if it is the one that
    /// dials.
    fn target_of_round(&self, core: &mut Core) -> Option<&Address> {
        let round = core.unix_ms() / DIAL_ROUND.as_millis() as u64;
        let both = !self.gone.is_empty() && !self.remembered.is_empty();
        let (passes, rest) = (round / REMEMBERED_EVERY, round % REMEMBERED_EVERY);
        let (targets, round) = match (both, rest == REMEMBERED_EVERY - 1) {
            (true, true) => (&self.remembered, passes),
            (true, false) => (&self.gone, passes * (REMEMBERED_EVERY - 1) + rest),
            (false, _) if self.gone.is_empty() => (&self.remembered, round),
            (false, _) => (&self.gone, round),
        };
        let place = core.members.shared_position(core.local_slot)?;
        let rounds = rounds_of_pass(core.config.redial_period());
        let index = index_in_round(round, (place, core.others() + 1), targets.len(), rounds)?;
        targets.get(index)
    }

    /// Updates the lists of addresses that are gone, if members changed.
    fn refresh(&mut self, core: &Core) {
        if self.revision == Some(core.members.revision()) {
            return;
        }
        self.revision = Some(core.members.revision());
        let listed = self.listed.iter().filter(|address| is_gone(core, address));
        self.gone = listed.cloned().collect();
        self.remembered.clear();
        if core.members.count(Status::Faulty) > 0 {
            self.remembered = self.lately_lost(core);
        }
    }

    /// The members that turned faulty last, without those that are listed.
    fn lately_lost(&self, core: &Core) -> Vec<Address> {
        let unlisted = |member: &Member| {
            member.status == Status::Faulty
                && member.address != core.local
                && self.listed.binary_search(&member.address).is_err()
        };
        let mut lost: Vec<_> = core
            .members
            .slots()
            .filter(|id| unlisted(&core.members.slot(*id).member))
            .map(|id| (core.members.watch(id).and_then(|known| known.expiry), id))
            .collect();
        lost.sort_unstable_by(|a, b| b.cmp(a));
        lost.truncate(REMEMBERED_MAX);
        let address = |(_, id): (_, _)| core.members.slot(id).member.address.clone();
        let mut addresses: Vec<Address> = lost.into_iter().map(address).collect();
        addresses.sort_unstable();
        addresses
    }

    pub(crate) fn check(&self) {
        assert!(self.urgent.len() <= URGENT_DIALS_MAX, "urgent dials are bounded");
        assert!(self.listed.len() <= JOIN_PEERS_MAX, "the list is bounded");
        assert!(self.remembered.len() <= REMEMBERED_MAX, "remembered addresses are bounded");
    }
}

fn is_gone(core: &Core, address: &Address) -> bool {
    *address != core.local && !is_reachable_here(core, address)
}

/// Rounds in which few addresses are all dialled once.
fn rounds_of_pass(period: Duration) -> u64 {
    (period.as_millis().div_ceil(DIAL_ROUND.as_millis()) as u64).max(1)
}

/// The address that the member at `place` of `members` dials in a round, if it is
/// the one that dials. In each pass every address is dialled once by one of the members,
/// and in the next pass by another one. A pass has as many rounds as there are
/// addresses, and at least `rounds_min`.
fn index_in_round(
    round: u64,
    (place, members): (usize, usize),
    addresses: usize,
    rounds_min: u64,
) -> Option<usize> {
    let rounds = rounds_min.max(addresses as u64);
    let (pass, index) = (round / rounds, round % rounds);
    let dialler = (index + pass) % members.max(1) as u64;
    (index < addresses as u64 && dialler == place as u64).then_some(index as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// In each pass every address is dialled once, by one member; and each
    /// member dials each address in some pass.
    #[test]
    fn a_pass_dials_each_address_once() {
        for (members, addresses, rounds_min) in
            [(1, 1, 3), (2, 1, 3), (2, 101, 3), (50, 50, 3), (100, 3, 10), (7, 14, 3)]
        {
            let rounds = rounds_min.max(addresses as u64);
            let mut by_whom = BTreeSet::new();
            for pass in 0..2 * members as u64 {
                let mut dialled = Vec::new();
                for round in pass * rounds..(pass + 1) * rounds {
                    for place in 0..members {
                        let members = (place, members);
                        let index = index_in_round(round, members, addresses, rounds_min);
                        dialled.extend(index);
                        by_whom.extend(index.map(|index| (place, index)));
                    }
                }
                assert_eq!(dialled, (0..addresses).collect::<Vec<_>>(), "{members} {addresses}");
            }
            assert_eq!(by_whom.len(), members * addresses);
        }
    }

    #[test]
    fn a_pass_lasts_as_long_as_the_settings_say_at_least() {
        assert_eq!(rounds_of_pass(Duration::from_millis(100)), 1);
        assert_eq!(rounds_of_pass(Duration::from_millis(2_500)), 3);
        assert_eq!(rounds_of_pass(Duration::from_secs(30)), 30);
    }
}
