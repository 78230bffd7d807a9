//! Virtual time, and the clocks of hosts that do not agree with it.

/// Nanoseconds of virtual time since the start of a run.
pub type Nanos = u64;

/// A millisecond of virtual time.
pub const MILLISECOND: Nanos = 1_000_000;
/// A second of virtual time.
pub const SECOND: Nanos = 1_000 * MILLISECOND;

/// Wall clock at the start of every run, in milliseconds since the Unix epoch.
pub const UNIX_MS_AT_START: u64 = 1_700_000_000_000;

/// Seconds as a number with a fraction, for people.
#[must_use]
pub fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / SECOND as f64
}

/// Virtual time that lasts this many seconds.
#[must_use]
pub fn from_seconds(seconds: f64) -> Nanos {
    (seconds * SECOND as f64) as Nanos
}

/// The monotonic clock of a host: it may run fast or slow and leap ahead, as
/// after the sleep of a virtual machine. And its wall clock, which may be wrong
/// by any amount.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Virtual and local time at the last change of the rate.
    base: (Nanos, Nanos),
    /// Local nanoseconds in a million of virtual ones.
    rate_ppm: u64,
    /// What the wall clock is off, in milliseconds.
    pub(crate) wall_offset_ms: i64,
}

/// The rate of a clock that keeps virtual time.
pub const TRUE_RATE_PPM: u64 = 1_000_000;

impl Default for Clock {
    fn default() -> Self {
        Self { base: (0, 0), rate_ppm: TRUE_RATE_PPM, wall_offset_ms: 0 }
    }
}

impl Clock {
    pub(crate) const fn rate_ppm(&self) -> u64 {
        self.rate_ppm
    }

    /// What the host takes for the time.
    pub(crate) const fn local(&self, at: Nanos) -> Nanos {
        let since = at - self.base.0;
        if self.rate_ppm == TRUE_RATE_PPM {
            return self.base.1 + since;
        }
        self.base.1 + (since as u128 * self.rate_ppm as u128 / TRUE_RATE_PPM as u128) as u64
    }

    /// The first virtual time at which the host takes it for `local` or later.
    pub(crate) fn virtual_at(&self, local: Nanos) -> Nanos {
        let since = local.saturating_sub(self.base.1);
        if self.rate_ppm == TRUE_RATE_PPM {
            return self.base.0.saturating_add(since);
        }
        let scaled = (u128::from(since) * u128::from(TRUE_RATE_PPM)).div_ceil(self.rate_ppm.into());
        self.base.0.saturating_add(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// Runs at another rate from now on.
    pub(crate) const fn set_rate(&mut self, at: Nanos, rate_ppm: u64) {
        self.base = (at, self.local(at));
        self.rate_ppm = rate_ppm;
    }

    /// Leaps ahead.
    pub(crate) const fn leap(&mut self, at: Nanos, ahead: Nanos) {
        self.base = (at, self.local(at) + ahead);
    }

    /// What the host takes for the wall clock, in milliseconds.
    pub(crate) const fn unix_ms(&self, at: Nanos) -> u64 {
        (UNIX_MS_AT_START + self.local(at) / MILLISECOND).saturating_add_signed(self.wall_offset_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_runs_fast_reaches_its_deadlines_early() {
        let mut clock = Clock::default();
        clock.set_rate(10 * SECOND, 2 * TRUE_RATE_PPM);
        assert_eq!(clock.local(11 * SECOND), 12 * SECOND);
        assert_eq!(clock.virtual_at(12 * SECOND), 11 * SECOND);
        clock.leap(11 * SECOND, 100 * SECOND);
        assert_eq!(clock.local(12 * SECOND), 114 * SECOND);
        assert_eq!(clock.virtual_at(SECOND), 11 * SECOND, "what is over is due at once");
    }

    #[test]
    fn a_deadline_is_never_reached_too_early() {
        let mut clock = Clock::default();
        clock.set_rate(0, 999_983);
        for local in [1, 2, 3, 999_999, 1_000_000, 1_000_001, SECOND + 7] {
            assert!(clock.local(clock.virtual_at(local)) >= local);
        }
    }
}
