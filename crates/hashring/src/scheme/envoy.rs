//! The scheme of Envoy's and gRPC's `ring_hash` load balancing.

use std::ops::Range;

use thiserror::Error;
use twox_hash::XxHash64;

use super::{NodeName, PointRule, Scheme, WeightedName, name::hash_numbered};

/// XXH64 with seed 0 over the key and over `identity_i`, with as many points as Envoy and gRPC give
/// a host.
///
/// The number of points is scaled so that the lightest host has a whole number of them and the ring
/// has at least `min_ring_size`, but not more than `max_ring_size`. So a change of one host may
/// change the number of points of all: taking away 1 of 10 equal hosts moves 6.2 % of the keys
/// needlessly (103 points a host become 114). The hash spreads ideally, but the default of 1,024
/// points for the whole ring leaves 100 hosts with 11 points each, a standard deviation of 30 %.
/// Take it to agree with a mesh, with that mesh's sizes.
///
/// Where the scale reaches `max_ring_size`, the last of the rounded sums may come out above it.
/// Then the ring has one point more than its maximum, as the rings of Envoy and gRPC have.
///
/// The identity of a node is what the mesh hashes: the `hash_key` of the endpoint, or its first
/// address `ip:port`. Where counts are fractional, hosts are taken in ascending order of identity,
/// as grpc-go does; Envoy takes them as they are configured. Weights are those of one locality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvoyRingHash {
    min_ring_size: u32,
    max_ring_size: u32,
}

/// The largest ring that Envoy allows, and its default maximum.
const ENVOY_RING_SIZE_MAX: u32 = 8_388_608;

/// The default minimum of both.
const RING_SIZE_MIN_DEFAULT: u32 = 1_024;

/// The default maximum of gRPC, which is its hard cap as well.
const GRPC_RING_SIZE_MAX: u32 = 4_096;

impl EnvoyRingHash {
    /// A ring of at least `min_ring_size` and at most `max_ring_size` points; both 1 to 8,388,608.
    ///
    /// # Errors
    ///
    /// [`RingSizeError`] if a size is out of its range or the minimum exceeds the maximum.
    pub fn new(min_ring_size: u32, max_ring_size: u32) -> Result<Self, RingSizeError> {
        for value in [min_ring_size, max_ring_size] {
            if !(1..=ENVOY_RING_SIZE_MAX).contains(&value) {
                return Err(RingSizeError::OutOfRange { value });
            }
        }
        if min_ring_size > max_ring_size {
            return Err(RingSizeError::Reversed { min: min_ring_size, max: max_ring_size });
        }
        Ok(Self { min_ring_size, max_ring_size })
    }

    /// The defaults of gRPC: 1,024 to 4,096 points. Those of Envoy are the [`Default`].
    #[must_use]
    pub fn grpc() -> Self {
        Self { min_ring_size: RING_SIZE_MIN_DEFAULT, max_ring_size: GRPC_RING_SIZE_MAX }
    }
}

/// The defaults of Envoy: 1,024 to 8,388,608 points.
impl Default for EnvoyRingHash {
    fn default() -> Self {
        Self { min_ring_size: RING_SIZE_MIN_DEFAULT, max_ring_size: ENVOY_RING_SIZE_MAX }
    }
}

/// Why sizes of an [`EnvoyRingHash`] are refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RingSizeError {
    /// A size is out of its range.
    #[error("a ring size is {value}; it must be 1 to {ENVOY_RING_SIZE_MAX}")]
    OutOfRange {
        /// The requested value.
        value: u32,
    },
    /// The minimum exceeds the maximum.
    #[error("the minimum ring size {min} exceeds the maximum {max}; swap or equal them")]
    Reversed {
        /// The minimum.
        min: u32,
        /// The maximum.
        max: u32,
    },
}

impl Scheme for EnvoyRingHash {
    fn name(&self) -> &str {
        "envoy"
    }

    fn point_rule(&self) -> PointRule {
        PointRule::WholeRing
    }

    #[inline]
    fn hash_key(&self, key: &[u8]) -> u64 {
        XxHash64::oneshot(0, key)
    }

    fn hash_points(&self, node: NodeName<'_>, range: Range<u32>, hashes: &mut Vec<u64>) {
        hash_numbered(node.identity, "_", range, hashes, |name| XxHash64::oneshot(0, name));
    }

    /// In f64, operation by operation as Envoy does it, because rounding decides about points.
    fn point_counts(&self, nodes: &[WeightedName<'_>]) -> Vec<u32> {
        let mut counts = vec![0; nodes.len()];
        let total: u64 = nodes.iter().map(|node| u64::from(node.weight)).sum();
        let normalized = |node: &WeightedName<'_>| f64::from(node.weight) / total as f64;
        let on_the_ring = nodes.iter().filter(|node| node.weight > 0);
        let Some(lightest) = on_the_ring.map(normalized).min_by(f64::total_cmp) else {
            return counts;
        };
        let scale = ((lightest * f64::from(self.min_ring_size)).ceil() / lightest)
            .min(f64::from(self.max_ring_size));

        let mut order: Vec<usize> = (0..nodes.len()).collect();
        order.sort_by_key(|index| (nodes[*index].name.identity, nodes[*index].name.id));
        let (mut placed, mut target) = (0.0_f64, 0.0_f64);
        for index in order {
            target += scale * normalized(&nodes[index]);
            // Envoy adds points while fewer are placed than the target; the number of those is a
            // subtraction.
            let next = placed.max(target.ceil());
            counts[index] = (next - placed) as u32;
            placed = next;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::{EnvoyRingHash, NodeName, Scheme, WeightedName};
    use crate::Ring;

    fn counts(weights: &[u32], min: u32, max: u32) -> Vec<u32> {
        let ids: Vec<_> = (0..weights.len()).map(|i| format!("host-{i:03}")).collect();
        let placements: Vec<_> = ids
            .iter()
            .zip(weights)
            .map(|(id, weight)| WeightedName {
                name: NodeName { id, identity: id },
                weight: *weight,
            })
            .collect();
        EnvoyRingHash::new(min, max).expect("the sizes are valid").point_counts(&placements)
    }

    /// Envoy adds points one by one while it is below the target.
    fn counted_one_by_one(weights: &[u32], min: u32, max: u32) -> Vec<u32> {
        let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let normalized: Vec<_> = weights.iter().map(|weight| f64::from(*weight) / total).collect();
        let lightest = normalized.iter().copied().filter(|part| *part > 0.0).fold(1.0, f64::min);
        let scale = ((lightest * f64::from(min)).ceil() / lightest).min(f64::from(max));
        let (mut placed, mut target) = (0.0, 0.0);
        let count = |part: &f64| {
            target += scale * part;
            let mut count = 0;
            while placed < target {
                placed += 1.0;
                count += 1;
            }
            count
        };
        normalized.iter().map(count).collect()
    }

    /// Found by trying; the sum of the five parts of 1,706 comes out a little above it.
    #[test]
    fn a_ring_may_have_one_point_more_than_its_maximum() {
        let weights = [1, 341_624, 765_504, 883_352, 955_749];
        let expected = counted_one_by_one(&weights, 64, 1706);
        assert_eq!(expected.iter().sum::<u32>(), 1707);
        assert_eq!(counts(&weights, 64, 1706), expected);
        let nodes = || {
            weights
                .iter()
                .enumerate()
                .map(|(i, weight)| crate::Node::new(format!("10.0.0.{i}:80")).with_weight(*weight))
        };
        let scheme = EnvoyRingHash::new(64, 1706).expect("the sizes are valid");
        let builder = || Ring::builder().scheme(scheme).nodes(nodes());
        let points: u32 = builder()
            .max_points(1706)
            .build()
            .map(|ring| ring.nodes().iter().filter_map(|node| ring.points_of(node.id())).sum())
            .expect("the maximum of the ring is that of its points");
        assert_eq!(points, 1707);
        assert!(builder().max_points(1705).build().is_err(), "one more, and not two");
    }

    #[test]
    fn points_are_as_many_as_one_by_one() {
        assert_eq!(counts(&[1, 1, 1], 4, 4), [2, 1, 1]);
        for seed in 0..2_000_u32 {
            let mixed = |salt: u32| (seed * 31 + salt).wrapping_mul(2_654_435_761) >> 16;
            let weights: Vec<_> = (0..1 + mixed(1) % 12).map(|i| mixed(100 + i) % 9).collect();
            let max = 1 + mixed(2) % 300;
            let min = 1 + mixed(3) % max;
            if weights.iter().any(|weight| *weight > 0) {
                let expected = counted_one_by_one(&weights, min, max);
                assert_eq!(counts(&weights, min, max), expected, "{weights:?} {min} {max}");
            }
        }
    }
}
