//! One event for a burst of changes, as the view changes of Rapid (Suresh et
//! al., ATC 2018). An application that rebuilds something at each change does it
//! once when half of a rack goes down, and not at all when a member is back at once.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::core::Core;
use crate::core::VOTES_LABEL;
use crate::event::Event;
use crate::member::Member;
use crate::time::Instant;
use crate::timers::Timer;

/// The changes that were not reported yet.
#[derive(Debug, Default)]
pub(crate) struct Burst(Option<Open>);

#[derive(Debug)]
struct Open {
    since: Instant,
    due: Instant,
    changes: usize,
    /// Members that changed, as they were on the ring at the last report; `None` when
    /// they were not on it.
    former: BTreeMap<Address, Option<Member>>,
}

/// Whether the ring may have to change. Votes do not concern it.
fn differs(before: Option<&Member>, after: Option<&Member>) -> bool {
    let no_vote = |(key, _): &(&str, &str)| *key != VOTES_LABEL;
    match (before, after) {
        (Some(before), Some(after)) => {
            before.labels.iter().filter(no_vote).ne(after.labels.iter().filter(no_vote))
        }
        (before, after) => before.is_some() != after.is_some(),
    }
}

impl Core {
    /// A member as it is on the ring: `None` when it is not.
    pub(crate) fn on_ring(&self, address: &Address) -> Option<&Member> {
        let member = self.members.get(address).filter(|member| member.is_reachable());
        member.filter(|member| !self.ballots.is_damped(&member.address))
    }

    /// A member changed from `before` to `after`.
    pub(crate) fn on_ring_change(&mut self, before: Option<&Member>, after: Option<&Member>) {
        let Some(member) = after.or(before) else { return };
        let damped = self.ballots.is_damped(&member.address);
        let before = before.filter(|before| before.is_reachable() && !damped);
        self.record_ring_change(&member.address, before);
    }

    /// A member was on the ring like this before a change, and is as
    /// [`on_ring`](Self::on_ring) says after it.
    pub(crate) fn record_ring_change(&mut self, address: &Address, before: Option<&Member>) {
        let Some(coalescing) = self.config.coalescing() else { return };
        let now = self.now;
        if !differs(before, self.on_ring(address)) {
            return;
        }
        let fresh = || Open { since: now, due: now, changes: 0, former: BTreeMap::new() };
        let burst = self.burst.0.get_or_insert_with(fresh);
        burst.changes += 1;
        burst.former.entry(address.clone()).or_insert_with(|| before.cloned());
        let due = (now + coalescing.quiet).min(burst.since + coalescing.delay_max);
        let former = std::mem::replace(&mut burst.due, due);
        self.timers.cancel(former, Timer::View);
        self.timers.set(due, Timer::View);
    }

    /// Reports the changes since the last time, unless they cancelled each other out.
    pub(crate) fn announce_view(&mut self) {
        let Some(Open { due, changes, former, .. }) = self.burst.0.take() else { return };
        self.timers.cancel(due, Timer::View);
        let (mut joined, mut left, mut updated) = (Vec::new(), Vec::new(), Vec::new());
        for (address, before) in former {
            let after = self.on_ring(&address);
            match (&before, after) {
                (None, Some(_)) => joined.push(address),
                (Some(_), None) => left.push(address),
                (before, after) if differs(before.as_ref(), after) => updated.push(address),
                _ => {}
            }
        }
        if joined.is_empty() && left.is_empty() && updated.is_empty() {
            self.stats.view_changes_undone += 1;
            return;
        }
        self.stats.view_changes += 1;
        let checksum = self.members.checksum();
        self.event(Event::ViewChanged { joined, left, updated, changes, checksum });
    }

    /// See [`Node::check_invariants`](crate::Node::check_invariants).
    pub(crate) fn check_burst(&self) {
        let Some(Open { since, due, former, .. }) = &self.burst.0 else { return };
        assert!(self.timers.contains(*due, Timer::View), "the end of the burst is armed");
        let delay_max = self.config.coalescing().map(|coalescing| coalescing.delay_max);
        assert!(delay_max.is_some_and(|delay_max| *due <= *since + delay_max), "and bounded");
        assert!(!former.is_empty(), "a burst has changes");
        let unknown = former.iter().filter(|(address, _)| self.members.find(address).is_none());
        assert!(unknown.clone().count() <= self.config.members_max(), "a burst is bounded");
    }
}
