//! Picks of a client, and what the hot paths allocate.

use std::{hint::black_box, time::Instant};

use hashring::{BackendRecord, HealthConfig, LoadBound, Outcome, Picker, Selector, Xxh3};
use stats_alloc::Region;

use crate::{
    ALLOCATOR,
    measure::{Subject, Windows, interleaved, per_input},
    nodes::{address, keys, ring},
    report::{Report, Row},
};

const BACKENDS: usize = 1_000;
const ROUNDS: usize = 15;
const PICKS_PER_TURN: usize = 20_000;
const KEYS: u64 = 200_000;
const BAR: f64 = 1.3;

/// A picker over a list of which some backends are in quarantine, spread evenly.
fn picker(quarantined_per_mille: usize, now: Instant) -> Picker<Xxh3> {
    let selector = Selector::builder()
        .health(HealthConfig::default().with_threshold(1))
        .build(now)
        .expect("the options are valid");
    let records =
        (0..BACKENDS).map(|i| BackendRecord::new(format!("backend-{i}"), address(i).to_string()));
    selector.replace_backends(records).expect("the list is valid");
    let ring = selector.ring();
    for at in 0..BACKENDS * quarantined_per_mille / 1_000 {
        let node = &ring.nodes()[at * 1_000 / quarantined_per_mille];
        node.data().health().report(Outcome::Failure, now);
    }
    selector.picker()
}

pub fn quarantine(report: &mut Report) {
    let now = Instant::now();
    let keys = keys(KEYS);
    let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    const PER_MILLE: [usize; 4] = [0, 100, 500, 900];
    let mut pickers = PER_MILLE.map(|per_mille| picker(per_mille, now));
    let mut subjects: Vec<Subject<'_>> = pickers
        .iter_mut()
        .map(|picker| {
            let mut windows = Windows::new(&keys, PICKS_PER_TURN);
            let turn = move || {
                per_input(windows.turn(), |key| {
                    let node = picker.pick(key, now).expect("there are backends");
                    std::ptr::from_ref(node).addr() as u64
                })
            };
            ("pick", Box::new(turn) as Box<dyn FnMut() -> f64>)
        })
        .collect();
    let times = interleaved(ROUNDS, &mut subjects);
    for (per_mille, time) in PER_MILLE.iter().zip(&times).skip(1) {
        report.row(&Row {
            bench: "quarantine",
            case: &format!("pick, {} % of {BACKENDS} quarantined", per_mille / 10),
            ours: *time,
            peer: "pick, none quarantined",
            peer_value: times[0],
            unit: "ns",
            bar: (*per_mille == 100).then_some(BAR),
        });
    }
}

pub fn allocations(report: &mut Report) {
    let now = Instant::now();
    let keys = keys(10_000);
    let ring = ring(BACKENDS, 100);
    let mut owners = Vec::with_capacity(16);
    let mut row = |case: &str, hot_path: &mut dyn FnMut(&[u8])| {
        let region = Region::new(ALLOCATOR);
        for key in &keys {
            hot_path(key.as_bytes());
        }
        let change = region.change();
        report.row(&Row {
            bench: "allocations",
            case,
            ours: (change.allocations + change.reallocations) as f64,
            peer: "allowed",
            peer_value: 0.0,
            unit: "in 10k",
            bar: Some(0.0),
        });
    };
    row("lookup", &mut |key| {
        black_box(ring.lookup(key));
    });
    row("lookup_n of 3 into a buffer", &mut |key| ring.lookup_n(key, 3, &mut owners));
    row("lookup_bounded", &mut |key| {
        black_box(
            ring.lookup_bounded(key, LoadBound::default(), 1_000, |node| {
                u64::from(*node.data() % 3)
            }),
        );
    });
    let mut healthy = picker(0, now);
    row("pick", &mut |key| {
        black_box(healthy.pick(key, now).expect("there are backends"));
    });
    let mut quarantined = picker(100, now);
    row("pick, 10 % quarantined", &mut |key| {
        black_box(quarantined.pick(key, now).expect("there are backends"));
    });
}
