//! How many points it takes: the busiest node of a ring before it is built.

/// The mean excess of the busiest of 10, 100 and 1,000 nodes, in deviations of one node. Measured
/// on rings of 100 and more points a node; it fits them within 0.03 of the peak. Below 10 nodes it
/// falls to nothing for one node, and above 1,000 it is extended by the last slope.
const EXCESS: [(f64, f64); 4] = [(0.0, 0.0), (1.0, 1.6), (2.0, 2.7), (3.0, 3.5)];

/// The expected [peak to average](crate::Shares::peak_to_average) of `nodes` nodes of equal weight
/// with `points` points each, under a scheme that spreads well.
///
/// ```
/// use hashring::plan::expected_peak;
///
/// assert!((1.26..1.28).contains(&expected_peak(100, 100)));
/// assert!((1.10..1.12).contains(&expected_peak(1_000, 1_000)));
/// ```
#[must_use]
pub fn expected_peak(nodes: usize, points: u32) -> f64 {
    1.0 + excess(nodes) / f64::from(points).sqrt()
}

/// The points per weight unit for which the busiest of `nodes` equal nodes is expected to stay at
/// `peak` times the mean, at least 1.
///
/// `None` if no number of points does it: a peak of 1 or less, not a number, or so close to 1 that
/// the points do not fit 32 bits.
///
/// ```
/// use hashring::plan::points_for_peak;
///
/// assert_eq!(points_for_peak(10, 1.25), Some(41));
/// assert_eq!(points_for_peak(100, 1.10), Some(729));
/// assert_eq!(points_for_peak(100, 1.0), None);
/// ```
#[must_use]
pub fn points_for_peak(nodes: usize, peak: f64) -> Option<u32> {
    let points = (excess(nodes) / (peak - 1.0)).powi(2);
    // Rounding of the division must not ask for one point more than the formula does.
    let points = (points - 1e-6).ceil().max(1.0);
    (peak > 1.0 && points <= f64::from(u32::MAX)).then_some(points as u32)
}

/// The part of a ring's excess that [`LocalRendezvous`](crate::LocalRendezvous) has with the same
/// points. Measured on rings of 100 and more points a node; it fits them within 0.015 of the peak.
const LOCAL_RENDEZVOUS_PART: f64 = 0.25;

/// As [`expected_peak`], by [`LocalRendezvous`](crate::LocalRendezvous).
///
/// ```
/// use hashring::plan::expected_peak_of_local_rendezvous;
///
/// assert!((1.06..1.08).contains(&expected_peak_of_local_rendezvous(100, 100)));
/// ```
#[must_use]
pub fn expected_peak_of_local_rendezvous(nodes: usize, points: u32) -> f64 {
    1.0 + LOCAL_RENDEZVOUS_PART * (expected_peak(nodes, points) - 1.0)
}

/// As [`points_for_peak`], by [`LocalRendezvous`](crate::LocalRendezvous): about a sixteenth of the
/// points of a ring.
#[must_use]
pub fn points_for_peak_of_local_rendezvous(nodes: usize, peak: f64) -> Option<u32> {
    points_for_peak(nodes, 1.0 + (peak - 1.0) / LOCAL_RENDEZVOUS_PART)
}

fn excess(nodes: usize) -> f64 {
    let magnitude = (nodes.max(1) as f64).log10();
    let piece = EXCESS.windows(2).find(|pair| magnitude <= pair[1].0).unwrap_or(&EXCESS[2..]);
    let (from, to) = (piece[0], piece[1]);
    from.1 + (magnitude - from.0) * (to.1 - from.1) / (to.0 - from.0)
}

#[cfg(test)]
mod tests {
    use super::{
        expected_peak, expected_peak_of_local_rendezvous, points_for_peak,
        points_for_peak_of_local_rendezvous,
    };
    use crate::{LocalRendezvous, Placement, Ring};

    #[test]
    fn the_expectation_is_what_rings_show() {
        for (nodes, points, rings) in [
            (3, 100, 60),
            (10, 100, 40),
            (30, 200, 20),
            (100, 100, 10),
            (300, 200, 5),
            (1_000, 100, 3),
        ] {
            let (mut mean, mut mean_of_local) = (0.0, 0.0);
            for ring in 0..rings {
                let ring = Ring::builder()
                    .points_per_weight_unit(points)
                    .nodes((0..nodes).map(|i| format!("ring{ring}-node{i}")))
                    .build()
                    .expect("the ids are unique");
                let peak = |peak: Option<f64>| peak.expect("the ring has points");
                mean += peak(ring.shares().peak_to_average()) / f64::from(rings);
                let local = LocalRendezvous::new(ring);
                mean_of_local += peak(local.shares().peak_to_average()) / f64::from(rings);
            }
            let expected = expected_peak(nodes, points);
            assert!(
                (mean - expected).abs() < 0.04,
                "{nodes} nodes of {points} points: {mean:.3}, expected {expected:.3}"
            );
            let expected = expected_peak_of_local_rendezvous(nodes, points);
            assert!(
                (mean_of_local - expected).abs() < 0.015,
                "local, {nodes} nodes of {points} points: {mean_of_local:.4}, expected {expected:.4}"
            );
        }
    }

    #[test]
    fn points_for_a_peak_are_the_fewest_that_reach_it() {
        for nodes in [2, 10, 77, 1_000, 20_000] {
            for peak in [1.01, 1.1, 1.5, 3.0] {
                let points = points_for_peak(nodes, peak).expect("the peak is reachable");
                assert!(expected_peak(nodes, points) <= peak + 1e-6);
                assert!(points == 1 || expected_peak(nodes, points - 1) > peak - 1e-6);
                let points =
                    points_for_peak_of_local_rendezvous(nodes, peak).expect("it is reachable");
                assert!(expected_peak_of_local_rendezvous(nodes, points) <= peak + 1e-6);
            }
        }
        for peak in [1.0, 0.0, -1.0, f64::NAN, f64::NEG_INFINITY, 1.0 + 1e-9] {
            assert_eq!(points_for_peak(100, peak), None, "{peak}");
        }
        assert_eq!(points_for_peak(0, f64::INFINITY), Some(1));
    }
}
