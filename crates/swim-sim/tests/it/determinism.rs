//! The same seed gives the same run, byte for byte.

use swim_core::Config;
use swim_sim::campaign::{Faults, Plan, run, run_traced};
use swim_sim::{Chance, SECOND, Setup, Swim, World};

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
    for seed in seeds(6) {
        let (first, second) = (trace(seed), trace(seed));
        assert!(first.len() > 10_000, "seed {seed}: something happens");
        assert!(first == second, "seed {seed}: two runs differ");
    }
    let (one, other) = (trace(seeds(1).sum()), trace(seeds(2).last().unwrap_or(0)));
    assert!(one != other, "seeds differ");
}

#[test]
fn a_trace_does_not_disturb_the_run() {
    for seed in seeds(6) {
        let (traced, _) = run_traced(seed, Faults::default(), std::io::sink()).expect("no failure");
        let plain = run(seed, Faults::default());
        assert_eq!((traced.happenings, traced.lasted), (plain.happenings, plain.lasted));
    }
}

/// Packets travel as values to save time; the encoding loses nothing.
#[test]
fn packets_that_travel_as_bytes_lead_to_the_same() {
    let run = |encodes| {
        let setup = Setup { hosts: 20, config: Config::lan(), seed: 7 };
        let mut world: World<Swim> = World::new(setup, ());
        world.encodes = encodes;
        world.network.loss = Chance::of(0.1);
        world.warm(20);
        world.crash(3);
        world.run_for(60 * SECOND);
        let stats: Vec<_> = world.running().map(|(_, swim)| *swim.node().stats()).collect();
        (world.happenings(), stats)
    };
    let (values, bytes) = (run(false), run(true));
    assert!(values.1.iter().any(|stats| stats.changes_applied > 0), "something happens");
    assert_eq!(values, bytes);
}
