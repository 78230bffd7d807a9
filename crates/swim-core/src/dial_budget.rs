//! The budget of requests to addresses that only a stranger named.
//!
//! A message may name any address. A member that is asked to dial it must not become a
//! tool for reaching third parties, nor keep state for each address.

use std::time::Duration;

use crate::limits::{STRANGER_DIAL_INTERVAL, STRANGER_DIALS_BURST};
use crate::time::Instant;

/// A rate with a burst, by the generic cell rate algorithm (ITU-T I.371): one
/// point in time instead of a count of tokens.
#[derive(Debug, Default)]
pub(crate) struct DialBudget {
    /// When the requests so far are paid for.
    paid: Instant,
}

impl DialBudget {
    /// Whether another request is within the budget; if so, it is charged.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.take_at(now, STRANGER_DIAL_INTERVAL, STRANGER_DIALS_BURST)
    }

    /// The same with another interval between requests and another burst.
    pub(crate) fn take_at(&mut self, now: Instant, interval: Duration, burst: u32) -> bool {
        let burst: Duration = interval * (burst - 1);
        if self.paid > now + burst {
            return false;
        }
        self.paid = self.paid.max(now) + interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_the_rate() {
        let mut budget = DialBudget::default();
        let now = Instant::from_start(Duration::from_secs(100));
        let taken = (0..1000).filter(|_| budget.take(now)).count();
        assert_eq!(taken, STRANGER_DIALS_BURST as usize);
        let later = now + STRANGER_DIAL_INTERVAL * 3;
        assert_eq!((0..1000).filter(|_| budget.take(later)).count(), 3);
        let much_later = later + Duration::from_secs(3600);
        let taken = (0..1000).filter(|_| budget.take(much_later)).count();
        assert_eq!(taken, STRANGER_DIALS_BURST as usize, "what is not used is not saved up");
    }
}
