//! One placement of made-up backends, to set beside what is expected.

use hashring::{
    Jump, LocalRendezvous, Maglev, Node, Placement, Rendezvous, Ring, SpreadMinimizing,
};

use super::Parameter;
use crate::args::PlacementName;

/// The peak of backends of these weights by this placement.
pub(super) fn peak(
    name: PlacementName,
    parameter: Parameter,
    weights: impl Iterator<Item = u32>,
) -> Option<f64> {
    let mut next = 0;
    let node = |(i, weight): (u32, u32)| {
        next += weight;
        Node::new(format!("backend-{i}")).with_ordinals(next - weight..next)
    };
    let nodes: Vec<_> = (1_u32..).zip(weights).map(node).collect();
    let valid = "the ids differ and the parameter is in its range";
    let ring = |points, nodes| {
        Ring::builder().points_per_weight_unit(points).nodes(nodes).build().expect(valid)
    };
    match (name, parameter) {
        (PlacementName::LocalRendezvous, Parameter::PointsPerWeightUnit(points)) => {
            of(&LocalRendezvous::new(ring(points, nodes)))
        }
        (_, Parameter::PointsPerWeightUnit(points)) => of(&ring(points, nodes)),
        (_, Parameter::PointsPerNumber(points)) => {
            of(&SpreadMinimizing::new(points, nodes).expect(valid))
        }
        (_, Parameter::TableSize(size)) => of(&Maglev::with_table_size(size, nodes).expect(valid)),
        (PlacementName::Jump, Parameter::Nothing) => of(&Jump::new(nodes).expect(valid)),
        (_, Parameter::Nothing) => of(&Rendezvous::new(nodes).expect(valid)),
    }
}

fn of<P: Placement>(placement: &P) -> Option<f64> {
    placement.shares().peak_to_average()
}
