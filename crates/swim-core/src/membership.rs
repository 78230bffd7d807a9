//! The member list, with the sums and orders that are kept up to date with it.
//!
//! This is a container. The rules that decide which change replaces what are in
//! `core.rs`.

mod digest;
mod order;
mod rounds;
mod table;

pub(crate) use table::{Slot, SlotId};

use std::sync::Arc;

use crate::address::Address;
use crate::dialect::Dialect;
use crate::member::{Member, Status};
use crate::mutation::{Mutation, active};
use crate::rng::SplitMix64;
use crate::suspicion::Suspicion;
use digest::Digests;
use order::{ProbeOrder, SharedOrder};
use table::{Table, Watch};

#[derive(Debug)]
pub(crate) struct Membership {
    table: Table,
    digests: Digests,
    probe_order: ProbeOrder,
    shared_order: SharedOrder,
    counts: [usize; Status::ALL.len()],
    /// Grows when a member becomes reachable or unreachable, or an unreachable
    /// one changes.
    revision: u64,
}

impl Membership {
    pub(crate) fn new(seed: u64, dialect: Option<Arc<dyn Dialect>>) -> Self {
        Self {
            table: Table::new(seed),
            digests: Digests::new(dialect),
            probe_order: ProbeOrder::default(),
            shared_order: SharedOrder::default(),
            counts: [0; Status::ALL.len()],
            revision: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn find(&self, address: &Address) -> Option<SlotId> {
        self.table.find(address.as_str().as_bytes())
    }

    /// The member whose address has these bytes.
    #[cfg(feature = "wire")]
    pub(crate) fn find_bytes(&self, address: &[u8]) -> Option<SlotId> {
        self.table.find(address)
    }

    pub(crate) fn get(&self, address: &Address) -> Option<&Member> {
        self.find(address).map(|id| &self.slot(id).member)
    }

    pub(crate) fn slot(&self, id: SlotId) -> &Slot {
        self.table.slot(id)
    }

    pub(crate) fn contains(&self, id: SlotId) -> bool {
        self.table.contains(id)
    }

    /// The watch state of a member that is not simply alive.
    pub(crate) fn watch(&self, id: SlotId) -> Option<&Watch> {
        self.table.watch(id)
    }

    pub(crate) fn watch_mut(&mut self, id: SlotId) -> &mut Watch {
        self.table.watch_mut(id)
    }

    /// Drops the watch state of a member if it holds nothing.
    pub(crate) fn unwatch_idle(&mut self, id: SlotId) {
        self.table.unwatch_idle(id);
    }

    /// The suspicion of a member that is suspect.
    pub(crate) fn suspicion(&self, id: SlotId) -> Option<&Suspicion> {
        self.watch(id)?.suspicion.as_ref()
    }

    /// All members in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.table.iter().map(|(_, slot)| &slot.member)
    }

    /// All slots that are taken, in order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotId> {
        self.table.iter().map(|(id, _)| id)
    }

    /// Members with this status.
    pub(crate) const fn count(&self, status: Status) -> usize {
        self.counts[status as usize]
    }

    /// Reachable members, this one included.
    pub(crate) const fn reachable(&self) -> usize {
        self.count(Status::Alive) + self.count(Status::Suspect)
    }

    /// Tells states of the list apart in which different members are unreachable.
    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    /// The number by which views are compared: an order-independent 64-bit sum
    /// over all members but tombstones, or the checksum of the dialect.
    pub(crate) fn checksum(&self) -> u64 {
        self.digests.checksum(&mut self.iter())
    }

    /// Uses another dialect from now on.
    pub(crate) fn set_dialect(&mut self, dialect: Arc<dyn Dialect>) {
        self.digests.set_dialect(dialect);
    }

    /// Whether `member` replaces what is `known` about the same member.
    pub(crate) fn overrides(&self, member: &Member, known: Option<&Member>) -> bool {
        if active(Mutation::AliveWins)
            && let Some(known) = known
            && (member.incarnation, member.status) == (known.incarnation, Status::Alive)
        {
            return known.status != Status::Alive;
        }
        self.digests.dialect().map_or_else(
            || member.overrides(known),
            |dialect| member.overrides_by(|a, b| dialect.compare_labels(a, b), known),
        )
    }

    /// Replaces a member, or adds it at a random place of the probe order: a new
    /// member is then probed within a bounded time (SWIM, section 4.3). Returns its
    /// slot and the member that was known before.
    pub(crate) fn set(&mut self, member: Member, rng: &mut SplitMix64) -> (SlotId, Option<Member>) {
        let status = member.status;
        let (id, before) = match self.find(&member.address) {
            Some(id) => {
                self.digests.remove(self.table.slot(id));
                let known = self.table.replace(id, member);
                self.counts[known.status as usize] -= 1;
                (id, Some(known))
            }
            None => {
                let id = self.table.insert(member);
                self.digests.insert_id(id, self.table.slot(id));
                self.probe_order.insert(id, rng);
                (id, None)
            }
        };
        let was_reachable = before.as_ref().is_some_and(Member::is_reachable);
        self.revision += u64::from(!(was_reachable && status.is_reachable()));
        self.set_in_shared_order(id, was_reachable, status.is_reachable());
        self.counts[status as usize] += 1;
        self.digests.add(self.table.slot(id));
        (id, before)
    }

    /// Adds a member to the shared order, or takes it out.
    fn set_in_shared_order(&mut self, id: SlotId, before: bool, after: bool) {
        if before != after {
            self.shared_order.toggle(&self.table, id);
        }
    }

    /// Removes a member.
    pub(crate) fn remove(&mut self, id: SlotId) -> Member {
        self.revision += 1;
        self.digests.remove(self.table.slot(id));
        self.digests.remove_id(id, self.table.slot(id));
        self.set_in_shared_order(id, self.slot(id).member.is_reachable(), false);
        self.probe_order.remove(id);
        let member = self.table.remove(id);
        self.counts[member.status as usize] -= 1;
        member
    }

    /// Position of a member among the reachable ones in the order that all members
    /// share; `None` when it is not reachable.
    pub(crate) fn shared_position(&mut self, id: SlotId) -> Option<usize> {
        self.shared_order.position(&self.table, id)
    }

    /// The next reachable member in round-robin order that is `wanted`.
    pub(crate) fn next_in_order(
        &mut self,
        rng: &mut SplitMix64,
        wanted: impl Fn(SlotId) -> bool,
    ) -> Option<SlotId> {
        self.probe_order.next(&self.table, rng, wanted)
    }

    /// The member that `prober` probes in a shared round. When it is not `wanted`,
    /// the next one in the shared order that is.
    pub(crate) fn next_in_round(
        &mut self,
        round: u64,
        prober: SlotId,
        wanted: impl Fn(SlotId) -> bool,
    ) -> Option<SlotId> {
        self.shared_order.next_in_round(&self.table, round, prober, wanted)
    }

    /// Up to `n` distinct reachable members that are `wanted`, drawn at random.
    pub(crate) fn pick_random(
        &self,
        n: usize,
        rng: &mut SplitMix64,
        wanted: impl Fn(SlotId) -> bool,
    ) -> Vec<SlotId> {
        self.probe_order.pick_random(&self.table, n, rng, wanted)
    }

    /// Number of buckets that suits the size of the list: about eight members
    /// in each.
    pub(crate) fn suitable_buckets(&self) -> usize {
        digest::suitable_buckets(self.len())
    }

    /// The digest of each of `buckets` buckets.
    pub(crate) fn digests(&self, buckets: usize) -> Vec<u64> {
        self.digests.sums(buckets)
    }

    /// The members of one of `buckets` buckets, sorted by address.
    pub(crate) fn bucket(&self, bucket: usize, buckets: usize) -> Vec<&Member> {
        let ids = self.digests.bucket(bucket, buckets);
        let mut members: Vec<&Member> = ids.map(|id| &self.slot(id).member).collect();
        members.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        members
    }

    /// Recomputes every sum and index from the slots.
    ///
    /// # Panics
    ///
    /// When one of them is wrong.
    pub(crate) fn check(&self) {
        self.table.check();
        self.digests.check(&self.table);
        self.probe_order.check(self.len());
        self.shared_order.check(&self.table);
        for status in Status::ALL {
            let count = self.iter().filter(|member| member.status == status).count();
            assert_eq!(self.count(status), count, "count of {status}");
        }
    }
}

#[cfg(test)]
mod tests;
