//! What a node or a point bids for a key.

/// A uniform number from a place and a seed; the highest wins.
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
