//! The owner of a key of 16 to 32 bytes, hash included.

use std::{collections::BTreeMap, net::SocketAddr};

use twox_hash::XxHash3_64;

use crate::{
    measure::{Subject, Windows, interleaved, per_input},
    nodes::{address, keys, ring},
    report::{Report, Row},
};

/// A virtual node as the documentation of the peer shows it.
#[derive(Clone, Debug, Hash)]
struct VirtualNode {
    point: usize,
    address: SocketAddr,
}

#[derive(Clone, Debug)]
struct NamedNode(String);

impl conhash::Node for NamedNode {
    fn name(&self) -> String {
        self.0.clone()
    }
}

/// Nodes, points of each, and the bars against crate hashring 0.3.6 and against pingora-ketama.
const CASES: [(usize, usize, [Option<f64>; 2]); 5] = [
    (10, 100, [Some(0.35), Some(0.3)]),
    (100, 100, [None, None]),
    (1_000, 100, [Some(0.15), None]),
    (1_000, 1_000, [Some(0.06), None]),
    (10_000, 100, [Some(0.06), None]),
];
const HASHRING: &str = "hashring 0.3.6";
const KETAMA: &str = "pingora-ketama 0.9.1 (160 x n points)";

const ROUNDS: usize = 12;
const LOOKUPS_PER_TURN: usize = 20_000;
const KEYS: u64 = 400_000;

/// Building `consistent_hash_ring` inserts each point into a sorted vector; a million points would
/// take minutes.
const INSERTION_POINTS_MAX: usize = 100_000;

pub fn run(report: &mut Report) {
    let keys = keys(KEYS);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for (nodes, points, bars) in CASES {
        run_case(report, &keys, nodes, points, bars);
    }
}

fn address_of<T>(node: &T) -> u64 {
    std::ptr::from_ref(node).addr() as u64
}

/// A subject that looks up a window of keys at a time.
fn looking<'a>(
    keys: &'a [&'a str],
    lookup: impl Fn(&str) -> u64 + 'a,
) -> Box<dyn FnMut() -> f64 + 'a> {
    let mut windows = Windows::new(keys, LOOKUPS_PER_TURN);
    Box::new(move || per_input(windows.turn(), &lookup))
}

fn run_case(
    report: &mut Report,
    keys: &[&str],
    nodes: usize,
    points: usize,
    bars: [Option<f64>; 2],
) {
    let case = format!("{nodes} nodes x {points} points");
    let ours = ring(nodes, points);
    let names: Vec<String> = (0..nodes).map(|node| address(node).to_string()).collect();

    let mut registry = registry_hashring::HashRing::new();
    registry.batch_add(
        (0..nodes)
            .flat_map(|node| {
                (0..points).map(move |point| VirtualNode { point, address: address(node) })
            })
            .collect(),
    );
    let map: BTreeMap<u64, u32> =
        ours.points().map(|point| (point.place, *point.node.data())).collect();
    let mut named = conhash::ConsistentHash::new();
    for name in &names {
        named.add(&NamedNode(name.clone()), points);
    }
    let mut tree = hash_rings::consistent::Ring::new();
    for name in &names {
        tree.insert_node(name, points);
    }
    // A bucket of weight 1 has 160 points; the nearest weight comes closest to the number of
    // points.
    let weight = ((points as f64 / 160.0).round() as u32).max(1);
    let buckets: Vec<_> =
        (0..nodes).map(|node| pingora_ketama::Bucket::new(address(node), weight)).collect();
    let continuum = pingora_ketama::Continuum::new(&buckets);
    let inserted = (nodes * points <= INSERTION_POINTS_MAX).then(|| {
        consistent_hash_ring::RingBuilder::default()
            .vnodes(points)
            .nodes_iter(0..nodes as u64)
            .build()
    });

    // Every subject ends with a reference to the node, as its own lookup gives it, and reads
    // nothing of it.
    let mut subjects: Vec<Subject<'_>> = vec![
        ("ours", looking(keys, |key| ours.lookup(key.as_bytes()).map_or(0, address_of))),
        (HASHRING, looking(keys, |key| registry.get(&key).map_or(0, address_of))),
        (
            "BTreeMap + the same hash",
            looking(keys, |key| {
                let place = XxHash3_64::oneshot(key.as_bytes());
                let found = map.range(place..).next().or_else(|| map.first_key_value());
                found.map_or(0, |(_, node)| address_of(&names[*node as usize]))
            }),
        ),
        ("hash-rings 1.1.0", looking(keys, |key| address_of(tree.get_node(&key)))),
        ("conhash 0.5.1", looking(keys, |key| named.get(key.as_bytes()).map_or(0, address_of))),
        (KETAMA, looking(keys, |key| continuum.node_idx(key.as_bytes()) as u64)),
    ];
    if let Some(inserted) = &inserted {
        subjects.push((
            "consistent_hash_ring 0.8.0",
            looking(keys, |key| address_of(inserted.get(key))),
        ));
    }
    let times = interleaved(ROUNDS, &mut subjects);
    for ((peer, _), time) in subjects.iter().zip(&times).skip(1) {
        report.row(&Row {
            bench: "lookup",
            case: &case,
            ours: times[0],
            peer,
            peer_value: *time,
            unit: "ns",
            bar: match *peer {
                HASHRING => bars[0],
                KETAMA => bars[1],
                _ => None,
            },
        });
    }
}
