//! The deadlines of the machine.

use std::collections::BTreeSet;

use crate::membership::SlotId;
use crate::time::Instant;

/// The action at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The next protocol period begins.
    Period,
    /// The status of a member ends.
    Expiry(SlotId),
    /// The request with this number got no answer in time.
    Request(u64),
    /// A helper sends a nack. The number is that of its ping.
    Nack(u64),
    /// The next full sync with a random member begins.
    Sync,
    /// The next chance to ask discovery for hosts of other partitions.
    Discovery,
    /// The next round begins in which one member dials an address that is gone.
    Redial,
    /// The next round of joining begins.
    JoinRound,
    /// Joining has taken too long.
    JoinLimit,
    /// A vote for damping a member begins or ends.
    Vote(SlotId),
    /// A burst of changes is over.
    View,
    /// This member asks others to dial it.
    DialBack,
    /// The next newcomers are pinged.
    Newcomers,
    /// This member looks again at the list of a host that it has joined.
    SecondLook,
}

/// An ordered set of deadlines. The part that sets one remembers it and cancels it:
/// the set holds no stale ones.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    pub(crate) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(crate) fn cancel(&mut self, at: Instant, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let (at, _) = self.0.first()?;
        if *at > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains(&self, at: Instant, timer: Timer) -> bool {
        self.0.contains(&(at, timer))
    }
}
