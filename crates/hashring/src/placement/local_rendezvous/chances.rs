//! How much of all keys each point can expect to own.

use crate::{limits::LOCAL_RENDEZVOUS_PLACES, points::Points};

/// The part of all keys that each point can expect, in the order of the points.
///
/// A point owns a key if one of the key's `n` places is at some distance `x` from it and the others
/// are farther than that from every point. They are so with the probability `clear(x)^(n - 1)`,
/// where `clear(x)` is the part of the circle that is farther than `x` from every point: the sum of
/// `gap - 2x` over all gaps that are longer than `2x`. So each point owns `n` times the integral of
/// `clear^(n - 1)` from 0 to half of the gap on its one side, and the same on its other side.
pub(super) fn of(points: &Points) -> Vec<f64> {
    let mut gaps = gaps(points);
    gaps.sort_unstable();
    let mut chances = vec![0.0; points.len()];
    let circle = points.last_place() as f64 + 1.0;
    let (mut reach, mut clear, mut chance) = (0.0, 1.0_f64, 0.0);
    for (shorter, (gap, at)) in gaps.iter().enumerate() {
        // From the last reach to half of this gap, `clear` falls in a straight line.
        let half = *gap as f64 / circle / 2.0;
        let (width, open_ends) = (half - reach, 2 * (gaps.len() - shorter));
        let next = (clear - width * open_ends as f64).max(0.0);
        chance += width * integral(clear, next);
        (reach, clear) = (half, next);
        chances[*at] += chance;
        chances[at.checked_sub(1).unwrap_or(gaps.len() - 1)] += chance;
    }
    chances
}

/// `n` times the integral of the power `n - 1` of a number that falls from `high` to `low` while
/// its argument grows by 1: the sum over `high^i * low^(n - 1 - i)`.
fn integral(high: f64, low: f64) -> f64 {
    (1..LOCAL_RENDEZVOUS_PLACES)
        .fold((1.0, 1.0), |(sum, power), _| (sum * low + power * high, power * high))
        .0
}

/// The gap before each point, with the position of the point.
fn gaps(points: &Points) -> Vec<(u128, usize)> {
    let hashes = points.hashes();
    let Some(last) = hashes.last() else { return Vec::new() };
    // All points in one place leave a gap of the whole circle.
    let past_the_end = hashes[0].wrapping_sub(*last).wrapping_sub(1) & points.last_place();
    let within = hashes.windows(2).map(|pair| u128::from(pair[1] - pair[0]));
    std::iter::once(u128::from(past_the_end) + 1).chain(within).zip(0..).collect()
}
