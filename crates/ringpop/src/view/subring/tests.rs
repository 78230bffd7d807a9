use std::collections::BTreeSet;

use super::*;

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % n
    }
}

/// Members by number, each with its zone and weight.
type Members = Vec<(usize, usize, u32)>;

fn candidates(members: &Members) -> Candidates {
    const ZONES: [&str; 5] = ["a", "b", "c", "d", ""];
    let node = |(i, zone, weight): &(usize, usize, u32)| {
        let node = Node::new(format!("10.0.0.{i}:7100")).with_weight(*weight);
        (Arc::new(node.with_data(Reached::Local)), ZONES[*zone])
    };
    Candidates::new(members.iter().map(node))
}

fn chosen(members: &Members, tenant: &str, n: usize) -> BTreeSet<String> {
    let subring = candidates(members).choose(tenant.as_bytes(), n);
    subring.nodes().iter().map(|node| node.id().to_owned()).collect()
}

fn in_zones(count: usize, zones: usize) -> Members {
    (0..count).map(|i| (i, i % zones, 1)).collect()
}

/// How many of the chosen are in each zone.
fn per_zone(members: &Members, chosen: &BTreeSet<String>) -> Vec<usize> {
    let mut counts = vec![0; 5];
    for (i, zone, _) in members {
        counts[*zone] += usize::from(chosen.contains(&format!("10.0.0.{i}:7100")));
    }
    counts
}

/// That holds for any member in any zone, and when zones come and go with their members.
#[test]
fn a_member_more_or_less_changes_at_most_one_other() {
    let mut random = Random(1);
    for round in 0..300 {
        let zones = 1 + random.below(5);
        let count = 1 + random.below(30);
        let mut members: Members =
            (0..count).map(|i| (i, random.below(zones), 1 + random.below(3) as u32)).collect();
        let n = 1 + random.below(9);
        let tenants: Vec<String> = (0..10).map(|i| format!("tenant-{round}-{i}")).collect();
        let gone = members.remove(random.below(count));
        let mut with = members.clone();
        with.push(gone);
        let address = format!("10.0.0.{}:7100", gone.0);
        for tenant in &tenants {
            let (without, with) = (chosen(&members, tenant, n), chosen(&with, tenant, n));
            assert_eq!(with.len(), n.min(count), "{round}");
            assert_eq!(without.len(), n.min(count - 1));
            if !with.contains(&address) {
                assert_eq!(with, without, "one that is not chosen changes nothing");
                continue;
            }
            let others: BTreeSet<String> = with.difference(&without).cloned().collect();
            assert_eq!(others, BTreeSet::from([address.clone()]), "nobody else goes");
            assert!(without.difference(&with).count() <= 1, "one takes the place");
        }
    }
}

#[test]
fn zones_have_as_many_as_each_other_but_for_one() {
    let members = in_zones(30, 3);
    for (n, i) in (1..20).flat_map(|n| (0..20).map(move |i| (n, i))) {
        let counts = per_zone(&members, &chosen(&members, &format!("tenant-{i}"), n));
        let (least, most) = (counts[..3].iter().min(), counts[..3].iter().max());
        assert!(most.unwrap() - least.unwrap() <= 1, "{n}: {counts:?}");
    }
    // A zone that has too few gives all that it has, and the others fill up.
    let uneven: Members = (0..12).map(|i| (i, usize::from(i >= 2), 1)).collect();
    for i in 0..20 {
        let counts = per_zone(&uneven, &chosen(&uneven, &format!("tenant-{i}"), 8));
        assert_eq!(counts[..2], [2, 6]);
    }
}

/// Each member serves as many tenants as its weight says, and two tenants have `n² / N` members in
/// common: figures of `docs/rings.md`.
#[test]
fn tenants_spread_evenly_and_overlap_as_chance_has_it() {
    let (count, n, tenants) = (40, 4, 2_000);
    for zones in [1, 4] {
        let members = in_zones(count, zones);
        let candidates = candidates(&members);
        let choose = |i: usize| -> BTreeSet<String> {
            let subring = candidates.choose(format!("tenant-{i}").as_bytes(), n);
            subring.nodes().iter().map(|node| node.id().to_owned()).collect()
        };
        let all: Vec<_> = (0..tenants).map(choose).collect();
        let mean = (tenants * n / count) as f64;
        for (i, ..) in &members {
            let served = all.iter().filter(|one| one.contains(&format!("10.0.0.{i}:7100")));
            let served = served.count() as f64;
            // Five standard deviations.
            assert!((served - mean).abs() < 5.0 * mean.sqrt(), "{zones}: {i} serves {served}");
        }
        let common = |pair: &[BTreeSet<String>]| pair[0].intersection(&pair[1]).count();
        let overlaps: Vec<usize> = all.chunks_exact(2).map(common).collect();
        let overlap = overlaps.iter().sum::<usize>() as f64 / overlaps.len() as f64;
        let expected = (n * n) as f64 / count as f64;
        assert!((overlap - expected).abs() < 0.1, "{zones}: {overlap}, expected {expected}");
        let same = overlaps.iter().filter(|overlap| **overlap == n).count();
        assert!(same <= 1, "{same} of 1,000 pairs have all in common");
    }
    let weighted: Members = (0..20).map(|i| (i, 0, if i == 0 { 5 } else { 1 })).collect();
    let heavy =
        (0..500).filter(|i| chosen(&weighted, &format!("t-{i}"), 2).contains("10.0.0.0:7100"));
    let heavy = heavy.count();
    assert!((150..300).contains(&heavy), "five times the weight, about 40 % of tenants: {heavy}");
}

#[test]
fn nobody_and_everybody_are_fine() {
    assert!(chosen(&Vec::new(), "tenant", 3).is_empty());
    let members = in_zones(5, 2);
    assert!(chosen(&members, "tenant", 0).is_empty());
    assert_eq!(chosen(&members, "tenant", 5).len(), 5);
    assert_eq!(chosen(&members, "tenant", usize::MAX).len(), 5);
}

#[test]
fn the_cache_gives_what_was_chosen_and_stays_within_its_bound() {
    let members = in_zones(50, 1);
    let candidates = candidates(&members);
    let subring = |n| Subring(Arc::new(candidates.choose(b"tenant", n)));
    let mut cache = Cache::default();
    cache.insert(b"tenant", 3, subring(3));
    assert_eq!(cache.get(b"tenant", 3).unwrap().len(), 3);
    assert!(cache.get(b"tenant", 4).is_none(), "another size is another subring");
    assert!(cache.get(b"other", 3).is_none());
    // Others come; one that is asked for again and again stays.
    let large = subring(50);
    let bytes = ENTRY_BYTES + 8 + large.0.size_bytes();
    for i in 0..2 * SUBRINGS_BYTES_MAX / bytes {
        cache.insert(format!("t{i:07}").as_bytes(), 50, large.clone());
        assert_eq!(cache.get(b"tenant", 3).unwrap().len(), 3, "{i}");
        let kept = (cache.recent.len() + cache.older.len()) * bytes;
        assert!(kept <= SUBRINGS_BYTES_MAX + 2 * bytes, "{kept}");
    }
    assert!(cache.get(b"t0000000", 50).is_none(), "the oldest went");
}
