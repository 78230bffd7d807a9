//! Settings within their bounds.

use std::time::Duration;

use crate::error::ConfigError;

/// # Errors
///
/// [`ConfigError::Range`] with the name of the field.
pub(crate) fn in_range(
    field: &'static str,
    value: u64,
    min: u64,
    max: u64,
) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::Range { field, value, min, max })
    }
}

/// # Errors
///
/// [`ConfigError::DurationRange`] with the name of the field.
pub(crate) fn duration_in_range(
    field: &'static str,
    value: Duration,
    min: Duration,
    max: Duration,
) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::DurationRange { field, value, min, max })
    }
}
