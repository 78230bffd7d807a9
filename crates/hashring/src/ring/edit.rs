//! How one ring becomes the next.

use std::{iter::Peekable, sync::Arc};

use thiserror::Error;

use super::{BuildError, Ring, assemble::NodePlan};
use crate::{node::Node, node_id::NodeId, points::Spare, scheme::Scheme};

/// One change of a ring's nodes, for [`Ring::apply`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Edit<N = ()> {
    /// A node comes; its id must be new.
    Add(Arc<Node<N>>),
    /// The node of this id goes.
    Remove(NodeId),
    /// The node of this id gets another weight.
    Reweight(NodeId, u32),
    /// A node takes the place of the one with its id: other data, weight or identity.
    Replace(Arc<Node<N>>),
}

impl<N> Edit<N> {
    /// A node comes; its id must be new.
    pub fn add(node: impl Into<Node<N>>) -> Self {
        Self::Add(Arc::new(node.into()))
    }

    /// The node of this id goes.
    pub fn remove(id: impl Into<NodeId>) -> Self {
        Self::Remove(id.into())
    }

    /// The node of this id gets another weight.
    pub fn reweight(id: impl Into<NodeId>, weight: u32) -> Self {
        Self::Reweight(id.into(), weight)
    }

    /// A node takes the place of the one with its id.
    pub fn replace(node: impl Into<Node<N>>) -> Self {
        Self::Replace(Arc::new(node.into()))
    }

    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Add(node) | Self::Replace(node) => node.id(),
            Self::Remove(id) | Self::Reweight(id, _) => id,
        }
    }
}

impl<N, S: Scheme + Clone> Ring<N, S> {
    /// The ring after these changes, which are made in their order and merged in one pass.
    ///
    /// A change of a few nodes costs a copy of the points, about a twentieth of building the ring;
    /// a batch of changes costs little more than one. Under a scheme with a fixed number of points
    /// per weight unit only the points of changed nodes move, and a new weight only adds points or
    /// takes some away.
    ///
    /// # Errors
    ///
    /// [`UpdateError`] if an id to add exists, another one does not, or the new ring breaks a
    /// limit. This ring is never changed.
    pub fn apply(&self, edits: impl IntoIterator<Item = Edit<N>>) -> Result<Self, UpdateError>
    where
        N: Clone,
    {
        self.apply_in(Spare::default(), edits)
    }

    /// The same as [`apply`](Self::apply), written to the memory of a ring that nobody needs any
    /// more, where that fits.
    ///
    /// A ring of 100,000 points takes 1.7 MB. Where rings follow each other often, fresh memory for
    /// each costs as much as the copy, and now and then several times that.
    ///
    /// ```
    /// use hashring::{Edit, Ring};
    ///
    /// let first: Ring = Ring::builder().nodes(["a", "b", "c"]).build()?;
    /// let second = first.apply([Edit::remove("c")])?;
    /// let third = second.apply_reusing(first, [Edit::reweight("a", 2)])?;
    /// assert_eq!(third.total_weight(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply). The old ring is gone then, too.
    pub fn apply_reusing(
        &self,
        old: Self,
        edits: impl IntoIterator<Item = Edit<N>>,
    ) -> Result<Self, UpdateError>
    where
        N: Clone,
    {
        self.apply_in(old.circle.points.into(), edits)
    }

    fn apply_in(
        &self,
        spare: Spare,
        edits: impl IntoIterator<Item = Edit<N>>,
    ) -> Result<Self, UpdateError>
    where
        N: Clone,
    {
        let mut edits: Vec<_> = edits.into_iter().collect();
        edits.sort_by(|a, b| a.id().cmp(b.id()));
        let mut plan = NodePlan::new(self);
        let mut edits = edits.into_iter().peekable();
        while let Some(first) = edits.peek() {
            let found = self.index_of(first.id());
            let before = found.ok().map(|index| &self.circle.nodes[index]);
            let after = fold_edits(before.cloned(), &mut edits)?;
            plan.keep_until(found.unwrap_or_else(|slot| slot));
            plan.put(found.is_ok(), after);
        }
        Ok(self.assemble(plan.finish()?, spare)?)
    }

    /// The ring of exactly these nodes under the same options.
    ///
    /// It costs what differs: nodes that were there before with the same weight and identity keep
    /// their points without being hashed again. It is the update for callers that learn whole
    /// lists, from discovery for example.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an id occurs twice or the new ring breaks a limit. This ring is never
    /// changed.
    pub fn with_nodes<I>(&self, nodes: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: Into<Arc<Node<N>>>,
    {
        let plan = NodePlan::replacing(self, nodes.into_iter().map(Into::into).collect())?;
        self.assemble(plan, Spare::default())
    }
}

/// Makes all edits of one id, the next one's, and gives what stands in its place then.
pub(crate) fn fold_edits<N: Clone>(
    mut node: Option<Arc<Node<N>>>,
    edits: &mut Peekable<impl Iterator<Item = Edit<N>>>,
) -> Result<Option<Arc<Node<N>>>, UpdateError> {
    let Some(mut edit) = edits.next() else {
        return Ok(node);
    };
    loop {
        let id = Arc::<str>::from(edit.id());
        node = match (edit, node) {
            (Edit::Add(new), None) | (Edit::Replace(new), Some(_)) => Some(new),
            (Edit::Remove(_), Some(_)) => None,
            (Edit::Reweight(_, weight), Some(old)) => {
                Some(Arc::new(Node::clone(&old).with_weight(weight)))
            }
            (Edit::Add(_), Some(_)) => {
                return Err(BuildError::DuplicateId { id: id.to_string() }.into());
            }
            (Edit::Remove(_) | Edit::Reweight(..) | Edit::Replace(_), None) => {
                return Err(UpdateError::UnknownId { id: id.to_string() });
            }
        };
        match edits.next_if(|next| next.id() == &*id) {
            Some(next) => edit = next,
            None => return Ok(node),
        }
    }
}

/// Why a ring cannot be updated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// A change names a node that the ring does not have.
    #[error("the ring has no node {id:?}; add it first")]
    UnknownId {
        /// The id.
        id: String,
    },
    /// The ring after the change cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}
