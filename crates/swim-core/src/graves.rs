//! Members that were forgotten, remembered for a while.
//!
//! Members forget a tombstone at different times, and some may have slept
//! through all of it. Without a memory, the first stale "alive" would bring a
//! forgotten member back everywhere.

use std::collections::{BTreeMap, VecDeque};

use crate::address::Address;
use crate::limits::GRAVES_MAX;

/// The last incarnation of each forgotten member, the oldest first to go.
#[derive(Debug, Default)]
pub(crate) struct Graves {
    incarnations: BTreeMap<Address, u64>,
    order: VecDeque<Address>,
}

impl Graves {
    pub(crate) fn dig(&mut self, address: Address, incarnation: u64) {
        if self.incarnations.insert(address.clone(), incarnation).is_none() {
            self.order.push_back(address);
        }
        if self.order.len() > GRAVES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.incarnations.remove(&oldest);
        }
    }

    /// The last incarnation of a forgotten member.
    pub(crate) fn find(&self, address: &Address) -> Option<u64> {
        self.incarnations.get(address).copied()
    }

    /// Whether a statement about an unknown member is no newer than its grave.
    pub(crate) fn covers(&self, address: &Address, incarnation: u64) -> bool {
        self.find(address).is_some_and(|buried| incarnation <= buried)
    }

    pub(crate) fn check(&self) {
        assert!(self.order.len() <= GRAVES_MAX, "graves are bounded");
        assert_eq!(self.order.len(), self.incarnations.len(), "each grave once");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graves_cover_what_is_not_newer_and_are_bounded() {
        let address = |i: usize| Address::new(&format!("a:{i}")).unwrap();
        let mut graves = Graves::default();
        graves.dig(address(0), 5);
        assert!(graves.covers(&address(0), 5));
        assert!(!graves.covers(&address(0), 6));
        graves.dig(address(0), 7);
        assert!(graves.covers(&address(0), 6));
        for i in 1..=GRAVES_MAX {
            graves.dig(address(i), 1);
            graves.check();
        }
        assert!(!graves.covers(&address(0), 1), "the oldest is gone");
        assert!(graves.covers(&address(GRAVES_MAX), 1));
    }
}
