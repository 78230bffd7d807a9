//! The wall clock.

use std::time::{Duration, SystemTime};

/// The wall clock in milliseconds of the Unix epoch; 0 for one that is before it.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX)
}
