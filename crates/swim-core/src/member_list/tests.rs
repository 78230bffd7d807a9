use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::labels::Labels;
use crate::member::Status;

fn member(i: usize, incarnation: u64) -> Member {
    let address = Address::new(&format!("10.{}.{}.{}:7100", i >> 16, i >> 8 & 255, i & 255));
    Member::new(address.unwrap(), Status::Alive, incarnation, Labels::default())
}

fn list(members: usize) -> MemberList {
    (0..members).map(|i| member(i, 1)).collect()
}

/// The nodes of a tree by their place in memory.
fn nodes(list: &MemberList) -> HashSet<*const Node> {
    fn add(node: &Arc<Node>, nodes: &mut HashSet<*const Node>) {
        nodes.insert(Arc::as_ptr(node));
        if let Node::Inner(children) = &**node {
            children.iter().for_each(|child| add(child, nodes));
        }
    }
    let mut nodes = HashSet::new();
    add(&list.root, &mut nodes);
    nodes
}

/// The depth of all leaves, after a look at the number of entries of each node.
fn depth(node: &Node, is_root: bool) -> usize {
    let least = if is_root { 0 } else { 1 };
    assert!((least..=ENTRIES_MAX).contains(&node.len()), "{} entries", node.len());
    match node {
        Node::Leaf(_) => 1,
        Node::Inner(children) => {
            assert!(children.len() > 1, "a node with one child is of no use");
            let depths: HashSet<usize> = children.iter().map(|child| depth(child, false)).collect();
            assert_eq!(depths.len(), 1, "all leaves are on one level");
            1 + depths.into_iter().sum::<usize>()
        }
    }
}

proptest! {
    /// What a sorted map of the standard library does, by many small lists.
    #[test]
    fn a_list_is_what_a_map_would_be(
        steps in prop::collection::vec((0..400_usize, any::<bool>(), 0..4_u8), 1..900),
    ) {
        let (mut list, mut map) = (MemberList::default(), BTreeMap::new());
        for (incarnation, (i, upper, kind)) in steps.into_iter().enumerate() {
            // First it grows, and then it shrinks, at one end more than at the other.
            let remove = if incarnation < 500 { kind == 0 } else { kind > 0 };
            let member = member(if upper { i } else { i / 2 }, incarnation as u64);
            let before = list.clone();
            let address = member.address.clone();
            if remove {
                list.remove(address.as_str());
                map.remove(&address);
                prop_assert!(list.get(address.as_str()).is_none());
            } else {
                list.insert(member.clone());
                prop_assert_eq!(list.get(address.as_str()), Some(&member));
                map.insert(address, member);
            }
            prop_assert_eq!(list.len(), map.len());
            prop_assert_eq!(before.iter().count(), before.len(), "a clone stays as it was");
        }
        prop_assert!(list.iter().eq(map.values()));
        prop_assert_eq!(list.iter().len(), map.len());
        depth(&list.root, true);
        prop_assert_eq!(list, map.into_values().rev().collect::<MemberList>());
    }
}

#[test]
fn a_list_that_was_emptied_can_be_filled_again() {
    let mut emptied = list(2_000);
    for i in 0..2_000 {
        emptied.remove(member(i, 1).address.as_str());
    }
    assert!(emptied.is_empty() && emptied.iter().next().is_none());
    assert_eq!(depth(&emptied.root, true), 1);
    emptied.insert(member(7, 1));
    assert_eq!(emptied, [member(7, 1)].into_iter().collect());
    assert_eq!(format!("{emptied:?}"), format!("{:?}", [member(7, 1)]));
}

/// A change makes one new node on each level, and two where one is split: so many
/// for a hundred members, and not twice as many for a thousand times as many.
#[test]
fn a_change_copies_one_node_of_each_level() {
    for (members, levels) in [(100, 2), (1_000, 3), (10_000, 4), (100_000, 5)] {
        let before = list(members);
        assert!(depth(&before.root, true) <= levels, "{members} members");
        let known = nodes(&before);
        let fresh = |after: &MemberList| nodes(after).difference(&known).count();
        for i in (0..members).step_by(members / 50) {
            let mut updated = before.clone();
            updated.insert(member(i, 2));
            assert!(fresh(&updated) <= levels, "an update among {members}");
            let mut removed = before.clone();
            removed.remove(member(i, 1).address.as_str());
            assert!(fresh(&removed) <= 2 * levels, "a removal among {members}");
            let mut added = before.clone();
            added.insert(member(members + i, 1));
            assert!(fresh(&added) <= 2 * levels + 1, "one more than {members}");
        }
    }
}
