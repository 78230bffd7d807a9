use proptest::prelude::{any, prop, prop_assert_eq, proptest};

use super::*;
use crate::labels::Labels;
use crate::limits::BUCKETS_MAX;

fn address(i: u32) -> Address {
    Address::new(&format!("10.0.0.{i}:7946")).unwrap()
}

fn member(i: u32, status: Status, incarnation: u64) -> Member {
    Member::new(address(i), status, incarnation, Labels::default())
}

fn filled(n: u32) -> (Membership, SplitMix64) {
    let (mut members, mut rng) = (Membership::new(1, None), SplitMix64::new(1));
    for i in 0..n {
        members.set(member(i, Status::Alive, 1), &mut rng);
    }
    (members, rng)
}

#[test]
fn each_round_visits_each_member_once_in_a_new_order() {
    let (mut members, mut rng) = filled(8);
    let mut rounds = Vec::new();
    // The first round may be cut short by where the position stood.
    while !members.probe_order.is_at_end() {
        members.next_in_order(&mut rng, |_| true);
    }
    for _ in 0..5 {
        let round: Vec<_> =
            (0..8).map(|_| members.next_in_order(&mut rng, |_| true).unwrap()).collect();
        let mut sorted = round.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..8).collect::<Vec<_>>());
        rounds.push(round);
    }
    rounds.dedup();
    assert!(rounds.len() > 1, "the order changes between rounds");
}

#[test]
fn in_a_round_each_member_is_probed_by_another() {
    let (mut members, mut rng) = filled(9);
    members.set(member(3, Status::Faulty, 1), &mut rng);
    for round in 0..50 {
        let mut targets = Vec::new();
        for id in (0..9).filter(|id| *id != 3) {
            let target = members.next_in_round(round, id, |_| true).unwrap();
            assert_ne!(target, id);
            targets.push(target);
        }
        targets.sort_unstable();
        assert_eq!(targets, [0, 1, 2, 4, 5, 6, 7, 8]);
    }
    assert_eq!(members.next_in_round(0, 3, |_| true), None, "who is gone has no turn");
    let wanted = members.next_in_round(0, 0, |id| id == 7);
    assert_eq!(wanted, Some(7), "the next one that is wanted");
    assert_eq!(members.next_in_round(0, 0, |_| false), None);
}

/// Whatever the history, the order depends on the members only.
#[test]
fn all_members_have_one_order() {
    let names = |members: &Membership| -> Vec<Address> {
        members.shared_order.iter().map(|id| members.slot(id).member.address.clone()).collect()
    };
    let (one, _) = filled(20);
    let (mut other, mut rng) = (Membership::new(2, None), SplitMix64::new(2));
    (0..25).rev().for_each(|i| drop(other.set(member(i, Status::Alive, 1), &mut rng)));
    (20..25).for_each(|i| drop(other.set(member(i, Status::Faulty, 1), &mut rng)));
    other.check();
    assert_eq!(names(&one), names(&other));
}

#[test]
fn unreachable_members_are_not_probed_nor_picked() {
    let (mut members, mut rng) = filled(4);
    members.set(member(1, Status::Faulty, 1), &mut rng);
    members.set(member(2, Status::Leave, 1), &mut rng);
    members.set(member(3, Status::Tombstone, 1), &mut rng);
    for _ in 0..10 {
        let id = members.next_in_order(&mut rng, |_| true).unwrap();
        assert_eq!(members.slot(id).member.address, address(0));
    }
    assert_eq!(members.pick_random(3, &mut rng, |_| true), [0]);
}

#[test]
fn pick_random_gives_distinct_wanted_members() {
    let (members, mut rng) = filled(10);
    for _ in 0..50 {
        let mut picked = members.pick_random(3, &mut rng, |id| id != 0);
        assert!(!picked.contains(&0));
        picked.sort_unstable();
        picked.dedup();
        assert_eq!(picked.len(), 3);
    }
}

#[test]
fn tombstones_do_not_count_in_the_checksum() {
    let (mut members, mut rng) = filled(3);
    let before = members.checksum();
    members.set(member(9, Status::Faulty, 1), &mut rng);
    assert_ne!(members.checksum(), before);
    members.set(member(9, Status::Tombstone, 1), &mut rng);
    assert_eq!(members.checksum(), before);
}

#[test]
fn coarse_digests_are_sums_of_fine_ones_and_buckets_partition_the_members() {
    let (members, _) = filled(100);
    for buckets in [1, 2, 16, BUCKETS_MAX] {
        let sum = members.digests(buckets).into_iter().fold(0u64, u64::wrapping_add);
        assert_eq!(sum, members.checksum());
        let total: usize = (0..buckets).map(|b| members.bucket(b, buckets).len()).sum();
        assert_eq!(total, 100);
    }
}

proptest! {
    /// Whatever the history, the sums depend only on the final content.
    #[test]
    fn checksum_depends_on_content_only(
        ops in prop::collection::vec((0..12u32, 0..5usize, 0..4u64, any::<bool>()), 0..120)
    ) {
        let (mut members, mut rng) = (Membership::new(1, None), SplitMix64::new(2));
        for (i, status, incarnation, remove) in ops {
            match members.find(&address(i)) {
                Some(id) if remove => { members.remove(id); }
                _ => { members.set(member(i, Status::ALL[status], incarnation), &mut rng); }
            }
            members.check();
            members.next_in_order(&mut rng, |_| true);
        }
        let mut fresh = Membership::new(9, None);
        let mut content: Vec<Member> = members.iter().cloned().collect();
        content.sort_by(|a, b| b.address.cmp(&a.address));
        for member in content {
            fresh.set(member, &mut rng);
        }
        prop_assert_eq!(fresh.checksum(), members.checksum());
        prop_assert_eq!(fresh.digests(BUCKETS_MAX), members.digests(BUCKETS_MAX));
    }
}
