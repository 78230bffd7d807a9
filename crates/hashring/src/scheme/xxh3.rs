//! The default scheme.

use std::ops::Range;

use twox_hash::XxHash3_64;

use super::{NodeName, PointRule, Scheme, name::hash_numbered};
use crate::limits::DEFAULT_POINTS_PER_WEIGHT_UNIT;

/// The default: XXH3 with 64 bits over the key and over `identity#i` for point `i`.
///
/// XXH3 is frozen since xxHash 0.8, takes 2 to 3 ns for a short key and spreads ideally: the
/// standard deviation of shares is that of random points (9.9 % for 100 nodes of 100 points; ideal
/// 9.9 %) for sequential names, addresses, Kubernetes pod names and UUIDs alike, and two points of
/// a ring of a million practically never coincide.
///
/// The separator makes the name of a point readable in one way only (`i` is what follows the last
/// `#`), so no two nodes share a name; the scheme of Ringpop, which has none, lets `:2100` and
/// `:21001` share ten points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Xxh3;

impl Scheme for Xxh3 {
    fn name(&self) -> &str {
        "xxh3"
    }

    fn point_rule(&self) -> PointRule {
        PointRule::PerWeightUnit { default: DEFAULT_POINTS_PER_WEIGHT_UNIT }
    }

    #[inline]
    fn hash_key(&self, key: &[u8]) -> u64 {
        XxHash3_64::oneshot(key)
    }

    fn hash_points(&self, node: NodeName<'_>, range: Range<u32>, hashes: &mut Vec<u64>) {
        hash_numbered(node.identity, "#", range, hashes, XxHash3_64::oneshot);
    }
}
