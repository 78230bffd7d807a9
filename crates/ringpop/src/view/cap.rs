//! Members that want more points than a ring may have.

use crate::limits::WEIGHT_MAX;

/// How members that want too many points fit on the ring. It depends on the members alone, and all
/// that see the same ones cap them alike: the largest weights count only up to a common one, as
/// water fills vessels, and light members keep what they have. When not even all weights of one
/// fit, the first members by address have their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cap {
    /// Weight that the members want.
    pub(crate) wanted: u64,
    /// The largest weight that counts.
    pub(crate) weight_max: u32,
    /// Members that have a place.
    pub(crate) members_max: usize,
    /// Members that have none.
    pub(crate) left_out: usize,
}

impl Cap {
    /// `None` when the members fit as they are.
    pub(super) fn of(weights: impl Iterator<Item = u32>, sum_max: u64) -> Option<Self> {
        let mut count = [0_u64; WEIGHT_MAX as usize + 1];
        for weight in weights {
            count[weight.min(WEIGHT_MAX) as usize] += 1;
        }
        let all: u64 = count[1..].iter().sum();
        // The sum if weights count up to `max` grows with each step by those
        // that have at least that weight.
        let (mut sum, mut at_least, mut weight_max, mut wanted) = (0, all, 0, 0);
        for weight in 1..=WEIGHT_MAX {
            sum += at_least;
            if sum <= sum_max {
                weight_max = weight;
            }
            wanted = sum;
            at_least -= count[weight as usize];
        }
        if wanted <= sum_max {
            return None;
        }
        let members_max = if weight_max == 0 { sum_max } else { all };
        let left_out = usize::try_from(all - members_max).unwrap_or(usize::MAX);
        let members_max = usize::try_from(members_max).unwrap_or(usize::MAX);
        Some(Self { wanted, weight_max: weight_max.max(1), members_max, left_out })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_is_the_largest_that_fits() {
        for (weights, sum_max, expected) in [
            (vec![1, 2, 3], 6, None),
            (vec![0, 0, 6], 6, None),
            (vec![1, 2, 3], 5, Some((2, 3))),
            (vec![1, 2, 3], 4, Some((1, 3))),
            (vec![1, 2, 3], 2, Some((1, 2))),
            (vec![100; 839], 83_886, Some((99, 839))),
        ] {
            let cap = Cap::of(weights.iter().copied(), sum_max);
            assert_eq!(cap.map(|cap| (cap.weight_max, cap.members_max)), expected, "{weights:?}");
        }
    }
}
