//! The state of the machine, read only.

use std::sync::Arc;
use std::time::Duration;

use super::{Node, State};
use crate::address::Address;
use crate::config::Config;
use crate::member::{Member, Status};
use crate::stats::Stats;
use crate::time::Instant;

/// Why a member is suspect, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuspicionState<'a> {
    /// When the suspicion began.
    pub since: Instant,
    /// The members that suspect it on their own evidence, as far as known.
    pub accusers: &'a [Address],
    /// When the member becomes faulty, unless it refutes or more accusers confirm it.
    pub deadline: Option<Instant>,
}

impl Node {
    /// Where the machine is in its life.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Name of the application.
    #[must_use]
    pub const fn app(&self) -> &Arc<str> {
        &self.core.app
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.core.config
    }

    /// This member.
    #[must_use]
    pub fn local(&self) -> &Member {
        self.core.local_member()
    }

    /// A member by its address, this one included; `None` when it is unknown.
    #[must_use]
    pub fn member(&self, address: &Address) -> Option<&Member> {
        self.core.members.get(address)
    }

    /// All known members, this one included, in no particular order.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.core.members.iter()
    }

    /// Number of known members, this one included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.members.len()
    }

    /// Number of known members of a status, this one included. Costs nothing.
    #[must_use]
    pub const fn count(&self, status: Status) -> usize {
        self.core.members.count(status)
    }

    /// Always `false`: a member knows itself.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.core.members.len() == 0
    }

    /// A 64-bit sum over all members but tombstones. Two members with equal
    /// checksums have the same view, but for a chance of 2^-64. Costs nothing:
    /// the sum is kept up to date, O(1) for each change. With a
    /// [`Dialect`](crate::Dialect) it is the dialect's checksum.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        self.core.members.checksum()
    }

    /// Lifeguard's local health: 0 when this member is well; each step
    /// stretches its probes by their base duration.
    #[must_use]
    pub const fn health_score(&self) -> u32 {
        self.core.awareness.score()
    }

    /// The current time from one probe to the next: the configured period, stretched
    /// by local health or slow probes.
    #[must_use]
    pub fn protocol_period(&self) -> Duration {
        self.probes.period(&self.core)
    }

    /// Whether this member was told to stop probing ([`pause`](Self::pause)).
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        matches!(self.state, State::Ready) && !self.routine.is_running()
    }

    /// The suspicion of a member; `None` when it is not suspect.
    #[must_use]
    pub fn suspicion(&self, address: &Address) -> Option<SuspicionState<'_>> {
        let slot = self.core.members.find(address)?;
        let suspicion = self.core.members.suspicion(slot)?;
        let watch = self.core.members.watch(slot)?;
        Some(SuspicionState {
            since: suspicion.started,
            accusers: &suspicion.accusers,
            deadline: watch.expiry,
        })
    }

    /// Whether others took this member for faulty and none has reached it since
    /// (see [`Event::Unreachable`](crate::Event::Unreachable)). It is off the ring then.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        self.core.contact.is_unreachable()
    }

    /// Number of changes that still have to be spread.
    #[must_use]
    pub fn pending_changes(&self) -> usize {
        self.core.gossip.len()
    }

    /// Number of armed deadlines.
    #[must_use]
    pub fn pending_timers(&self) -> usize {
        self.core.timers.len()
    }

    /// The counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// Checks every sum, index and bound; for tests and simulators. O(members).
    ///
    /// # Panics
    ///
    /// When one is wrong, which is a bug of this crate.
    pub fn check_invariants(&self) {
        self.core.check();
        self.probes.check(&self.core);
        self.relays.check(&self.core);
        self.syncs.check(&self.core);
        self.routine.check(&self.core);
        self.heal.check(&self.core);
        self.dial_back.check(&self.core);
        self.redial.check();
        assert!(
            !self.routine.is_running() || self.state == State::Ready,
            "a member probes only while it is ready"
        );
    }
}
