//! The keys of most calls that this member handles, for administrators.
//!
//! Of calls that come at the same moment one is counted and the others only as calls without a key:
//! no call waits for another one.

mod space_saving;

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

use ringpop_forward::{ForwardEvent, Observer};
use tokio::time::Instant;

use self::space_saving::SpaceSaving;
use crate::generated as proto;
use crate::limits::{HOT_KEYS_TOLD, HOT_KEYS_TOLD_MAX, HOT_KEYS_WINDOW};

/// Counts keys of this window and the one before.
#[derive(Debug)]
pub(crate) struct HotKeys {
    /// One call in so many is counted.
    one_in: NonZeroU32,
    /// With a seed of its own: nobody finds two keys that count as one.
    hasher: RandomState,
    windows: Mutex<Windows>,
    /// Calls whose key was not counted because another one was at that moment.
    missed: AtomicU64,
}

#[derive(Debug)]
struct Windows {
    current: SpaceSaving,
    began: Instant,
    former: SpaceSaving,
    former_began: Instant,
}

impl HotKeys {
    pub(crate) fn new(one_in: NonZeroU32) -> Self {
        let now = Instant::now();
        Self {
            one_in,
            hasher: RandomState::new(),
            windows: Mutex::new(Windows {
                current: SpaceSaving::default(),
                began: now,
                former: SpaceSaving::default(),
                former_began: now,
            }),
            missed: AtomicU64::new(0),
        }
    }

    fn note(&self, key: &[u8]) {
        if self.one_in.get() > 1 && fastrand::u32(..self.one_in.get()) != 0 {
            return;
        }
        let mut windows = match self.windows.try_lock() {
            Ok(windows) => windows,
            Err(TryLockError::Poisoned(windows)) => windows.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        windows.turn(Instant::now());
        windows.current.add_without_key(self.missed.swap(0, Ordering::Relaxed));
        windows.current.add(self.hasher.hash_one(key), key);
    }

    /// The `n` keys of most calls, the most frequent first; 0 stands for a few.
    pub(crate) fn told(&self, n: u32) -> proto::GetHotKeysResponse {
        let n = match n as usize {
            0 => HOT_KEYS_TOLD,
            n => n.min(HOT_KEYS_TOLD_MAX),
        };
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        windows.turn(now);
        let of_all = |count: u64| count.saturating_mul(self.one_in.get().into());
        let keys = SpaceSaving::most_of(&windows.current, &windows.former, n);
        proto::GetHotKeysResponse {
            enabled: true,
            one_in: self.one_in.get(),
            window_ms: u64::try_from((now - windows.former_began).as_millis()).unwrap_or(u64::MAX),
            calls: of_all(windows.current.total() + windows.former.total()),
            keys: keys
                .into_iter()
                .map(|counted| proto::HotKey {
                    key: counted.key.into(),
                    key_bytes: counted.key_bytes as u64,
                    calls: of_all(counted.count),
                    calls_error: of_all(counted.error),
                })
                .collect(),
        }
    }
}

impl Windows {
    /// Begins a window when the present one is over.
    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        if age < HOT_KEYS_WINDOW {
            return;
        }
        std::mem::swap(&mut self.current, &mut self.former);
        self.current.clear();
        self.former_began = self.began;
        self.began = now;
        if age >= 2 * HOT_KEYS_WINDOW {
            // Nothing was counted in the window that would be the former one.
            self.former.clear();
            self.former_began = now;
        }
    }
}

impl Observer for HotKeys {
    fn event(&self, event: &ForwardEvent<'_>) {
        if let ForwardEvent::Placed { key, here: true } = event {
            self.note(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::limits::HOT_KEY_BYTES_MAX;

    fn every() -> HotKeys {
        HotKeys::new(NonZeroU32::MIN)
    }

    fn call(hot: &HotKeys, key: &[u8]) {
        hot.event(&ForwardEvent::Placed { key, here: true });
    }

    fn keys(hot: &HotKeys, n: u32) -> Vec<(String, u64)> {
        let told = hot.told(n).keys.into_iter();
        told.map(|key| (String::from_utf8(key.key.to_vec()).unwrap(), key.calls)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_frequent_come_first_and_calls_of_others_are_not_counted() {
        let hot = every();
        for (key, calls) in [("a", 3), ("b", 5), ("c", 1)] {
            (0..calls).for_each(|_| call(&hot, key.as_bytes()));
        }
        hot.event(&ForwardEvent::Placed { key: b"d", here: false });
        let pair = |key: &str, calls| (key.to_owned(), calls);
        assert_eq!(keys(&hot, 2), [pair("b", 5), pair("a", 3)]);
        assert_eq!(keys(&hot, 0).len(), 3);
        assert_eq!(hot.told(0).calls, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_long_ago_counts_no_more() {
        let hot = every();
        call(&hot, b"old");
        advance(HOT_KEYS_WINDOW + Duration::from_secs(1)).await;
        call(&hot, b"new");
        assert_eq!(keys(&hot, 0).len(), 2, "the window before counts");
        assert_eq!(hot.told(0).window_ms, 31_000);
        advance(HOT_KEYS_WINDOW).await;
        assert_eq!(keys(&hot, 0), [("new".to_owned(), 1)]);
        advance(3 * HOT_KEYS_WINDOW).await;
        assert_eq!((keys(&hot, 0).len(), hot.told(0).window_ms), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn long_keys_are_told_by_their_beginning_and_stay_apart() {
        let hot = every();
        let long = |last: u8| [&[b'x'; 500][..], &[last]].concat();
        (0..2).for_each(|_| call(&hot, &long(b'1')));
        call(&hot, &long(b'2'));
        let told = hot.told(0).keys;
        assert_eq!(told.iter().map(|key| key.calls).collect::<Vec<_>>(), [2, 1]);
        assert!(told.iter().all(|key| key.key.len() == HOT_KEY_BYTES_MAX && key.key_bytes == 501));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sample_stands_for_all() {
        let hot = HotKeys::new(NonZeroU32::new(10).unwrap());
        for _ in 0..20_000 {
            call(&hot, b"hot");
        }
        // 2,000 are expected, with a standard deviation of 42.
        let calls = hot.told(0).keys[0].calls;
        assert!((17_500..22_500).contains(&calls), "{calls}");
        assert_eq!(calls % 10, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_call_that_is_being_counted() {
        let hot = every();
        call(&hot, b"one");
        let held = hot.windows.lock().unwrap();
        call(&hot, b"two");
        drop(held);
        call(&hot, b"three");
        let told = hot.told(0);
        assert_eq!((told.calls, told.keys.len()), (3, 2));
    }

    /// `cargo test --release -p ringpop --lib what_a_call_costs -- --nocapture` prints it.
    #[test]
    fn what_a_call_costs() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _entered = runtime.enter();
        for one_in in [1, 16] {
            let hot = HotKeys::new(NonZeroU32::new(one_in).unwrap());
            let calls = if cfg!(debug_assertions) { 20_000 } else { 2_000_000_u32 };
            let begun = std::time::Instant::now();
            for i in 0..calls {
                // Half of the calls are about ten keys, the others about ever new ones.
                let key = if i % 2 == 0 { i % 20 } else { i };
                call(&hot, &key.to_be_bytes());
            }
            let each = begun.elapsed().as_nanos() / u128::from(calls);
            println!("one call in {one_in} counted: {each} ns a call");
            let told = hot.told(0);
            assert!(told.keys[0].calls > u64::from(calls) / 40, "{told:?}");
        }
    }

    #[test]
    fn counting_allocates_nothing_once_it_is_full() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _entered = runtime.enter();
        let hot = every();
        let mut next = 0_u64;
        let mut calls = |count: u64| {
            for _ in 0..count {
                next += 1;
                call(&hot, &[next.to_be_bytes(); 10].concat()[..HOT_KEY_BYTES_MAX]);
            }
        };
        calls(10_000);
        // The keys themselves take one each here.
        let info = allocation_counter::measure(|| calls(100));
        assert_eq!(info.count_total, 100);
    }
}
