//! The recurring tasks of a ready member: probe, sync, ask discovery, dial members
//! that are gone.

use std::time::Duration;

use super::Node;
use crate::core::Core;
use crate::event::Event;
use crate::event::Isolation;
use crate::limits::DIAL_ROUND;
use crate::time::Instant;
use crate::timers::Timer;

/// When each recurring task is due, while the member does them.
#[derive(Debug, Default)]
pub(super) struct Routine {
    period: Option<Instant>,
    sync: Option<Instant>,
    discovery: Option<Instant>,
    redial: Option<Instant>,
    pub(super) second_look: Option<Instant>,
    /// How long a member that is alone waited before it last asked discovery.
    lone_delay: Duration,
}

impl Routine {
    pub(super) const fn is_running(&self) -> bool {
        self.period.is_some()
    }

    fn entries(&mut self) -> [(&mut Option<Instant>, Timer); 5] {
        [
            (&mut self.period, Timer::Period),
            (&mut self.sync, Timer::Sync),
            (&mut self.discovery, Timer::Discovery),
            (&mut self.redial, Timer::Redial),
            (&mut self.second_look, Timer::SecondLook),
        ]
    }

    pub(super) fn check(&self, core: &Core) {
        let entries = [
            (self.period, Timer::Period),
            (self.sync, Timer::Sync),
            (self.discovery, Timer::Discovery),
            (self.redial, Timer::Redial),
            (self.second_look, Timer::SecondLook),
        ];
        for (at, timer) in entries {
            if let Some(at) = at {
                assert!(core.timers.contains(at, timer), "{timer:?} is armed");
            }
        }
    }
}

impl Node {
    /// Starts the recurring tasks. The first probe is at once, because it makes a
    /// member that has joined known to others. The other tasks begin at random:
    /// members that start together should not act together. Discovery is asked a
    /// period later still: it was for the join.
    pub(super) fn start_routine(&mut self) {
        let (sync, heal) = (self.core.config.sync_period(), self.core.config.heal_period());
        self.core.isolation.start(self.core.now);
        self.on_period();
        self.routine.sync = Some(self.arm_within(Duration::ZERO, sync, Timer::Sync));
        self.routine.discovery = Some(self.arm_within(heal, heal, Timer::Discovery));
        self.redial.start(&self.core);
        self.on_redial_due();
    }

    /// At a random time within `span` from `earliest` on.
    pub(super) fn arm_within(
        &mut self,
        earliest: Duration,
        span: Duration,
        timer: Timer,
    ) -> Instant {
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

    /// Brings recurring tasks forward to the new spans. None is postponed: a driver
    /// that changes settings often does not stop them.
    pub(super) fn rearm_routine(&mut self) {
        let config = &self.core.config;
        let period = self.probes.period(&self.core);
        let spans = [period, config.sync_period(), config.heal_period(), DIAL_ROUND];
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
        if self.routine.redial.is_none() {
            self.arm_redial();
        }
    }

    /// From now on the first difference that a ping shows leads to a full sync,
    /// whatever gossip still has to send: the backstop for changes that gossip missed.
    /// While views are equal it costs nothing. Debug builds check the invariants at
    /// this time, too.
    pub(super) fn on_sync_due(&mut self) {
        self.backstop_due = true;
        self.routine.sync = self.arm_after(self.core.config.sync_period(), Timer::Sync);
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
    }

    /// The members of a cluster together ask `heal_probability_base` times in
    /// each period, however many they are. A member that is alone shares the work with
    /// no other.
    pub(super) fn on_discovery_due(&mut self) {
        let members = self.core.others() + 1;
        let base = self.core.config.heal_probability_base() as usize;
        let lone = self.core.isolation.isolation() == Isolation::Alone;
        if (lone && base > 0) || self.core.rng.below(members) < base {
            self.core.event(Event::HealWanted);
        }
        if lone {
            self.ask_discovery_soon();
        } else {
            let delay = self.core.config.heal_period();
            self.routine.discovery = self.arm_after(delay, Timer::Discovery);
        }
    }

    /// A member that is alone asks again and again: two such members that discovery
    /// lists to each other meet at once. The pauses grow up to `redial_period`, and
    /// the later half of each is drawn at random.
    fn ask_discovery_soon(&mut self) {
        let longest = self.core.config.redial_period();
        let delay = (self.routine.lone_delay * 2).clamp(longest / 3, longest);
        self.routine.lone_delay = delay;
        self.routine.discovery = Some(self.arm_within(delay / 2, delay / 2, Timer::Discovery));
    }

    /// A round begins in which one of the members dials an address that is gone.
    /// Rounds are those of the wall clock, which members share.
    pub(super) fn on_redial_due(&mut self) {
        if self.core.watch_isolation() && self.core.isolation.isolation() == Isolation::Alone {
            if let Some(at) = self.routine.discovery.take() {
                self.core.timers.cancel(at, Timer::Discovery);
            }
            self.routine.lone_delay = Duration::ZERO;
            self.ask_discovery_soon();
        }
        self.redial.on_round(&mut self.core, &mut self.heal);
        self.arm_redial();
    }

    /// When the next round begins, if there is anything to do in it. In a quiet
    /// cluster there is not; each period looks again.
    fn arm_redial(&mut self) {
        self.routine.redial = None;
        if self.redial.has_work(&self.core) || self.core.may_be_isolated() {
            let round_ms = DIAL_ROUND.as_millis() as u64;
            let rest = Duration::from_millis(round_ms - self.core.unix_ms() % round_ms);
            self.routine.redial = self.arm_after(rest, Timer::Redial);
        }
    }
}
