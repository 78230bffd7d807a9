//! How long a status lasts: suspect, faulty or left, tombstone, forgotten.

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
    /// Arms the deadline of the present status and incarnation; a former one
    /// is void. (ringpop-go keeps the former timer when only the incarnation
    /// is newer, and then fires it in vain: the member stays suspect.)
    pub(crate) fn arm_expiry(&mut self, id: SlotId) {
        let suspicion = self.members.suspicion(id);
        let at = match (self.members.slot(id).member.status, suspicion) {
            (Status::Alive, _) => None,
            (Status::Suspect, Some(_)) if active(Mutation::HastySuspicion) => Some(self.now),
            (Status::Suspect, Some(suspicion)) => {
                Some(suspicion.deadline(self.suspicion_bounds()).max(self.now))
            }
            (Status::Suspect, None) => Some(self.now + self.suspicion_bounds().min),
            // A member that left and stays away is forgotten like a faulty one.
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

    /// The status of a member has held for as long as it may.
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

    /// Whether as many members suspect this one as must, or as many as can: all
    /// that are not suspect themselves. Suspects are not waited for, since those
    /// that died together would never be faulty; nor is anybody for ever, since
    /// the others may not know the member at all.
    fn enough_accusers(&self, id: SlotId) -> bool {
        let able = self.members.count(Status::Alive).max(1);
        let patience = self.suspicion_bounds().max * ACCUSERS_WAIT_FACTOR;
        let suspicion = self.members.suspicion(id);
        let has_waited = suspicion.is_some_and(|since| self.now - since.started >= patience);
        has_waited || self.accusers(id) >= self.config.faulty_accusers_min().min(able)
    }

    /// How many distinct members suspect this one, as far as is known here.
    pub(crate) fn accusers(&self, id: SlotId) -> usize {
        let suspicion = self.members.suspicion(id);
        suspicion.map_or(1, |suspicion| suspicion.accusers.len())
    }

    /// Declares that a member that is gone is to be forgotten.
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

    /// Other settings: statuses end when the new timeouts have passed since they began.
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
