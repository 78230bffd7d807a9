//! What the simulator says; `docs/dashboard.md` has the command that measures it.

use std::time::Duration;

use swim_core::Config;

/// Members, and in protocol periods the time within which a change reaches half of the others, and
/// 99 of 100.
type Row = (usize, f64, f64);

/// With the presets `lan`, `local` and `wan`: members probe in rounds that all share.
const SHARED_ROUNDS: [Row; 10] = [
    (2, 0.24, 0.82),
    (3, 0.42, 1.46),
    (5, 0.69, 1.90),
    (10, 1.28, 3.39),
    (20, 1.80, 4.74),
    (50, 2.42, 5.91),
    (100, 2.90, 5.12),
    (200, 3.39, 6.51),
    (500, 3.98, 5.91),
    (1000, 4.55, 6.42),
];

/// With the preset `ringpop`: each member has an order of its own.
const OWN_ROUNDS: [Row; 10] = [
    (2, 0.28, 0.84),
    (3, 0.48, 1.70),
    (5, 0.75, 2.25),
    (10, 1.20, 2.85),
    (20, 1.70, 3.55),
    (50, 2.25, 4.05),
    (100, 2.70, 4.55),
    (200, 3.15, 5.00),
    (500, 3.80, 5.65),
    (1000, 3.90, 5.65),
];

/// Median and 99th percentile of the time from a change of a member to each of the others. `None`
/// for fewer members than two, and for more than were simulated.
pub(super) fn propagation(config: &Config, members: usize) -> Option<(Duration, Duration)> {
    let rows = if config.shared_rounds() { &SHARED_ROUNDS } else { &OWN_ROUNDS };
    let at = rows.iter().position(|(size, ..)| *size >= members).filter(|_| members > 1)?;
    let (size, p50, p99) = rows[at];
    let (less, less_p50, less_p99) = rows[at.saturating_sub(1)];
    // Between two sizes it grows with the logarithm.
    let log = |size: usize| (size as f64).ln();
    let part = if at == 0 { 0.0 } else { (log(size) - log(members)) / (log(size) - log(less)) };
    let time = |more: f64, less: f64| config.protocol_period().mul_f64(more + part * (less - more));
    Some((time(p50, less_p50), time(p99, less_p99)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(config: &Config, members: usize) -> Option<(u128, u128)> {
        let predicted = propagation(config, members);
        predicted.map(|(p50, p99)| (p50.as_millis(), p99.as_millis()))
    }

    #[test]
    fn sizes_that_were_simulated_have_their_figures_and_others_lie_between() {
        let lan = Config::lan();
        assert_eq!(millis(&lan, 2), Some((48, 164)));
        assert_eq!(millis(&lan, 100), Some((580, 1024)));
        let (p50, p99) = millis(&lan, 141).unwrap();
        assert!((580..678).contains(&p50) && (1024..1302).contains(&p99), "{p50} {p99}");
        let (slow, _) = millis(&Config::wan(), 100).unwrap();
        assert_eq!(slow, 2900, "it goes with the period");
        for members in [0, 1, 1001] {
            assert_eq!(millis(&lan, members), None, "{members}");
        }
    }
}
