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
    /// random, so that members that start together do not act together. Healing
    /// begins a period later still: hosts that are not reachable at the start
    /// are starting themselves.
    pub(super) fn start_routine(&mut self) {
        let (sync, heal) = (self.core.config.sync_period(), self.core.config.heal_period());
        self.on_period();
        self.routine.sync = Some(self.arm_within(Duration::ZERO, sync, Timer::Sync));
        self.routine.heal = Some(self.arm_within(heal, heal, Timer::Heal));
    }

    /// At a random time within `span` from `earliest` on.
    fn arm_within(&mut self, earliest: Duration, span: Duration, timer: Timer) -> Instant {
        let micros = usize::try_from(span.as_micros()).unwrap_or(usize::MAX);
        let extra = Duration::from_micros(self.core.rng.below(micros) as u64);
        let at = self.core.now + earliest + extra;
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

    /// What recurs comes after the new spans at the latest. Nothing is put off,
    /// so that a driver that changes settings often does not stop it.
    pub(super) fn rearm_routine(&mut self) {
        let config = &self.core.config;
        let period = self.probes.period(&self.core);
        let spans = [period, config.sync_period(), config.heal_period()];
        for ((at, timer), span) in self.routine.entries().into_iter().zip(spans) {
            let latest = self.core.now + span;
            if let Some(at) = at
                && *at > latest
            {
                self.core.timers.cancel(*at, timer);
                self.core.timers.set(latest, timer);
                *at = latest;
            }
        }
    }

    /// A driver that is a little late each time must not make this member miss
    /// rounds: up to half a period is made up for.
    pub(super) fn on_period(&mut self) {
        let late = self.routine.period.map_or(Duration::ZERO, |due| self.core.now - due);
        self.core.doubt_contact();
        self.probes.start_period(&mut self.core);
        let period = self.probes.period(&self.core);
        let early = late.min(self.core.config.protocol_period() / 2);
        self.routine.period = self.arm_after(period - early, Timer::Period);
    }

    /// From now on the first difference that a ping shows is synced, whatever
    /// gossip has to say: the backstop for what gossip missed. While views are
    /// equal it costs nothing. In debug builds it is also the time to sweep
    /// over the invariants.
    pub(super) fn on_sync_due(&mut self) {
        self.backstop_due = true;
        self.routine.sync = self.arm_after(self.core.config.sync_period(), Timer::Sync);
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
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
