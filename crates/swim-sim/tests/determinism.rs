//! The same seed gives the same run, byte for byte.

use swim_sim::campaign::{Faults, Plan, run, run_traced};

/// Seeds of small clusters: a trace of a large one fills hundreds of megabytes.
fn seeds(count: usize) -> impl Iterator<Item = u64> {
    let is_small = |seed: &u64| Plan::draw(*seed, Faults::default()).members <= 20;
    (0..).filter(is_small).take(count)
}

/// The trace of a seed.
fn trace(seed: u64) -> Vec<u8> {
    let (report, trace) = run_traced(seed, Faults::default(), Vec::new()).expect("memory is there");
    assert_eq!(report.violation, None, "seed {seed}");
    trace
}

#[test]
fn the_same_seed_twice_gives_the_same_trace() {
    for seed in seeds(12) {
        let (first, second) = (trace(seed), trace(seed));
        assert!(first.len() > 10_000, "seed {seed}: something happens");
        assert!(first == second, "seed {seed}: two runs differ");
    }
    let (one, other) = (trace(seeds(1).sum()), trace(seeds(2).last().unwrap_or(0)));
    assert!(one != other, "seeds differ");
}

#[test]
fn a_trace_does_not_disturb_the_run() {
    for seed in seeds(12) {
        let (traced, _) = run_traced(seed, Faults::default(), std::io::sink()).expect("no failure");
        let plain = run(seed, Faults::default());
        assert_eq!((traced.happenings, traced.lasted), (plain.happenings, plain.lasted));
    }
}
