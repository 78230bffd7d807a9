//! The checksum of the member list, and the digests of its buckets.

use std::sync::{Arc, OnceLock};

use super::table::{Slot, SlotId, Table};
use crate::dialect::Dialect;
use crate::limits::BUCKETS_MAX;
use crate::member::{Member, Status};
use crate::mutation::{Mutation, active};
use crate::rng::SplitMix64;

#[derive(Debug)]
pub(super) struct Digests {
    /// Members of each bucket, for the pages of a full sync.
    buckets: Vec<Vec<SlotId>>,
    /// Sum of the member hashes of each bucket.
    sums: Vec<u64>,
    /// Sum of all member hashes.
    checksum: u64,
    /// Its checksum counts instead.
    dialect: Option<Arc<dyn Dialect>>,
    /// The dialect's checksum of the current list, once it was asked for.
    dialect_checksum: OnceLock<u64>,
}

impl Digests {
    pub(super) fn new(dialect: Option<Arc<dyn Dialect>>) -> Self {
        Self {
            buckets: vec![Vec::new(); BUCKETS_MAX],
            sums: vec![0; BUCKETS_MAX],
            checksum: 0,
            dialect,
            dialect_checksum: OnceLock::new(),
        }
    }

    pub(super) fn checksum(&self, members: &mut dyn Iterator<Item = &Member>) -> u64 {
        self.dialect.as_ref().map_or(self.checksum, |dialect| {
            *self.dialect_checksum.get_or_init(|| dialect.checksum(members))
        })
    }

    pub(super) fn dialect(&self) -> Option<&dyn Dialect> {
        self.dialect.as_deref()
    }

    pub(super) fn set_dialect(&mut self, dialect: Arc<dyn Dialect>) {
        self.dialect = Some(dialect);
        self.dialect_checksum = OnceLock::new();
    }

    /// Adds the hash of a member to the sums.
    pub(super) fn add(&mut self, slot: &Slot) {
        self.add_to_sums(bucket_of(slot), hash(slot));
    }

    /// Takes the hash of a member out of the sums.
    pub(super) fn remove(&mut self, slot: &Slot) {
        self.add_to_sums(bucket_of(slot), hash(slot).wrapping_neg());
    }

    fn add_to_sums(&mut self, bucket: usize, hash: u64) {
        self.sums[bucket] = self.sums[bucket].wrapping_add(hash);
        self.checksum = self.checksum.wrapping_add(hash);
        self.dialect_checksum.take();
    }

    /// Puts a new member into its bucket.
    pub(super) fn insert_id(&mut self, id: SlotId, slot: &Slot) {
        self.buckets[bucket_of(slot)].push(id);
    }

    pub(super) fn remove_id(&mut self, id: SlotId, slot: &Slot) {
        self.buckets[bucket_of(slot)].retain(|other| *other != id);
    }

    /// The digest of each of `buckets` buckets. The bucket of a member is the low
    /// bits of its hash, hence a coarser digest is a sum of finer ones.
    pub(super) fn sums(&self, buckets: usize) -> Vec<u64> {
        let mut sums = vec![0u64; buckets];
        for (fine, digest) in self.sums.iter().enumerate() {
            let coarse = fine & (buckets - 1);
            sums[coarse] = sums[coarse].wrapping_add(*digest);
        }
        sums
    }

    /// The members of one of `buckets` buckets.
    pub(super) fn bucket(&self, bucket: usize, buckets: usize) -> impl Iterator<Item = SlotId> {
        let fine = (bucket..BUCKETS_MAX).step_by(buckets);
        fine.flat_map(|fine| &self.buckets[fine]).copied()
    }

    pub(super) fn check(&self, table: &Table) {
        let mut sums = vec![0u64; BUCKETS_MAX];
        for (id, slot) in table.iter() {
            assert!(self.buckets[bucket_of(slot)].contains(&id), "the bucket has the member");
            let sum = &mut sums[bucket_of(slot)];
            *sum = sum.wrapping_add(hash(slot));
        }
        assert_eq!(self.sums, sums, "digests are the sums of the hashes");
        let sum = sums.iter().fold(0u64, |sum, digest| sum.wrapping_add(*digest));
        assert_eq!(self.checksum, sum, "the checksum is the sum of the digests");
    }
}

/// Number of buckets that suits a list: about eight members in each.
pub(super) fn suitable_buckets(members: usize) -> usize {
    (members / 8).next_power_of_two().clamp(1, BUCKETS_MAX)
}

const fn bucket_of(slot: &Slot) -> usize {
    slot.address_hash as usize & (BUCKETS_MAX - 1)
}

/// The contribution of a member to the checksum. Tombstones contribute
/// nothing, because members forget them at different times.
fn hash(slot: &Slot) -> u64 {
    let Slot { member, address_hash } = slot;
    if member.status == Status::Tombstone {
        return 0;
    }
    let blind = active(Mutation::BlindChecksum);
    let incarnation = if blind { 0 } else { member.incarnation };
    let words = [incarnation, u64::from(member.status.code()), member.labels.hash()];
    let mix = SplitMix64::mix;
    words.into_iter().fold(*address_hash, |hash, word| mix(hash ^ mix(word)))
}
