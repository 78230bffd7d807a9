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
    /// Remembers a forgotten member. Returns whether the oldest had to go.
    pub(crate) fn dig(&mut self, address: Address, incarnation: u64) -> bool {
        if self.incarnations.insert(address.clone(), incarnation).is_none() {
            self.order.push_back(address);
        }
        let full = self.order.len() > GRAVES_MAX;
        if full && let Some(oldest) = self.order.pop_front() {
            self.incarnations.remove(&oldest);
        }
        full
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The last incarnation of a forgotten member.
    pub(crate) fn find(&self, address: &Address) -> Option<u64> {
        self.incarnations.get(address).copied()
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
    fn graves_keep_the_last_incarnation_and_are_bounded() {
        let address = |i: usize| Address::new(&format!("a:{i}")).unwrap();
        let mut graves = Graves::default();
        graves.dig(address(0), 5);
        assert_eq!(graves.find(&address(0)), Some(5));
        graves.dig(address(0), 7);
        assert_eq!(graves.find(&address(0)), Some(7));
        for i in 1..=GRAVES_MAX {
            assert_eq!(graves.dig(address(i), 1), i == GRAVES_MAX);
            graves.check();
        }
        assert_eq!(graves.find(&address(0)), None, "the oldest is gone");
        assert_eq!(graves.find(&address(GRAVES_MAX)), Some(1));
    }
}
