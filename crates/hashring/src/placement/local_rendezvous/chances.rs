//! How much of the circle each point can expect to own.

use super::window_class;
use crate::{limits::LOCAL_RENDEZVOUS_WINDOW_BITS, points::Points};

const STEP: u32 = LOCAL_RENDEZVOUS_WINDOW_BITS;

/// The part of all keys that each point can expect, in the order of the points.
///
/// Every place has one window, and each of the `m` points in it has the highest score for one key
/// in `m`. Between two places where a point enters a window or leaves it, the window is the same,
/// so the sum over places is one over such runs.
pub(super) fn of(points: &Points) -> Vec<f64> {
    let mut chances = vec![0.0; points.len()];
    let firsts = firsts_of_equals(points);
    if firsts.is_empty() {
        return chances;
    }
    let gaps = Gaps::new(points, &firsts);
    let mut sums = Sums::new(firsts.len());
    for class in 0..STEP {
        sums.weight = class_weight(class) / gaps.places as f64;
        for at in 0..firsts.len() {
            add_places_before(&gaps, at, class, &mut sums);
        }
    }
    for (first, chance) in firsts.iter().zip(sums.into_chances()) {
        chances[*first] = chance;
    }
    chances
}

/// Of equal points the first has the higher rank, so the others never own a key.
fn firsts_of_equals(points: &Points) -> Vec<usize> {
    let hashes = points.hashes();
    (0..hashes.len()).filter(|at| *at == 0 || hashes[*at] != hashes[at - 1]).collect()
}

/// The part of all places that are of this class.
fn class_weight(class: u32) -> f64 {
    let start = |class: u32| (class << 16).div_ceil(STEP);
    debug_assert_eq!(window_class(u64::from(start(class))), class);
    f64::from(start(class + 1) - start(class)) / 65_536.0
}

/// The points of the circle by their distances.
struct Gaps {
    hashes: Vec<u64>,
    last_place: u64,
    places: u128,
}

impl Gaps {
    fn new(points: &Points, firsts: &[usize]) -> Self {
        let hashes = firsts.iter().map(|first| points.hashes()[*first]).collect();
        let last_place = points.last_place();
        Self { hashes, last_place, places: u128::from(last_place) + 1 }
    }

    /// Places from the point before up to and including this one.
    fn before(&self, at: usize) -> u128 {
        let previous = if at == 0 { self.hashes.len() - 1 } else { at - 1 };
        match self.hashes[at].wrapping_sub(self.hashes[previous]) & self.last_place {
            0 => self.places,
            gap => u128::from(gap),
        }
    }

    /// The distance from a point to the one `steps` further on; beyond all others where there is
    /// none.
    fn ahead(&self, at: usize, steps: usize) -> u128 {
        if steps >= self.hashes.len() {
            return u128::MAX;
        }
        let other = (at + steps) % self.hashes.len();
        u128::from(self.hashes[other].wrapping_sub(self.hashes[at]) & self.last_place)
    }
}

/// Adds what the places between a point and the one before it give, for those of one class.
///
/// Such a place is `d` before the point, and its window has the length of the first power that is
/// above `d`. It holds the points up to `length - 1 - d` behind this one.
fn add_places_before(gaps: &Gaps, at: usize, class: u32, sums: &mut Sums) {
    let before = gaps.before(at);
    let mut nearest = 0;
    for exponent in (class..).step_by(STEP as usize) {
        let length = 1_u128 << exponent;
        let end = length.min(before);
        if length >= gaps.places {
            sums.add(0, gaps.hashes.len(), end - nearest);
            return;
        }
        // Each turn is the run of those places whose windows hold so many points.
        let mut low = end;
        for count in 1.. {
            let next = gaps.ahead(at, count);
            let high = low;
            low = length.saturating_sub(next).clamp(nearest, high);
            sums.add(at, count, high - low);
            if low == nearest {
                break;
            }
        }
        if end == before {
            return;
        }
        nearest = length;
    }
}

/// Sums over runs of points, kept as the differences between neighbours.
struct Sums {
    differences: Vec<f64>,
    /// What one place counts.
    weight: f64,
}

impl Sums {
    fn new(points: usize) -> Self {
        Self { differences: vec![0.0; points + 1], weight: 0.0 }
    }

    /// Gives so many places to `count` points from `at` on, in equal parts.
    fn add(&mut self, at: usize, count: usize, places: u128) {
        if places == 0 {
            return;
        }
        let points = self.differences.len() - 1;
        let part = places as f64 * self.weight / count as f64;
        self.differences[at] += part;
        let end = at + count;
        if end <= points {
            self.differences[end] -= part;
        } else {
            self.differences[0] += part;
            self.differences[end - points] -= part;
        }
    }

    fn into_chances(self) -> impl Iterator<Item = f64> {
        let mut sum = 0.0;
        let points = self.differences.len() - 1;
        self.differences.into_iter().take(points).map(move |difference| {
            sum += difference;
            sum
        })
    }
}
