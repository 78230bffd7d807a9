//! Random numbers that are the same on every machine and in every release.

use swim_core::SplitMix64;

/// A generator with the draws that a simulation needs.
#[derive(Clone, Debug)]
pub struct Rng(SplitMix64);

impl Rng {
    /// The generator of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    /// The generator of one purpose under a seed. Draws for one purpose never move those for
    /// another: masking a fault leaves the other draws as they are.
    #[must_use]
    pub fn stream(seed: u64, purpose: &str) -> Self {
        let fold = |hash: u64, byte: u8| SplitMix64::mix(hash ^ u64::from(byte));
        Self::new(purpose.bytes().fold(SplitMix64::mix(seed), fold))
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// A number in `min..=max`; `min` when `max` is less.
    pub const fn within(&mut self, min: u64, max: u64) -> u64 {
        min + self.below(max.saturating_sub(min) + 1)
    }

    /// Whether something happens that does so with this chance.
    pub const fn happens(&mut self, chance: Chance) -> bool {
        self.next() >> 32 < chance.0
    }

    /// A number above 0 and up to 1.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// A number in `min..=max`, drawn by order of magnitude: as many of them lie between 1 and 10
    /// as between 10 and 100. `min` when `max` is less; 0 counts as 1.
    pub fn log_uniform(&mut self, min: u64, max: u64) -> u64 {
        let (min, max) = (min.max(1), max.max(min).max(1));
        let (low, high) = (libm::log(min as f64), libm::log(max as f64));
        // The logarithm of a portable library: the one of the platform may differ
        // in its last bit.
        let drawn = libm::exp(low + self.unit() * (high - low));
        (drawn as u64).clamp(min, max)
    }

    /// One of several.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Puts the items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }
}

/// A probability, in parts of 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u64);

impl Chance {
    /// It never happens.
    pub const NEVER: Self = Self(0);
    /// It always happens.
    pub const ALWAYS: Self = Self(1 << 32);

    /// The chance for a share between 0 and 1; what lies outside is clamped.
    #[must_use]
    pub fn of(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * (1u64 << 32) as f64) as u64)
    }

    /// Whether it can happen at all.
    #[must_use]
    pub const fn is_possible(self) -> bool {
        self.0 > 0
    }

    /// The share between 0 and 1.
    #[must_use]
    pub fn share(self) -> f64 {
        self.0 as f64 / (1u64 << 32) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_happen_as_often_as_they_say() {
        let mut rng = Rng::stream(1, "chance");
        let count = (0..100_000).filter(|_| rng.happens(Chance::of(0.2))).count();
        assert!((19_500..20_500).contains(&count), "{count}");
        assert!((0..1000).all(|_| rng.happens(Chance::ALWAYS)));
        assert!(!(0..1000).any(|_| rng.happens(Chance::NEVER)));
    }

    #[test]
    fn orders_of_magnitude_are_equally_likely() {
        let mut rng = Rng::stream(1, "magnitude");
        let drawn: Vec<u64> = (0..90_000).map(|_| rng.log_uniform(10, 10_000)).collect();
        for (low, high) in [(10, 100), (100, 1_000), (1_000, 10_001)] {
            let count = drawn.iter().filter(|n| (low..high).contains(*n)).count();
            assert!((29_000..31_000).contains(&count), "{count} in {low}..{high}");
        }
        assert_eq!(rng.log_uniform(7, 7), 7);
        assert_eq!(rng.log_uniform(7, 3), 7);
        assert_eq!(rng.log_uniform(0, 0), 1);
    }

    #[test]
    fn purposes_have_streams_of_their_own() {
        let first = |purpose| Rng::stream(7, purpose).next();
        assert_ne!(first("loss"), first("latency"));
        assert_eq!(first("loss"), first("loss"));
    }
}
