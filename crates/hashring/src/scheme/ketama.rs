//! The scheme of libketama.

use std::ops::Range;

use super::{NodeName, PointRule, Scheme, WeightedName, name::push_decimal};

/// MD5 on a circle of 32 bits, four points from each digest of `identity-k`: the ring of libketama,
/// as memcached clients use it.
///
/// A node is named as in the server list of the client, `10.0.0.1:11211`; its weight is the
/// server's memory. Equal nodes have 160 points (156 for some counts of nodes, because libketama
/// computes in single precision, and so does this scheme). Their number depends on all weights, so
/// a change of one weighted node moves up to 2.4 % of the keys between others, and a node that is
/// light beside the rest may get no point. MD5 spreads ideally; it takes a few hundred ns a key.
///
/// Other clients differ: libmemcached and twemproxy leave out `:11211` and round differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ketama;

/// Points that one MD5 digest gives: its four words.
const POINTS_PER_DIGEST: u32 = 4;

/// Digests of an average node.
const DIGESTS_PER_NODE: f64 = 40.0;

impl Scheme for Ketama {
    fn name(&self) -> &str {
        "ketama"
    }

    fn circle_bits(&self) -> u32 {
        32
    }

    fn point_rule(&self) -> PointRule {
        PointRule::WholeRing
    }

    fn hash_key(&self, key: &[u8]) -> u64 {
        word(&md5::compute(key), 0)
    }

    fn hash_points(&self, node: NodeName<'_>, range: Range<u32>, hashes: &mut Vec<u64>) {
        let mut name = format!("{}-", node.identity).into_bytes();
        let fixed = name.len();
        let mut last = None;
        hashes.extend(range.map(|point| {
            let (number, part) = (point / POINTS_PER_DIGEST, point % POINTS_PER_DIGEST);
            let digest = match last {
                Some((of, digest)) if of == number => digest,
                _ => {
                    name.truncate(fixed);
                    push_decimal(&mut name, number);
                    md5::compute(&name)
                }
            };
            last = Some((number, digest));
            word(&digest, part as usize)
        }));
    }

    fn point_counts(&self, nodes: &[WeightedName<'_>]) -> Vec<u32> {
        let on_the_ring = nodes.iter().filter(|node| node.weight > 0).count();
        let total: u64 = nodes.iter().map(|node| u64::from(node.weight)).sum();
        nodes
            .iter()
            .map(|node| digests(node.weight, total, on_the_ring) * POINTS_PER_DIGEST)
            .collect()
    }
}

/// `floorf(pct * 40.0 * (float)numservers)` with a float `pct`: the products are doubles in C, and
/// `floorf` rounds the last one to single precision before it cuts.
fn digests(weight: u32, total: u64, nodes: usize) -> u32 {
    if weight == 0 {
        return 0;
    }
    let fraction = weight as f32 / total as f32;
    let product = f64::from(fraction) * DIGESTS_PER_NODE * f64::from(nodes as f32);
    (product as f32).floor() as u32
}

/// One word of a digest, little-endian.
fn word(digest: &md5::Digest, part: usize) -> u64 {
    let bytes = [0, 1, 2, 3].map(|byte| digest.0[part * 4 + byte]);
    u64::from(u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::digests;

    /// In libketama, 53 of the counts below 5,000 lose a digest to single precision.
    #[test]
    fn equal_nodes_lose_a_digest_where_libketama_does() {
        let short: Vec<_> =
            (1..5_000).filter(|nodes| digests(1, *nodes, *nodes as usize) == 39).collect();
        assert_eq!(short[..3], [61, 122, 237]);
        assert_eq!(short.len(), 53);
        assert!((1..5_000).all(|nodes| matches!(digests(1, nodes, nodes as usize), 39 | 40)));
    }
}
