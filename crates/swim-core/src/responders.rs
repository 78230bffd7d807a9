//! The members that answered this one last.
//!
//! Helpers are drawn from them first. After most members have died at once,
//! helpers drawn from the whole list would be dead like the target, and their
//! silence would tell nothing about it.

use std::collections::VecDeque;

use crate::address::Address;
use crate::limits::RESPONDERS_MAX;
use crate::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Responders {
    /// The latest one is last. A member that answers often may be there twice.
    recent: VecDeque<Address>,
    /// When a request of this member was last answered in time.
    last: Option<Instant>,
}

impl Responders {
    /// A member answered a request.
    pub(crate) fn answered(&mut self, from: &Address) {
        if self.recent.back() == Some(from) {
            return;
        }
        if self.recent.len() == RESPONDERS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(from.clone());
    }

    /// A member answered a request in time.
    pub(crate) fn answered_in_time(&mut self, now: Instant, from: &Address) {
        self.last = Some(now);
        self.answered(from);
    }

    /// A member did not answer a request.
    pub(crate) fn silent(&mut self, address: &Address) {
        self.recent.retain(|known| known != address);
    }

    /// Whether a request was answered in time at this time or later.
    pub(crate) fn since(&self, at: Instant) -> bool {
        self.last.is_some_and(|last| last >= at)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Address> {
        self.recent.iter()
    }

    pub(crate) fn check(&self) {
        assert!(self.recent.len() <= RESPONDERS_MAX, "responders are bounded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_stay_until_they_are_silent() {
        let address = |i: usize| Address::new(&format!("a:{i}")).unwrap();
        let mut responders = Responders::default();
        (0..=RESPONDERS_MAX).for_each(|i| responders.answered(&address(i)));
        responders.check();
        assert!(!responders.iter().any(|known| *known == address(0)));
        responders.silent(&address(3));
        assert_eq!(responders.iter().count(), RESPONDERS_MAX - 1);
        assert!(!responders.since(Instant::ZERO), "none was in time");
        responders.answered_in_time(Instant::ZERO, &address(3));
        assert!(responders.since(Instant::ZERO));
    }
}
