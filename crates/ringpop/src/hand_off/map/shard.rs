//! One part of a map, and writes in it while entries move.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tonic::codegen::Bytes;

use super::super::PlannedMove;

/// One part of a map.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// The default hasher is seeded: keys from the network cannot be chosen to collide.
    pub(super) values: HashMap<Bytes, Bytes>,
    gives: Vec<Arc<Give>>,
    /// Moves that bring entries here.
    takes: usize,
    /// Keys that were written here while entries come.
    written: HashSet<Bytes>,
}

/// What an entry needs beyond what is there.
pub(super) struct Room {
    pub(super) entries: usize,
    pub(super) bytes: usize,
    /// Bytes that are free with it.
    pub(super) less: usize,
}

/// A move in which this member gives entries.
#[derive(Debug)]
pub(super) struct Give {
    pub(super) planned: PlannedMove,
    /// Keys that were written after their entry was read to be sent.
    written: Mutex<HashSet<Bytes>>,
    wakes: Notify,
}

impl Shard {
    pub(super) fn room_for(&self, key: &Bytes, value: &Bytes) -> Room {
        match self.values.get(key) {
            Some(former) => Room {
                entries: 0,
                bytes: value.len().saturating_sub(former.len()),
                less: former.len().saturating_sub(value.len()),
            },
            None => Room { entries: 1, bytes: key.len() + value.len(), less: 0 },
        }
    }

    /// Remembers the writes from now on, and gives the entries of now.
    pub(super) fn begin_to_give(&mut self, give: &Arc<Give>) -> Vec<(Bytes, Bytes)> {
        self.gives.push(Arc::clone(give));
        let moving = self.values.iter().filter(|(key, _)| give.planned.receiver(key).is_some());
        moving.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(super) fn begin_to_take(&mut self) {
        self.takes += 1;
    }

    /// The application wrote or deleted a key.
    pub(super) fn note_write(&mut self, key: &[u8]) {
        for give in &self.gives {
            if give.planned.receiver(key).is_some() {
                give.lock().insert(Bytes::copy_from_slice(key));
                give.wakes.notify_one();
            }
        }
        if self.takes > 0 {
            self.written.insert(Bytes::copy_from_slice(key));
        }
    }

    /// Whether the application wrote a key since entries began to come.
    pub(super) fn is_written(&self, key: &[u8]) -> bool {
        self.written.contains(key)
    }

    pub(super) fn end(&mut self, planned: &PlannedMove) {
        let before = self.gives.len();
        self.gives.retain(|give| !give.is_of(planned));
        if self.gives.len() == before {
            self.takes = self.takes.saturating_sub(1);
        }
        if self.takes == 0 {
            self.written = HashSet::new();
        }
    }
}

impl Give {
    pub(super) fn new(planned: PlannedMove) -> Self {
        Self { planned, written: Mutex::default(), wakes: Notify::new() }
    }

    pub(super) fn is_of(&self, planned: &PlannedMove) -> bool {
        self.planned.is_same(planned)
    }

    pub(super) fn take_written(&self) -> HashSet<Bytes> {
        std::mem::take(&mut *self.lock())
    }

    /// Waits until something was written.
    pub(super) async fn written(&self) {
        while self.lock().is_empty() {
            self.wakes.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Bytes>> {
        self.written.lock().expect("nothing between lock and unlock panics")
    }
}
