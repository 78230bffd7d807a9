//! The orders in which members are probed: a shuffled one that each member keeps
//! for itself, and one that all members share.

use super::rounds::shift;
use super::table::{SlotId, Table};
use crate::rng::SplitMix64;

/// Round-robin order, shuffled after each pass (SWIM, section 4.3).
#[derive(Debug, Default)]
pub(super) struct ProbeOrder {
    /// A permutation of the slots that are taken.
    order: Vec<SlotId>,
    /// The next one.
    position: usize,
}

impl ProbeOrder {
    /// Adds a member at a random place. When that place was probed in this pass
    /// already, the member waits for the next one.
    pub(super) fn insert(&mut self, id: SlotId, rng: &mut SplitMix64) {
        self.order.push(id);
        let last = self.order.len() - 1;
        let place = rng.below(self.order.len());
        self.order.swap(place, last);
    }

    pub(super) fn remove(&mut self, id: SlotId) {
        if let Some(place) = self.order.iter().position(|other| *other == id) {
            self.order.remove(place);
            if place < self.position {
                self.position -= 1;
            }
        }
    }

    pub(super) fn next(
        &mut self,
        table: &Table,
        rng: &mut SplitMix64,
        wanted: impl Fn(SlotId) -> bool,
    ) -> Option<SlotId> {
        // Two passes: the shuffle may put the only wanted member in front of where
        // the first one began.
        for _ in 0..2 * self.order.len() {
            if self.position >= self.order.len() {
                self.position = 0;
                rng.shuffle(&mut self.order);
            }
            let id = self.order[self.position];
            self.position += 1;
            if table.slot(id).member.is_reachable() && wanted(id) {
                return Some(id);
            }
        }
        None
    }

    pub(super) fn pick_random(
        &self,
        table: &Table,
        n: usize,
        rng: &mut SplitMix64,
        wanted: impl Fn(SlotId) -> bool,
    ) -> Vec<SlotId> {
        let eligible = |id: &SlotId| table.slot(*id).member.is_reachable() && wanted(*id);
        // Drawing beats a full permutation unless few members are left to draw.
        let mut picked: Vec<SlotId> = Vec::with_capacity(n.min(self.order.len()));
        for _ in 0..4 * n {
            if picked.len() == n || self.order.is_empty() {
                break;
            }
            let id = self.order[rng.below(self.order.len())];
            if eligible(&id) && !picked.contains(&id) {
                picked.push(id);
            }
        }
        if picked.len() < n {
            let mut rest: Vec<SlotId> = self.order.iter().copied().filter(&eligible).collect();
            rest.retain(|id| !picked.contains(id));
            rng.shuffle(&mut rest);
            rest.truncate(n - picked.len());
            picked.extend(rest);
        }
        picked
    }

    #[cfg(test)]
    pub(super) const fn is_at_end(&self) -> bool {
        self.position >= self.order.len()
    }

    pub(super) fn check(&self, members: usize) {
        assert_eq!(self.order.len(), members, "each member once in the probe order");
        assert!(self.position <= self.order.len(), "the position is within the order");
    }
}

/// The reachable members in an order that all members share: by the hashes of their
/// addresses. An insertion moves 4 bytes per member, which costs less than to sort
/// them in each round.
#[derive(Debug, Default)]
pub(super) struct SharedOrder {
    order: Vec<SlotId>,
    /// The position that was asked for last; cleared when `order` changes.
    cached: Option<(SlotId, usize)>,
}

impl SharedOrder {
    /// Adds a member, or takes it out when it is there.
    pub(super) fn toggle(&mut self, table: &Table, id: SlotId) {
        self.cached = None;
        match self.search(table, id) {
            Ok(position) => drop(self.order.remove(position)),
            Err(position) => self.order.insert(position, id),
        }
    }

    /// The position of a member, or the one that it would have.
    fn search(&self, table: &Table, id: SlotId) -> Result<usize, usize> {
        // Addresses decide between equal hashes.
        let key = |id: SlotId| (table.slot(id).address_hash, &table.slot(id).member.address);
        self.order.binary_search_by(|other| key(*other).cmp(&key(id)))
    }

    pub(super) fn position(&mut self, table: &Table, id: SlotId) -> Option<usize> {
        let position = match self.cached {
            Some((other, position)) if other == id => position,
            _ => self.search(table, id).ok()?,
        };
        self.cached = Some((id, position));
        Some(position)
    }

    pub(super) fn next_in_round(
        &mut self,
        table: &Table,
        round: u64,
        prober: SlotId,
        wanted: impl Fn(SlotId) -> bool,
    ) -> Option<SlotId> {
        let position = self.position(table, prober)?;
        // Neither is as large as the number of members: no division is needed.
        let members = self.order.len();
        let sum = position + shift(round, members - 1);
        let first = if sum < members { sum } else { sum - members };
        let (before, after) = self.order.split_at(first);
        after.iter().chain(before).copied().find(|id| *id != prober && wanted(*id))
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = SlotId> {
        self.order.iter().copied()
    }

    pub(super) fn check(&self, table: &Table) {
        let reachable = table.iter().filter(|(_, slot)| slot.member.is_reachable());
        assert_eq!(self.order.len(), reachable.count(), "all reachable members are in order");
        for (i, id) in self.order.iter().enumerate() {
            assert_eq!(self.search(table, *id), Ok(i), "the shared order is sorted");
        }
        if let Some((id, position)) = self.cached {
            assert_eq!(self.order[position], id, "the cached position is right");
        }
    }
}
