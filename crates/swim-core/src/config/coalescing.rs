//! The settings of view changes.

use std::time::Duration;

use super::bounds::{ConfigError, at_least};

/// When a burst of changes is over and
/// [`Event::ViewChanged`](crate::Event::ViewChanged) reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coalescing {
    /// The burst is over when nothing has changed for so long. Should exceed the time
    /// in which gossip spreads. 1 ms to `delay_max`. Default 1 s.
    pub quiet: Duration,
    /// After this time the event comes although changes go on. At least `quiet`.
    /// Default 5 s.
    pub delay_max: Duration,
}

impl Coalescing {
    /// The defaults, usable in constants.
    pub const DEFAULT: Self =
        Self { quiet: Duration::from_secs(1), delay_max: Duration::from_secs(5) };

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        at_least("coalescing.quiet", self.quiet, Duration::from_millis(1))?;
        at_least("coalescing.delay_max", self.delay_max, self.quiet)
    }
}

impl Default for Coalescing {
    fn default() -> Self {
        Self::DEFAULT
    }
}
