//! The member list: slots, lookup by address, probe order, digests.
//!
//! This is a container: it knows which member is where and keeps its sums
//! right. What replaces what is decided in `core.rs`.

use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, OnceLock};

use fxhash::FxHashMap;
use hashbrown::HashTable;
use twox_hash::XxHash3_64;

use crate::address::Address;
use crate::dialect::Dialect;
use crate::limits::BUCKETS_MAX;
use crate::member::{Member, Status};
use crate::mutation::{Mutation, active};
use crate::rng::{Rng, mix};
use crate::rounds::shift;
use crate::suspicion::Suspicion;
use crate::time::Instant;

/// Index of a member for as long as it is known.
pub(crate) type SlotId = u32;

#[derive(Debug)]
pub(crate) struct Membership {
    slots: Vec<Option<Slot>>,
    free: Vec<SlotId>,
    /// Slots by the keyed hash of their address. It holds no addresses of its
    /// own, which halves the memory of a member.
    index: HashTable<SlotId>,
    hasher: Keyed,
    /// What is remembered about the few members that need attention.
    attention: FxHashMap<SlotId, Attention>,
    /// Members of each bucket, for the pages of a full sync.
    buckets: Vec<Vec<SlotId>>,
    /// Sum of the member hashes of each bucket.
    digests: Vec<u64>,
    checksum: u64,
    /// Whose measure of the view counts instead of the checksum.
    dialect: Option<Arc<dyn Dialect>>,
    /// That measure of the present view, once it was asked for.
    measured: OnceLock<u64>,
    /// Round-robin probe order, a permutation of the occupied slots.
    order: Vec<SlotId>,
    position: usize,
    /// The reachable members in the order in which all members have them: by
    /// the hash of their addresses. To keep it costs a move of 4 bytes per
    /// member when one comes or goes, which is less than to sort it in a round.
    turns: Vec<SlotId>,
    /// Who asked last for its turn and where it stands, until turns change.
    place: Option<(SlotId, usize)>,
    counts: [usize; Status::ALL.len()],
    /// Grows when a member becomes reachable or unreachable, or an unreachable
    /// one changes.
    revision: u64,
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) member: Member,
    address_hash: u64,
}

/// What is remembered about a member that is not simply alive.
#[derive(Debug, Default)]
pub(crate) struct Attention {
    /// When the status has held for as long as it may.
    pub(crate) expiry: Option<Instant>,
    /// Probes in a row that no helper answered.
    pub(crate) inconclusive: u32,
    /// The members that suspect it, while it is suspect.
    pub(crate) suspicion: Option<Suspicion>,
}

impl Attention {
    /// Whether there is nothing to remember.
    pub(crate) const fn is_idle(&self) -> bool {
        self.expiry.is_none() && self.inconclusive == 0 && self.suspicion.is_none()
    }
}

impl Slot {
    fn bucket(&self) -> usize {
        bucket_of(self.address_hash, BUCKETS_MAX)
    }

    /// What the member contributes to the checksum.
    fn hash(&self) -> u64 {
        member_hash(self.address_hash, &self.member)
    }
}

impl Membership {
    pub(crate) fn new(seed: u64, dialect: Option<Arc<dyn Dialect>>) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: Keyed::new(seed),
            attention: FxHashMap::default(),
            buckets: vec![Vec::new(); BUCKETS_MAX],
            digests: vec![0; BUCKETS_MAX],
            checksum: 0,
            dialect,
            measured: OnceLock::new(),
            order: Vec::new(),
            position: 0,
            turns: Vec::new(),
            place: None,
            counts: [0; Status::ALL.len()],
            revision: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn find(&self, address: &Address) -> Option<SlotId> {
        self.find_bytes(address.as_str().as_bytes())
    }

    /// The member whose address has these bytes.
    pub(crate) fn find_bytes(&self, address: &[u8]) -> Option<SlotId> {
        let hash = self.hasher.hash(address);
        let same = |id: &SlotId| self.slot(*id).member.address.as_str().as_bytes() == address;
        self.index.find(hash, same).copied()
    }

    pub(crate) fn get(&self, address: &Address) -> Option<&Member> {
        self.find(address).map(|id| &self.slot(id).member)
    }

    pub(crate) fn slot(&self, id: SlotId) -> &Slot {
        slot(&self.slots, id)
    }

    pub(crate) fn contains(&self, id: SlotId) -> bool {
        self.slots.get(id as usize).is_some_and(Option::is_some)
    }

    pub(crate) fn attention(&self, id: SlotId) -> Option<&Attention> {
        self.attention.get(&id)
    }

    /// The suspicion of a member that is suspect.
    pub(crate) fn suspicion(&self, id: SlotId) -> Option<&Suspicion> {
        self.attention(id)?.suspicion.as_ref()
    }

    pub(crate) fn attention_mut(&mut self, id: SlotId) -> &mut Attention {
        self.attention.entry(id).or_default()
    }

    /// Stops paying attention when there is nothing to remember.
    pub(crate) fn relax(&mut self, id: SlotId) {
        if self.attention(id).is_some_and(Attention::is_idle) {
            self.attention.remove(&id);
        }
    }

    /// All members in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.slots.iter().flatten().map(|slot| &slot.member)
    }

    /// All slots that are taken, in order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotId> {
        (0..).zip(&self.slots).filter(|(_, slot)| slot.is_some()).map(|(id, _)| id)
    }

    /// Members with this status.
    pub(crate) const fn count(&self, status: Status) -> usize {
        self.counts[status as usize]
    }

    /// Tells states of the list apart in which other members are unreachable.
    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    /// The number by which views are compared: an order-independent 64-bit sum
    /// over all members but tombstones, or what the dialect takes instead.
    pub(crate) fn checksum(&self) -> u64 {
        self.dialect.as_ref().map_or(self.checksum, |dialect| {
            *self.measured.get_or_init(|| dialect.checksum(&mut self.iter()))
        })
    }

    /// From now on takes these measures.
    pub(crate) fn set_dialect(&mut self, dialect: Arc<dyn Dialect>) {
        self.dialect = Some(dialect);
        self.measured = OnceLock::new();
    }

    /// Whether a statement replaces what is `known` about the same member.
    pub(crate) fn overrides(&self, member: &Member, known: Option<&Member>) -> bool {
        if active(Mutation::AliveWins)
            && let Some(known) = known
            && (member.incarnation, member.status) == (known.incarnation, Status::Alive)
        {
            return known.status != Status::Alive;
        }
        self.dialect.as_ref().map_or_else(
            || member.overrides(known),
            |dialect| member.overrides_by(|a, b| dialect.compare_labels(a, b), known),
        )
    }

    /// Replaces a member, or adds it at a random place of the probe order, so
    /// that a new member is probed within a bounded time (SWIM, section 4.3).
    /// Returns its slot and what was known before.
    pub(crate) fn set(&mut self, member: Member, rng: &mut Rng) -> (SlotId, Option<Member>) {
        let status = member.status;
        let (id, before) = match self.find(&member.address) {
            Some(id) => {
                let slot = slot_mut(&mut self.slots, id);
                let former = slot.hash();
                let known = std::mem::replace(&mut slot.member, member);
                self.counts[known.status as usize] -= 1;
                self.add_to_sums(id, former.wrapping_neg());
                (id, Some(known))
            }
            None => (self.insert(member, rng), None),
        };
        let was_reachable = before.as_ref().is_some_and(Member::is_reachable);
        self.revision += u64::from(!(was_reachable && status.is_reachable()));
        self.take_turns(id, was_reachable, status.is_reachable());
        self.counts[status as usize] += 1;
        self.add_to_sums(id, self.slot(id).hash());
        (id, before)
    }

    fn insert(&mut self, member: Member, rng: &mut Rng) -> SlotId {
        let address_hash = XxHash3_64::oneshot(member.address.as_str().as_bytes());
        let hash = self.hasher.hash(member.address.as_str().as_bytes());
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            SlotId::try_from(self.slots.len() - 1).expect("members_max is below 2^32")
        });
        self.slots[id as usize] = Some(Slot { member, address_hash });
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, id, |id| {
            hasher.hash(slot(slots, *id).member.address.as_str().as_bytes())
        });
        self.buckets[bucket_of(address_hash, BUCKETS_MAX)].push(id);
        // Swap into a random place: those before `position` were probed in this
        // round already, so the new member may wait for the next one.
        self.order.push(id);
        let last = self.order.len() - 1;
        let place = rng.below(self.order.len());
        self.order.swap(place, last);
        id
    }

    /// Puts a member among those that take turns, or takes it out.
    fn take_turns(&mut self, id: SlotId, before: bool, after: bool) {
        if before == after {
            return;
        }
        self.place = None;
        match self.place_of(id) {
            Ok(place) => drop(self.turns.remove(place)),
            Err(place) => self.turns.insert(place, id),
        }
    }

    /// Where a member stands in the order of all, or where it would.
    fn place_of(&self, id: SlotId) -> Result<usize, usize> {
        // Addresses decide between equal hashes.
        let key = |id: SlotId| (self.slot(id).address_hash, &self.slot(id).member.address);
        self.turns.binary_search_by(|other| key(*other).cmp(&key(id)))
    }

    fn add_to_sums(&mut self, id: SlotId, hash: u64) {
        let bucket = self.slot(id).bucket();
        self.digests[bucket] = self.digests[bucket].wrapping_add(hash);
        self.checksum = self.checksum.wrapping_add(hash);
        self.measured.take();
    }

    /// Forgets a member.
    pub(crate) fn remove(&mut self, id: SlotId) -> Member {
        self.revision += 1;
        self.add_to_sums(id, self.slot(id).hash().wrapping_neg());
        self.take_turns(id, self.slot(id).member.is_reachable(), false);
        let hash = self.hasher.hash(self.slot(id).member.address.as_str().as_bytes());
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        let slot = self.slots[id as usize].take().expect("a slot is removed once");
        self.free.push(id);
        self.attention.remove(&id);
        self.counts[slot.member.status as usize] -= 1;
        self.buckets[slot.bucket()].retain(|other| *other != id);
        if let Some(place) = self.order.iter().position(|other| *other == id) {
            self.order.remove(place);
            if place < self.position {
                self.position -= 1;
            }
        }
        slot.member
    }

    /// Where a member stands among the reachable ones, in the order that all
    /// members have them in; `None` when it is not reachable.
    pub(crate) fn place(&mut self, id: SlotId) -> Option<usize> {
        let place = match self.place {
            Some((other, place)) if other == id => place,
            _ => self.place_of(id).ok()?,
        };
        self.place = Some((id, place));
        Some(place)
    }

    /// The next reachable member in round-robin order for which `wanted` holds.
    /// The order is shuffled after each round (SWIM, section 4.3).
    pub(crate) fn next_in_order(
        &mut self,
        rng: &mut Rng,
        wanted: impl Fn(SlotId) -> bool,
    ) -> Option<SlotId> {
        // Twice, because the shuffle may put the only wanted member among those
        // that this call would not reach in one round.
        for _ in 0..2 * self.order.len() {
            if self.position >= self.order.len() {
                self.position = 0;
                rng.shuffle(&mut self.order);
            }
            let id = self.order[self.position];
            self.position += 1;
            if self.slot(id).member.is_reachable() && wanted(id) {
                return Some(id);
            }
        }
        None
    }

    /// The member whose turn it is to be probed by `prober` in a round that all
    /// members count alike; when it is not `wanted`, the next in order that is.
    pub(crate) fn next_in_round(
        &mut self,
        round: u64,
        prober: SlotId,
        wanted: impl Fn(SlotId) -> bool,
    ) -> Option<SlotId> {
        let place = self.place(prober)?;
        // Neither is as large as the number of turns: no division is needed.
        let turns = self.turns.len();
        let sum = place + shift(round, turns - 1);
        let first = if sum < turns { sum } else { sum - turns };
        let (before, after) = self.turns.split_at(first);
        after.iter().chain(before).copied().find(|id| *id != prober && wanted(*id))
    }

    /// Up to `n` distinct reachable members for which `wanted` holds, drawn at
    /// random.
    pub(crate) fn pick_random(
        &self,
        n: usize,
        rng: &mut Rng,
        wanted: impl Fn(SlotId) -> bool,
    ) -> Vec<SlotId> {
        let eligible = |id: &SlotId| self.slot(*id).member.is_reachable() && wanted(*id);
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

    /// Number of buckets that suits the size of the list: about eight members
    /// in each.
    pub(crate) fn suitable_buckets(&self) -> usize {
        (self.len() / 8).next_power_of_two().clamp(1, BUCKETS_MAX)
    }

    /// The digest of each of `buckets` buckets. Buckets are the low bits of a
    /// hash, so that a coarser digest is a sum of finer ones.
    pub(crate) fn digests(&self, buckets: usize) -> Vec<u64> {
        let mut sums = vec![0u64; buckets];
        for (fine, digest) in self.digests.iter().enumerate() {
            let coarse = fine & (buckets - 1);
            sums[coarse] = sums[coarse].wrapping_add(*digest);
        }
        sums
    }

    /// The members of one of `buckets` buckets, sorted by address.
    pub(crate) fn bucket(&self, bucket: usize, buckets: usize) -> Vec<&Member> {
        let fine = (bucket..BUCKETS_MAX).step_by(buckets);
        let ids = fine.flat_map(|fine| &self.buckets[fine]);
        let mut members: Vec<&Member> = ids.map(|id| &self.slot(*id).member).collect();
        members.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        members
    }

    /// Recomputes every sum and index from the slots.
    ///
    /// # Panics
    ///
    /// When one of them is not what it should be.
    pub(crate) fn check(&self) {
        let occupied: Vec<(SlotId, &Slot)> = (0..)
            .zip(&self.slots)
            .filter_map(|(id, slot)| slot.as_ref().map(|slot| (id, slot)))
            .collect();
        assert_eq!(self.index.len(), occupied.len(), "one index entry for each member");
        assert_eq!(self.order.len(), occupied.len(), "each member once in the probe order");
        assert_eq!(self.slots.len(), occupied.len() + self.free.len(), "no slot is lost");
        let reachable = occupied.iter().filter(|(_, slot)| slot.member.is_reachable());
        assert_eq!(self.turns.len(), reachable.count(), "each reachable member has its turn");
        for (i, id) in self.turns.iter().enumerate() {
            assert_eq!(self.place_of(*id), Ok(i), "turns are in order");
        }
        if let Some((id, place)) = self.place {
            assert_eq!(self.turns[place], id, "a place holds until turns change");
        }
        assert!(self.position <= self.order.len(), "the position is within the order");
        let mut digests = vec![0u64; BUCKETS_MAX];
        for (id, slot) in &occupied {
            assert_eq!(self.find(&slot.member.address), Some(*id), "the index finds the slot");
            assert!(self.buckets[slot.bucket()].contains(id), "the bucket has the member");
            let digest = &mut digests[slot.bucket()];
            *digest = digest.wrapping_add(slot.hash());
        }
        assert_eq!(self.digests, digests, "digests are the sums of the hashes");
        let sum = digests.iter().fold(0u64, |sum, digest| sum.wrapping_add(*digest));
        assert_eq!(self.checksum, sum, "the checksum is the sum of the digests");
        for id in self.attention.keys() {
            assert!(self.contains(*id), "only known members get attention");
        }
        for status in Status::ALL {
            let count = self.iter().filter(|member| member.status == status).count();
            assert_eq!(self.count(status), count, "count of {status}");
        }
    }
}

fn bucket_of(address_hash: u64, buckets: usize) -> usize {
    address_hash as usize & (buckets - 1)
}

/// The contribution of a member to the checksum. Tombstones contribute
/// nothing, because members forget them at different times.
fn member_hash(address_hash: u64, member: &Member) -> u64 {
    if member.status == Status::Tombstone {
        return 0;
    }
    let blind = active(Mutation::BlindChecksum);
    let incarnation = if blind { 0 } else { member.incarnation };
    let words = [incarnation, u64::from(member.status.code()), member.labels.hash()];
    words.into_iter().fold(address_hash, |hash, word| mix(hash ^ mix(word)))
}

fn slot(slots: &[Option<Slot>], id: SlotId) -> &Slot {
    slots[id as usize].as_ref().expect("a slot id is used only while its member is known")
}

fn slot_mut(slots: &mut [Option<Slot>], id: SlotId) -> &mut Slot {
    slots[id as usize].as_mut().expect("a slot id is used only while its member is known")
}

/// SipHash keyed with the seed of the machine: addresses come from the
/// network, so their sender must not be able to choose collisions.
#[derive(Debug)]
struct Keyed(DefaultHasher);

impl Keyed {
    fn new(seed: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(seed);
        Self(hasher)
    }

    fn hash(&self, address: &[u8]) -> u64 {
        let mut hasher = self.0.clone();
        hasher.write(address);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests;
