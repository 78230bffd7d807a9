//! Time as the machine sees it: a newtype that cannot read a clock.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point on the driver's monotonic clock: the time since some start that the
/// driver chose, usually the creation of the [`Node`](crate::Node).
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
pub struct Instant(Duration);

impl Instant {
    /// The driver's start.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The point that lies `since_start` after the driver's start.
    #[must_use]
    pub const fn from_start(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The time since the driver's start.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the largest representable time.
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
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
        self.0.saturating_sub(rhs.0)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0.as_secs_f64())
    }
}
