//! Keys and values in memory, bounded in number and in bytes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

/// Keys and values in memory. The default `HashMap` hasher is seeded: keys from the network cannot
/// be chosen to collide.
#[derive(Debug)]
pub(super) struct Store {
    content: Mutex<Content>,
    entries_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Content {
    values: HashMap<String, Bytes>,
    /// Bytes of all keys and values.
    bytes: usize,
}

/// The store cannot take what it was given and is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoreFull {
    #[error("the store holds {max} keys, which is its limit: delete some first")]
    Entries { max: usize },
    #[error("the store would exceed its limit of {max} bytes: delete some keys first")]
    Bytes { max: usize },
}

impl Store {
    pub(super) fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self { content: Mutex::default(), entries_max, bytes_max }
    }

    pub(super) fn get(&self, key: &str) -> Option<Bytes> {
        self.lock().values.get(key).cloned()
    }

    pub(super) fn put(&self, key: String, value: &[u8]) -> Result<(), StoreFull> {
        // A value that came with a message shares the message's buffer; a copy makes the bytes
        // counted the bytes held.
        let value = Bytes::copy_from_slice(value);
        let mut content = self.lock();
        let entries = content.values.len();
        let mut bytes = content.bytes;
        match content.values.entry(key) {
            Entry::Occupied(mut entry) => {
                bytes = bytes - entry.get().len() + value.len();
                self.check_bytes(bytes)?;
                entry.insert(value);
            }
            Entry::Vacant(entry) => {
                if entries >= self.entries_max {
                    let max = self.entries_max;
                    return Err(StoreFull::Entries { max });
                }
                bytes += entry.key().len() + value.len();
                self.check_bytes(bytes)?;
                entry.insert(value);
            }
        }
        content.bytes = bytes;
        Ok(())
    }

    /// Whether the key had a value.
    pub(super) fn delete(&self, key: &str) -> bool {
        let mut content = self.lock();
        let Some(value) = content.values.remove(key) else {
            return false;
        };
        content.bytes -= key.len() + value.len();
        true
    }

    fn check_bytes(&self, bytes: usize) -> Result<(), StoreFull> {
        if bytes > self.bytes_max {
            let max = self.bytes_max;
            return Err(StoreFull::Bytes { max });
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("nothing between lock and unlock panics")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_store_refuses_and_keeps_what_it_has() {
        let store = Store::new(2, 10);
        assert_eq!(store.put("a".into(), b"1"), Ok(()));
        assert_eq!(store.put("b".into(), b"2"), Ok(()));
        assert_eq!(store.put("c".into(), b""), Err(StoreFull::Entries { max: 2 }));
        assert_eq!(store.put("a".into(), b"12345678"), Err(StoreFull::Bytes { max: 10 }));
        assert_eq!(store.get("a").as_deref(), Some(&b"1"[..]));
        assert_eq!(store.put("a".into(), b"1234567"), Ok(()));
        assert!(store.delete("b") && !store.delete("b"));
        assert_eq!(store.put("c".into(), b"1"), Ok(()));
        assert_eq!(store.get("b"), None);
    }

    proptest! {
        /// The counted bytes are those of the content after any history, refusals included.
        #[test]
        fn bytes_are_counted(history in prop::collection::vec(("[a-d]{1,3}", prop::option::of(0..20_usize)), 0..60)) {
            let store = Store::new(5, 60);
            for (key, len) in history {
                match len {
                    Some(len) => { let _ = store.put(key, &vec![0; len]); }
                    None => { store.delete(&key); }
                }
                let content = store.lock();
                let held: usize = content.values.iter().map(|(key, value)| key.len() + value.len()).sum();
                prop_assert_eq!(content.bytes, held);
                prop_assert!(held <= 60 && content.values.len() <= 5);
            }
        }
    }
}
