//! A node: what owns keys.

use std::sync::Arc;

use crate::node_id::NodeId;

/// A node of a ring: an id, a weight and whatever the application attaches to it.
///
/// The **id** is unique in the ring. The **identity** is the name that places the node on the
/// circle; it is the id unless [`with_identity`](Self::with_identity) says otherwise, which a
/// process does that keeps its place when its address changes. The **weight** multiplies the number
/// of points; a node of weight 0 is listed and owns nothing.
///
/// ```
/// use hashring::Node;
///
/// let node = Node::new("10.0.0.7:4040").with_identity("cache-3").with_weight(2).with_data("zone-b");
/// assert_eq!(node.id(), "10.0.0.7:4040");
/// assert_eq!(node.identity(), "cache-3");
/// assert_eq!(node.weight(), 2);
/// assert_eq!(*node.data(), "zone-b");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node<N = ()> {
    id: NodeId,
    identity: Option<Arc<str>>,
    weight: u32,
    ordinals: Option<Arc<[u32]>>,
    data: N,
}

impl Node {
    /// A node of weight 1 whose identity is its id and that carries no data.
    pub fn new(id: impl Into<NodeId>) -> Self {
        Self { id: id.into(), identity: None, weight: 1, ordinals: None, data: () }
    }
}

impl<N> Node<N> {
    /// Places the node by this name instead of by its id.
    ///
    /// Two nodes with one identity have the same points; the order of their ids then decides who
    /// owns them.
    #[must_use]
    pub fn with_identity(mut self, identity: impl Into<Arc<str>>) -> Self {
        let identity = identity.into();
        self.identity = (*identity != *self.id).then_some(identity);
        self
    }

    /// Sets the weight; 0 keeps the node in the list and off the circle.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Gives the node its number among all nodes, and weight 1; see
    /// [`with_ordinals`](Self::with_ordinals).
    #[must_use]
    pub fn with_ordinal(self, ordinal: u32) -> Self {
        self.with_ordinals([ordinal])
    }

    /// Gives the node its numbers among all nodes, and the weight that is their count.
    ///
    /// [`Jump`](crate::Jump) and [`SpreadMinimizing`](crate::SpreadMinimizing) place nodes by
    /// number, as a stateful set numbers its members: count from 0, let a node keep its numbers for
    /// as long as it lives, and give a new one the lowest that are free. The other placements do
    /// not look at them.
    #[must_use]
    pub fn with_ordinals(mut self, ordinals: impl IntoIterator<Item = u32>) -> Self {
        let mut ordinals: Vec<_> = ordinals.into_iter().collect();
        ordinals.sort_unstable();
        self.weight = u32::try_from(ordinals.len()).unwrap_or(u32::MAX);
        self.ordinals = Some(ordinals.into());
        self
    }

    /// Attaches the application's own data, in place of what the node carried before.
    pub fn with_data<M>(self, data: M) -> Node<M> {
        Node {
            id: self.id,
            identity: self.identity,
            weight: self.weight,
            ordinals: self.ordinals,
            data,
        }
    }

    /// The name that is unique in the ring.
    #[inline]
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id as a handle that is cheap to clone.
    #[must_use]
    pub fn shared_id(&self) -> &NodeId {
        &self.id
    }

    /// The name that places the node on the circle.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.identity.as_deref().unwrap_or(&self.id)
    }

    /// The multiplier of the number of points.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// The numbers of the node, ascending; empty unless it was given some.
    #[must_use]
    pub fn ordinals(&self) -> &[u32] {
        self.ordinals.as_deref().unwrap_or_default()
    }

    /// What the application attached.
    #[must_use]
    pub fn data(&self) -> &N {
        &self.data
    }
}

impl From<&str> for Node {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl From<String> for Node {
    fn from(id: String) -> Self {
        Self::new(id)
    }
}
