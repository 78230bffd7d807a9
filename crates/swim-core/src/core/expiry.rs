//! How long a status lasts: suspect, faulty or left, tombstone, removed.

use crate::address::Address;
use crate::config::Config;
use crate::core::Core;
use crate::event::Cause;
use crate::limits::ACCUSERS_WAIT_FACTOR;
use crate::member::{Member, Status};
use crate::membership::SlotId;
use crate::mutation::{Mutation, active};
use crate::suspicion;
use crate::time::Instant;
use crate::timers::Timer;

impl Core {
    /// Arms the deadline of the current status and incarnation; a former one is void.
    /// (ringpop-go keeps the former timer when only the incarnation is newer, and then
    /// fires it in vain: the member stays suspect.)
    pub(crate) fn arm_expiry(&mut self, id: SlotId) {
        let suspicion = self.members.suspicion(id);
        let at = match (self.members.slot(id).member.status, suspicion) {
            (Status::Alive, _) => None,
            (Status::Suspect, Some(_)) if active(Mutation::HastySuspicion) => Some(self.now),
            (Status::Suspect, Some(suspicion)) => {
                Some(suspicion.deadline(self.suspicion_bounds()).max(self.now))
            }
            (Status::Suspect, None) => Some(self.now + self.suspicion_bounds().min),
            // A member that left and stays away is removed like a faulty one.
            (Status::Faulty | Status::Leave, _) => Some(self.now + self.config.faulty_timeout()),
            (Status::Tombstone, _) => Some(self.now + self.config.tombstone_timeout()),
        };
        self.set_expiry(id, at);
        self.members.unwatch_idle(id);
    }

    pub(crate) fn set_expiry(&mut self, id: SlotId, at: Option<Instant>) {
        let watch = self.members.watch_mut(id);
        if let Some(former) = std::mem::replace(&mut watch.expiry, at) {
            self.timers.cancel(former, Timer::Expiry(id));
        }
        if let Some(at) = at {
            self.timers.set(at, Timer::Expiry(id));
        }
    }

    pub(crate) fn suspicion_bounds(&self) -> suspicion::Bounds {
        suspicion::bounds(
            self.config.suspect_timeout(),
            self.config.suspect_timeout_scaled(),
            self.config.suspect_timeout_max_factor(),
            self.config.suspect_confirmations(),
            self.others() + 1,
        )
    }

    /// Ends a status that has held for its longest time.
    pub(crate) fn expire(&mut self, id: SlotId) {
        self.members.watch_mut(id).expiry = None;
        let Member { address, status, incarnation, .. } = self.members.slot(id).member.clone();
        match status {
            Status::Alive => {}
            Status::Suspect if !self.enough_accusers(id) || active(Mutation::EndlessSuspicion) => {
                let again = self.now + self.suspicion_bounds().min;
                self.set_expiry(id, Some(again));
            }
            Status::Suspect => self.declare(&address, Status::Faulty, incarnation, Cause::Timeout),
            Status::Faulty | Status::Leave => self.spread_tombstone(&address, Cause::Timeout),
            Status::Tombstone => self.remove(id),
        }
    }

    /// Whether a suspect has as many accusers as it needs, or as there can be: all
    /// members that are not suspect themselves. Suspects do not count, since members
    /// that died together would never be faulty; and the wait has an end, since the
    /// others may not know the member at all.
    fn enough_accusers(&self, id: SlotId) -> bool {
        let able = self.members.count(Status::Alive).max(1);
        let patience = self.suspicion_bounds().max * ACCUSERS_WAIT_FACTOR;
        let suspicion = self.members.suspicion(id);
        let has_waited = suspicion.is_some_and(|since| self.now - since.started >= patience);
        has_waited || self.accusers(id) >= self.config.faulty_accusers_min().min(able)
    }

    /// The number of known accusers of a member.
    pub(crate) fn accusers(&self, id: SlotId) -> usize {
        let suspicion = self.members.suspicion(id);
        suspicion.map_or(1, |suspicion| suspicion.accusers.len())
    }

    /// Declares a member that is gone a tombstone.
    pub(crate) fn spread_tombstone(&mut self, address: &Address, cause: Cause) {
        let Some(known) = self.members.get(address) else { return };
        if matches!(known.status, Status::Faulty | Status::Leave) {
            let incarnation = known.incarnation;
            self.declare(address, Status::Tombstone, incarnation, cause);
        }
    }

    fn remove(&mut self, id: SlotId) {
        self.gossip.forget(id);
        let member = self.members.remove(id);
        let dropped = self.removed.insert(member.address.clone(), member.incarnation);
        self.stats.removed_members_dropped += u64::from(dropped);
        self.stats.members_removed += 1;
        let address = member.address.clone();
        self.changed(Some(member), None, Some(self.local.clone()), Cause::Timeout);
        self.forget_flaps(id, &address);
    }

    /// Moves the deadlines to where the new settings put them.
    pub(crate) fn rearm_expiries(&mut self, former: &Config) {
        let slots: Vec<_> = self.members.slots().collect();
        for slot in slots {
            let Some(at) = self.members.watch(slot).and_then(|known| known.expiry) else {
                continue;
            };
            let (old, new) = match self.members.slot(slot).member.status {
                Status::Alive => continue,
                Status::Suspect => {
                    self.arm_expiry(slot);
                    continue;
                }
                Status::Faulty | Status::Leave => {
                    (former.faulty_timeout(), self.config.faulty_timeout())
                }
                Status::Tombstone => (former.tombstone_timeout(), self.config.tombstone_timeout()),
            };
            let since = Instant::from_start(at.since_start().saturating_sub(old));
            self.set_expiry(slot, Some((since + new).max(self.now)));
        }
    }
}
