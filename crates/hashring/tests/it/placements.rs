//! Laws that every placement keeps, on random nodes.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{POINTS, keys, nodes};
use hashring::{
    Crc32, Edit, Jump, LoadBound, LocalRendezvous, Maglev, Node, Placement, Rendezvous, Ring,
    SpreadMinimizing,
};
use proptest::prelude::*;

/// A few ids with weights.
type Weights = BTreeMap<String, u32>;

/// Every id that `nodes()` makes has numbers of its own, independent of the others: the letters of
/// the id as digits, in units of the largest weight.
fn node(id: &str, weight: u32) -> Node {
    const WEIGHT_MAX: u32 = 4;
    let number = id.bytes().fold(0, |number, letter| number * 4 + u32::from(letter - b'a' + 1));
    let first = number * WEIGHT_MAX;
    Node::new(id).with_ordinals(first..first + weight)
}

fn listed(weights: &Weights) -> Vec<Node> {
    weights.iter().map(|(id, weight)| node(id, *weight)).collect()
}

fn edits_between(old: &Weights, new: &Weights) -> Vec<Edit> {
    let removed =
        old.keys().filter(|id| !new.contains_key(*id)).map(|id| Edit::remove(id.as_str()));
    let changed = new.iter().filter_map(|(id, weight)| match old.get(id) {
        None => Some(Edit::add(node(id, *weight))),
        Some(before) if before != weight => Some(Edit::replace(node(id, *weight))),
        Some(_) => None,
    });
    removed.chain(changed).collect()
}

fn of<P: Placement<Data = ()>>(empty: &P, weights: &Weights) -> P {
    empty.with_nodes(listed(weights)).expect("the nodes are valid")
}

fn owner<P: Placement>(placement: &P, key: &[u8]) -> Option<String> {
    placement.lookup(key).map(|node| node.id().to_owned())
}

/// A placement that has no nodes yet.
struct Subject<P> {
    empty: P,
    /// A key has one order of preference of all nodes that there can be. So it moves only to a node
    /// that comes or grows, or from one that goes or shrinks; and a walk past refused nodes goes as
    /// it would without them.
    orders_all: bool,
}

/// Runs a check on all placements.
macro_rules! on_every_placement {
    ($check:ident $(, $argument:expr)*) => {{
        let crc32 = Ring::builder().scheme(Crc32).points_per_weight_unit(POINTS).build();
        let crc32 = LocalRendezvous::new(crc32.expect("no nodes are a ring"));
        let rendezvous = Rendezvous::new([] as [Node; 0]).expect("no nodes are a placement");
        let maglev = Maglev::with_table_size(1_009, [] as [Node; 0]).expect("1,009 is a prime");
        let jump = Jump::new([] as [Node; 0]).expect("no nodes are a placement");
        let spread = SpreadMinimizing::new(16, [] as [Node; 0]).expect("no nodes are a placement");
        $check(&Subject { empty: ring(), orders_all: true } $(, $argument)*)?;
        let local = LocalRendezvous::new(ring());
        $check(&Subject { empty: local, orders_all: true } $(, $argument)*)?;
        $check(&Subject { empty: crc32, orders_all: true } $(, $argument)*)?;
        $check(&Subject { empty: rendezvous, orders_all: true } $(, $argument)*)?;
        $check(&Subject { empty: maglev, orders_all: false } $(, $argument)*)?;
        // When the highest number goes and others below it are vacant, more than its keys move;
        // `placement_figures.rs` has the other cases.
        $check(&Subject { empty: jump, orders_all: false } $(, $argument)*)?;
        $check(&Subject { empty: spread, orders_all: false } $(, $argument)*)?;
    }};
}

fn ring() -> Ring {
    Ring::builder().points_per_weight_unit(POINTS).build().expect("no nodes are a ring")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn neither_order_nor_history_leaves_a_trace(steps in prop::collection::vec(nodes(), 1..5), keys in keys()) {
        on_every_placement!(check_history, &steps, &keys);
    }

    #[test]
    fn a_walk_gives_every_node_that_has_a_weight_once(nodes in nodes(), keys in keys()) {
        on_every_placement!(check_walk, &nodes, &keys);
    }

    #[test]
    fn only_keys_of_changed_nodes_move(nodes in nodes(), keys in keys(), id in "[a-c]{1,3}", weight in 0_u32..5) {
        on_every_placement!(check_movement, &nodes, &keys, &id, weight);
    }

    #[test]
    fn a_walk_finds_the_owner_without_the_refused(nodes in nodes(), keys in keys(), refused: u16) {
        on_every_placement!(check_failover, &nodes, &keys, refused);
    }

}

proptest! {
    // What moves is counted on many places.
    #![proptest_config(ProptestConfig::with_cases(3))]

    #[test]
    fn shares_add_up_and_what_moves_is_what_they_say(old in nodes(), new in nodes()) {
        on_every_placement!(check_shares, &old, &new);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn zones_and_loads_are_kept_apart(nodes in nodes(), keys in keys()) {
        on_every_placement!(check_zones_and_loads, &nodes, &keys);
    }
}

fn check_history<P>(
    subject: &Subject<P>,
    steps: &[Weights],
    keys: &[Vec<u8>],
) -> Result<(), TestCaseError>
where
    P: Placement<Data = ()> + Clone + PartialEq + std::fmt::Debug,
{
    let mut weights = Weights::new();
    let (mut singly, mut in_batches) = (subject.empty.clone(), subject.empty.clone());
    let mut by_lists = subject.empty.clone();
    for next in steps {
        let edits = edits_between(&weights, next);
        for edit in edits.iter().rev() {
            singly = singly.apply([edit.clone()]).expect("the edit is valid");
        }
        in_batches = in_batches.apply(edits).expect("the edits are valid");
        let reversed: Vec<_> = listed(next).into_iter().rev().collect();
        by_lists = by_lists.with_nodes(reversed).expect("the nodes are valid");
        weights.clone_from(next);
        let fresh = of(&subject.empty, next);
        for made in [&singly, &in_batches, &by_lists] {
            prop_assert_eq!(made, &fresh);
            prop_assert_eq!(made.checksum(), fresh.checksum());
            for key in keys {
                prop_assert_eq!(owner(made, key), owner(&fresh, key));
            }
        }
    }
    Ok(())
}

fn check_walk<P: Placement<Data = ()>>(
    subject: &Subject<P>,
    weights: &Weights,
    keys: &[Vec<u8>],
) -> Result<(), TestCaseError> {
    let placement = of(&subject.empty, weights);
    let expected: Vec<_> =
        weights.iter().filter(|(_, weight)| **weight > 0).map(|(id, _)| id.clone()).collect();
    let mut owners = Vec::new();
    for key in keys {
        let walked: Vec<_> = placement.walk(key).map(|node| node.id().to_owned()).collect();
        prop_assert_eq!(walked.first().cloned(), owner(&placement, key));
        placement.lookup_n(key, 3, &mut owners);
        let taken: Vec<_> = owners.iter().map(|node| node.id().to_owned()).collect();
        prop_assert_eq!(&taken[..], &walked[..walked.len().min(3)]);
        let mut sorted = walked;
        sorted.sort_unstable();
        prop_assert_eq!(&sorted, &expected);
    }
    Ok(())
}

fn check_movement<P: Placement<Data = ()>>(
    subject: &Subject<P>,
    weights: &Weights,
    keys: &[Vec<u8>],
    id: &str,
    weight: u32,
) -> Result<(), TestCaseError> {
    let mut next = weights.clone();
    match (weights.contains_key(id), weight) {
        (true, 4) => next.remove(id),
        (_, weight) => next.insert(id.to_owned(), weight.min(3)),
    };
    let (before, after) = (of(&subject.empty, weights), of(&subject.empty, &next));
    let grows = next.get(id).unwrap_or(&0) > weights.get(id).unwrap_or(&0);
    for key in keys.iter().filter(|_| subject.orders_all) {
        let (old, new) = (owner(&before, key), owner(&after, key));
        if old != new {
            let changed = if grows { new } else { old };
            prop_assert_eq!(changed.as_deref(), Some(id));
        }
    }
    Ok(())
}

fn check_failover<P: Placement<Data = ()>>(
    subject: &Subject<P>,
    weights: &Weights,
    keys: &[Vec<u8>],
    refused: u16,
) -> Result<(), TestCaseError> {
    let ids: Vec<_> = weights.keys().collect();
    let is_refused =
        |id: &str| refused >> ids.iter().position(|known| *known == id).expect("an id") & 1 == 1;
    let rest: Weights = weights
        .iter()
        .filter(|(id, _)| !is_refused(id))
        .map(|(id, weight)| (id.clone(), *weight))
        .collect();
    let (placement, rest) = (of(&subject.empty, weights), of(&subject.empty, &rest));
    for key in keys.iter().filter(|_| subject.orders_all) {
        let walked: Vec<_> = placement.walk(key).filter(|node| !is_refused(node.id())).collect();
        prop_assert_eq!(walked, rest.walk(key).collect::<Vec<_>>());
    }
    Ok(())
}

fn check_shares<P: Placement<Data = ()>>(
    subject: &Subject<P>,
    old: &Weights,
    new: &Weights,
) -> Result<(), TestCaseError> {
    let (old, new) = (of(&subject.empty, old), of(&subject.empty, new));
    for placement in [&old, &new] {
        let shares = placement.shares();
        let sum: f64 = shares.iter().map(|share| share.fraction).sum();
        let expected = if placement.total_weight() > 0 { 1.0 } else { 0.0 };
        prop_assert!((sum - expected).abs() < 1e-9, "{}: {sum}", placement.name());
        prop_assert!(shares.iter().all(|share| share.fraction >= -1e-12));
    }
    // What shares lose in sum has to move at least; and nothing moves without a change.
    let lost: f64 = old
        .shares()
        .iter()
        .map(|before| {
            let after = new
                .shares()
                .iter()
                .find(|after| after.node.id() == before.node.id())
                .map(|after| after.fraction);
            (before.fraction - after.unwrap_or(0.0)).max(0.0)
        })
        .sum();
    let moved = old.moved(&new).expect("both have the same parameters");
    prop_assert!(moved >= lost - 2e-2 && moved <= 1.0 + 1e-9, "{}: {moved}, {lost}", old.name());
    prop_assert_eq!(old.moved(&old).expect("both are one"), 0.0);
    Ok(())
}

fn check_zones_and_loads<P: Placement<Data = ()>>(
    subject: &Subject<P>,
    weights: &Weights,
    keys: &[Vec<u8>],
) -> Result<(), TestCaseError> {
    let placement = of(&subject.empty, weights);
    let zone = |node: &Node| node.id().as_bytes()[0];
    let zones: BTreeSet<_> =
        placement.nodes().iter().filter(|node| node.weight() > 0).map(|node| zone(node)).collect();
    let mut owners = Vec::new();
    for key in keys {
        placement.owners_spread(key, zones.len(), zone, &mut owners);
        prop_assert_eq!(
            owners.iter().map(|node| zone(node)).collect::<BTreeSet<_>>(),
            zones.clone()
        );
        let full = placement.lookup(key).map(|node| node.id().to_owned());
        let load = |node: &Node| if full.as_deref() == Some(node.id()) { u64::MAX } else { 0 };
        let picked = placement.lookup_bounded(key, LoadBound::default(), 10, load);
        let second = placement.walk(key).nth(1).or(placement.lookup(key));
        prop_assert_eq!(picked.map(|picked| picked.node), second);
    }
    Ok(())
}

/// It draws for each key what the other one drew: its keys move, and no others.
#[test]
fn a_node_that_takes_the_identity_of_another_gets_exactly_its_keys() {
    let node = |id: &str, identity: &str| Node::new(id).with_identity(identity);
    let before = Rendezvous::new([node("a", "a"), node("b", "b"), node("c", "c"), node("d", "d")]);
    let after = Rendezvous::new([node("b", "b"), node("c", "c"), node("d", "d"), node("e", "a")]);
    let moved = before.unwrap().moved(&after.unwrap()).unwrap();
    assert!((moved - 0.25).abs() < 0.005, "{moved}");
}
