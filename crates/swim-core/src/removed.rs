//! The cache of removed members.
//!
//! Members remove a tombstone at different times, and some may have been paused all
//! the while. Without this cache the first stale "alive" would bring a removed
//! member back everywhere.

use std::collections::{BTreeMap, VecDeque};

use crate::address::Address;
use crate::limits::REMOVED_MEMBERS_MAX;

/// The last incarnation of each removed member. The oldest is dropped first.
#[derive(Debug, Default)]
pub(crate) struct RemovedMembers {
    incarnations: BTreeMap<Address, u64>,
    order: VecDeque<Address>,
}

impl RemovedMembers {
    /// Adds a removed member. Returns whether the oldest was dropped.
    pub(crate) fn insert(&mut self, address: Address, incarnation: u64) -> bool {
        if self.incarnations.insert(address.clone(), incarnation).is_none() {
            self.order.push_back(address);
        }
        let full = self.order.len() > REMOVED_MEMBERS_MAX;
        if full && let Some(oldest) = self.order.pop_front() {
            self.incarnations.remove(&oldest);
        }
        full
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The last incarnation of a removed member.
    pub(crate) fn find(&self, address: &Address) -> Option<u64> {
        self.incarnations.get(address).copied()
    }

    pub(crate) fn check(&self) {
        assert!(self.order.len() <= REMOVED_MEMBERS_MAX, "removed members are bounded");
        assert_eq!(self.order.len(), self.incarnations.len(), "each removed member once");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_members_keep_the_last_incarnation_and_are_bounded() {
        let address = |i: usize| Address::new(&format!("a:{i}")).unwrap();
        let mut removed = RemovedMembers::default();
        removed.insert(address(0), 5);
        assert_eq!(removed.find(&address(0)), Some(5));
        removed.insert(address(0), 7);
        assert_eq!(removed.find(&address(0)), Some(7));
        for i in 1..=REMOVED_MEMBERS_MAX {
            assert_eq!(removed.insert(address(i), 1), i == REMOVED_MEMBERS_MAX);
            removed.check();
        }
        assert_eq!(removed.find(&address(0)), None, "the oldest is gone");
        assert_eq!(removed.find(&address(REMOVED_MEMBERS_MAX)), Some(1));
    }
}
