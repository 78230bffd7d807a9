//! The record of one backend, in 64 bits, and the rule by which a failure changes it.

use std::time::{Duration, Instant};

use twox_hash::XxHash3_64;

use super::{HealthConfig, cap::Cap};

/// The record of a backend. It fits one atomic word, so a report can never be seen by half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Milliseconds since the start at which the last quarantine ends; 0 if there was none since
    /// the last success.
    until_ms: u64,
    /// Quarantines since the last success.
    quarantines: u8,
    /// Failures in a row that count towards the next quarantine.
    failures: u16,
}

/// 34 years of milliseconds.
const UNTIL_BITS: u32 = 40;
const UNTIL_MAX_MS: u64 = (1 << UNTIL_BITS) - 1;

impl State {
    /// No failure since the last success.
    pub(crate) const CLEAN: Self = Self { until_ms: 0, quarantines: 0, failures: 0 };

    pub(crate) const fn pack(self) -> u64 {
        self.until_ms
            | (self.quarantines as u64) << UNTIL_BITS
            | (self.failures as u64) << (UNTIL_BITS + u8::BITS)
    }

    pub(crate) const fn unpack(packed: u64) -> Self {
        Self {
            until_ms: packed & UNTIL_MAX_MS,
            quarantines: (packed >> UNTIL_BITS) as u8,
            failures: (packed >> (UNTIL_BITS + u8::BITS)) as u16,
        }
    }

    pub(crate) fn until_ms(self) -> u64 {
        self.until_ms
    }

    pub(crate) fn is_quarantined(self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }
}

/// How states change.
#[derive(Debug)]
pub(crate) struct Rules {
    start: Instant,
    threshold: u16,
    window_ms: u64,
    window_max_ms: u64,
    jitter: f64,
    seed: u64,
    cap: Cap,
}

impl Rules {
    pub(super) fn new(config: &HealthConfig, start: Instant) -> Self {
        Self {
            start,
            threshold: config.threshold,
            window_ms: whole_millis(config.window),
            window_max_ms: whole_millis(config.window_max),
            jitter: config.jitter,
            seed: config.seed,
            cap: Cap::new(config),
        }
    }

    /// The bound on all quarantines together.
    pub(crate) fn cap(&self) -> &Cap {
        &self.cap
    }

    /// A number that differs between backends.
    pub(super) fn salt(id: &str) -> u64 {
        XxHash3_64::oneshot(id.as_bytes())
    }

    /// A time as milliseconds since the start.
    pub(crate) fn millis(&self, now: Instant) -> u64 {
        whole_millis(now.saturating_duration_since(self.start)).min(UNTIL_MAX_MS)
    }

    /// The state after a failure, and the window of the quarantine if the failure begins one.
    pub(super) fn after_failure(
        &self,
        state: State,
        now_ms: u64,
        salt: u64,
    ) -> (State, Option<u64>) {
        if state.is_quarantined(now_ms) {
            return (state, None);
        }
        let failures = state.failures.saturating_add(1);
        // After a quarantine the backend is on probation: it has to succeed before it may fail
        // several times again.
        let on_probation = state.quarantines > 0;
        if !on_probation && failures < self.threshold {
            return (State { failures, ..state }, None);
        }
        let window_ms = self.window_ms(state.quarantines, now_ms, salt);
        let next = State {
            until_ms: (now_ms + window_ms).min(UNTIL_MAX_MS),
            quarantines: state.quarantines.saturating_add(1),
            failures: 0,
        };
        (next, Some(window_ms))
    }

    /// The state after a failure that would begin a quarantine if one more were allowed: the next
    /// failure asks again.
    pub(super) fn after_withheld(state: State) -> State {
        State { failures: state.failures.saturating_add(1), ..state }
    }

    fn window_ms(&self, quarantines: u8, now_ms: u64, salt: u64) -> u64 {
        let doubled = self
            .window_ms
            .saturating_mul(1_u64.checked_shl(quarantines.into()).unwrap_or(u64::MAX));
        let window_ms = doubled.min(self.window_max_ms);
        let draw = XxHash3_64::oneshot(&[self.seed, salt, now_ms].map(u64::to_le_bytes).concat());
        let part = self.jitter * (draw as f64 / u64::MAX as f64);
        ((window_ms as f64 * (1.0 - part)).ceil() as u64).clamp(1, window_ms)
    }
}

/// Rounded up, so that no quarantine is shorter than it should be.
fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
