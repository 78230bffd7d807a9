//! What a ready member does by itself: probe, sync, look for other partitions.

use std::time::Duration;

use super::Node;
use crate::core::Core;
use crate::event::Event;
use crate::time::Instant;
use crate::timers::Timer;

/// When each recurring task is due, while the member does them.
#[derive(Debug, Default)]
pub(super) struct Routine {
    period: Option<Instant>,
    sync: Option<Instant>,
    heal: Option<Instant>,
}

impl Routine {
    pub(super) const fn is_running(&self) -> bool {
        self.period.is_some()
    }

    fn entries(&mut self) -> [(&mut Option<Instant>, Timer); 3] {
        [
            (&mut self.period, Timer::Period),
            (&mut self.sync, Timer::Sync),
            (&mut self.heal, Timer::Heal),
        ]
    }

    pub(super) fn check(&self, core: &Core) {
        let Self { period, sync, heal } = *self;
        for (at, timer) in [(period, Timer::Period), (sync, Timer::Sync), (heal, Timer::Heal)] {
            if let Some(at) = at {
                assert!(core.timers.contains(at, timer), "{timer:?} is armed");
            }
        }
    }
}

impl Node {
    /// Starts the recurring tasks. The first probe is at once, because that is
    /// how a member that has joined makes itself known; the others begin at
    /// random, so that members that start together do not act together.
    pub(super) fn start_routine(&mut self) {
        let (sync, heal) = (self.core.config.sync_period(), self.core.config.heal_period());
        self.on_period();
        self.routine.sync = Some(self.arm_within(sync, Timer::Sync));
        self.routine.heal = Some(self.arm_within(heal, Timer::Heal));
    }

    fn arm_within(&mut self, span: Duration, timer: Timer) -> Instant {
        let micros = usize::try_from(span.as_micros()).unwrap_or(usize::MAX);
        let at = self.core.now + Duration::from_micros(self.core.rng.below(micros) as u64);
        self.core.timers.set(at, timer);
        at
    }

    pub(super) fn stop_routine(&mut self) {
        for (at, timer) in self.routine.entries() {
            if let Some(at) = at.take() {
                self.core.timers.cancel(at, timer);
            }
        }
        self.probes.clear(&mut self.core);
        self.heal.abort(&mut self.core);
    }

    /// From now, not from when it was due: a driver that was held up does not
    /// make up for lost periods with a burst.
    fn arm_after(&mut self, delay: Duration, timer: Timer) -> Option<Instant> {
        let at = self.core.now + delay;
        self.core.timers.set(at, timer);
        Some(at)
    }

    /// A driver that is a little late each time must not make this member miss
    /// rounds: up to half a period is made up for.
    pub(super) fn on_period(&mut self) {
        let late = self.routine.period.map_or(Duration::ZERO, |due| self.core.now - due);
        self.probes.start_next(&mut self.core);
        let period = self.probes.period(&self.core);
        let early = late.min(self.core.config.protocol_period() / 2);
        self.routine.period = self.arm_after(period - early, Timer::Period);
    }

    /// From now on the first difference that a ping shows is synced, whatever
    /// gossip has to say: the backstop for what gossip missed. While views are
    /// equal it costs nothing.
    pub(super) fn on_sync_due(&mut self) {
        self.backstop_due = true;
        self.routine.sync = self.arm_after(self.core.config.sync_period(), Timer::Sync);
    }

    /// The members of a cluster together look `heal_probability_base` times in
    /// each period, however many they are.
    pub(super) fn on_heal_due(&mut self) {
        let members = self.core.others() + 1;
        let base = self.core.config.heal_probability_base() as usize;
        if self.core.rng.below(members) < base {
            self.core.event(Event::HealWanted);
        }
        self.routine.heal = self.arm_after(self.core.config.heal_period(), Timer::Heal);
    }
}
