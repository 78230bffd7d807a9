//! Keeps retries from becoming a storm: gRPC's retry throttling (proposal A6), for each destination
//! by itself.
//!
//! Retries of requests that were never executed are free, because they add no work where work
//! failed. All others cost the destination that failed a token each, ten calls that it answers earn
//! one back, and when half of its tokens are gone its failures are tried nowhere again until it
//! answers. A hedge costs the destination that is slow as much.

use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use crate::limits::PEERS_MAX;
use crate::resolver::Peer;

/// Parts of a token. Every answered call earns one.
const PARTS: u64 = 10;

/// The tokens of every destination.
#[derive(Debug)]
pub(crate) struct Budgets {
    /// Parts left, of the destinations that lack any.
    spent: DashMap<Box<str>, u64>,
    /// Length of `spent`, which is zero as a rule; then answers touch nothing that is shared.
    len: AtomicUsize,
    full: u64,
}

impl Budgets {
    /// Full budgets.
    pub(crate) fn new(tokens: u32) -> Self {
        let full = u64::from(tokens) * PARTS;
        Self { spent: DashMap::new(), len: AtomicUsize::new(0), full }
    }

    /// Earns `peer` a part of a token.
    pub(crate) fn on_answer(&self, peer: &Peer) {
        if self.len.load(Ordering::Relaxed) == 0 {
            return;
        }
        let Some(mut parts) = self.spent.get_mut(peer.address()) else { return };
        *parts += 1;
        let is_full = *parts >= self.full;
        drop(parts);
        if is_full {
            self.spent.remove_if(peer.address(), |_, parts| *parts >= self.full);
            self.count();
        }
    }

    /// Pays for a failure of `peer` that may have been executed, and says whether the call may be
    /// tried again.
    pub(crate) fn on_failure(&self, peer: &Peer) -> bool {
        if self.spent.len() >= PEERS_MAX {
            // Destinations that are gone never earn their tokens back. So many at once are no
            // cluster but a mistake, and forgetting them costs one more burst of retries.
            self.spent.clear();
        }
        let mut parts = self.spent.entry(peer.address().into()).or_insert(self.full);
        *parts = parts.saturating_sub(PARTS);
        let is_allowed = self.full > 0 && *parts >= self.full / 2;
        drop(parts);
        self.count();
        is_allowed
    }

    /// Pays for a second attempt beside one at `peer` that is slow, if its tokens allow. A slow
    /// answer is no failure, so it costs nothing when they do not.
    pub(crate) fn spend(&self, peer: &Peer) -> bool {
        self.affords(peer) && self.on_failure(peer)
    }

    /// Whether a failure of `peer` would be paid for.
    pub(crate) fn affords(&self, peer: &Peer) -> bool {
        let left = self.spent.get(peer.address()).map_or(self.full, |parts| *parts);
        self.full > 0 && left.saturating_sub(PARTS) >= self.full / 2
    }

    /// Forgets a destination that left.
    pub(crate) fn forget(&self, peer: &Peer) {
        self.spent.remove(peer.address());
        self.count();
    }

    fn count(&self) {
        self.len.store(self.spent.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::new(address).unwrap()
    }

    #[test]
    fn half_of_the_tokens_may_be_spent_in_a_burst_and_ten_answers_earn_one() {
        let (budgets, peer) = (Budgets::new(10), peer("a:1"));
        let allowed = (0..20).filter(|_| budgets.on_failure(&peer)).count();
        assert_eq!(allowed, 5);
        for _ in 0..59 {
            budgets.on_answer(&peer);
        }
        assert!(!budgets.on_failure(&peer));
        for _ in 0..11 {
            budgets.on_answer(&peer);
        }
        assert!(budgets.on_failure(&peer));
    }

    #[test]
    fn a_hedge_costs_as_much_as_a_failure_and_nothing_when_it_is_not_allowed() {
        let (budgets, peer) = (Budgets::new(10), peer("a:1"));
        let allowed = (0..20).filter(|_| budgets.spend(&peer)).count();
        assert_eq!(allowed, 5);
        for _ in 0..10 {
            budgets.on_answer(&peer);
        }
        assert!(budgets.spend(&peer), "what was not allowed was not paid for");
        assert!(!budgets.spend(&peer));
        assert!(!Budgets::new(0).spend(&peer));
    }

    #[test]
    fn each_destination_has_its_own() {
        let (budgets, bad, good) = (Budgets::new(2), peer("bad:1"), peer("good:1"));
        assert!(budgets.on_failure(&bad));
        assert!(!budgets.on_failure(&bad));
        for _ in 0..1000 {
            budgets.on_answer(&good);
        }
        assert!(!budgets.on_failure(&bad), "answers of others earn it nothing");
        assert!(budgets.on_failure(&good), "and its failures cost others nothing");
        budgets.forget(&bad);
        assert!(budgets.on_failure(&bad), "who comes back begins anew");
    }

    #[test]
    fn answers_do_not_save_up_more_than_the_budget() {
        let (budgets, peer) = (Budgets::new(2), peer("a:1"));
        budgets.on_failure(&peer);
        for _ in 0..100 {
            budgets.on_answer(&peer);
        }
        assert_eq!(budgets.len.load(Ordering::Relaxed), 0, "a full budget takes no memory");
        assert!(budgets.on_failure(&peer));
        assert!(!budgets.on_failure(&peer));
    }

    #[test]
    fn without_tokens_nothing_is_tried_again() {
        assert!(!Budgets::new(0).on_failure(&peer("a:1")));
    }

    #[test]
    fn destinations_are_bounded() {
        let budgets = Budgets::new(2);
        for host in 0..=PEERS_MAX {
            budgets.on_failure(&peer(&format!("h{host}:1")));
        }
        assert!(budgets.spent.len() <= PEERS_MAX);
    }
}
