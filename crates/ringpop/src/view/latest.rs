//! The latest of some values, read without a lock.

use std::cell::RefCell;
use std::sync::Arc;

use hashring::{Reader, Shared};
use thread_local::ThreadLocal;

/// Each thread caches the value that it saw last, which costs one atomic load while nothing
/// changes. The caches live here: they go with the value, and a thread that ends leaves its place
/// to the next one.
#[derive(Debug)]
pub(crate) struct Latest<T: Send + Sync + 'static> {
    shared: Shared<T>,
    readers: ThreadLocal<RefCell<Reader<T>>>,
}

impl<T: Send + Sync + 'static> Latest<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { shared: Shared::new(value), readers: ThreadLocal::new() }
    }

    pub(crate) fn load(&self) -> Arc<T> {
        self.shared.load()
    }

    /// Makes a value the latest one.
    pub(crate) fn publish(&self, value: Arc<T>) {
        self.shared.publish(value);
    }

    /// Runs `f` on the latest value.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        let reader = self.readers.get_or(|| RefCell::new(self.shared.reader()));
        if let Ok(mut reader) = reader.try_borrow_mut() {
            return f(reader.load());
        }
        // `f` of an outer call looks something up itself.
        f(&self.load())
    }
}
