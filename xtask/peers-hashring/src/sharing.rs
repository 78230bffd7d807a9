//! Reading the shared ring while nothing changes.

use std::{
    hint::black_box,
    sync::{Arc, RwLock},
    time::Instant,
};

use arc_swap::{ArcSwap, Cache};
use hashring::Shared;

use crate::{
    measure::{Subject, interleaved},
    nodes::ring,
    report::{Report, Row},
};

const ROUNDS: usize = 10;
const READS_PER_TURN: u32 = 100_000;
const BAR: f64 = 0.3;

/// Nanoseconds of one read; each read is of the pointer that a lookup starts from.
#[inline(always)]
fn reading(mut read: impl FnMut() -> usize) -> f64 {
    let start = Instant::now();
    for _ in 0..READS_PER_TURN {
        black_box(read());
    }
    start.elapsed().as_nanos() as f64 / f64::from(READS_PER_TURN)
}

pub fn run(report: &mut Report) {
    let ring = ring(100, 100);
    let shared = Shared::new(ring.clone());
    let mut reader = shared.reader();
    let swap = ArcSwap::from_pointee(ring.clone());
    let mut cache = Cache::new(&swap);
    let locked = RwLock::new(Arc::new(ring));
    let mut subjects: Vec<Subject<'_>> = vec![
        ("ours", Box::new(|| reading(|| Arc::as_ptr(black_box(&mut reader).load()).addr()))),
        (
            "arc-swap 1.9.3 load",
            Box::new(|| reading(|| Arc::as_ptr(&black_box(&swap).load()).addr())),
        ),
        (
            "arc-swap 1.9.3 load_full",
            Box::new(|| reading(|| Arc::as_ptr(&black_box(&swap).load_full()).addr())),
        ),
        (
            "arc-swap 1.9.3 Cache",
            Box::new(|| reading(|| Arc::as_ptr(black_box(&mut cache).load()).addr())),
        ),
        (
            "RwLock read",
            Box::new(|| {
                reading(|| Arc::as_ptr(&black_box(&locked).read().expect("nobody panicked")).addr())
            }),
        ),
    ];
    let times = interleaved(ROUNDS, &mut subjects);
    for ((peer, _), time) in subjects.iter().zip(&times).skip(1) {
        report.row(&Row {
            bench: "sharing",
            case: "read, one thread",
            ours: times[0],
            peer,
            peer_value: *time,
            unit: "ns",
            bar: (*peer == "arc-swap 1.9.3 load").then_some(BAR),
        });
    }
}
