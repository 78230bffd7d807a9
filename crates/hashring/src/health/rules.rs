//! The rules by which reports change the record of a backend.

use std::time::{Duration, Instant};

use twox_hash::XxHash3_64;

use super::{
    HealthConfig,
    cap::Cap,
    state::{State, UNTIL_MAX_MS},
};

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
