//! Times in classes that grow with them: a quantile is right to a fifth of its value.

use std::time::Duration;

/// Classes for each doubling.
const PER_DOUBLING: usize = 4;

/// Enough for an hour in microseconds.
const CLASSES: usize = 32 * PER_DOUBLING;

/// Times in classes.
#[derive(Clone, Debug)]
pub(super) struct Histogram(Box<[u64; CLASSES]>);

impl Default for Histogram {
    fn default() -> Self {
        Self(Box::new([0; CLASSES]))
    }
}

impl Histogram {
    pub(super) fn add(&mut self, time: Duration) {
        let micros = (time.as_micros() as f64).max(1.0);
        let class = (micros.log2() * PER_DOUBLING as f64) as usize;
        self.0[class.min(CLASSES - 1)] += 1;
    }

    /// The time in microseconds that this part of all does not exceed; 0 when there are none.
    pub(super) fn quantile(&self, part: f64) -> u64 {
        let all: u64 = self.0.iter().sum();
        let wanted = ((all as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (class, count) in self.0.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return 2_f64.powf((class + 1) as f64 / PER_DOUBLING as f64) as u64;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_fifth() {
        let mut times = Histogram::default();
        assert_eq!(times.quantile(0.5), 0);
        for micros in 1..=10_000 {
            times.add(Duration::from_micros(micros));
        }
        for (part, exact) in [(0.5, 5000.0), (0.99, 9900.0), (1.0, 10_000.0)] {
            let told = times.quantile(part) as f64;
            assert!((exact..exact * 1.2).contains(&told), "{part}: {told}");
        }
        times.add(Duration::from_secs(1_000_000));
        assert!(times.quantile(1.0) > 1_000_000_000, "the last class takes the rest");
    }
}
