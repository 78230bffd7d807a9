//! Replicas in distinct zones and bounded load, against their definitions.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use hashring::{LoadBound, Node, Ring};
use proptest::prelude::*;

fn zoned_ring(zones: &[u8]) -> Ring<u8> {
    let nodes =
        zones.iter().enumerate().map(|(i, zone)| Node::new(format!("n{i}")).with_data(*zone));
    Ring::builder().points_per_weight_unit(10).nodes(nodes).build().expect("the nodes are valid")
}

proptest! {
    /// The first node of each new zone in the order of the walk, then the others in the order of
    /// the walk.
    #[test]
    fn spread_takes_new_zones_first(
        zones in prop::collection::vec(0_u8..5, 0..120),
        n in 0_usize..12,
        key: [u8; 8],
    ) {
        let ring = zoned_ring(&zones);
        let mut known = BTreeSet::new();
        let (first, later): (Vec<_>, Vec<_>) = ring.walk(&key).partition(|node| known.insert(*node.data()));
        let mut expected = first;
        expected.truncate(n);
        if expected.len() < n {
            expected.extend(later);
            expected.truncate(n);
        }
        let mut owners = Vec::new();
        ring.owners_spread(&key, n, |node| *node.data(), &mut owners);
        prop_assert_eq!(owners, expected);
    }

    /// The first node of the walk that is below its capacity; so no node ever exceeds it.
    #[test]
    fn bounded_load_is_never_exceeded(
        weights in prop::collection::vec(1_u32..5, 1..12),
        hot in prop::collection::vec(0_u8..4, 0..300),
        factor in 1.0_f64..3.0,
    ) {
        let nodes = weights.iter().enumerate().map(|(i, weight)| Node::new(format!("n{i}")).with_weight(*weight));
        let ring = Ring::builder().points_per_weight_unit(10).nodes(nodes).build().expect("the nodes are valid");
        let bound = LoadBound::new(factor).expect("the factor is valid");
        let loads = RefCell::new(BTreeMap::<String, u64>::new());
        let load_of = |node: &Node| loads.borrow().get(node.id()).copied().unwrap_or(0);
        for (total, key) in hot.iter().enumerate() {
            let total = total as u64;
            let picked = ring.lookup_bounded(&[*key], bound, total, load_of).expect("the ring has points");
            let capacity = |node: &Node| bound.capacity(total, node.weight(), ring.total_weight());
            let expected = ring.walk(&[*key]).position(|node| load_of(node) < capacity(node));
            prop_assert_eq!(Some(picked.skipped), expected);
            prop_assert!(!picked.all_full);
            let fair = factor * (total + 1) as f64 * f64::from(picked.node.weight()) / ring.total_weight() as f64;
            prop_assert!((load_of(picked.node) + 1) as f64 <= fair.max(0.0).ceil().max(1.0));
            *loads.borrow_mut().entry(picked.node.id().to_owned()).or_default() += 1;
        }
    }
}

#[test]
fn the_only_node_of_a_rare_zone_is_found_among_many() {
    // The rare zone has one node in 2,000, far behind in most walks.
    let zones: Vec<u8> = (0..2_000).map(|i| u8::from(i == 1_234)).collect();
    let ring = zoned_ring(&zones);
    let mut owners = Vec::new();
    for key in 0..20_u8 {
        ring.owners_spread(&[key], 2, |node| *node.data(), &mut owners);
        let found: BTreeSet<_> = owners.iter().map(|node| *node.data()).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(owners.first().copied(), ring.lookup(&[key]));
    }
}

#[test]
fn when_all_are_full_the_owner_takes_it() {
    let ring = Ring::builder().nodes(["a", "b", "c"]).build().expect("three nodes are a ring");
    let picked = ring
        .lookup_bounded(b"key", LoadBound::default(), 0, |_| u64::MAX)
        .expect("the ring has points");
    assert!(picked.all_full);
    assert_eq!(picked.skipped, 3);
    assert_eq!(Some(picked.node), ring.lookup(b"key"));
}
