//! Which changes are piggybacked on which message, and how often.

use std::collections::BTreeMap;

use fxhash::FxHashMap;

use crate::address::Address;
use crate::limits::CHANGES_SENT_MAX;
use crate::membership::{Membership, SlotId};
use crate::message::{Change, Source};
use crate::mutation::{Mutation, active};

/// Bytes of a change with a short address, an incarnation of today and no
/// source.
const CHANGE_BYTES_MIN: usize = 24;

/// The changes that still have to be spread, one for each member at most.
#[derive(Debug, Default)]
pub(crate) struct Dissemination {
    entries: FxHashMap<SlotId, Entry>,
    /// Fewest sends first, and among those the newest first: fresh changes leave at
    /// once, and old ones cannot starve them.
    queue: BTreeMap<Priority, SlotId>,
    generation: u64,
}

/// The number of sends in the upper bits, the age of the change below: one word,
/// because a full backlog is searched for it at every change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Priority(u64);

/// Bits that hold the generation of a change: enough for a million changes a
/// second for eight years.
const GENERATION_BITS: u32 = 48;

impl Priority {
    const fn new(sends: u32, generation: u64) -> Self {
        Self(((sends as u64) << GENERATION_BITS) | ((1 << GENERATION_BITS) - 1 - generation))
    }
}

#[derive(Debug)]
struct Entry {
    source: Option<Source>,
    sends: u32,
    /// Tells this change from later ones about the same member.
    generation: u64,
}

impl Entry {
    const fn priority(&self) -> Priority {
        Priority::new(self.sends, self.generation)
    }
}

/// The changes for one message.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) changes: Vec<Change>,
    pub(crate) issued: Vec<Issued>,
    /// Whether there were more than fit.
    pub(crate) cut: bool,
}

/// How much there is to piggyback to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backlog {
    Empty,
    Fits,
    /// More than fits a message.
    Overflows,
}

impl Picked {
    pub(crate) const fn backlog(&self) -> Backlog {
        match (self.cut, self.changes.is_empty()) {
            (true, _) => Backlog::Overflows,
            (false, true) => Backlog::Empty,
            (false, false) => Backlog::Fits,
        }
    }
}

/// A change that was put into a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    slot: SlotId,
    generation: u64,
}

impl Dissemination {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes that all changes take together, at the least.
    pub(crate) fn bytes_min(&self) -> usize {
        CHANGE_BYTES_MIN * self.entries.len()
    }

    /// Spreads the change about a member from now on, in place of a former one.
    pub(crate) fn record(&mut self, slot: SlotId, source: Option<Source>) {
        self.generation += 1;
        let entry = Entry { source, sends: 0, generation: self.generation };
        self.queue.insert(entry.priority(), slot);
        if let Some(former) = self.entries.insert(slot, entry) {
            self.queue.remove(&former.priority());
        }
    }

    /// Stops spreading the change about a member.
    pub(crate) fn forget(&mut self, slot: SlotId) {
        if let Some(entry) = self.entries.remove(&slot) {
            self.queue.remove(&entry.priority());
        }
    }

    /// Changes for a message to a peer, up to `bytes_max` bytes but at least
    /// one. Changes that `peer` is the source of are left out: it knows them.
    pub(crate) fn pick(
        &self,
        members: &Membership,
        peer: (&Address, Option<u64>),
        bytes_max: usize,
    ) -> Picked {
        let (mut changes, mut issued) = (Vec::new(), Vec::new());
        let mut cut = false;
        if self.entries.is_empty() {
            return Picked { changes, issued, cut };
        }
        let mut bytes = 0;
        for &slot in self.queue.values() {
            let Entry { source, generation, .. } = &self.entries[&slot];
            let from_peer = source.as_ref().is_some_and(|source| {
                source.address == *peer.0 && Some(source.incarnation) == peer.1
            });
            if from_peer {
                continue;
            }
            let member = members.slot(slot).member.clone();
            let change = Change { member, source: source.clone() };
            bytes += change.encoded_len();
            let full = bytes > bytes_max || changes.len() == CHANGES_SENT_MAX;
            if full && !changes.is_empty() {
                cut = true;
                break;
            }
            changes.push(change);
            issued.push(Issued { slot, generation: *generation });
        }
        Picked { changes, issued, cut }
    }

    /// Counts a send of each issued change and drops those that were sent
    /// `sends_max` times. A change that was replaced meanwhile is not counted.
    pub(crate) fn bump(&mut self, issued: &[Issued], sends_max: u32) {
        for &Issued { slot, generation } in issued {
            let Some(entry) = self.entries.get_mut(&slot) else {
                continue;
            };
            if entry.generation != generation {
                continue;
            }
            self.queue.remove(&entry.priority());
            entry.sends += 1;
            if entry.sends >= sends_max && !active(Mutation::LeakingPiggyback) {
                self.entries.remove(&slot);
            } else {
                self.queue.insert(entry.priority(), slot);
            }
        }
    }

    pub(crate) fn check(&self, members: &Membership) {
        assert_eq!(self.entries.len(), self.queue.len(), "one queue entry for each change");
        for (priority, slot) in &self.queue {
            assert_eq!(
                self.entries[slot].priority(),
                *priority,
                "each change stands where it should"
            );
            assert!(members.contains(*slot), "only known members are spread");
        }
    }
}

/// How often a change is sent: Ringpop's `15 * ceil(log10(n + 1))` with `n`
/// other reachable members. 0 when the member is alone.
pub(crate) fn sends_max(factor: u32, others: usize) -> u32 {
    // ceil(log10(n + 1)) is the number of decimal digits of n.
    let digits = others.checked_ilog10().map_or(0, |log| log + 1);
    factor.saturating_mul(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use crate::member::{Member, Status};
    use crate::rng::SplitMix64;

    fn address(i: u32) -> Address {
        Address::new(&format!("10.0.0.{i}:7946")).unwrap()
    }

    fn members(n: u32) -> Membership {
        let (mut members, mut rng) = (Membership::new(1, None), SplitMix64::new(1));
        for i in 0..n {
            members.set(Member::new(address(i), Status::Alive, 1, Labels::default()), &mut rng);
        }
        members
    }

    fn peer() -> (Address, Option<u64>) {
        (Address::new("peer:1").unwrap(), Some(1))
    }

    fn picked(gossip: &Dissemination, members: &Membership, bytes: usize) -> Vec<SlotId> {
        let (address, incarnation) = peer();
        let Picked { issued, .. } = gossip.pick(members, (&address, incarnation), bytes);
        issued.iter().map(|issued| issued.slot).collect()
    }

    #[test]
    fn sends_max_is_ringpops() {
        for (others, expected) in
            [(0, 0), (1, 15), (9, 15), (10, 30), (99, 30), (100, 45), (999, 45), (1000, 60)]
        {
            assert_eq!(sends_max(15, others), expected, "{others} others");
            let formula = 15.0 * ((others as f64) + 1.0).log10().ceil();
            assert_eq!(f64::from(sends_max(15, others)), formula, "{others} others");
        }
    }

    #[test]
    fn a_change_is_sent_as_often_as_allowed() {
        let (members, mut gossip) = (members(2), Dissemination::default());
        gossip.record(0, None);
        let (address, incarnation) = peer();
        for _ in 0..3 {
            let Picked { changes, issued, .. } =
                gossip.pick(&members, (&address, incarnation), 1000);
            assert_eq!(changes.len(), 1);
            gossip.bump(&issued, 3);
            gossip.check(&members);
        }
        assert_eq!(gossip.len(), 0);
    }

    #[test]
    fn fewest_sends_go_first_and_among_those_the_newest() {
        let (members, mut gossip) = (members(3), Dissemination::default());
        gossip.record(0, None);
        gossip.record(1, None);
        assert_eq!(picked(&gossip, &members, 1000), [1, 0]);
        let (address, incarnation) = peer();
        let Picked { issued, .. } = gossip.pick(&members, (&address, incarnation), 1);
        gossip.bump(&issued, 9);
        gossip.record(2, None);
        assert_eq!(picked(&gossip, &members, 1000), [2, 0, 1]);
    }

    #[test]
    fn budget_holds_but_one_change_always_fits() {
        let (members, mut gossip) = (members(3), Dissemination::default());
        (0..3).for_each(|slot| gossip.record(slot, None));
        let one = Change { member: members.slot(0).member.clone(), source: None }.encoded_len();
        assert_eq!(picked(&gossip, &members, 2 * one).len(), 2);
        assert_eq!(picked(&gossip, &members, 2 * one - 1).len(), 1);
        assert_eq!(picked(&gossip, &members, 1).len(), 1);
    }

    #[test]
    fn a_change_does_not_go_back_to_its_source() {
        let (members, mut gossip) = (members(1), Dissemination::default());
        let (address, incarnation) = (address(7), 5);
        gossip.record(0, Some(Source { address: address.clone(), incarnation }));
        assert!(gossip.pick(&members, (&address, Some(5)), 1000).changes.is_empty());
        // Another incarnation of the source may have lost its memory.
        assert_eq!(gossip.pick(&members, (&address, Some(6)), 1000).changes.len(), 1);
        assert_eq!(gossip.pick(&members, (&address, None), 1000).changes.len(), 1);
    }

    #[test]
    fn a_replaced_change_is_not_counted_for_the_former() {
        let (members, mut gossip) = (members(1), Dissemination::default());
        gossip.record(0, None);
        let (address, incarnation) = peer();
        let Picked { issued, .. } = gossip.pick(&members, (&address, incarnation), 1000);
        gossip.record(0, None);
        gossip.bump(&issued, 1);
        assert_eq!(gossip.len(), 1);
        gossip.check(&members);
    }
}
