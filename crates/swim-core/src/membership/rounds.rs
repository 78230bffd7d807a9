//! Shared rounds: the order of probes when members count periods alike.
//!
//! When each member picks its targets for itself, a failed one may go unprobed for
//! `t` periods with probability `exp(-t)`, however large the cluster is (SWIM,
//! section 3.1). Members that number their periods by the wall clock and share one
//! order divide the work instead: in each round every member probes the one that is
//! so many positions after it, the same number for all. So each is probed once in
//! each round, without further messages or agreement.
//!
//! Members whose clocks or lists differ probe each other as if at random until
//! these are alike.

use crate::rng::SplitMix64;

/// Primes above any number of members, hence coprime to it.
const STRIDES: [u64; 4] = [4_294_967_311, 4_294_967_357, 4_294_967_371, 4_294_967_377];

/// The distance from a member to its target in a round: 1 to `others`.
///
/// Rounds come in cycles of `others`. In each cycle every number occurs once, in
/// an order that differs between cycles, so that each member probes each other
/// within `2 * others - 1` rounds: the bound of round-robin probes (SWIM,
/// section 4.3).
pub(crate) fn shift(round: u64, others: usize) -> usize {
    let others = (others as u64).max(1);
    let (cycle, step) = (round / others, round % others);
    let random = SplitMix64::mix(cycle);
    let stride = STRIDES[random as usize % STRIDES.len()] % others;
    let start = (random >> 32) % others;
    1 + ((start + stride * step) % others) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cycle_has_each_shift_once() {
        for others in (1..70).chain([127, 128, 999, 1_000, 9_999]) {
            for cycle in [0, 1, 2, 8_500_000_000] {
                let first = cycle * others as u64;
                let mut shifts: Vec<usize> =
                    (first..first + others as u64).map(|round| shift(round, others)).collect();
                shifts.sort_unstable();
                assert_eq!(shifts, (1..=others).collect::<Vec<_>>(), "{others} others");
            }
        }
    }

    #[test]
    fn cycles_differ() {
        let cycle =
            |cycle: u64| (0..99).map(|step| shift(cycle * 99 + step, 99)).collect::<Vec<_>>();
        let distinct: std::collections::BTreeSet<_> = (0..20).map(cycle).collect();
        assert!(distinct.len() > 15, "{}", distinct.len());
    }

    /// Half of all members are gone, and the others do not know it yet.
    #[test]
    fn survivors_probe_all_dead_members_soon() {
        let (members, mut rng) = (100, SplitMix64::new(1));
        let mut order: Vec<usize> = (0..members).collect();
        rng.shuffle(&mut order);
        let (gone, left) = order.split_at(50);
        for first in (0..1_000_000).step_by(7_919) {
            let probed_by = |prober: usize, round| (prober + shift(round, members - 1)) % members;
            for target in gone {
                let wait = (first..).position(|round| {
                    left.iter().any(|prober| probed_by(*prober, round) == *target)
                });
                // At random this would take more than 12 rounds for one in 4,000.
                assert!(wait.unwrap() < 25, "{wait:?}");
            }
        }
    }

    #[test]
    fn one_other_is_always_next() {
        assert_eq!((shift(7, 1), shift(8, 1), shift(7, 0)), (1, 1, 1));
    }
}
