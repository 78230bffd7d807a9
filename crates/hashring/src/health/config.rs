//! The options of local health.

use std::time::Duration;

use thiserror::Error;

use crate::limits::{
    MIN_ELIGIBLE_DEFAULT, PANIC_PERCENT_DEFAULT, QUARANTINE_WINDOW_MAX,
    QUARANTINED_PERCENT_DEFAULT, TRACKED_BACKENDS_DEFAULT,
};

/// When a backend is quarantined, and for how long. Values are checked by
/// [`LocalHealth::new`](super::LocalHealth::new).
///
/// The defaults: three failures in a row, 5 seconds, no back-off, no jitter; at most 10 % of the
/// listed backends at the same time, or one of them if that is less than one, and never the last.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthConfig {
    pub(super) threshold: u16,
    pub(super) window: Duration,
    pub(super) window_max: Duration,
    pub(super) jitter: f64,
    pub(super) seed: u64,
    pub(super) capacity: usize,
    pub(super) max_quarantined_percent: u8,
    pub(super) min_eligible: usize,
    pub(super) panic_percent: u8,
}

impl Default for HealthConfig {
    fn default() -> Self {
        let window = Duration::from_secs(5);
        Self {
            threshold: 3,
            window,
            window_max: window,
            jitter: 0.0,
            seed: 0,
            capacity: TRACKED_BACKENDS_DEFAULT,
            max_quarantined_percent: QUARANTINED_PERCENT_DEFAULT,
            min_eligible: MIN_ELIGIBLE_DEFAULT,
            panic_percent: PANIC_PERCENT_DEFAULT,
        }
    }
}

impl HealthConfig {
    /// Sets how many failures in a row begin a quarantine, at least 1. A higher number forgives
    /// single lost requests and sends more of them to a dead backend.
    #[must_use]
    pub fn with_threshold(mut self, failures: u16) -> Self {
        self.threshold = failures;
        self
    }

    /// Sets how long a quarantine lasts, 1 ms to 24 hours, always the same. It takes back an
    /// earlier [`with_back_off`](Self::with_back_off).
    #[must_use]
    pub fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self.window_max = window;
        self
    }

    /// Doubles the window with every quarantine that follows another without a success, from
    /// `first` up to `max`, at most 24 hours. A backend that stays dead then costs less and less,
    /// and is found again later.
    #[must_use]
    pub fn with_back_off(mut self, first: Duration, max: Duration) -> Self {
        self.window = first;
        self.window_max = max;
        self
    }

    /// Shortens each window by a part that is drawn between 0 and this one, 0 to 1, so that many
    /// clients do not come back to a backend at one moment. The draw depends on the seed, the
    /// backend and the time; give each client a seed of its own.
    #[must_use]
    pub fn with_jitter(mut self, part: f64, seed: u64) -> Self {
        self.jitter = part;
        self.seed = seed;
        self
    }

    /// Sets how many backends are remembered, at least 1. The default is 65,536.
    #[must_use]
    pub fn with_capacity(mut self, backends: usize) -> Self {
        self.capacity = backends;
        self
    }

    /// Sets which part of the listed backends may be in quarantine at the same time, 0 to 100 %, 10
    /// % by default. It is rounded down, but is at least one backend; 0 % allows no quarantine at
    /// all. A failure beyond it is forgotten no sooner: the backend is quarantined with its next
    /// failure, once there is room.
    ///
    /// The part is one of the backends that a [`Selector`](crate::Selector) has, or that
    /// [`LocalHealth::set_listed`](super::LocalHealth::set_listed) names; there is no bound without
    /// either.
    #[must_use]
    pub fn with_max_quarantined_percent(mut self, percent: u8) -> Self {
        self.max_quarantined_percent = percent;
        self
    }

    /// Sets how many of the listed backends are never in quarantine at the same time, whatever part
    /// may be; 1 by default.
    #[must_use]
    pub fn with_min_eligible(mut self, backends: usize) -> Self {
        self.min_eligible = backends;
        self
    }

    /// Sets the panic threshold, 0 to 100 %, 50 % by default: when a smaller part of the listed
    /// backends than this is out of quarantine, a [`Picker`](crate::Picker) picks as if none were
    /// in it, because what is left would not bear the load of all. 0 % never does. It takes a
    /// [bound](Self::with_max_quarantined_percent) above `100 - percent` to get there.
    #[must_use]
    pub fn with_panic_threshold_percent(mut self, percent: u8) -> Self {
        self.panic_percent = percent;
        self
    }

    pub(super) fn check(&self) -> Result<(), HealthConfigError> {
        let windows = Duration::from_millis(1)..=QUARANTINE_WINDOW_MAX;
        if self.threshold == 0 {
            return Err(HealthConfigError::ZeroThreshold);
        }
        if let Some(value) =
            [self.window, self.window_max].into_iter().find(|window| !windows.contains(window))
        {
            return Err(HealthConfigError::Window { value });
        }
        if self.window > self.window_max {
            return Err(HealthConfigError::BackOff { first: self.window, max: self.window_max });
        }
        // Not a number is in no range.
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(HealthConfigError::Jitter { value: self.jitter });
        }
        if self.capacity == 0 {
            return Err(HealthConfigError::ZeroCapacity);
        }
        for (field, value) in [
            ("max_quarantined_percent", self.max_quarantined_percent),
            ("panic_threshold_percent", self.panic_percent),
        ] {
            if value > 100 {
                return Err(HealthConfigError::Percent { field, value });
            }
        }
        Ok(())
    }
}

/// Why a [`HealthConfig`] is refused.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum HealthConfigError {
    /// Backends would be quarantined before they fail.
    #[error("threshold is 0; it must be at least 1 failure")]
    ZeroThreshold,
    /// A window is out of its range.
    #[error("a quarantine window is {value:?}; it must be 1 ms to 24 hours")]
    Window {
        /// The requested value.
        value: Duration,
    },
    /// The first window is longer than the longest.
    #[error("the first window {first:?} exceeds the longest {max:?}; swap or equal them")]
    BackOff {
        /// The first window.
        first: Duration,
        /// The longest window.
        max: Duration,
    },
    /// The jitter is no part of a window.
    #[error("jitter is {value}; it must be 0 to 1")]
    Jitter {
        /// The requested value.
        value: f64,
    },
    /// Nothing could be remembered.
    #[error("capacity is 0; it must be at least 1 backend")]
    ZeroCapacity,
    /// A part is more than the whole.
    #[error("{field} is {value}; it must be 0 to 100")]
    Percent {
        /// Which option.
        field: &'static str,
        /// The requested value.
        value: u8,
    },
}
