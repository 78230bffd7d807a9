//! What a driver and an operator do about members that are gone.

use super::{CommandError, Node, State};
use crate::address::Address;
use crate::core::Isolation;
use crate::time::Instant;

impl Node {
    /// Takes note of what discovery lists now: the answer to
    /// [`Event::HealWanted`](crate::Event::HealWanted), and welcome whenever a
    /// driver learns of a change. Listed hosts that this member does not take for
    /// reachable are dialled from time to time for as long as they are listed, by
    /// the members of a cluster in turns and at most one in a second; hosts that
    /// were not listed before are dialled at once. Those that answer and belong
    /// to another partition are merged with this one. Until the first call the
    /// peers of [`join`](Self::join) count as listed.
    ///
    /// # Errors
    ///
    /// When this member has not joined, or has left.
    pub fn discovered(&mut self, now: Instant, hosts: Vec<Address>) -> Result<(), CommandError> {
        self.advance_to(now);
        if self.state != State::Ready {
            return Err(CommandError::NotJoined);
        }
        if self.core.config.heal_probability_base() > 0 {
            self.redial.on_listed(&mut self.core, &mut self.heal, hosts);
        }
        Ok(())
    }

    /// Compares member lists with those of `hosts` that this member does not
    /// take for reachable, one after the other and now, and brings the partitions
    /// together. [`Event::HealEnded`](crate::Event::HealEnded) tells how it went.
    /// Two rounds may be needed: one in which members that the other side would
    /// lose refute, and one that merges. Does nothing while such a healing is
    /// under way.
    ///
    /// # Errors
    ///
    /// When this member has not joined, or has left.
    pub fn heal(&mut self, now: Instant, hosts: Vec<Address>) -> Result<(), CommandError> {
        self.advance_to(now);
        if self.state != State::Ready {
            return Err(CommandError::NotJoined);
        }
        self.heal.start(&mut self.core, hosts);
        Ok(())
    }

    /// Whether this member is cut off from its cluster, as far as it can tell.
    #[must_use]
    pub const fn isolation(&self) -> Isolation {
        self.core.isolation.isolation()
    }
}
