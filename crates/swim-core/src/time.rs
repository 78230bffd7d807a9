//! Time as the machine sees it: a newtype that cannot read a clock.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point on the driver's monotonic clock: the time since some start that the
/// driver chose, usually the creation of the [`Node`](crate::Node).
///
/// It is held to the nanosecond, up to 584 years.
///
/// The machine never reads a clock. Every input carries the driver's `Instant`,
/// which makes runs repeatable and lets a simulator jump over idle time.
///
/// ```
/// use std::time::Duration;
/// use swim_core::Instant;
///
/// let start = Instant::ZERO;
/// let later = start + Duration::from_millis(200);
/// assert_eq!(later - start, Duration::from_millis(200));
/// assert_eq!(start - later, Duration::ZERO); // never negative
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The driver's start.
    pub const ZERO: Self = Self(0);

    /// The point that lies `since_start` after the driver's start, or the last
    /// one that can be held.
    #[must_use]
    pub const fn from_start(since_start: Duration) -> Self {
        let nanos = since_start.as_nanos();
        Self(if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 })
    }

    /// The time since the driver's start.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Whole milliseconds since the driver's start.
    pub(crate) const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the largest representable time.
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(Self::from_start(rhs).0))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Zero when `rhs` is later.
    fn sub(self, rhs: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(rhs.0))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.since_start().as_secs_f64())
    }
}
