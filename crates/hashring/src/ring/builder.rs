//! How a ring starts.

use std::sync::Arc;

use thiserror::Error;

use super::{Ring, assemble::NodePlan};
use crate::{
    limits::{
        MAGLEV_TABLE_SIZE_MAX, NODES_MAX, POINTS_MAX, POINTS_MAX_DEFAULT, SPREAD_POINTS_MAX,
        SPREAD_POINTS_MIN,
    },
    node::Node,
    points::Spare,
    scheme::{PointRule, Scheme, Xxh3},
};

/// Collects nodes and options for a [`Ring`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RingBuilder<N = (), S = Xxh3> {
    scheme: S,
    points_per_weight_unit: Option<u32>,
    max_points: u32,
    nodes: Vec<Arc<Node<N>>>,
}

impl<N> Default for RingBuilder<N> {
    fn default() -> Self {
        Self {
            scheme: Xxh3,
            points_per_weight_unit: None,
            max_points: POINTS_MAX_DEFAULT,
            nodes: Vec::new(),
        }
    }
}

impl<N, S> RingBuilder<N, S> {
    /// Lays the ring out by another scheme.
    pub fn scheme<T: Scheme>(self, scheme: T) -> RingBuilder<N, T> {
        RingBuilder {
            scheme,
            points_per_weight_unit: self.points_per_weight_unit,
            max_points: self.max_points,
            nodes: self.nodes,
        }
    }

    /// Sets the points of a node of weight 1, at least 1. The default is the scheme's: 100 for most
    /// of them.
    ///
    /// More points spread keys more evenly (the deviation falls with the square root) and take 16
    /// to 20 bytes each.
    pub fn points_per_weight_unit(mut self, points: u32) -> Self {
        self.points_per_weight_unit = Some(points);
        self
    }

    /// Sets how many points all nodes together may have, 1 to [`POINTS_MAX`]. The default is
    /// [`POINTS_MAX_DEFAULT`]. It is a guard against mistaken weights and holds for later updates
    /// as well. A scheme that divides a number of points among all nodes
    /// ([`PointRule::WholeRing`]) may need one more by rounding, and gets it.
    pub fn max_points(mut self, points: u32) -> Self {
        self.max_points = points;
        self
    }

    /// Adds a node.
    pub fn node(mut self, node: impl Into<Node<N>>) -> Self {
        self.nodes.push(Arc::new(node.into()));
        self
    }

    /// Adds nodes.
    pub fn nodes<I>(mut self, nodes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Node<N>>,
    {
        self.nodes.extend(nodes.into_iter().map(|node| Arc::new(node.into())));
        self
    }
}

impl<N, S: Scheme + Clone> RingBuilder<N, S> {
    /// Builds the ring. No node at all, or none with a weight, is fine: nobody owns a key then.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an id occurs twice, an option is out of its range, the points exceed their
    /// limit, or the scheme breaks its contract.
    pub fn build(self) -> Result<Ring<N, S>, BuildError> {
        let points_per_weight_unit = self.checked_points_per_weight_unit()?;
        if !(1..=POINTS_MAX).contains(&self.max_points) {
            return Err(BuildError::MaxPoints { value: self.max_points });
        }
        let bits = self.scheme.circle_bits();
        if !(1..=u64::BITS).contains(&bits) {
            return Err(BuildError::BrokenScheme {
                scheme: self.scheme.name().to_owned(),
                reason: format!("its circle has {bits} bits; the range is 1 to 64"),
            });
        }
        let ring = Ring::without_nodes(self.scheme, points_per_weight_unit, self.max_points);
        let plan = NodePlan::replacing(&ring, self.nodes)?;
        ring.assemble(plan, Spare::default())
    }

    /// The points per weight unit, 0 under a scheme that has none.
    fn checked_points_per_weight_unit(&self) -> Result<u32, BuildError> {
        match (self.scheme.point_rule(), self.points_per_weight_unit) {
            (PointRule::PerWeightUnit { .. }, Some(0)) => Err(BuildError::ZeroPointsPerWeightUnit),
            (PointRule::PerWeightUnit { default }, points) => Ok(points.unwrap_or(default)),
            (PointRule::WholeRing, None) => Ok(0),
            (PointRule::WholeRing, Some(_)) => {
                Err(BuildError::PointsDecidedByScheme { scheme: self.scheme.name().to_owned() })
            }
        }
    }
}

/// Why a ring cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two nodes have one id.
    #[error("two nodes have the id {id:?}; give each node an id of its own")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// No node could have a point.
    #[error("points_per_weight_unit is 0; it must be at least 1")]
    ZeroPointsPerWeightUnit,
    /// The option has no meaning under this scheme.
    #[error(
        "scheme {scheme} decides the number of points itself; leave points_per_weight_unit unset"
    )]
    PointsDecidedByScheme {
        /// Name of the scheme.
        scheme: String,
    },
    /// The option is out of its range.
    #[error("max_points is {value}; it must be 1 to {POINTS_MAX}")]
    MaxPoints {
        /// The requested value.
        value: u32,
    },
    /// Weights and points per unit ask for more points than the ring may have.
    #[error(
        "the nodes need {needed} points and the limit is {limit}; lower their weights or points_per_weight_unit, or raise max_points"
    )]
    TooManyPoints {
        /// Points that the nodes would have.
        needed: u64,
        /// Points that the ring may have.
        limit: u32,
    },
    /// More nodes than a ring can number.
    #[error("{nodes} nodes are more than the {NODES_MAX} that a ring can hold")]
    TooManyNodes {
        /// How many there were.
        nodes: usize,
    },
    /// A placement goes by the numbers of nodes, and this one has too few or too many.
    #[error(
        "node {id:?} has weight {weight} and {ordinals} ordinals; give it one for each unit of weight"
    )]
    OrdinalCount {
        /// Id of the node.
        id: String,
        /// Its weight.
        weight: u32,
        /// How many ordinals it has.
        ordinals: usize,
    },
    /// Two nodes have one number, or a node has it twice.
    #[error("nodes {one:?} and {other:?} both have the ordinal {ordinal}; give each its own")]
    DuplicateOrdinal {
        /// The number.
        ordinal: u32,
        /// Id of a node that has it.
        one: String,
        /// Id of the other one.
        other: String,
    },
    /// A number is too large for the placement.
    #[error("node {id:?} has the ordinal {ordinal}; it must be below {limit}")]
    OrdinalTooLarge {
        /// Id of the node.
        id: String,
        /// Its number.
        ordinal: u32,
        /// The first that is too large.
        limit: u32,
    },
    /// The option is out of its range.
    #[error("points_per_ordinal is {value}; it must be {SPREAD_POINTS_MIN} to {SPREAD_POINTS_MAX}")]
    PointsPerOrdinal {
        /// The requested value.
        value: u32,
    },
    /// The option is out of its range.
    #[error("table_size is {value}; it must be a prime number, at most {MAGLEV_TABLE_SIZE_MAX}")]
    TableSize {
        /// The requested value.
        value: u32,
    },
    /// A table has no entry for some nodes.
    #[error(
        "{nodes} nodes do not fit a table of {table_size} entries; take one of a hundred times as many"
    )]
    TableTooSmall {
        /// Nodes that have a weight.
        nodes: usize,
        /// Entries.
        table_size: u32,
    },
    /// A [`Scheme`] does not do what the trait asks of it.
    #[error("scheme {scheme} breaks its contract: {reason}")]
    BrokenScheme {
        /// Name of the scheme.
        scheme: String,
        /// What it did.
        reason: String,
    },
}
