//! Laws of the ring on random inputs.

use std::{collections::BTreeMap, sync::Arc};

use crate::common::{POINTS, TOYS, keys, nodes, owner_id, ring_of};
use hashring::{
    Crc32, Edit, EnvoyRingHash, Ketama, Node, Ring, RingBuilder, Scheme, Xxh3,
    scheme::{NodeName, TieOrder},
};
use proptest::prelude::*;

/// A ring as the definition says it: a map of points, owners chosen by scanning.
fn naive_owner<'n, S: Scheme>(
    scheme: &S,
    nodes: &'n BTreeMap<String, u32>,
    key: &[u8],
) -> Option<&'n str> {
    let place = |hash: u64| hash & (u64::MAX >> (64 - scheme.circle_bits()));
    let mut points = BTreeMap::<u64, Vec<&str>>::new();
    for (id, weight) in nodes {
        let mut hashes = Vec::new();
        scheme.hash_points(NodeName { id, identity: id }, 0..weight * POINTS, &mut hashes);
        for hash in hashes {
            points.entry(place(hash)).or_default().push(id);
        }
    }
    let (_, owners) =
        points.range(place(scheme.hash_key(key))..).next().or_else(|| points.first_key_value())?;
    match scheme.tie_order() {
        TieOrder::LowestIdFirst => owners.iter().min().copied(),
        TieOrder::HighestIdFirst => owners.iter().max().copied(),
    }
}

proptest! {
    #[test]
    fn lookup_equals_the_naive_ring(nodes in nodes(), keys in keys()) {
        check_lookup(Xxh3, &nodes, &keys)?;
        check_lookup(Crc32, &nodes, &keys)?;
        for toy in TOYS {
            check_lookup(toy, &nodes, &keys)?;
        }
    }

    #[test]
    fn the_order_of_nodes_does_not_matter(
        nodes in nodes().prop_flat_map(|nodes| {
            let list: Vec<_> = nodes.iter().map(|(id, weight)| (id.clone(), *weight)).collect();
            (Just(nodes), Just(list).prop_shuffle())
        })
    ) {
        let (sorted, shuffled) = nodes;
        let shuffled_nodes = shuffled.iter().map(|(id, weight)| Node::new(id.as_str()).with_weight(*weight));
        let ring = Ring::builder().points_per_weight_unit(POINTS).nodes(shuffled_nodes).build().expect("valid nodes");
        prop_assert_eq!(ring.checksum(), ring_of(Xxh3, &sorted).checksum());
        prop_assert_eq!(ring, ring_of(Xxh3, &sorted));
    }

    /// Any path of updates, singly and in batches, ends in the ring that is built from nothing.
    #[test]
    fn history_leaves_no_trace(steps in prop::collection::vec(nodes(), 1..6)) {
        let builder = || Ring::builder().points_per_weight_unit(POINTS);
        check_history(builder().scheme(Xxh3), &steps)?;
        check_history(builder().scheme(Crc32), &steps)?;
        for toy in TOYS {
            check_history(builder().scheme(toy), &steps)?;
        }
        // Every change of one node changes the number of points of the others.
        check_history(Ring::builder().scheme(EnvoyRingHash::new(30, 90).expect("valid sizes")), &steps)?;
        check_history(Ring::builder().scheme(Ketama), &steps)?;
    }

    #[test]
    fn only_keys_of_changed_nodes_move(
        nodes in nodes(), keys in keys(), id in "[a-c]{1,3}", weight in 0_u32..5
    ) {
        for toy in TOYS {
            check_movement(toy, &nodes, &keys, &id, weight)?;
        }
        check_movement(Xxh3, &nodes, &keys, &id, weight)?;
    }

    /// The first accepted node of a walk is the owner in the ring without the refused nodes.
    #[test]
    fn a_walk_finds_the_owner_of_the_ring_without_the_refused(nodes in nodes(), keys in keys(), refused: u16) {
        let ring = ring_of(Xxh3, &nodes);
        let is_refused = |id: &str| refused >> (ring.nodes().iter().position(|node| node.id() == id).expect("id")) & 1 == 1;
        let rest: BTreeMap<_, _> =
            nodes.iter().filter(|(id, _)| !is_refused(id)).map(|(id, weight)| (id.clone(), *weight)).collect();
        let rest_ring = ring_of(Xxh3, &rest);
        for key in &keys {
            let walked: Vec<_> = ring.walk(key).filter(|node| !is_refused(node.id())).collect();
            prop_assert_eq!(walked.first().copied(), rest_ring.lookup(key));
            prop_assert_eq!(walked, rest_ring.walk(key).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_walk_visits_every_node_with_points_once(nodes in nodes(), keys in keys()) {
        let ring = ring_of(Xxh3, &nodes);
        for key in &keys {
            let mut walked: Vec<_> = ring.walk(key).map(|node| node.id().to_owned()).collect();
            prop_assert_eq!(walked.first().map(String::as_str), ring.lookup(key).map(|node| node.id()));
            walked.sort_unstable();
            let expected: Vec<_> =
                nodes.iter().filter(|(_, weight)| **weight > 0).map(|(id, _)| id.clone()).collect();
            prop_assert_eq!(walked, expected);
        }
    }
}

fn check_lookup<S: Scheme + Clone>(
    scheme: S,
    nodes: &BTreeMap<String, u32>,
    keys: &[Vec<u8>],
) -> Result<(), TestCaseError> {
    let ring = ring_of(scheme.clone(), nodes);
    for key in keys {
        prop_assert_eq!(ring.lookup(key).map(|node| node.id()), naive_owner(&scheme, nodes, key));
    }
    Ok(())
}

/// A node gets more points: keys move to it only. It gets fewer: keys move away from it only.
fn check_movement<S: Scheme + Clone>(
    scheme: S,
    nodes: &BTreeMap<String, u32>,
    keys: &[Vec<u8>],
    id: &str,
    weight: u32,
) -> Result<(), TestCaseError> {
    let before = ring_of(scheme, nodes);
    let edit = match (nodes.contains_key(id), weight) {
        (false, _) => Edit::add(Node::new(id).with_weight(weight)),
        (true, 4) => Edit::remove(id),
        (true, _) => Edit::reweight(id, weight),
    };
    let after = before.apply([edit]).expect("the edit fits the ring");
    let grows = after.points_of(id).unwrap_or(0) > before.points_of(id).unwrap_or(0);
    for key in keys {
        let (old, new) = (owner_id(&before, key), owner_id(&after, key));
        if old != new {
            let changed = if grows { new } else { old };
            prop_assert_eq!(changed.as_deref(), Some(id));
        }
    }
    Ok(())
}

fn check_history<S: Scheme + Clone>(
    builder: RingBuilder<(), S>,
    steps: &[BTreeMap<String, u32>],
) -> Result<(), TestCaseError> {
    let mut nodes = BTreeMap::new();
    let mut singly = builder.clone().build().expect("no nodes are a ring");
    let mut in_batches = singly.clone();
    let (mut by_lists, mut older) = (singly.clone(), singly.clone());
    let mut reusing;
    for next in steps {
        let edits = edits_between(&nodes, next);
        for edit in edits.iter().rev() {
            singly = singly.apply([edit.clone()]).expect("the edit fits the ring");
        }
        // A ring of some time ago, which may be smaller or larger.
        let old = std::mem::replace(&mut older, in_batches.clone());
        reusing = in_batches.apply_reusing(old, edits.clone()).expect("the edits fit the ring");
        in_batches = in_batches.apply(edits).expect("the edits fit the ring");
        by_lists = by_lists
            .with_nodes(
                next.iter().rev().map(|(id, weight)| Node::new(id.as_str()).with_weight(*weight)),
            )
            .expect("the nodes are valid");
        nodes.clone_from(next);

        let fresh_nodes =
            nodes.iter().map(|(id, weight)| Node::new(id.as_str()).with_weight(*weight));
        let fresh = builder.clone().nodes(fresh_nodes).build().expect("the nodes are valid");
        prop_assert_eq!(&singly, &fresh);
        prop_assert_eq!(&in_batches, &fresh);
        prop_assert_eq!(&reusing, &fresh);
        prop_assert_eq!(reusing.checksum(), fresh.checksum());
        prop_assert_eq!(&by_lists, &fresh);
        prop_assert_eq!(singly.checksum(), fresh.checksum());
    }
    Ok(())
}

fn edits_between(old: &BTreeMap<String, u32>, new: &BTreeMap<String, u32>) -> Vec<Edit> {
    let removed =
        old.keys().filter(|id| !new.contains_key(*id)).map(|id| Edit::remove(id.as_str()));
    let changed = new.iter().filter_map(|(id, weight)| match old.get(id) {
        None => Some(Edit::Add(Arc::new(Node::new(id.as_str()).with_weight(*weight)))),
        Some(before) if before != weight => Some(Edit::reweight(id.as_str(), *weight)),
        Some(_) => None,
    });
    removed.chain(changed).collect()
}
