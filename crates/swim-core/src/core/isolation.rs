//! Whether this member is cut off from its cluster.
//!
//! A member that is cut off finds the others faulty one by one, and late: no other
//! confirms its suspicions. But it notices at once that no messages arrive.

use std::time::Duration;

use crate::core::Core;
use crate::event::{Event, Isolation};
use crate::limits::{LOSS_WINDOW, UNANSWERED_MIN};
use crate::member::{Member, Status};
use crate::time::Instant;

/// The signs of contact with the others.
#[derive(Debug, Default)]
pub(crate) struct IsolationWatch {
    isolation: Isolation,
    /// When a message of a member last arrived.
    heard: Instant,
    /// Requests in a row since then that got no answer.
    unanswered: u32,
    /// Members that turned faulty in the present window, and in the one before.
    lost: [usize; 2],
    /// When the present window began.
    window: Instant,
    /// Members that were lost when isolation became [`Isolation::Partial`].
    reduced_by: usize,
}

impl IsolationWatch {
    /// Begins to watch, without signs so far.
    pub(crate) fn start(&mut self, now: Instant) {
        *self = Self { isolation: self.isolation, heard: now, window: now, ..Self::default() };
    }

    pub(crate) const fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// A message of a member arrived.
    pub(crate) fn on_message(&mut self, now: Instant) {
        self.heard = now;
        self.unanswered = 0;
    }

    /// A request got no answer.
    pub(crate) fn on_no_answer(&mut self) {
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// The status of a member changed. A member that announces itself that it goes is
    /// not lost.
    pub(crate) fn on_change(&mut self, before: &Member, after: &Member, says_so_itself: bool) {
        if before.is_reachable() && after.status == Status::Faulty && !says_so_itself {
            self.lost[0] += 1;
        } else if before.status == Status::Faulty && after.is_reachable() {
            let [now, former] = &mut self.lost;
            let counted = if *now > 0 { now } else { former };
            *counted = counted.saturating_sub(1);
        }
    }

    const fn recently_lost(&self) -> usize {
        self.lost[0] + self.lost[1]
    }

    /// Whether anything suggests that isolation changes or ends.
    fn has_work(&self) -> bool {
        self.isolation != Isolation::None || self.unanswered > 0 || self.recently_lost() > 0
    }

    fn advance_window(&mut self, now: Instant) {
        if now - self.window >= LOSS_WINDOW {
            self.lost = [0, self.lost[0]];
            self.window = now;
        }
    }
}

impl Core {
    /// Updates the isolation and reports a change. Returns whether it changed.
    pub(crate) fn watch_isolation(&mut self) -> bool {
        self.isolation.advance_window(self.now);
        let (before, isolation) = (self.isolation.isolation, self.isolation_now());
        if isolation == before {
            return false;
        }
        let (others, lost) = (self.others(), self.isolation.recently_lost());
        self.isolation.isolation = isolation;
        self.isolation.reduced_by = lost;
        if before == Isolation::None {
            self.stats.isolated += 1;
        }
        self.event(Event::IsolationChanged { before, isolation, others, lost });
        true
    }

    /// Whether isolation has to be watched: not while all is quiet.
    pub(crate) fn may_be_isolated(&self) -> bool {
        self.isolation.has_work() || self.others() == 0
    }

    fn isolation_now(&self) -> Isolation {
        let IsolationWatch { isolation, heard, unanswered, reduced_by, .. } = self.isolation;
        let others = self.others();
        let silent = self.now - heard >= self.silence_max() && unanswered >= UNANSWERED_MIN;
        if others == 0 || silent {
            return Isolation::Alone;
        }
        let lost = match isolation {
            // Lasts until as many are back, or the lost ones are removed.
            Isolation::Partial => reduced_by.min(self.members.count(Status::Faulty)),
            _ => self.isolation.recently_lost(),
        };
        if lost > others { Isolation::Partial } else { Isolation::None }
    }

    /// A member without an answer for so long is alone: two probes in a row had all
    /// their time.
    fn silence_max(&self) -> Duration {
        2 * (self.config.ping_timeout() + self.config.ping_req_timeout())
    }
}
