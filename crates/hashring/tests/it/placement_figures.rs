//! What placements promise of their shares and of what moves, in figures.

use std::{collections::BTreeMap, net::Ipv4Addr};

use hashring::{
    BuildError, Edit, Jump, LocalRendezvous, Maglev, NODES_MAX, Node, Placement, Rendezvous, Ring,
    Ringpop, Shared, SpreadMinimizing, UpdateError,
};

/// Nodes with these weights, numbered without gaps.
fn nodes(weights: impl IntoIterator<Item = u32>) -> Vec<Node> {
    let mut next = 0;
    let numbered = (0..).zip(weights).map(|(index, weight): (u32, u32)| {
        next += weight;
        Node::new(format!("10.0.{}.{}:4040", index / 250, index % 250))
            .with_ordinals(next - weight..next)
    });
    numbered.collect()
}

fn local(points: u32, nodes: Vec<Node>) -> LocalRendezvous {
    let ring = Ring::builder().points_per_weight_unit(points).nodes(nodes).build();
    LocalRendezvous::new(ring.expect("the nodes are valid"))
}

fn spread(points: u32, nodes: Vec<Node>) -> SpreadMinimizing {
    SpreadMinimizing::new(points, nodes).expect("the nodes are valid")
}

fn peak<P: Placement>(placement: &P) -> f64 {
    placement.shares().peak_to_average().expect("somebody has a weight")
}

/// What each node owns of many keys.
fn counted<P: Placement>(placement: &P, keys: u32) -> BTreeMap<String, f64> {
    let mut counts = BTreeMap::new();
    for key in 0..keys {
        let owner = placement.lookup(format!("user:{key}").as_bytes()).expect("somebody owns it");
        *counts.entry(owner.id().to_owned()).or_insert(0.0) += 1.0 / f64::from(keys);
    }
    counts
}

/// The shares that a placement claims are those of keys, as far as a sample shows it.
fn assert_shares_are_those_of_keys<P: Placement>(placement: &P) {
    const KEYS: u32 = 200_000;
    let counts = counted(placement, KEYS);
    for share in &placement.shares() {
        let found = counts.get(share.node.id()).copied().unwrap_or(0.0);
        // Five standard deviations of the sample.
        let error = 5.0 * (share.fraction / f64::from(KEYS)).sqrt();
        let name = placement.name();
        assert!((found - share.fraction).abs() <= error, "{name}: {found}, {share:?}");
    }
}

#[test]
fn shares_are_those_of_keys() {
    for weights in [vec![1; 7], vec![1, 2, 3, 1, 0, 5], vec![1; 60], vec![1]] {
        assert_shares_are_those_of_keys(&local(20, nodes(weights.clone())));
        assert_shares_are_those_of_keys(&spread(64, nodes(weights.clone())));
        assert_shares_are_those_of_keys(&Rendezvous::new(nodes(weights.clone())).expect("valid"));
        assert_shares_are_those_of_keys(&Maglev::new(nodes(weights.clone())).expect("valid"));
        assert_shares_are_those_of_keys(&Jump::new(nodes(weights)).expect("valid"));
    }
    // On a circle of 32 bits a key has its other places by the same multipliers.
    let ring = Ring::builder().scheme(Ringpop).nodes(nodes([1, 2, 3, 1])).build().expect("valid");
    assert_shares_are_those_of_keys(&LocalRendezvous::new(ring));
    let mut gaps = nodes([1; 12]);
    gaps.retain(|node| !node.ordinals().iter().all(|ordinal| ordinal % 3 == 1));
    assert_shares_are_those_of_keys(&spread(64, gaps.clone()));
    assert_shares_are_those_of_keys(&Jump::new(gaps).expect("valid"));
}

/// Weights count within 1 %: summed over the nodes of one weight where shares are random, and for
/// each node where they are exact.
#[test]
fn weights_are_met_within_one_percent_at_a_thousand_points() {
    let weights = || (0..100).map(|index| 1 + index % 4);
    assert_weights_are_met(&local(1_000, nodes(weights())), true);
    assert_weights_are_met(&spread(1_000, nodes(weights())), false);
    assert_weights_are_met(&Rendezvous::new(nodes(weights())).expect("valid"), false);
    assert_weights_are_met(&Maglev::new(nodes(weights())).expect("valid"), false);
    assert_weights_are_met(&Jump::new(nodes(weights())).expect("valid"), false);
}

fn assert_weights_are_met<P: Placement>(placement: &P, summed: bool) {
    let mut classes = BTreeMap::<u32, (f64, f64)>::new();
    for share in &placement.shares() {
        let ratio = share.fraction / share.expected;
        assert!(summed || (ratio - 1.0).abs() < 0.01, "{}: {share:?}", placement.name());
        let (fraction, expected) = classes.entry(share.node.weight()).or_default();
        *fraction += share.fraction;
        *expected += share.expected;
    }
    for (weight, (fraction, expected)) in classes {
        let ratio = fraction / expected;
        assert!((ratio - 1.0).abs() < 0.01, "{}: weight {weight}: {ratio}", placement.name());
    }
}

/// A single ring is a draw, so the mean over several says how even the placement is; the last one
/// is that of the bench.
#[test]
fn local_rendezvous_is_even() {
    let rings = [4_040, 7_100, 8_080].map(|port| {
        let node = |i: u32| Node::new(format!("{}:{port}", Ipv4Addr::from(0x0a00_0001 + i)));
        local(100, (0..1_000).map(node).collect())
    });
    let peaks = rings.map(|ring| peak(&ring));
    assert!(peaks.iter().sum::<f64>() / 3.0 <= 1.10, "{peaks:?}");
    assert!(peaks[2] <= 1.10, "{peaks:?}");
    let hundred = local(100, nodes([1; 100]));
    let deviation = hundred.shares().deviation().expect("somebody has a weight");
    assert!(deviation < 0.034, "{deviation}");
}

#[test]
fn spread_minimizing_is_even_and_stays_so_whoever_is_gone() {
    for count in [2, 5, 10, 100, 250] {
        let all = spread(512, nodes(vec![1; count]));
        assert!(peak(&all) <= 1.002, "{count} nodes: {}", peak(&all));
        // The first, the last, every tenth and scattered ones.
        let tenth = count / 10;
        let gone: [&dyn Fn(usize) -> bool; 4] = [
            &|index| index < tenth,
            &|index| index >= count - tenth,
            &|index| tenth > 0 && index % 10 == 3,
            &|index| tenth > 0 && (index * 7_919) % count < tenth,
        ];
        for gone in gone {
            let ids = all.nodes().iter().filter(|node| gone(node.ordinals()[0] as usize));
            let rest = all.apply(ids.map(|node| Edit::remove(node.id()))).expect("all are there");
            assert!(peak(&rest) <= 1.05, "{count} nodes: {}", peak(&rest));
        }
    }
}

/// Only keys that have to move do: for one node that changes, those that it wins or loses.
fn assert_needless<P: Placement<Data = ()>>(placement: &P, edit: Edit, allowed: f64) {
    let next = placement.apply([edit]).expect("the edit is valid");
    let share = |placement: &P, id: &str| {
        placement.shares().iter().find(|share| share.node.id() == id).map_or(0.0, |s| s.fraction)
    };
    let ids = placement.nodes().iter().chain(next.nodes()).map(|node| node.id().to_owned());
    let needed: f64 = ids
        .collect::<std::collections::BTreeSet<_>>()
        .iter()
        .map(|id| (share(&next, id) - share(placement, id)).max(0.0))
        .sum();
    let moved = placement.moved(&next).expect("both have the same parameters");
    assert!(moved - needed <= allowed, "{}: {moved}, {needed}", placement.name());
}

#[test]
fn nothing_moves_needlessly() {
    let twenty = || nodes([1; 20]);
    let numbered = |number: u32| Node::new(format!("new-{number}")).with_ordinal(number);
    let edits = || {
        [
            Edit::add(numbered(20)),
            Edit::remove("10.0.0.7:4040"),
            Edit::replace(Node::new("10.0.0.3:4040").with_ordinals([3, 20, 21])),
        ]
    };
    // A sample finds what moves where no formula says it.
    const SAMPLE: f64 = 0.002;
    for edit in edits() {
        let ring = Ring::builder().nodes(twenty()).build().expect("valid");
        assert_needless(&ring, edit.clone(), 1e-9);
        assert_needless(&local(100, twenty()), edit.clone(), SAMPLE);
        assert_needless(&spread(128, twenty()), edit.clone(), SAMPLE);
        assert_needless(&Rendezvous::new(twenty()).expect("valid"), edit.clone(), 1e-9);
        assert_needless(&Jump::new(twenty()).expect("valid"), edit.clone(), SAMPLE);
        assert_needless(&Maglev::new(twenty()).expect("valid"), edit, 0.05);
    }
}

/// A lookup compares nodes of different weights by bounds where it can, a walk by what they drew.
#[test]
fn an_owner_by_rendezvous_is_the_first_of_its_walk() {
    for weights in [vec![1, 2, 3, 4], vec![1, 1, 1, 100, 99, 98], (1..40).collect()] {
        let placement = Rendezvous::new(nodes(weights)).expect("valid");
        let places = (0..30_000_u64).map(|step| step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for place in places.chain([u64::MAX, 1, 2]) {
            let (owner, first) = (placement.lookup_at(place), placement.walk_at(place).next());
            assert_eq!(owner, first, "{place}");
        }
    }
}

/// The formula of rendezvous hashing against keys, for changes of every kind at once.
#[test]
fn what_moves_by_rendezvous_is_what_keys_do() {
    let old = Rendezvous::new(nodes([1, 2, 3, 4, 1, 1, 0])).expect("valid");
    let new = old
        .apply([
            Edit::remove("10.0.0.1:4040"),
            Edit::reweight("10.0.0.0:4040", 3),
            Edit::reweight("10.0.0.3:4040", 1),
            Edit::reweight("10.0.0.6:4040", 2),
            Edit::add(Node::new("new").with_weight(2)),
            Edit::replace(Node::new("10.0.0.5:4040").with_identity("elsewhere")),
        ])
        .expect("the edits are valid");
    const KEYS: u32 = 200_000;
    let keys = (0..KEYS).filter(|key| {
        let key = format!("user:{key}");
        let id =
            |placement: &Rendezvous| placement.lookup(key.as_bytes()).map(|n| n.id().to_owned());
        id(&old) != id(&new)
    });
    let (found, moved) =
        (keys.count() as f64 / f64::from(KEYS), old.moved(&new).expect("comparable"));
    // A node that takes another identity keeps its id, and some of its keys with it.
    assert!(moved - 0.02 < found && found < moved + 0.003, "{found}, {moved}");
    let empty = Rendezvous::new([] as [Node; 0]).expect("valid");
    assert_eq!(empty.moved(&new), Ok(1.0));
    assert_eq!(new.moved(&empty), Ok(1.0));
    assert_eq!(empty.moved(&empty), Ok(0.0));
}

#[test]
fn tables_of_different_sizes_can_be_compared() {
    let of = |size| Maglev::with_table_size(size, nodes([1; 5])).expect("a prime");
    let moved = of(1_009).moved(&of(2_003)).expect("comparable");
    // Two orders of five nodes that have nothing to do with each other agree on a fifth.
    assert!((0.6..1.0).contains(&moved), "{moved}");
    let empty = Maglev::with_table_size(13, [] as [Node; 0]).expect("a prime");
    assert_eq!(empty.moved(&of(1_009)), Ok(1.0));
}

#[test]
fn the_fingerprint_covers_algorithm_and_parameters() {
    let all = || nodes([1, 2, 3]);
    let ring = |points: u32| {
        Ring::builder().points_per_weight_unit(points).nodes(all()).build().expect("valid")
    };
    let mut checksums = vec![
        ring(100).checksum(),
        ring(101).checksum(),
        local(100, all()).checksum(),
        local(101, all()).checksum(),
        spread(100, all()).checksum(),
        spread(101, all()).checksum(),
        Rendezvous::new(all()).expect("valid").checksum(),
        Jump::new(all()).expect("valid").checksum(),
        Maglev::new(all()).expect("valid").checksum(),
        Maglev::with_table_size(1_009, all()).expect("valid").checksum(),
    ];
    let count = checksums.len();
    checksums.sort_unstable();
    checksums.dedup();
    assert_eq!(checksums.len(), count);
}

#[test]
fn what_cannot_be_is_said() {
    let one = |ordinal| Node::new(format!("n{ordinal}")).with_ordinal(ordinal);
    let error = Jump::new(["a"]).expect_err("it has no ordinal");
    let expected = "node \"a\" has weight 1 and 0 ordinals; give it one for each unit of weight";
    assert_eq!(error.to_string(), expected);
    let jump = Jump::new([one(0), one(1)]).expect("valid");
    let error = jump.apply([Edit::reweight("n1", 3)]).expect_err("it has one ordinal");
    assert!(matches!(error, UpdateError::Build(BuildError::OrdinalCount { weight: 3, .. })));
    let twice = [one(4), Node::new("other").with_ordinals([3, 4])];
    let error = SpreadMinimizing::new(16, twice).expect_err("both have 4");
    let expected = "nodes \"n4\" and \"other\" both have the ordinal 4; give each its own";
    assert_eq!(error.to_string(), expected);
    let error = Jump::new([Node::new("a").with_ordinals([1, 1])]).expect_err("it has 1 twice");
    assert!(matches!(error, BuildError::DuplicateOrdinal { ordinal: 1, .. }));
    let error = Jump::new([one(NODES_MAX as u32)]).expect_err("it is too large");
    assert!(matches!(error, BuildError::OrdinalTooLarge { limit: 16_777_216, .. }));
    let error = SpreadMinimizing::new(8_192, [one(1_024)]).expect_err("there are 8 M points below");
    assert!(matches!(error, BuildError::OrdinalTooLarge { limit: 1_024, .. }));
    for points in [0, 15, 8_193, u32::MAX] {
        let error = SpreadMinimizing::new(points, [one(0)]).expect_err("out of range");
        assert_eq!(error, BuildError::PointsPerOrdinal { value: points });
    }
    for size in [0, 1, 65_536, 16_777_215, u32::MAX] {
        let error = Maglev::with_table_size(size, ["a"]).expect_err("no prime in range");
        assert_eq!(error, BuildError::TableSize { value: size });
    }
    let error = Maglev::with_table_size(2, ["a", "b", "c"]).expect_err("three need three entries");
    assert_eq!(error, BuildError::TableTooSmall { nodes: 3, table_size: 2 });
    assert!(Maglev::with_table_size(2, ["a", "b"]).is_ok());
    let error = Rendezvous::new(["a", "a"]).expect_err("a stands there twice");
    assert_eq!(error, BuildError::DuplicateId { id: "a".to_owned() });
}

#[test]
fn nobody_owns_a_key_of_nobody() {
    fn check<P: Placement<Data = ()>>(made: Result<P, BuildError>) {
        let placement = made.expect("valid");
        assert!(placement.lookup(b"key").is_none(), "{}", placement.name());
        assert!(placement.walk(b"key").next().is_none(), "{}", placement.name());
        assert_eq!(placement.shares().peak_to_average(), None, "{}", placement.name());
    }
    for nodes in [vec![], vec![Node::new("idle").with_ordinals([])]] {
        check(Ring::builder().nodes(nodes.clone()).build().map(LocalRendezvous::new));
        check(Rendezvous::new(nodes.clone()));
        check(Maglev::new(nodes.clone()));
        check(Jump::new(nodes.clone()));
        check(SpreadMinimizing::new(16, nodes));
    }
}

#[test]
fn a_placement_is_replaced_while_others_read_it() {
    let shared = Shared::new(Rendezvous::new(["a", "b"]).expect("valid"));
    let mut reader = shared.reader();
    shared.update(|placement| placement.apply([Edit::remove("b")])).expect("b is there");
    assert_eq!(reader.load().lookup(b"key").map(|node| node.id()), Some("a"));
}

/// Owners that must never change: other processes, and later versions, have to agree on them.
#[test]
fn owners_are_the_same_for_ever() {
    let all = || nodes([1, 2, 1, 3, 1]);
    fn owners<P: Placement>(placement: &P) -> String {
        let digit = |node: &Node<P::Data>| node.id().as_bytes()[7] as char;
        (0..24_u32)
            .filter_map(|key| placement.lookup(format!("user:{key}").as_bytes()))
            .map(|node| digit(node))
            .collect()
    }
    let found = [
        owners(&local(100, all())),
        owners(&spread(64, all())),
        owners(&Rendezvous::new(all()).expect("valid")),
        owners(&Maglev::new(all()).expect("valid")),
        owners(&Jump::new(all()).expect("valid")),
    ];
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 5] = [
    "002413131131433140311113",
    "101314034123133411432311",
    "334034243234431331423133",
    "211411013341033334321300",
    "011123441031133314110313",
];
