//! Second looks at the lists of the hosts that this member has joined.
//!
//! Of many members that start together, most join while their hosts know few of the others. They
//! would ping all those one by one that members name later (`core/newcomers.rs`). One list of a
//! host that discovery lists is believed wholly and tells as much.

use super::Node;
use crate::address::Address;
use crate::limits::{SECOND_LOOK_INTERVAL, SECOND_LOOK_NEWCOMERS_MIN, SECOND_LOOKS_MAX};
use crate::member::Member;
use crate::timers::Timer;

/// The hosts of the last join, and how often they are still looked at.
#[derive(Debug, Default)]
pub(super) struct SecondLooks {
    hosts: Vec<Address>,
    left: u32,
    /// How many newcomers had not answered at the last look.
    unreached: u64,
}

impl Node {
    /// Begins to look again at the lists of the hosts that were joined. Soon after the join they
    /// lead to the members that discovery means; later another process may have the address.
    pub(super) fn start_second_looks(&mut self, hosts: Vec<Address>) {
        if !self.core.config.verify_claims() {
            return;
        }
        let unreached = self.core.stats.newcomers_unreached;
        self.second_looks = SecondLooks { hosts, left: SECOND_LOOKS_MAX, unreached };
        self.arm_second_look();
    }

    /// Looks once more when there are more newcomers than are pinged at once, or one did not
    /// answer: it may be busy with those that start with it.
    pub(super) fn on_second_look_due(&mut self) {
        self.routine.second_look = None;
        let are_many = self.core.newcomers.held() >= SECOND_LOOK_NEWCOMERS_MIN;
        let unreached = self.core.stats.newcomers_unreached;
        let some_silent =
            std::mem::replace(&mut self.second_looks.unreached, unreached) < unreached;
        if let Some(host) = self.any_joined_host().filter(|_| are_many || some_silent) {
            self.syncs.look_again(&mut self.core, host);
        }
        self.second_looks.left -= 1;
        self.arm_second_look();
    }

    /// One of the hosts that were joined and are members.
    fn any_joined_host(&mut self) -> Option<Address> {
        let members = &self.core.members;
        let is_member = |host: &&Address| members.get(host).is_some_and(Member::is_reachable);
        let mut hosts: Vec<&Address> = self.second_looks.hosts.iter().filter(is_member).collect();
        let chosen = self.core.rng.below(hosts.len());
        (!hosts.is_empty()).then(|| hosts.swap_remove(chosen).clone())
    }

    fn arm_second_look(&mut self) {
        if self.second_looks.left == 0 || self.second_looks.hosts.is_empty() {
            self.second_looks = SecondLooks::default();
            return;
        }
        let at = self.arm_within(SECOND_LOOK_INTERVAL / 2, SECOND_LOOK_INTERVAL, Timer::SecondLook);
        self.routine.second_look = Some(at);
    }
}
