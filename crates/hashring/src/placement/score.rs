//! What a node or a point bids for a key.

/// The scores of a key: a uniform number for each seed, of which the highest wins.
///
/// A score is the product of the seed and an odd number of the key (the multiply-shift hashing of
/// Dietzfelbinger and others, 1997). One multiplication is enough here because seeds are hashes
/// themselves. Over all keys, the scores of any seeds are as independent of each other as random
/// numbers are, but for seeds of which a sum with small whole factors is 0 modulo 2^63; among
/// hashes there are none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scores {
    multiplier: u64,
}

impl Scores {
    /// The scores of the keys of a place.
    #[inline]
    pub(crate) fn of(place: u64) -> Self {
        Self { multiplier: score(place, SEED_OF_MULTIPLIER) | 1 }
    }

    /// The score of a node or a point.
    #[inline]
    pub(crate) fn of_seed(self, seed: u64) -> u64 {
        seed.wrapping_mul(self.multiplier)
    }
}

/// Digits of pi.
const SEED_OF_MULTIPLIER: u64 = 0xa409_3822_299f_31d0;

/// A uniform number from a place and any number as seed.
///
/// Two multiplications with a shift between them, as in the finalizers of Murmur and SplitMix: the
/// high bits, which decide, depend on every bit of both.
#[inline]
pub(crate) fn score(place: u64, seed: u64) -> u64 {
    let mixed = (place ^ seed).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// `-ln` of a score as a number above 0 and at most 1.
///
/// It is made of additions, multiplications and divisions, which IEEE 754 rounds the same way
/// everywhere: the logarithm of the standard library may differ between platforms, and then two
/// members would not agree on an owner.
pub(super) fn neg_ln(score: u64) -> f64 {
    let bits = (score as f64 + 1.0).to_bits();
    let (mut exponent, mut mantissa) =
        ((bits >> 52) as i32 - 1_023, f64::from_bits(bits & MANTISSA | ONE));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln(m) = 2 artanh((m - 1) / (m + 1)); the argument is below 0.172, so that eleven terms are
    // enough for 53 bits.
    let argument = (mantissa - 1.0) / (mantissa + 1.0);
    let square = argument * argument;
    let series = (0..11).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    f64::from(64 - exponent) * std::f64::consts::LN_2 - 2.0 * argument * series
}

const MANTISSA: u64 = (1 << 52) - 1;
const ONE: u64 = 1_023 << 52;

#[cfg(test)]
mod tests {
    use super::{neg_ln, score};

    #[test]
    fn the_logarithm_is_that_of_the_standard_library() {
        for number in (0..200_000_u64).map(|i| score(i, 7)).chain([0, 1, u64::MAX, u64::MAX - 1]) {
            let expected = -((number as f64 + 1.0) / 2_f64.powi(64)).ln();
            let found = neg_ln(number);
            assert!((found - expected).abs() <= expected * 1e-13 + 1e-16, "{number}: {found}");
        }
        assert_eq!(neg_ln(u64::MAX), 0.0);
    }

    #[test]
    fn a_higher_score_has_a_lower_logarithm() {
        let mut scores: Vec<_> = (0..10_000_u64).map(|i| score(i, 7)).collect();
        scores.sort_unstable();
        assert!(scores.windows(2).all(|pair| neg_ln(pair[0]) >= neg_ln(pair[1])));
    }
}
