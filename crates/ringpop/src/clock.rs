//! The wall clock.

use std::time::{Duration, SystemTime};

/// The wall clock as time since the Unix epoch; zero for one that is before it.
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The time from which an instant is as good as never: as far as all platforms can count.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The instant that is so long after another one. A time that may be of any size, such as
/// [`Duration::MAX`] for "never", leads at most 30 years ahead.
pub(crate) fn after(start: tokio::time::Instant, time: Duration) -> tokio::time::Instant {
    start + time.min(NEVER)
}

/// [`unix_time`] in milliseconds.
pub(crate) fn unix_ms() -> u64 {
    u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_ends_far_ahead() {
        let now = tokio::time::Instant::now();
        assert_eq!(after(now, Duration::from_secs(5)) - now, Duration::from_secs(5));
        assert_eq!(after(now, Duration::MAX) - now, NEVER);
    }
}
