//! Frequent items of a stream in bounded memory.

use crate::limits::{HOT_KEY_BYTES_MAX, HOT_KEYS_COUNTED_MAX};

/// The algorithm Space-Saving (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent
/// and top-k elements in data streams", 2005): a key that is new takes the counter of the least
/// frequent one, and its count on top. Every key of more than one in [`HOT_KEYS_COUNTED_MAX`]
/// calls has a counter, and no count is too large by more than its error.
#[derive(Debug, Default)]
pub(super) struct SpaceSaving {
    /// Of the keys, in the order of the counters: all are looked through for each call.
    hashes: Vec<u64>,
    counters: Vec<Counted>,
    total: u64,
}

/// A key and its calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    /// Its first bytes.
    pub(super) key: Vec<u8>,
    /// Of the whole key.
    pub(super) key_bytes: usize,
    pub(super) count: u64,
    /// The count may be too large by this.
    pub(super) error: u64,
}

impl SpaceSaving {
    /// Counts a call of this key.
    pub(super) fn add(&mut self, hash: u64, key: &[u8]) {
        self.total += 1;
        if let Some(place) = self.hashes.iter().position(|known| *known == hash) {
            self.counters[place].count += 1;
            return;
        }
        let place = if self.counters.len() < HOT_KEYS_COUNTED_MAX {
            self.hashes.push(hash);
            self.counters.push(Counted::default());
            self.counters.len() - 1
        } else {
            let places = 0..self.counters.len();
            places.min_by_key(|place| self.counters[*place].count).unwrap_or(0)
        };
        self.hashes[place] = hash;
        let counter = &mut self.counters[place];
        counter.error = counter.count;
        counter.count += 1;
        counter.key_bytes = key.len();
        counter.key.clear();
        counter.key.extend_from_slice(&key[..key.len().min(HOT_KEY_BYTES_MAX)]);
    }

    /// Counts calls whose keys are not known.
    pub(super) const fn add_without_key(&mut self, calls: u64) {
        self.total += calls;
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn clear(&mut self) {
        self.hashes.clear();
        self.counters.clear();
        self.total = 0;
    }

    /// The `n` most frequent keys of both together, the most frequent first.
    pub(super) fn most_of(one: &Self, other: &Self, n: usize) -> Vec<Counted> {
        let mut all: Vec<(u64, Counted)> = one.entries().collect();
        for (hash, counted) in other.entries() {
            match all.iter_mut().find(|(known, _)| *known == hash) {
                Some((_, both)) => {
                    both.count += counted.count;
                    both.error += counted.error;
                }
                None => all.push((hash, counted)),
            }
        }
        all.sort_by(|(_, a), (_, b)| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        all.into_iter().take(n).map(|(_, counted)| counted).collect()
    }

    fn entries(&self) -> impl Iterator<Item = (u64, Counted)> {
        self.hashes.iter().copied().zip(self.counters.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Each of thousands of calls looks through all counters.
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// What the authors prove of it.
        #[test]
        fn frequent_keys_are_found_and_counts_are_within_their_error(
            rare in prop::collection::vec(0_u64..5000, 0..1500),
            hot in 1_usize..200,
        ) {
            let mut sketch = SpaceSaving::default();
            let mut exact = HashMap::<u64, u64>::new();
            let calls = rare.iter().copied().flat_map(|key| [key, 9999]);
            let calls: Vec<u64> = calls.chain(std::iter::repeat_n(9999, hot)).collect();
            for key in &calls {
                sketch.add(*key, &key.to_be_bytes());
                *exact.entry(*key).or_default() += 1;
            }
            prop_assert_eq!(sketch.total(), calls.len() as u64);
            let told = SpaceSaving::most_of(&sketch, &SpaceSaving::default(), usize::MAX);
            let mut found = HashMap::new();
            for counted in &told {
                let key = u64::from_be_bytes(counted.key[..8].try_into().unwrap());
                let true_count = exact[&key];
                prop_assert!(counted.count >= true_count && counted.count - counted.error <= true_count);
                found.insert(key, counted.count);
            }
            for (key, count) in exact {
                let is_frequent = count > (calls.len() / HOT_KEYS_COUNTED_MAX) as u64;
                prop_assert!(!is_frequent || found.contains_key(&key), "{} of {}", count, calls.len());
            }
            prop_assert!(told.len() <= HOT_KEYS_COUNTED_MAX);
            prop_assert_eq!(&told[0].key[..], &9999_u64.to_be_bytes());
        }
    }
}
