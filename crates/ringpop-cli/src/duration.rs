//! Times as people type them.

use std::time::Duration;

/// A time that may be nothing.
pub(crate) fn parse_wait(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}: write it with its unit, as in 30s or 5m"))
}

/// A time that is longer than nothing.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_wait(text)?;
    if duration.is_zero() {
        return Err("a duration must be longer than nothing, as 30s or 5m are".to_owned());
    }
    Ok(duration)
}
