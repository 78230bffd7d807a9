//! Shares as people read them.

/// A part of a whole in percent, aligned to the right up to 100 %.
pub(crate) fn percent(part: f64) -> String {
    format!("{:6.2} %", part * 100.0)
}

/// By how much a ratio differs from 1, in percent with its sign.
pub(crate) fn deviation(ratio: f64) -> String {
    format!("{:+7.2} %", (ratio - 1.0) * 100.0)
}

/// A whole number with its digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(percent(0.0), "  0.00 %");
        assert_eq!(percent(1.0), "100.00 %");
        assert_eq!(deviation(1.25), " +25.00 %");
        assert_eq!(deviation(0.5), " -50.00 %");
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(8_388_608), "8,388,608");
    }
}
