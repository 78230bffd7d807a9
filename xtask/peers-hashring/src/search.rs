//! The search alone, with the hash of the key given.

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use hashring::Ring;

use crate::{
    measure::{Subject, Windows, interleaved, mixed, per_input},
    nodes::ring,
    report::{Report, Row},
};

const SIZES: [(usize, usize); 5] =
    [(10, 100), (100, 100), (1_000, 100), (1_000, 1_000), (10_000, 100)];
const ROUNDS: usize = 15;
const SEARCHES_PER_TURN: usize = 30_000;
const PLACES: u64 = 1 << 20;

/// The bar against `partition_point` holds at this many points.
const THROUGHPUT_BAR: (usize, f64) = (100_000, 0.4);
const LATENCY_BAR: f64 = 2.8;
const AS_MUCH_MEMORY: &str = "one cache line of as much memory";

pub fn throughput(report: &mut Report) {
    let places: Vec<u64> = (0..PLACES).map(mixed).collect();
    for (nodes, points) in SIZES {
        let ours = ring(nodes, points);
        let hashes: Vec<u64> = ours.points().map(|point| point.place).collect();
        let owners: Vec<u32> = ours.points().map(|point| *point.node.data()).collect();
        // In the order of the numbers that the nodes carry. Every subject ends with a reference to
        // a node.
        let mut table = ours.nodes().to_vec();
        table.sort_by_key(|node| *node.data());
        let reference = |node: u32| std::ptr::from_ref(&table[node as usize]).addr() as u64;
        let map: BTreeMap<u64, u32> = hashes.iter().copied().zip(owners.iter().copied()).collect();
        let turns = || Windows::new(&places, SEARCHES_PER_TURN);
        let (mut a, mut b, mut c) = (turns(), turns(), turns());
        let mut subjects: Vec<Subject<'_>> = vec![
            ("ours", Box::new(|| per_input(a.turn(), |place| owner(&ours, place)))),
            (
                "Vec + partition_point",
                Box::new(|| {
                    per_input(b.turn(), |place| {
                        let at = hashes.partition_point(|hash| *hash < place);
                        reference(*owners.get(at).unwrap_or(&owners[0]))
                    })
                }),
            ),
            (
                "BTreeMap",
                Box::new(|| {
                    per_input(c.turn(), |place| {
                        let found = map.range(place..).next().or_else(|| map.first_key_value());
                        found.map_or(0, |(_, node)| reference(*node))
                    })
                }),
            ),
        ];
        let times = interleaved(ROUNDS, &mut subjects);
        for ((peer, _), time) in subjects.iter().zip(&times).skip(1) {
            let barred = *peer == "Vec + partition_point" && nodes * points == THROUGHPUT_BAR.0;
            report.row(&Row {
                bench: "search",
                case: &format!("{nodes} nodes x {points} points"),
                ours: times[0],
                peer,
                peer_value: *time,
                unit: "ns",
                bar: barred.then_some(THROUGHPUT_BAR.1),
            });
        }
    }
}

/// Each place depends on the answer before, so nothing overlaps; the least that can cost is one
/// random read of memory.
pub fn latency(report: &mut Report) {
    for (nodes, points) in SIZES {
        let ours = ring(nodes, points);
        let lines = Lines::of_bytes(ours.size_bytes());
        let half = Lines::of_bytes(nodes * points * size_of::<u64>());
        let mut subjects: Vec<Subject<'_>> = vec![
            ("ours", Box::new(|| chain(|place| owner(&ours, place)))),
            (AS_MUCH_MEMORY, Box::new(|| chain(|place| lines.read(place)))),
            ("one cache line of 8 bytes a point", Box::new(|| chain(|place| half.read(place)))),
        ];
        let times = interleaved(ROUNDS, &mut subjects);
        for ((peer, _), time) in subjects.iter().zip(&times).skip(1) {
            report.row(&Row {
                bench: "latency",
                case: &format!("{nodes} nodes x {points} points"),
                ours: times[0],
                peer,
                peer_value: *time,
                unit: "ns",
                bar: (*peer == AS_MUCH_MEMORY).then_some(LATENCY_BAR),
            });
        }
    }
}

#[inline(always)]
fn owner(ring: &Ring<u32>, place: u64) -> u64 {
    ring.lookup_at(place).map_or(0, |node| std::ptr::from_ref(node).addr() as u64)
}

/// Memory to read one word of at random.
struct Lines {
    words: Vec<u64>,
}

impl Lines {
    fn of_bytes(bytes: usize) -> Self {
        Self { words: (0..bytes as u64 / 8).map(mixed).collect() }
    }

    #[inline(always)]
    fn read(&self, place: u64) -> u64 {
        // The high half of a product is a number below the length, whatever the length is.
        self.words[((u128::from(place) * self.words.len() as u128) >> 64) as usize]
    }
}

static START: AtomicU64 = AtomicU64::new(1);

#[inline(always)]
fn chain(step: impl Fn(u64) -> u64) -> f64 {
    const STEPS: u32 = 30_000;
    // Each run takes another path; the same one again would find its few lines in the nearest
    // cache.
    let mut place = START.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let start = Instant::now();
    for _ in 0..STEPS {
        // One multiplication spreads the answer over the circle again.
        place = (place ^ step(place))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
            .wrapping_add(1);
    }
    let elapsed = start.elapsed();
    black_box(place);
    elapsed.as_nanos() as f64 / f64::from(STEPS)
}
