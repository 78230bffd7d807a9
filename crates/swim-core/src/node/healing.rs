//! The commands about members that are gone.

use super::{CommandError, Node, State};
use crate::address::Address;
use crate::event::Isolation;
use crate::time::Instant;

impl Node {
    /// Passes the current list of discovery to the machine: the answer to
    /// [`Event::HealWanted`](crate::Event::HealWanted), and useful whenever the list
    /// changes. Listed hosts that are not reachable here are dialled from time to time
    /// for as long as they are listed: by one member of the cluster after the other,
    /// at most one host a second. Hosts that were not listed before are dialled at
    /// once. A host of another partition that answers is merged with this one. Until
    /// the first call the peers of [`join`](Self::join) count as listed.
    ///
    /// # Errors
    ///
    /// When this member has not joined, or has left.
    pub fn discovered(&mut self, now: Instant, hosts: Vec<Address>) -> Result<(), CommandError> {
        self.advance_to(now);
        self.check_inside("look for hosts that discovery lists")?;
        if self.core.config.heal_probability_base() > 0 {
            self.redial.on_listed(&mut self.core, &mut self.heal, hosts);
        }
        Ok(())
    }

    /// Heals now: compares member lists with those `hosts` that are not reachable
    /// here, one after the other, and merges the partitions.
    /// [`Event::HealEnded`](crate::Event::HealEnded) reports the result. Two healings
    /// may be needed: one after which the members that the other side would lose
    /// refute, and one that merges. Does nothing while such a healing is under way.
    ///
    /// # Errors
    ///
    /// When this member has not joined, or has left.
    pub fn heal(&mut self, now: Instant, hosts: Vec<Address>) -> Result<(), CommandError> {
        self.advance_to(now);
        self.check_inside("heal partitions")?;
        self.heal.start(&mut self.core, hosts);
        Ok(())
    }

    /// Refuses a command that only a member of the cluster can follow.
    const fn check_inside(&self, action: &'static str) -> Result<(), CommandError> {
        match self.state {
            State::Ready => Ok(()),
            State::Idle | State::Joining => Err(CommandError::Outside { action, has_left: false }),
            State::Leaving | State::Left => Err(CommandError::Outside { action, has_left: true }),
        }
    }

    /// Whether this member is cut off from its cluster, as far as it can tell.
    #[must_use]
    pub const fn isolation(&self) -> Isolation {
        self.core.isolation.isolation()
    }
}
