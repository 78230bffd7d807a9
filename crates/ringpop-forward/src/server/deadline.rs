//! The time a call may take: read from `grpc-timeout`, and its rest is passed on.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;
use tonic::Status;

use crate::limits::{DEADLINE_MARGIN_DIVISOR, DEADLINE_MARGIN_MAX, GRPC_TIMEOUT_HEADER};

/// Largest number that fits into the eight digits of `grpc-timeout`.
const TIMEOUT_NUMBER_MAX: u128 = 99_999_999;

/// When a call has to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// When the caller gives up.
    end: Instant,
    /// When we answer, a little earlier than the timer that tonic's server runs around us would.
    pub(crate) answer_at: Instant,
    /// The caller has set it, and the next process has to know.
    is_callers: bool,
}

impl Deadline {
    /// Reads the deadline of a request that arrived at this moment. A value that is not a timeout
    /// is ignored, as tonic and gRPC's own servers do.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        Self::after(parse(headers.get(GRPC_TIMEOUT_HEADER)?)?)
    }

    /// The deadline of a call that says how long it may take from now on.
    fn after(timeout: Duration) -> Option<Self> {
        let now = Instant::now();
        let end = now.checked_add(timeout)?;
        let margin = DEADLINE_MARGIN_MAX.min(timeout / DEADLINE_MARGIN_DIVISOR);
        Some(Self { end, answer_at: end - margin, is_callers: true })
    }

    /// The deadline of a request, or `timeout` if that is sooner.
    pub(crate) fn sooner(headers: &HeaderMap, timeout: Option<Duration>) -> Option<Self> {
        let (stated, given) = (Self::from_headers(headers), timeout.and_then(Self::after));
        match (stated, given) {
            (Some(stated), Some(given)) if given.end < stated.end => Some(given),
            _ => stated.or(given),
        }
    }

    /// The deadline of a call whose caller has set none. Every process has its own, so it is not
    /// passed on.
    pub(crate) fn of_this_process(timeout: Duration) -> Option<Self> {
        let end = Instant::now().checked_add(timeout)?;
        Some(Self { end, answer_at: end, is_callers: false })
    }

    /// Time until we answer.
    pub(crate) fn remaining(&self) -> Duration {
        self.answer_at.saturating_duration_since(Instant::now())
    }

    /// Whether the answer is due.
    pub(crate) fn has_passed(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Tells the next process how much is left. It gets the caller's time and not ours: when both
    /// run out we answer first, with the right code.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        if !self.is_callers {
            return;
        }
        let left = self.end.saturating_duration_since(Instant::now());
        headers.insert(GRPC_TIMEOUT_HEADER, format(left));
    }
}

/// The answer to a call whose time is over.
pub(crate) fn exceeded() -> Status {
    Status::deadline_exceeded("deadline passed before the owner answered")
}

fn parse(value: &HeaderValue) -> Option<Duration> {
    let (&unit, digits) = value.as_bytes().split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Writes `left` in the finest unit whose number fits, rounded down so that the receiver never has
/// more time than we do.
fn format(left: Duration) -> HeaderValue {
    let (number, unit) =
        [(left.as_micros(), 'u'), (left.as_millis(), 'm'), (left.as_secs().into(), 'S')]
            .into_iter()
            .find(|&(number, _)| number <= TIMEOUT_NUMBER_MAX)
            .unwrap_or((TIMEOUT_NUMBER_MAX, 'S'));
    HeaderValue::try_from(format!("{number}{unit}"))
        .expect("digits and a letter are a header value")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse_text(text: &str) -> Option<Duration> {
        parse(&HeaderValue::from_str(text).unwrap())
    }

    #[test]
    fn every_unit_of_the_specification_is_read() {
        for (text, nanos) in [
            ("1H", 3_600_000_000_000_u128),
            ("2M", 120_000_000_000),
            ("3S", 3_000_000_000),
            ("4m", 4_000_000),
            ("5u", 5_000),
            ("6n", 6),
        ] {
            assert_eq!(parse_text(text).unwrap().as_nanos(), nanos);
        }
        for bad in ["", "S", "1", "1s", "-1S", "123456789S", "1.5S", " 1S"] {
            assert_eq!(parse_text(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn we_answer_before_the_timer_around_us() {
        let mut headers = HeaderMap::new();
        for (timeout, margin_max) in
            [("10S", Duration::from_millis(5)), ("50m", Duration::from_millis(1))]
        {
            headers.insert(GRPC_TIMEOUT_HEADER, timeout.parse().unwrap());
            let deadline = Deadline::from_headers(&headers).unwrap();
            assert_eq!(deadline.end - deadline.answer_at, margin_max);
        }
    }

    #[test]
    fn the_sooner_of_two_deadlines_counts() {
        let mut headers = HeaderMap::new();
        assert!(Deadline::sooner(&headers, None).is_none());
        let second = Duration::from_secs(1);
        let alone = Deadline::sooner(&headers, Some(second)).unwrap();
        assert!(alone.is_callers && alone.remaining() <= second);
        headers.insert(GRPC_TIMEOUT_HEADER, "60S".parse().unwrap());
        assert!(Deadline::sooner(&headers, Some(second)).unwrap().remaining() <= second);
        let later = Deadline::sooner(&headers, Some(second * 600)).unwrap();
        assert!(later.remaining() <= second * 60);
    }

    proptest! {
        #[test]
        fn what_is_passed_on_is_never_more_than_what_is_left(nanos in 0..=99_999_999_000_000_000_u64) {
            let left = Duration::from_nanos(nanos);
            let passed = parse(&format(left)).unwrap();
            prop_assert!(passed <= left);
            // Eight digits keep seven significant ones, short of the microsecond at the lower end.
            prop_assert!(left - passed <= Duration::from_micros(1).max(left / 10_000));
        }
    }
}
