//! The wall clock of this member, and how far the clocks of others are from it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use swim_core::{Address, Instant};
use tokio::time::Instant as Clock;

use crate::clock::unix_time;
use crate::limits::PEER_CLOCKS_MAX;

/// The clock of this member and of those that were compared with it.
///
/// A clock is read once, at the start of its process, and goes on by the monotonic clock: setting
/// the wall clock of a machine moves no switch that is agreed on.
#[derive(Debug)]
pub(crate) struct PeerClocks {
    /// The time that the membership machine calls zero.
    zero: Clock,
    /// What the clock shows then, in microseconds of the Unix epoch.
    zero_us: i64,
    /// How far others are ahead, in microseconds.
    ahead_us: Mutex<HashMap<Address, i64>>,
}

impl PeerClocks {
    /// The clocks of a member whose machine began at `zero`.
    pub(crate) fn new(zero: Clock) -> Self {
        let now_us = i64::try_from(unix_time().as_micros()).unwrap_or(i64::MAX);
        let since_zero = i64::try_from(zero.elapsed().as_micros()).unwrap_or(0);
        Self { zero, zero_us: now_us.saturating_sub(since_zero), ahead_us: Mutex::default() }
    }

    /// The same, wrong by so much, for tests.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) const fn skewed(mut self, ahead_us: i64) -> Self {
        self.zero_us = self.zero_us.saturating_add(ahead_us);
        self
    }

    /// The time of the membership machine.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_start(self.zero.elapsed())
    }

    /// What the clock of this member shows, in microseconds of the Unix epoch.
    pub(crate) fn now_us(&self) -> i64 {
        self.at_us(self.now())
    }

    /// The same in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.now_us() / 1000).unwrap_or(0)
    }

    fn at_us(&self, now: Instant) -> i64 {
        let since_zero = i64::try_from(now.since_start().as_micros()).unwrap_or(i64::MAX);
        self.zero_us.saturating_add(since_zero)
    }

    /// What the clock of a member shows. One that was never compared counts as right.
    pub(crate) fn now_us_of(&self, address: &Address, now: Instant) -> i64 {
        let ahead_us = self.lock().get(address).copied().unwrap_or(0);
        self.at_us(now).saturating_add(ahead_us)
    }

    /// When the clock of this member shows a time in milliseconds.
    pub(crate) fn when(&self, at_ms: u64) -> Clock {
        let at_us = i64::try_from(at_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        let wait_us = at_us.saturating_sub(self.now_us());
        Clock::now() + std::time::Duration::from_micros(u64::try_from(wait_us).unwrap_or(0))
    }

    /// Notes how far the clock of a member is ahead of this one.
    pub(crate) fn compare(&self, address: &Address, ahead_us: i64) {
        let mut known = self.lock();
        if known.len() >= PEER_CLOCKS_MAX && !known.contains_key(address) {
            // Only those that plan a change now are needed.
            known.clear();
        }
        known.insert(address.clone(), ahead_us);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, i64>> {
        self.ahead_us.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two readings at either end of a round trip, in microseconds: the request left, came, was
/// answered, and the answer came (RFC 5905, section 8).
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoundTrip {
    pub(crate) sent: i64,
    pub(crate) received: i64,
    pub(crate) answered: i64,
    pub(crate) returned: i64,
}

impl RoundTrip {
    /// How far the other clock is ahead. Wrong by half of [`time_us`](Self::time_us) at most.
    pub(crate) const fn ahead_us(self) -> i64 {
        let there = self.received.saturating_sub(self.sent);
        let back = self.answered.saturating_sub(self.returned);
        there.saturating_add(back) / 2
    }

    /// The time on the way, there and back.
    pub(crate) const fn time_us(self) -> i64 {
        let whole = self.returned.saturating_sub(self.sent);
        let held = self.answered.saturating_sub(self.received);
        let time = whole.saturating_sub(held);
        if time < 0 { 0 } else { time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_tells_the_other_clock_within_half_of_its_time() {
        // 300 µs there, 100 µs back, held for 5,000 µs, and the other clock is 1,000 µs behind.
        for ahead in [-1000, 0, 250_000] {
            let trip = RoundTrip {
                sent: 10_000,
                received: 10_300 + ahead,
                answered: 15_300 + ahead,
                returned: 15_400,
            };
            assert_eq!(trip.time_us(), 400);
            let error = (trip.ahead_us() - ahead).abs();
            assert!(error <= trip.time_us() / 2, "{error}");
        }
        let absurd = RoundTrip { sent: 0, received: i64::MAX, answered: i64::MIN, returned: 5 };
        assert!(absurd.time_us() >= 0, "what others claim does not overflow");
    }

    #[tokio::test]
    async fn compared_clocks_are_bounded_and_others_count_as_right() {
        let clocks = PeerClocks::new(Clock::now());
        let address = |i: usize| Address::new(&format!("10.0.0.1:{}", i + 1)).unwrap();
        let now = clocks.now();
        let own = clocks.now_us_of(&address(0), now);
        clocks.compare(&address(1), -7);
        assert_eq!(clocks.now_us_of(&address(1), now), own - 7);
        for i in 0..2 * PEER_CLOCKS_MAX {
            clocks.compare(&address(i), 1);
        }
        assert!(clocks.lock().len() <= PEER_CLOCKS_MAX);
    }
}
