//! The commands of operators and tests.

use super::{CommandError, Node, State};
use crate::address::Address;
use crate::event::Cause;
use crate::member::Status;
use crate::time::Instant;

impl Node {
    /// Removes a member that is faulty or left: its tombstone is gossiped.
    ///
    /// # Errors
    ///
    /// When the member is unknown, or is neither faulty nor has left.
    pub fn reap(&mut self, now: Instant, address: &Address) -> Result<(), CommandError> {
        self.advance_to(now);
        match self.core.members.get(address).map(|member| member.status) {
            Some(Status::Faulty | Status::Leave) if *address != self.core.local => {
                self.core.spread_tombstone(address, Cause::Command);
                Ok(())
            }
            _ => Err(CommandError::NotGone(address.clone())),
        }
    }

    /// Removes all faulty members: their tombstones are gossiped. Returns how many
    /// there were.
    pub fn reap_faulty(&mut self, now: Instant) -> usize {
        self.advance_to(now);
        let faulty: Vec<Address> = self
            .core
            .members
            .iter()
            .filter(|member| member.status == Status::Faulty && member.address != self.core.local)
            .map(|member| member.address.clone())
            .collect();
        for address in &faulty {
            self.core.spread_tombstone(address, Cause::Command);
        }
        faulty.len()
    }

    /// Stops probing until [`resume`](Self::resume). The member still
    /// answers. For tests and operators.
    pub fn pause(&mut self, now: Instant) {
        self.advance_to(now);
        self.stop_routine();
    }

    /// Probes again after a [`pause`](Self::pause).
    pub fn resume(&mut self, now: Instant) {
        self.advance_to(now);
        if self.state == State::Ready && !self.routine.is_running() {
            self.start_routine();
        }
    }

    /// Probes one member now, paused or not. Returns whether there was one to
    /// probe.
    pub fn tick(&mut self, now: Instant) -> bool {
        self.advance_to(now);
        self.state == State::Ready && self.probes.start_next(&mut self.core)
    }

    /// Gives up a join that is under way; otherwise does nothing.
    pub fn cancel_join(&mut self, now: Instant) {
        self.advance_to(now);
        if self.state == State::Joining {
            self.join.abort(&mut self.core);
            self.state = State::Idle;
        }
    }
}
