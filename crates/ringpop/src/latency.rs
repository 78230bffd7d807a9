//! How long attempts at owners take, as a histogram for people who look at a member.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::generated::LatencyBucket;

/// Upper bounds of the buckets in microseconds; a last one takes the rest.
const BOUNDS_US: [u64; 15] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000,
];

/// Counts the attempts of each bucket. Without feature `http-admin` nobody looks, and nothing is
/// measured.
#[derive(Debug, Default)]
pub(crate) struct Latency([AtomicU64; BOUNDS_US.len() + 1]);

impl Latency {
    #[cfg(feature = "http-admin")]
    fn note(&self, took: std::time::Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < took);
        self.0[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// The counts so far; none where nothing is measured.
    pub(crate) fn buckets(&self) -> Vec<LatencyBucket> {
        if cfg!(not(feature = "http-admin")) {
            return Vec::new();
        }
        let bounds = BOUNDS_US.into_iter().chain([0]);
        let bucket = |(up_to_us, count): (u64, &AtomicU64)| LatencyBucket {
            up_to_us,
            count: count.load(Ordering::Relaxed),
        };
        bounds.zip(&self.0).map(bucket).collect()
    }
}

#[cfg(feature = "http-admin")]
impl ringpop_forward::Observer for Latency {
    fn event(&self, event: &ringpop_forward::ForwardEvent<'_>) {
        use ringpop_forward::{AttemptEnd, ForwardEvent};
        if let ForwardEvent::AttemptEnded { took, end: AttemptEnd::Answered, .. } = event {
            self.note(*took);
        }
    }
}

#[cfg(all(test, feature = "http-admin"))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_time_is_in_the_bucket_of_its_bound() {
        let latency = Latency::default();
        for took in [1, 100, 101, 5_000_000, 5_000_001] {
            latency.note(Duration::from_micros(took));
        }
        let filled = latency.buckets().into_iter().filter(|bucket| bucket.count > 0);
        let filled: Vec<_> = filled.map(|bucket| (bucket.up_to_us, bucket.count)).collect();
        assert_eq!(filled, [(100, 2), (200, 1), (5_000_000, 1), (0, 1)]);
    }
}
