//! One value that a writer replaces and many readers read without waiting.

use std::fmt;

use crate::{
    ring::Ring,
    scheme::Xxh3,
    sync::{Arc, AtomicU64, Mutex, Ordering, lock},
};

/// A [`Ring`] that is replaced while others read it.
pub type SharedRing<N = (), S = Xxh3> = Shared<Ring<N, S>>;

/// A [`Reader`] of a [`SharedRing`].
pub type RingReader<N = (), S = Xxh3> = Reader<Ring<N, S>>;

/// An immutable snapshot that writers replace and readers keep.
///
/// Writers [publish](Self::publish) a whole new value. A [`Reader`] keeps the value that it saw
/// last and asks one atomic number whether there is a newer one; only then it takes a lock, for the
/// time of a pointer's clone. So reading costs a quarter of a nanosecond while nothing changes, and
/// readers do not slow each other down. Clones of a `Shared` are handles to one slot.
///
/// ```
/// use hashring::{Edit, Node, Ring, SharedRing};
///
/// let shared = SharedRing::new(Ring::builder().nodes(["a", "b"]).build()?);
/// let mut reader = shared.reader();
/// assert_eq!(reader.load().len(), 2);
///
/// shared.update(|ring| ring.apply([Edit::add(Node::new("c"))]))?;
/// assert_eq!(reader.load().len(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Shared<T> {
    slot: Arc<Slot<T>>,
}

struct Slot<T> {
    /// Counts publications. It is raised after `value` is replaced, so a reader that sees the new
    /// number finds a value at least as new; raised before, a reader could keep the old value under
    /// the new number for ever.
    generation: AtomicU64,
    value: Mutex<Arc<T>>,
    /// Held by a writer from reading the old value to publishing the next, so that no change is
    /// lost between two.
    writer: Mutex<()>,
}

impl<T> Shared<T> {
    /// A slot that holds `value`.
    pub fn new(value: T) -> Self {
        let slot = Slot {
            generation: AtomicU64::new(0),
            value: Mutex::new(Arc::new(value)),
            writer: Mutex::new(()),
        };
        Self { slot: Arc::new(slot) }
    }

    /// Replaces the value.
    pub fn publish(&self, value: Arc<T>) {
        let _writer = lock(&self.slot.writer);
        self.slot.replace(value);
    }

    /// Replaces the value by one that is made of it, and returns that. Updates run one after
    /// another; readers do not wait for them.
    ///
    /// # Errors
    ///
    /// That of `make`; the value stays as it was then.
    pub fn update<E>(&self, make: impl FnOnce(&T) -> Result<T, E>) -> Result<Arc<T>, E> {
        let _writer = lock(&self.slot.writer);
        let next = Arc::new(make(&self.load())?);
        self.slot.replace(Arc::clone(&next));
        Ok(next)
    }

    /// The present value. It takes a lock for the time of a pointer's clone; on a hot path keep a
    /// [reader](Self::reader).
    #[must_use]
    pub fn load(&self) -> Arc<T> {
        Arc::clone(&lock(&self.slot.value))
    }

    /// A reader that starts with the present value. Give each thread or task its own.
    #[must_use]
    pub fn reader(&self) -> Reader<T> {
        let (generation, value) = self.slot.read();
        Reader { slot: Arc::clone(&self.slot), generation, value }
    }
}

impl<T> Slot<T> {
    fn replace(&self, next: Arc<T>) {
        let mut value = lock(&self.value);
        let last = std::mem::replace(&mut *value, next);
        self.generation.fetch_add(1, Ordering::Release);
        drop(value);
        // The last owner of a large value frees it; readers must not wait for that.
        drop(last);
    }

    /// The value and its number, which belong together because both change under the lock.
    fn read(&self) -> (u64, Arc<T>) {
        let value = lock(&self.value);
        (self.generation.load(Ordering::Relaxed), Arc::clone(&value))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { slot: Arc::clone(&self.slot) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.load()).finish()
    }
}

/// Reads a [`Shared`] value without waiting for anyone.
///
/// It holds the value that it loaded last. A reader that is never used again keeps that old value
/// in memory.
pub struct Reader<T> {
    slot: Arc<Slot<T>>,
    generation: u64,
    value: Arc<T>,
}

impl<T> Reader<T> {
    /// The newest value: one atomic read if nothing was published since the last call.
    ///
    /// It never goes back: a later call gives the same value or a newer one.
    #[inline]
    pub fn load(&mut self) -> &Arc<T> {
        if self.slot.generation.load(Ordering::Acquire) != self.generation {
            (self.generation, self.value) = self.slot.read();
        }
        &self.value
    }

    /// Whether this reader belongs to `shared`, for callers that keep readers by thread and have
    /// several slots.
    #[must_use]
    pub fn reads(&self, shared: &Shared<T>) -> bool {
        Arc::ptr_eq(&self.slot, &shared.slot)
    }
}

impl<T> Clone for Reader<T> {
    fn clone(&self) -> Self {
        Self {
            slot: Arc::clone(&self.slot),
            generation: self.generation,
            value: Arc::clone(&self.value),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&self.value).finish()
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;
