//! Keeps retries from becoming a storm: gRPC's retry throttling (proposal A6).
//!
//! Retries of what was never executed are free, because they add no work where work failed. All others cost a token each,
//! ten answered calls earn one back, and when half of the tokens are gone nothing is tried again until calls succeed.

use std::sync::atomic::{AtomicU64, Ordering};

/// Parts of a token. Every answered call earns one.
const PARTS: u64 = 10;

/// The tokens of one forwarder.
#[derive(Debug)]
pub(crate) struct Budget {
    parts: AtomicU64,
    max: u64,
}

impl Budget {
    /// A full budget.
    pub(crate) fn new(tokens: u32) -> Self {
        let max = u64::from(tokens) * PARTS;
        Self { parts: AtomicU64::new(max), max }
    }

    /// Earns a part of a token.
    pub(crate) fn on_answer(&self) {
        // A full budget is the rule, and then a read is all that the calls of a process contend for.
        if self.parts.load(Ordering::Relaxed) < self.max {
            let _ = self.change(|parts| (parts + 1).min(self.max));
        }
    }

    /// Pays for a failure that may have been executed, and says whether the call may be tried again.
    pub(crate) fn on_failure(&self) -> bool {
        let before = self.change(|parts| parts.saturating_sub(PARTS));
        before.saturating_sub(PARTS) >= self.max / 2 && self.max > 0
    }

    fn change(&self, change: impl Fn(u64) -> u64) -> u64 {
        let changed = self
            .parts
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |parts| Some(change(parts)));
        changed.unwrap_or_else(|unchanged| unchanged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_tokens_may_be_spent_in_a_burst_and_ten_answers_earn_one() {
        let budget = Budget::new(10);
        let allowed = (0..20).filter(|_| budget.on_failure()).count();
        assert_eq!(allowed, 5);
        for _ in 0..59 {
            budget.on_answer();
        }
        assert!(!budget.on_failure());
        for _ in 0..11 {
            budget.on_answer();
        }
        assert!(budget.on_failure());
    }

    #[test]
    fn answers_do_not_save_up_more_than_the_budget() {
        let budget = Budget::new(2);
        for _ in 0..100 {
            budget.on_answer();
        }
        assert!(budget.on_failure());
        assert!(!budget.on_failure());
    }

    #[test]
    fn without_tokens_nothing_is_tried_again() {
        assert!(!Budget::new(0).on_failure());
    }
}
