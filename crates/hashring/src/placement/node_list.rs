//! Lists of nodes, from which placements are made.

use std::{hash::Hasher as _, sync::Arc};

use twox_hash::XxHash3_64;

use crate::{
    limits::NODES_MAX,
    node::Node,
    ring::{BuildError, Edit, UpdateError, fold_edits},
};

/// The nodes sorted by id.
pub(super) fn sorted<N>(nodes: Vec<Arc<Node<N>>>) -> Result<Vec<Arc<Node<N>>>, BuildError> {
    let mut nodes = nodes;
    nodes.sort_by(|a, b| a.id().cmp(b.id()));
    if let Some(twins) = nodes.windows(2).find(|pair| pair[0].id() == pair[1].id()) {
        return Err(BuildError::DuplicateId { id: twins[0].id().to_owned() });
    }
    if nodes.len() > NODES_MAX {
        return Err(BuildError::TooManyNodes { nodes: nodes.len() });
    }
    Ok(nodes)
}

/// Nodes of a constructor's argument.
pub(super) fn listed<N, I>(nodes: I) -> Result<Vec<Arc<Node<N>>>, BuildError>
where
    I: IntoIterator,
    I::Item: Into<Node<N>>,
{
    sorted(nodes.into_iter().map(|node| Arc::new(node.into())).collect())
}

/// The nodes after these changes, sorted by id.
pub(super) fn edited<N: Clone>(
    nodes: &[Arc<Node<N>>],
    edits: impl IntoIterator<Item = Edit<N>>,
) -> Result<Vec<Arc<Node<N>>>, UpdateError> {
    let mut edits: Vec<_> = edits.into_iter().collect();
    edits.sort_by(|a, b| a.id().cmp(b.id()));
    let mut edits = edits.into_iter().peekable();
    let mut old = nodes.iter().cloned().peekable();
    let mut next = Vec::with_capacity(nodes.len() + 1);
    while let Some(edit) = edits.peek() {
        while let Some(kept) = old.next_if(|node| node.id() < edit.id()) {
            next.push(kept);
        }
        let before = old.next_if(|node| node.id() == edit.id());
        next.extend(fold_edits(before, &mut edits)?);
    }
    next.extend(old);
    Ok(next)
}

pub(super) fn total_weight<N>(nodes: &[Arc<Node<N>>]) -> u64 {
    nodes.iter().map(|node| u64::from(node.weight())).sum()
}

/// A fingerprint of an algorithm, its parameter and all that places its nodes.
pub(super) fn fingerprint<N>(algorithm: &str, parameter: u64, nodes: &[Arc<Node<N>>]) -> u64 {
    let mut hasher = XxHash3_64::new();
    let mut text = |text: &str| {
        hasher.write(&(text.len() as u64).to_le_bytes());
        hasher.write(text.as_bytes());
    };
    text(algorithm);
    for node in nodes {
        text(node.id());
        text(node.identity());
    }
    hasher.write(&parameter.to_le_bytes());
    for node in nodes {
        hasher.write(&node.weight().to_le_bytes());
        for ordinal in node.ordinals() {
            hasher.write(&ordinal.to_le_bytes());
        }
    }
    hasher.finish()
}
