//! The seeds that every change has to pass. A failure prints the line that
//! replays it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use swim_sim::campaign::{Faults, run};

/// Seeds of a run of all tests; a nightly run takes thousands of others.
const SEEDS: u64 = 256;

/// Seeds of an ordinary test run.
const SEEDS_FIRST: u64 = 64;

#[test]
fn every_seed_holds_every_property() {
    let skipped = format!("{} of {SEEDS} seeds", SEEDS - SEEDS_FIRST);
    let seeds = if crate::runs_all(&skipped) { SEEDS } else { SEEDS_FIRST };
    let next = AtomicU64::new(0);
    let work = || {
        let mut failures = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return failures;
            }
            if let Some(violation) = run(seed, Faults::default()).violation {
                failures.push(format!("cargo xtask sim --seed {seed}\n    {violation}"));
            }
        }
    };
    let failures: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|one| one.join().expect("runs do not panic")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
