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

/// The distance from a member to its target in a round: 1 to `others`.
///
/// Rounds come in cycles of `others`. In each cycle every number occurs once, so that each member
/// probes each other within `2 * others - 1` rounds: the bound of round-robin probes (SWIM,
/// section 4.3).
///
/// The order within a cycle looks drawn. Numbers at a fixed distance from each other would divide
/// the members: while all are even, news from an even position reach no odd one.
pub(crate) fn shift(round: u64, others: usize) -> usize {
    let others = (others as u64).max(1);
    let (cycle, step) = (round / others, round % others);
    1 + shuffled(step, others, cycle) as usize
}

/// The place of a number below `size` in a permutation that `key` chooses.
///
/// Each step of a pass can be undone, so the passes permute the numbers of the bits that `size - 1`
/// has. A number beyond `size` goes through them again until it comes out below: one more time on
/// average at most.
fn shuffled(number: u64, size: u64, key: u64) -> u64 {
    let bits = (u64::BITS - (size - 1).leading_zeros()).max(1);
    let mask = u64::MAX >> (u64::BITS - bits);
    let half = bits.div_ceil(2);
    let mut number = number;
    loop {
        for pass in 0..PASSES {
            let key = SplitMix64::mix(key.wrapping_mul(PASSES) + pass);
            number = number.wrapping_add(key >> 32).wrapping_mul(key | 1) & mask;
            number ^= number >> half;
        }
        if number < size {
            return number;
        }
    }
}

/// Multiplications of a shuffle: with two, neighbours often stay at one distance.
const PASSES: u64 = 3;

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

    /// Each member tells the one that it probes what it knows, and is told the same. Almost always,
    /// news reach all members as soon as by orders that are drawn.
    #[test]
    fn news_reach_all_members_soon() {
        for (members, rounds_max) in [(10, 5), (50, 8), (64, 8), (100, 8), (500, 10), (1_000, 11)] {
            let starts = (0..1_000_000).step_by(5_003);
            let mut rounds: Vec<usize> =
                starts.map(|first| rounds_to_all(members, first)).collect();
            rounds.sort_unstable();
            let late = rounds[rounds.len() * 99 / 100 - 1];
            assert!(late <= rounds_max, "{members} members: {late} rounds");
        }
    }

    fn rounds_to_all(members: usize, first: u64) -> usize {
        let mut told = vec![false; members];
        told[0] = true;
        let last = (first..).position(|round| {
            let distance = shift(round, members - 1);
            let known: Vec<usize> = (0..members).filter(|member| told[*member]).collect();
            for from in known {
                told[(from + distance) % members] = true;
                told[(from + members - distance) % members] = true;
            }
            told.iter().all(|told| *told)
        });
        1 + last.unwrap()
    }

    #[test]
    fn one_other_is_always_next() {
        assert_eq!((shift(7, 1), shift(8, 1), shift(7, 0)), (1, 1, 1));
    }
}
