//! Members by slot, and slots by address.

use std::hash::{DefaultHasher, Hasher};

use fxhash::FxHashMap;
use hashbrown::HashTable;
use twox_hash::XxHash3_64;

use crate::member::Member;
use crate::suspicion::Suspicion;
use crate::time::Instant;

/// Index of a member for as long as it is known.
pub(crate) type SlotId = u32;

#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Option<Slot>>,
    free: Vec<SlotId>,
    /// Slots by the keyed hash of their address. It holds no addresses of its
    /// own, which halves the memory of a member.
    index: HashTable<SlotId>,
    hasher: Keyed,
    /// The watch state of the few members that have one.
    watch: FxHashMap<SlotId, Watch>,
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) member: Member,
    /// The same at all members, unlike the hash in the index.
    pub(super) address_hash: u64,
}

/// The watch state of a member that is not simply alive.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// When the status ends.
    pub(crate) expiry: Option<Instant>,
    /// Probes in a row that no helper answered.
    pub(crate) inconclusive: u32,
    /// The accusers of the member, while it is suspect.
    pub(crate) suspicion: Option<Suspicion>,
}

impl Watch {
    /// Whether there is nothing to remember.
    pub(crate) const fn is_idle(&self) -> bool {
        self.expiry.is_none() && self.inconclusive == 0 && self.suspicion.is_none()
    }
}

impl Table {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: Keyed::new(seed),
            watch: FxHashMap::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// The slot of the member whose address has these bytes.
    pub(super) fn find(&self, address: &[u8]) -> Option<SlotId> {
        let hash = self.hasher.hash(address);
        let same = |id: &SlotId| self.slot(*id).address() == address;
        self.index.find(hash, same).copied()
    }

    pub(super) fn slot(&self, id: SlotId) -> &Slot {
        slot(&self.slots, id)
    }

    pub(super) fn contains(&self, id: SlotId) -> bool {
        self.slots.get(id as usize).is_some_and(Option::is_some)
    }

    /// All slots that are taken, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SlotId, &Slot)> {
        (0..).zip(&self.slots).filter_map(|(id, slot)| Some((id, slot.as_ref()?)))
    }

    pub(super) fn watch(&self, id: SlotId) -> Option<&Watch> {
        self.watch.get(&id)
    }

    pub(super) fn watch_mut(&mut self, id: SlotId) -> &mut Watch {
        self.watch.entry(id).or_default()
    }

    pub(super) fn unwatch_idle(&mut self, id: SlotId) {
        if self.watch(id).is_some_and(Watch::is_idle) {
            self.watch.remove(&id);
        }
    }

    /// Puts another version of a member into its slot. Returns the former one.
    pub(super) fn replace(&mut self, id: SlotId, member: Member) -> Member {
        let slot = self.slots[id as usize].as_mut().expect(KNOWN);
        std::mem::replace(&mut slot.member, member)
    }

    /// Adds a member that is not in the table.
    pub(super) fn insert(&mut self, member: Member) -> SlotId {
        let address_hash = XxHash3_64::oneshot(member.address.as_str().as_bytes());
        let hash = self.hasher.hash(member.address.as_str().as_bytes());
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            SlotId::try_from(self.slots.len() - 1).expect("members_max is below 2^32")
        });
        self.slots[id as usize] = Some(Slot { member, address_hash });
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, id, |id| hasher.hash(slot(slots, *id).address()));
        id
    }

    pub(super) fn remove(&mut self, id: SlotId) -> Member {
        let hash = self.hasher.hash(self.slot(id).address());
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        let slot = self.slots[id as usize].take().expect("a slot is removed once");
        self.free.push(id);
        self.watch.remove(&id);
        slot.member
    }

    pub(super) fn check(&self) {
        let occupied = self.iter().count();
        assert_eq!(self.index.len(), occupied, "one index entry for each member");
        assert_eq!(self.slots.len(), occupied + self.free.len(), "no slot is lost");
        for (id, slot) in self.iter() {
            assert_eq!(self.find(slot.address()), Some(id), "the index finds the slot");
        }
        for id in self.watch.keys() {
            assert!(self.contains(*id), "only known members are watched");
        }
    }
}

impl Slot {
    fn address(&self) -> &[u8] {
        self.member.address.as_str().as_bytes()
    }
}

const KNOWN: &str = "a slot id is used only while its member is known";

fn slot(slots: &[Option<Slot>], id: SlotId) -> &Slot {
    slots[id as usize].as_ref().expect(KNOWN)
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
