//! The checks of settings against their bounds.

use std::time::Duration;

use crate::limits::{APP_BYTES_MAX, DURATION_MAX};

/// A value of a configuration is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A duration is too short.
    #[error("{field} is {value:?}, it must be at least {min:?}")]
    TooShort {
        /// Name of the field.
        field: &'static str,
        /// The value.
        value: Duration,
        /// Its lower bound.
        min: Duration,
    },
    /// A duration is too long.
    #[error("{field} is {value:?}, it must be at most {max:?}")]
    TooLong {
        /// Name of the field.
        field: &'static str,
        /// The value.
        value: Duration,
        /// Its upper bound.
        max: Duration,
    },
    /// A number is out of range.
    #[error("{field} is {value}, it must be between {min} and {max}")]
    OutOfRange {
        /// Name of the field.
        field: &'static str,
        /// The value.
        value: usize,
        /// Its lower bound.
        min: usize,
        /// Its upper bound.
        max: usize,
    },
    /// The application name is empty or too long.
    #[error("application name has {bytes} bytes, it must have between 1 and {max}")]
    AppName {
        /// Length of the name.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The identity is too long.
    #[error("identity has {bytes} bytes, it must have at most {max}; choose a shorter name")]
    Identity {
        /// Length of the identity.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The labels of the local member are refused.
    #[error(transparent)]
    Labels(#[from] crate::labels::LabelError),
    /// The address of the local member is refused.
    #[error(transparent)]
    Address(#[from] crate::address::AddressError),
}

/// Refuses a name that no application can have: it has 1 to
/// [`APP_BYTES_MAX`](crate::limits::APP_BYTES_MAX) bytes.
///
/// # Errors
///
/// [`ConfigError::AppName`].
pub const fn check_app(app: &str) -> Result<(), ConfigError> {
    if app.is_empty() || app.len() > APP_BYTES_MAX {
        return Err(ConfigError::AppName { bytes: app.len(), max: APP_BYTES_MAX });
    }
    Ok(())
}

/// Checks the lower bound of a duration, and the upper one that all have.
pub(super) fn at_least(
    field: &'static str,
    value: Duration,
    min: Duration,
) -> Result<(), ConfigError> {
    if value < min {
        return Err(ConfigError::TooShort { field, value, min });
    }
    if value > DURATION_MAX {
        return Err(ConfigError::TooLong { field, value, max: DURATION_MAX });
    }
    Ok(())
}

pub(super) fn within(
    field: &'static str,
    value: usize,
    min: usize,
    max: usize,
) -> Result<(), ConfigError> {
    if value < min || value > max {
        return Err(ConfigError::OutOfRange { field, value, min, max });
    }
    Ok(())
}
