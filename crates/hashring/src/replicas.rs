//! Replicas in different places: zones, racks, or whatever a label says.

use std::sync::Arc;

use crate::{node::Node, ring::Ring, scheme::Scheme};

impl<N, S: Scheme> Ring<N, S> {
    /// Fills `owners` with `n` distinct nodes for a key whose labels differ while that is possible,
    /// then with the next nodes of the walk whatever their label. What `owners` held before is
    /// cleared.
    ///
    /// The first is the [owner](Self::lookup). A node is taken if no earlier one has its label, so
    /// while there are `n` labels each is taken once, in the order of the walk. With fewer labels
    /// than `n` the walk goes on until it is known that no further label exists.
    ///
    /// ```
    /// use hashring::{Node, Ring};
    ///
    /// let zoned = |id, zone| Node::new(id).with_data(zone);
    /// let ring = Ring::builder()
    ///     .nodes([zoned("a", 1), zoned("b", 1), zoned("c", 1), zoned("d", 2)])
    ///     .build()?;
    /// let mut owners = Vec::new();
    /// ring.owners_spread(b"key", 2, |node| node.data(), &mut owners);
    /// assert_ne!(owners[0].data(), owners[1].data());
    /// ring.owners_spread(b"key", 3, |node| node.data(), &mut owners);
    /// assert_eq!(owners.len(), 3);
    /// # Ok::<(), hashring::BuildError>(())
    /// ```
    pub fn owners_spread<'r, L: PartialEq>(
        &'r self,
        key: &[u8],
        n: usize,
        label: impl Fn(&'r Node<N>) -> L,
        owners: &mut Vec<&'r Arc<Node<N>>>,
    ) {
        spread(|| self.walk(key), self.nodes(), n, label, owners);
    }
}

/// Fills `owners` from two walks of one key: first by new labels, then by the order of the walk.
pub(crate) fn spread<'p, N: 'p, L: PartialEq, W: Iterator<Item = &'p Arc<Node<N>>>>(
    walk: impl Fn() -> W,
    nodes: &'p [Arc<Node<N>>],
    n: usize,
    label: impl Fn(&'p Node<N>) -> L,
    owners: &mut Vec<&'p Arc<Node<N>>>,
) {
    owners.clear();
    let has_label = |owners: &[&'p Arc<Node<N>>], node: &'p Node<N>| {
        let wanted = label(node);
        owners.iter().any(|owner| label(owner) == wanted)
    };
    let mut refused_in_a_row = 0;
    for node in walk() {
        if owners.len() >= n {
            return;
        }
        if !has_label(owners, node) {
            owners.push(node);
            refused_in_a_row = 0;
            continue;
        }
        refused_in_a_row += 1;
        if refused_in_a_row == REFUSED_BEFORE_LABELS_ARE_COUNTED {
            let mut on_the_ring = nodes.iter().filter(|node| node.weight() > 0);
            if on_the_ring.all(|node| has_label(owners, node)) {
                break;
            }
        }
    }
    let labels = owners.len();
    for node in walk() {
        if owners.len() >= n {
            return;
        }
        if !owners[..labels].iter().any(|owner| Arc::ptr_eq(owner, node)) {
            owners.push(node);
        }
    }
}

/// Nodes with a known label in a row after which the whole list is searched for another label. With
/// labels of equal weight a missing one shows up much earlier; a search costs as much as some
/// hundred steps of the walk.
const REFUSED_BEFORE_LABELS_ARE_COUNTED: usize = 32;
