//! The experiments of the papers at a small size, with wide margins: that they
//! run and measure what they say. The exact ones are `cargo xtask sim paper`.

use swim_sim::Pause;
use swim_sim::paper::{lifeguard, swim};

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
    for (loss, helpers) in [(0.1, 0), (0.1, 1), (0.3, 3)] {
        let cell = swim::false_detection(loss, helpers, 60_000);
        assert!(cell.is_conclusive(), "{cell:?}");
        assert!((cell.measured() / cell.formula - 1.0).abs() < 0.15, "{cell:?}");
    }
}

#[test]
fn lifeguard_accuses_less_than_swim() {
    let run = |parts: lifeguard::Parts| {
        let config = parts.config(5, 6);
        lifeguard::interval(&config, Pause::Deaf, 8, (16_384, 16), 1)
    };
    let (swim, lifeguard) = (run(lifeguard::Parts::Swim), run(lifeguard::Parts::Lifeguard));
    assert!(swim.false_positives > 100, "{swim:?}");
    assert!(lifeguard.false_positives < swim.false_positives / 2, "{lifeguard:?} of {swim:?}");
}
