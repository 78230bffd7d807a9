//! A map in memory whose entries move with their keys.

mod shard;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use prost::Message as _;
use tonic::codegen::Bytes;

use self::shard::{Give, Room, Shard};
use super::{HandOff, HandOffError, MoveEnd, PlannedMove};
use crate::generated::{MapEntries, MapEntry};
use crate::limits::{HAND_OFF_CHUNK_BYTES, MAP_SHARDS};

/// Keys and values in memory, bounded in number and in bytes. Given to
/// [`Builder::hand_off`](crate::Builder::hand_off), its entries move to the new owners of their
/// keys before a planned change of the ring.
///
/// Writes while entries move are sent after them, until shortly after the switch. A value
/// that the new owner has written itself is not overwritten. Once the ring has changed, entries
/// that moved are dropped here. What a crash takes along is lost: this is a cache, or the state of
/// sessions, and no store.
///
/// Clones of the keys and values share their buffers. A handler keeps the map in an [`Arc`]:
///
/// ```
/// use ringpop::hand_off::Map;
///
/// let map = Map::new(1000, 1024 * 1024); // at most so many keys, and bytes of keys and values
/// map.put("a", "1")?;
/// assert_eq!(map.get(b"a").as_deref(), Some(&b"1"[..]));
/// assert_eq!((map.len(), map.bytes()), (1, 2));
/// assert!(map.delete(b"a") && map.is_empty());
/// # Ok::<(), ringpop::hand_off::MapFull>(())
/// ```
pub struct Map {
    shards: Box<[Mutex<Shard>]>,
    /// Seeded: keys from the network cannot be chosen to fill one shard.
    hasher: RandomState,
    entries: AtomicUsize,
    bytes: AtomicUsize,
    entries_max: usize,
    bytes_max: usize,
    /// The moves in which this member gives entries.
    gives: Mutex<Vec<Arc<Give>>>,
    /// The moves that bring entries here.
    takes: Mutex<Vec<PlannedMove>>,
}

/// The map cannot take an entry and is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapFull {
    /// It holds as many keys as it may.
    #[error("the map holds {max} keys, which is its limit: delete some first")]
    Entries {
        /// Most keys.
        max: usize,
    },
    /// It would hold more bytes than it may.
    #[error("the map would exceed its limit of {max} bytes: delete some keys first")]
    Bytes {
        /// Most bytes of keys and values.
        max: usize,
    },
}

impl Map {
    /// An empty map for at most `entries_max` keys, and at most `bytes_max` bytes of keys and
    /// values together. Each entry costs some hundred bytes more.
    #[must_use]
    pub fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self {
            shards: (0..MAP_SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            entries_max,
            bytes_max,
            gives: Mutex::default(),
            takes: Mutex::default(),
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        lock(self.shard(key)).values.get(key).cloned()
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    ///
    /// When the map is full. It is unchanged then.
    pub fn put(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<(), MapFull> {
        let (key, value) = (key.into(), value.into());
        let mut shard = lock(self.shard(&key));
        self.insert(&mut shard, key.clone(), value)?;
        shard.note_write(&key);
        Ok(())
    }

    /// Removes a key; whether it was there.
    pub fn delete(&self, key: &[u8]) -> bool {
        let mut shard = lock(self.shard(key));
        let existed = self.remove(&mut shard, key);
        shard.note_write(key);
        existed
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(key);
        let shards = self.shards.len() as u64;
        &self.shards[usize::try_from(hash % shards).unwrap_or(0)]
    }

    fn insert(&self, shard: &mut Shard, key: Bytes, value: Bytes) -> Result<(), MapFull> {
        let Room { entries, bytes, less } = shard.room_for(&key, &value);
        // Other shards change meanwhile: room is taken before it is used.
        let taken = self.entries.fetch_add(entries, Ordering::Relaxed) + entries;
        if taken > self.entries_max && entries > 0 {
            self.entries.fetch_sub(entries, Ordering::Relaxed);
            return Err(MapFull::Entries { max: self.entries_max });
        }
        let taken = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if taken > self.bytes_max && bytes > 0 {
            self.entries.fetch_sub(entries, Ordering::Relaxed);
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(MapFull::Bytes { max: self.bytes_max });
        }
        self.bytes.fetch_sub(less, Ordering::Relaxed);
        shard.values.insert(key, value);
        Ok(())
    }

    fn remove(&self, shard: &mut Shard, key: &[u8]) -> bool {
        let Some((key, value)) = shard.values.remove_entry(key) else { return false };
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(key.len() + value.len(), Ordering::Relaxed);
        true
    }

    /// Remembers the keys of writes here while a move brings entries.
    fn begin_to_take(&self, planned: &PlannedMove) {
        let mut takes = takes(&self.takes);
        if !takes.iter().any(|known| known.is_same(planned)) {
            takes.push(planned.clone());
            self.shards.iter().for_each(|shard| lock(shard).begin_to_take());
        }
    }

    /// Takes entries in that an old owner sent, except those that were written here meanwhile.
    fn take(&self, entries: MapEntries) -> Result<(), MapFull> {
        for MapEntry { key, value } in entries.entries {
            let mut shard = lock(self.shard(&key));
            if shard.is_written(&key) {
                continue;
            }
            match value {
                // It shares the buffer of its chunk: a copy makes the bytes counted those held.
                Some(value) => self.insert(
                    &mut shard,
                    Bytes::copy_from_slice(&key),
                    Bytes::copy_from_slice(&value),
                )?,
                None => {
                    self.remove(&mut shard, &key);
                }
            }
        }
        Ok(())
    }

    /// Sends entries that were written since they were sent, until nothing is left of it.
    async fn give_written(&self, give: &Give) -> Result<(), HandOffError> {
        let mut failure = Ok(());
        loop {
            let keys = give.take_written();
            if keys.is_empty() {
                return failure;
            }
            let mut batches = Batches::default();
            for key in keys {
                let Some(receiver) = give.planned.receiver(&key) else { continue };
                let value = self.get(&key);
                let full = batches.add(receiver, MapEntry { key, value });
                keep_first(&mut failure, send(&give.planned, full).await);
            }
            keep_first(&mut failure, batches.send_rest(&give.planned).await);
        }
    }
}

#[tonic::async_trait]
impl HandOff for Map {
    async fn give(&self, planned: PlannedMove) -> Result<(), HandOffError> {
        let give = Arc::new(Give::new(planned));
        gives(&self.gives).push(Arc::clone(&give));
        let planned = &give.planned;
        let (mut failure, mut batches) = (Ok(()), Batches::default());
        for shard in &self.shards {
            let entries = lock(shard).begin_to_give(&give);
            for (key, value) in entries {
                let Some(receiver) = planned.receiver(&key) else { continue };
                let full = batches.add(receiver, MapEntry { key, value: Some(value) });
                keep_first(&mut failure, send(planned, full).await);
            }
        }
        keep_first(&mut failure, batches.send_rest(planned).await);
        keep_first(&mut failure, self.give_written(&give).await);
        failure
    }

    async fn receive(&self, planned: &PlannedMove, chunk: Bytes) -> Result<(), HandOffError> {
        self.begin_to_take(planned);
        let entries = MapEntries::decode(chunk).map_err(HandOffError::failed)?;
        self.take(entries).map_err(HandOffError::failed)
    }

    async fn prepare(&self, planned: PlannedMove) -> Result<(), HandOffError> {
        self.begin_to_take(&planned);
        Ok(())
    }

    async fn keep_up(&self, planned: PlannedMove) {
        let give = gives(&self.gives).iter().find(|give| give.is_of(&planned)).cloned();
        let Some(give) = give else { return };
        loop {
            give.written().await;
            if let Err(error) = self.give_written(&give).await {
                tracing::debug!(%error, "an entry that was written during a move is not handed over");
            }
        }
    }

    fn ended(&self, planned: &PlannedMove, _: MoveEnd) {
        gives(&self.gives).retain(|give| !give.is_of(planned));
        // Entries that a later move brings are there before this member owns them.
        let later: Vec<PlannedMove> = {
            let mut takes = takes(&self.takes);
            takes.retain(|known| !known.is_same(planned));
            takes.clone()
        };
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.end(planned);
            let others = shard.values.keys();
            let others = others.filter(|key| {
                planned.moves_key(key)
                    && !planned.is_owned(key)
                    && !later.iter().any(|later| later.takes(key))
            });
            let others: Vec<Bytes> = others.cloned().collect();
            for key in others {
                self.remove(&mut shard, &key);
            }
        }
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("len", &self.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().expect("nothing between lock and unlock panics")
}

fn gives(gives: &Mutex<Vec<Arc<Give>>>) -> MutexGuard<'_, Vec<Arc<Give>>> {
    gives.lock().expect("nothing between lock and unlock panics")
}

fn takes(takes: &Mutex<Vec<PlannedMove>>) -> MutexGuard<'_, Vec<PlannedMove>> {
    takes.lock().expect("nothing between lock and unlock panics")
}

/// The first failure counts; entries for other receivers still go.
fn keep_first(failure: &mut Result<(), HandOffError>, result: Result<(), HandOffError>) {
    if failure.is_ok() {
        *failure = result;
    }
}

/// Entries that wait for a full chunk, by receiver.
#[derive(Default)]
struct Batches(HashMap<String, (MapEntries, usize)>);

impl Batches {
    /// Adds an entry; gives a chunk that is full with it.
    fn add(&mut self, receiver: &str, entry: MapEntry) -> Option<(String, Bytes)> {
        let bytes = entry.encoded_len();
        if !self.0.contains_key(receiver) {
            self.0.insert(receiver.to_owned(), Default::default());
        }
        let (entries, held) = self.0.get_mut(receiver)?;
        let full = (*held > 0 && *held + bytes > HAND_OFF_CHUNK_BYTES).then(|| {
            *held = 0;
            (receiver.to_owned(), std::mem::take(entries).encode_to_vec().into())
        });
        entries.entries.push(entry);
        *held += bytes;
        full
    }

    async fn send_rest(self, planned: &PlannedMove) -> Result<(), HandOffError> {
        let mut failure = Ok(());
        for (receiver, (entries, _)) in self.0 {
            let chunk = (receiver, entries.encode_to_vec().into());
            keep_first(&mut failure, send(planned, Some(chunk)).await);
        }
        failure
    }
}

async fn send(planned: &PlannedMove, chunk: Option<(String, Bytes)>) -> Result<(), HandOffError> {
    match chunk {
        Some((receiver, chunk)) => planned.send(&receiver, chunk).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
