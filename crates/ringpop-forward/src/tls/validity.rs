//! From when until when a certificate is valid (RFC 5280, section 4.1.2.5).
//!
//! The verifier of rustls reads these dates and keeps them to itself.

use std::time::{Duration, SystemTime};

use super::der::{SEQUENCE, after_issuer, element};

/// Tags of DER (X.690).
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The time in which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub not_before: SystemTime,
    /// Until then.
    pub not_after: SystemTime,
}

impl Validity {
    /// Reads it from a certificate in DER form; `None` when the bytes are no certificate.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (dates, _) = element(after_issuer(certificate)?, SEQUENCE)?;
        let (not_before, dates) = time(dates)?;
        let (not_after, _) = time(dates)?;
        Some(Self { not_before, not_after })
    }

    /// How long it is still valid; `None` when it is over.
    #[must_use]
    pub fn remaining(&self, now: SystemTime) -> Option<Duration> {
        self.not_after.duration_since(now).ok()
    }
}

/// The first element, which is a time, and what follows it.
fn time(bytes: &[u8]) -> Option<(SystemTime, &[u8])> {
    if let Some((text, rest)) = element(bytes, UTC_TIME) {
        let year = number(text.get(..2)?)?;
        let century = if year < 50 { 2000 } else { 1900 };
        return Some((instant(century + year, text.get(2..)?)?, rest));
    }
    let (text, rest) = element(bytes, GENERALIZED_TIME)?;
    Some((instant(number(text.get(..4)?)?, text.get(4..)?)?, rest))
}

/// `MMDDHHMMSSZ` of a year. Times before 1970 count as 1970.
fn instant(year: i64, text: &[u8]) -> Option<SystemTime> {
    if text.len() != 11 || text[10] != b'Z' {
        return None;
    }
    let part = |i: usize| number(&text[2 * i..2 * i + 2]);
    let (month, day) = (part(0)?, part(1)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = (part(2)? * 60 + part(3)?) * 60 + part(4)?;
    let since_epoch = days(year, month, day) * 86_400 + seconds;
    let since_epoch = Duration::from_secs(u64::try_from(since_epoch).unwrap_or(0));
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// Days from 1 January 1970 to a day of the Gregorian calendar. Years are counted from March, so
/// the leap day is the last of its year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719,468 days lie between 1 March of the year 0 and 1970.
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn unix(time: SystemTime) -> u64 {
        time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn dates_are_read_in_both_forms() {
        for ((from, from_unix), (until, until_unix)) in [
            (((1975, 1, 1), 157_766_400), ((2024, 2, 29), 1_709_164_800)),
            (((2024, 3, 1), 1_709_251_200), ((2049, 12, 31), 2_524_521_600_u64)),
            // Years from 2050 on are written with four digits.
            (((2000, 2, 29), 951_782_400), ((2100, 3, 1), 4_107_542_400)),
        ] {
            let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
            params.not_before = date_time_ymd(from.0, from.1, from.2);
            params.not_after = date_time_ymd(until.0, until.1, until.2);
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let validity = Validity::of(certificate.der()).unwrap();
            assert_eq!(
                (unix(validity.not_before), unix(validity.not_after)),
                (from_unix, until_unix)
            );
            for end in 0..certificate.der().len() {
                // Cut anywhere, it is no certificate, or one whose dates were still there.
                let cut = Validity::of(&certificate.der()[..end]);
                assert!(cut.is_none_or(|cut| cut == validity));
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Validity::of(&bytes);
        }
    }
}
