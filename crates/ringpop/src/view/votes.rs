//! Which placement the members on the ring use, when they ask for different ones.
//!
//! It follows from the set of members alone: members with equal views use the same one at each
//! moment of a rolling change, and switch with the change of a member that turns the majority, by
//! the same gossip as any change of a member. A majority, and not the least or the latest wish,
//! because a single member then decides only where the votes are even: one with a wrong setting,
//! the first of a roll that crashes again and again, or the last that is left behind change
//! nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use swim_core::Address;

use crate::placement::PlacementChoice;

/// What the members on the ring ask for.
#[derive(Debug, Default)]
pub(super) struct Votes {
    /// Each member on the ring; `None` for one whose label this version cannot read.
    by_member: BTreeMap<Address, Option<PlacementChoice>>,
    counts: BTreeMap<PlacementChoice, usize>,
}

impl Votes {
    /// A member is on the ring and asks for this.
    pub(super) fn cast(&mut self, address: &Address, vote: Option<PlacementChoice>) {
        if self.by_member.get(address) == Some(&vote) {
            return;
        }
        self.withdraw(address);
        if let Some(vote) = vote {
            *self.counts.entry(vote).or_default() += 1;
        }
        self.by_member.insert(address.clone(), vote);
    }

    /// A member is not on the ring.
    pub(super) fn withdraw(&mut self, address: &Address) {
        let Some(Some(vote)) = self.by_member.remove(address) else { return };
        if let Some(count) = self.counts.get_mut(&vote) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&vote);
            }
        }
    }

    /// The placement that most ask for, of several the first in their order; rendezvous when
    /// nobody asks for any.
    pub(super) fn elected(&self) -> PlacementChoice {
        let most = self.counts.iter().max_by_key(|(vote, count)| (**count, Reverse(**vote)));
        most.map_or(PlacementChoice::Rendezvous, |(vote, _)| *vote)
    }

    /// The first member by address that asks for another one than this, and how many do.
    pub(super) fn others(&self, elected: PlacementChoice) -> Option<(&Address, usize)> {
        let alike = self.counts.get(&elected).copied().unwrap_or_default();
        let others = self.by_member.len() - alike;
        if others == 0 {
            return None;
        }
        let first = self.by_member.iter().find(|(_, vote)| **vote != Some(elected));
        first.map(|(address, _)| (address, others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENDEZVOUS: Option<PlacementChoice> = Some(PlacementChoice::Rendezvous);

    const fn ring(points: u32) -> Option<PlacementChoice> {
        Some(PlacementChoice::Ring { points })
    }

    fn address(i: usize) -> Address {
        Address::new(&format!("10.0.0.{i}:7100")).unwrap()
    }

    fn votes(all: &[Option<PlacementChoice>]) -> Votes {
        let mut votes = Votes::default();
        for (i, vote) in all.iter().enumerate() {
            votes.cast(&address(i), *vote);
        }
        votes
    }

    #[test]
    fn most_votes_win_and_then_the_order() {
        let local = Some(PlacementChoice::LocalRendezvous { points: 1 });
        for (all, elected) in [
            (vec![], RENDEZVOUS),
            (vec![None, None, None], RENDEZVOUS),
            (vec![None, None, ring(100)], ring(100)),
            (vec![RENDEZVOUS, ring(200), ring(200)], ring(200)),
            (vec![ring(200), ring(100)], ring(100)),
            (vec![ring(100), RENDEZVOUS], RENDEZVOUS),
            (vec![local, ring(8192)], ring(8192)),
            (vec![ring(1), ring(2), ring(2), ring(3), ring(3)], ring(2)),
        ] {
            assert_eq!(Some(votes(&all).elected()), elected, "{all:?}");
        }
    }

    /// One with a wrong setting, the first of a roll and the last of it decide nothing.
    #[test]
    fn a_single_member_turns_nothing() {
        for (usual, odd) in [(RENDEZVOUS, ring(1)), (ring(100), RENDEZVOUS), (ring(2), None)] {
            let mut all = votes(&[usual, usual, usual]);
            all.cast(&address(9), odd);
            assert_eq!(Some(all.elected()), usual);
            let (first, count) = all.others(all.elected()).unwrap();
            assert_eq!((first, count), (&address(9), 1));
            all.withdraw(&address(9));
            assert_eq!(all.others(all.elected()), None);
        }
    }

    /// However votes came and changed, what counts are those of now.
    #[test]
    fn the_elected_one_depends_on_the_votes_of_now_alone() {
        let mut random = 7_u64;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below
        };
        let choices = [None, RENDEZVOUS, ring(100), ring(200), ring(100), ring(200)];
        let (mut votes, mut now, mut elected) = (Votes::default(), BTreeMap::new(), Vec::new());
        for _ in 0..5_000 {
            let i = draw(8) as usize;
            let vote = choices[draw(6) as usize];
            if draw(3) == 0 {
                votes.withdraw(&address(i));
                now.remove(&i);
            } else {
                votes.cast(&address(i), vote);
                now.insert(i, vote);
            }
            let count = |vote| now.values().filter(|cast| **cast == Some(vote)).count();
            let mut by_order: Vec<_> = now.values().flatten().copied().collect();
            by_order.sort_unstable();
            by_order.dedup();
            let mut best = PlacementChoice::Rendezvous;
            for vote in by_order {
                if count(vote) > count(best) {
                    best = vote;
                }
            }
            assert_eq!(votes.elected(), best, "{now:?}");
            let others = now.values().filter(|vote| **vote != Some(best)).count();
            assert_eq!(votes.others(best).map_or(0, |(_, count)| count), others);
            elected.push(best);
        }
        elected.sort_unstable();
        elected.dedup();
        assert_eq!(elected.len(), 3, "each of them won");
    }
}
