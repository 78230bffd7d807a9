//! What several tests share.

use std::{collections::BTreeMap, ops::Range};

use hashring::{
    Node, Ring, Scheme,
    scheme::{NodeName, PointRule, TieOrder},
};
use proptest::prelude::*;

/// A circle so small that points collide all the time and every place can be tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Toy {
    pub(crate) bits: u32,
    pub(crate) tie_order: TieOrder,
}

pub(crate) const TOY: Toy = Toy { bits: 8, tie_order: TieOrder::LowestIdFirst };
pub(crate) const TOYS: [Toy; 3] = [
    TOY,
    Toy { bits: 4, tie_order: TieOrder::HighestIdFirst },
    Toy { bits: 12, tie_order: TieOrder::HighestIdFirst },
];

impl Scheme for Toy {
    fn name(&self) -> &str {
        "toy"
    }

    fn circle_bits(&self) -> u32 {
        self.bits
    }

    fn tie_order(&self) -> TieOrder {
        self.tie_order
    }

    fn point_rule(&self) -> PointRule {
        PointRule::PerWeightUnit { default: 5 }
    }

    fn hash_key(&self, key: &[u8]) -> u64 {
        u64::from(crc32fast::hash(key))
    }

    fn hash_points(&self, node: NodeName<'_>, range: Range<u32>, hashes: &mut Vec<u64>) {
        hashes.extend(
            range.map(|point| self.hash_key(format!("{}/{point}", node.identity).as_bytes())),
        );
    }
}

/// Node ids and weights. Few letters and weights, so that chance makes interesting neighbours.
pub(crate) fn nodes() -> impl Strategy<Value = BTreeMap<String, u32>> {
    prop::collection::btree_map("[a-c]{1,3}", 0_u32..4, 0..12)
}

pub(crate) fn keys() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..60)
}

pub(crate) const POINTS: u32 = 20;

pub(crate) fn ring_of<S: Scheme + Clone>(scheme: S, nodes: &BTreeMap<String, u32>) -> Ring<(), S> {
    let nodes = nodes.iter().map(|(id, weight)| Node::new(id.as_str()).with_weight(*weight));
    Ring::builder()
        .scheme(scheme)
        .points_per_weight_unit(POINTS)
        .nodes(nodes)
        .build()
        .expect("the nodes are valid")
}

pub(crate) fn owner_id<N, S: Scheme>(ring: &Ring<N, S>, key: &[u8]) -> Option<String> {
    ring.lookup(key).map(|node| node.id().to_owned())
}
