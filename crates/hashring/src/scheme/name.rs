//! Names of points: a fixed prefix and a decimal number.

use std::ops::Range;

/// Appends the hash of `prefix`, `separator` and the decimal number for each number in `range`.
pub(super) fn hash_numbered(
    prefix: &str,
    separator: &str,
    range: Range<u32>,
    hashes: &mut Vec<u64>,
    hash: impl Fn(&[u8]) -> u64,
) {
    let mut name = Vec::with_capacity(prefix.len() + separator.len() + DECIMAL_DIGITS_MAX);
    name.extend_from_slice(prefix.as_bytes());
    name.extend_from_slice(separator.as_bytes());
    let fixed = name.len();
    hashes.extend(range.map(|number| {
        name.truncate(fixed);
        push_decimal(&mut name, number);
        hash(&name)
    }));
}

/// Digits of `u32::MAX`.
const DECIMAL_DIGITS_MAX: usize = 10;

/// Appends a number in decimal. `write!` does the same at three times the cost, and a ring names a
/// million points.
pub(super) fn push_decimal(out: &mut Vec<u8>, number: u32) {
    let mut digits = [0_u8; DECIMAL_DIGITS_MAX];
    let mut start = DECIMAL_DIGITS_MAX;
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::push_decimal;

    #[test]
    fn decimal_numbers_read_as_the_standard_library_writes_them() {
        for number in [0, 1, 9, 10, 99, 100, 65_535, 1_000_000, u32::MAX] {
            let mut name = b"n#".to_vec();
            push_decimal(&mut name, number);
            assert_eq!(name, format!("n#{number}").into_bytes());
        }
    }
}
