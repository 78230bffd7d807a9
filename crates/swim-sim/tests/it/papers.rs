//! The experiments of the papers at a small size, with wide margins: that they
//! run and measure what they say. The exact ones are `cargo xtask sim paper`.

use swim_sim::paper::{lifeguard, swim};
use swim_sim::{Belief, Machine as _, Pause, SECOND, Setup, Swim, World};

#[test]
fn the_first_ping_of_a_dead_member_comes_when_theory_says() {
    let found = swim::first_detection(20, 300);
    assert!((1.3..1.9).contains(&found.whole_periods), "{found:?}");
    assert!((0.8..1.25).contains(&found.wait), "{found:?}");
    assert!(found.suspected > found.wait, "{found:?}");
}

#[test]
fn probes_of_one_member_are_at_most_two_rounds_apart() {
    let gap = swim::longest_gap(8);
    assert!((8.0..=15.0).contains(&gap), "{gap}");
}

#[test]
fn a_member_sends_two_messages_in_a_period() {
    let (mean, deviation) = swim::load(10);
    assert!((1.95..2.1).contains(&mean), "{mean}");
    assert!((0.5..1.5).contains(&deviation), "{deviation}");
}

#[test]
fn probes_fail_as_often_as_the_formula_says() {
    let runs_all = crate::runs_all("two of three cells of SWIM's formula");
    let cells = [(0.3, 3), (0.1, 0), (0.1, 1)].into_iter();
    for (loss, helpers) in cells.take(if runs_all { 3 } else { 1 }) {
        let cell = swim::false_detection(loss, helpers, 60_000);
        assert!(cell.is_conclusive(), "{cell:?}");
        assert!((cell.measured() / cell.formula - 1.0).abs() < 0.15, "{cell:?}");
    }
}

/// Two repetitions with 24 slow members and anomalies of 16 s, a millisecond
/// between them.
fn anomalies(parts: lifeguard::Parts, packet_micros: u64) -> lifeguard::Accusations {
    let model = lifeguard::Model::blocked(packet_micros * 1_000);
    let one = |repetition| {
        let (anomalous, duration_ms, interval_ms) = (24, 16_384, 1);
        let run = lifeguard::Run { anomalous, duration_ms, interval_ms, repetition };
        lifeguard::interval(&parts.config(5, 6), model, run)
    };
    one(0).plus(one(1))
}

#[test]
fn slow_members_accuse_others_and_hardly_anybody_believes_them() {
    let swim = anomalies(lifeguard::Parts::Swim, 50);
    assert!(swim.false_positives > 100, "{swim:?}");
    assert!(swim.at_healthy * 100 < swim.false_positives, "{swim:?}");
    if crate::runs_all("accusations among slow members with packets of 600 us") {
        let late = anomalies(lifeguard::Parts::Swim, 600);
        assert!(late.at_healthy * 100 > late.false_positives, "{late:?} after {swim:?}");
    }
    let lifeguard = anomalies(lifeguard::Parts::Lifeguard, 50);
    assert!(lifeguard.false_positives * 10 < swim.false_positives, "{lifeguard:?} of {swim:?}");
}

#[test]
fn anomalies_are_detected_when_the_suspicion_is_over() {
    let run = lifeguard::Run { anomalous: 4, duration_ms: 32_768, interval_ms: 0, repetition: 0 };
    let config = lifeguard::Parts::Swim.config(5, 6);
    let found = lifeguard::threshold(&config, lifeguard::Model::blocked(300_000), run);
    assert_eq!((found.first.len(), found.full.len()), (4, 4), "{found:?}");
    for (first, full) in found.first.iter().zip(&found.full) {
        // 10.54 s of suspicion after a probe of one second.
        assert!(11.5 < *first && first <= full && *full < 30.0, "{found:?}");
    }
}

#[test]
fn a_probe_that_is_stuck_fails_when_its_prober_goes_on() {
    let config = lifeguard::Parts::Swim.config(5, 6);
    let mut world: World<Swim> = World::new(Setup { hosts: 10, config, seed: 1 }, ());
    world.warm(10);
    world.run_for(5 * SECOND);
    let suspects = |world: &World<Swim>| {
        let machine = world.machine(3).expect("it runs");
        (0..10).filter(|host| machine.belief(*host) == Some(Belief::Suspect)).count()
    };
    world.pause(3, Pause::Blocked);
    world.run_for(5 * SECOND);
    assert_eq!(suspects(&world), 0);
    world.resume(3);
    assert_eq!(suspects(&world), 1);
    world.run_for(10 * SECOND);
    assert_eq!(suspects(&world), 0);
    assert!(world.agree());
}
