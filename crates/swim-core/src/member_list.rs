//! A member list as an immutable value, which costs little to change.

use std::fmt;
use std::slice;
use std::sync::Arc;

use crate::address::Address;
use crate::member::Member;

#[cfg(test)]
mod tests;

/// Most entries of one node of the tree. A change copies one node of each
/// level: with 32 entries these are two levels for 1,000 members and four for a
/// million, about as many bytes as a short list of one level.
const ENTRIES_MAX: usize = 32;

/// Fewest entries of a node beside others. A quarter rather than the half of a
/// B-tree: a list whose size goes up and down splits and merges less.
const ENTRIES_MIN: usize = ENTRIES_MAX / 4;

/// Members, sorted by address, as one value that many may hold.
///
/// A clone costs nothing. A change costs the logarithm of the number of members: the
/// rest is shared with earlier clones. A driver that publishes the members of its
/// [`Node`](crate::Node) keeps one list, updates it from the events, and hands out
/// clones.
///
/// ```
/// use swim_core::{Labels, Member, MemberList, Status};
///
/// let mut list = MemberList::default();
/// for i in 1..=3 {
///     let address = format!("10.0.0.{i}:7946").parse()?;
///     list.insert(Member::new(address, Status::Alive, 1, Labels::default()));
/// }
/// let before = list.clone();
/// list.remove("10.0.0.2:7946");
/// assert_eq!((before.len(), list.len()), (3, 2));
/// assert_eq!(list.get("10.0.0.3:7946").map(|member| member.status), Some(Status::Alive));
/// # Ok::<(), swim_core::AddressError>(())
/// ```
#[derive(Clone, Default)]
pub struct MemberList {
    root: Arc<Node>,
    len: usize,
}

/// A node of a B-tree whose leaves are all on one level. None is empty but the
/// root of an empty list.
#[derive(Clone)]
enum Node {
    Leaf(Vec<Member>),
    Inner(Vec<Arc<Self>>),
}

impl MemberList {
    /// Number of members.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The member of an address in its canonical form.
    #[must_use]
    pub fn get(&self, address: &str) -> Option<&Member> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(children) => node = &children[child_of(children, address)],
                Node::Leaf(members) => return Some(&members[place_of(members, address).ok()?]),
            }
        }
    }

    /// All members in the order of their addresses.
    #[must_use]
    pub fn iter(&self) -> MemberListIter<'_> {
        let mut iter = MemberListIter { above: Vec::new(), leaf: [].iter(), left: self.len };
        iter.descend(&self.root);
        iter
    }

    /// Adds a member, or replaces the one with the same address.
    pub fn insert(&mut self, member: Member) {
        let before = self.get(member.address.as_str()).is_some();
        self.len += usize::from(!before);
        if let Some(sibling) = insert(&mut self.root, member) {
            let root = std::mem::take(&mut self.root);
            self.root = Arc::new(Node::Inner(vec![root, sibling]));
        }
    }

    /// Removes the member of an address, if it is there.
    pub fn remove(&mut self, address: &str) {
        if self.get(address).is_none() {
            return;
        }
        self.len -= 1;
        remove(&mut self.root, address);
        if let Node::Inner(children) = &*self.root
            && let [only] = children.as_slice()
        {
            self.root = only.clone();
        }
    }
}

impl Node {
    /// Number of entries.
    const fn len(&self) -> usize {
        match self {
            Self::Leaf(members) => members.len(),
            Self::Inner(children) => children.len(),
        }
    }

    /// The lowest address below this node. An empty node has none.
    fn first(&self) -> Option<&Address> {
        let mut node = self;
        loop {
            match node {
                Self::Inner(children) => node = children.first()?,
                Self::Leaf(members) => return members.first().map(|member| &member.address),
            }
        }
    }

    /// Takes the entries from `at` on into another node.
    fn split_off(&mut self, at: usize) -> Self {
        match self {
            Self::Leaf(members) => Self::Leaf(members.split_off(at)),
            Self::Inner(children) => Self::Inner(children.split_off(at)),
        }
    }

    /// Takes the upper half into another node when there are too many entries.
    fn split(&mut self) -> Option<Arc<Self>> {
        (self.len() > ENTRIES_MAX).then(|| Arc::new(self.split_off(self.len() / 2)))
    }

    /// Appends the entries of the next node of the same level.
    fn append(&mut self, next: &Self) {
        match (self, next) {
            (Self::Leaf(members), Self::Leaf(more)) => members.extend_from_slice(more),
            (Self::Inner(children), Self::Inner(more)) => children.extend_from_slice(more),
            _ => debug_assert!(false, "all leaves are on one level"),
        }
    }
}

fn place_of(members: &[Member], address: &str) -> Result<usize, usize> {
    members.binary_search_by(|member| member.address.as_str().cmp(address))
}

/// The child that an address belongs to.
fn child_of(children: &[Arc<Node>], address: &str) -> usize {
    let starts_before =
        |child: &Arc<Node>| child.first().is_some_and(|first| first.as_str() <= address);
    children.partition_point(starts_before).saturating_sub(1)
}

/// Puts a member in below a node; returns the node that was split off.
fn insert(node: &mut Arc<Node>, member: Member) -> Option<Arc<Node>> {
    let node = Arc::make_mut(node);
    match node {
        Node::Leaf(members) => match place_of(members, member.address.as_str()) {
            Ok(place) => members[place] = member,
            Err(place) => members.insert(place, member),
        },
        Node::Inner(children) => {
            let child = child_of(children, member.address.as_str());
            if let Some(sibling) = insert(&mut children[child], member) {
                children.insert(child + 1, sibling);
            }
        }
    }
    node.split()
}

/// Takes out a member that is below a node.
fn remove(node: &mut Arc<Node>, address: &str) {
    match Arc::make_mut(node) {
        Node::Leaf(members) => {
            if let Ok(place) = place_of(members, address) {
                members.remove(place);
            }
        }
        Node::Inner(children) => {
            let child = child_of(children, address);
            remove(&mut children[child], address);
            if children[child].len() < ENTRIES_MIN && children.len() > 1 {
                merge(children, child.min(children.len() - 2));
            }
        }
    }
}

/// Makes one node of two neighbours, or two of about one size when one would be
/// too large.
fn merge(children: &mut Vec<Arc<Node>>, left: usize) {
    let right = children.remove(left + 1);
    let node = Arc::make_mut(&mut children[left]);
    node.append(&right);
    if let Some(sibling) = node.split() {
        children.insert(left + 1, sibling);
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Vec::new())
    }
}

impl fmt::Debug for MemberList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl PartialEq for MemberList {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && (Arc::ptr_eq(&self.root, &other.root) || self.iter().eq(other))
    }
}

impl Eq for MemberList {}

impl FromIterator<Member> for MemberList {
    /// Of several members of one address the last one counts.
    fn from_iter<I: IntoIterator<Item = Member>>(members: I) -> Self {
        let mut list = Self::default();
        members.into_iter().for_each(|member| list.insert(member));
        list
    }
}

impl<'a> IntoIterator for &'a MemberList {
    type Item = &'a Member;
    type IntoIter = MemberListIter<'a>;

    fn into_iter(self) -> MemberListIter<'a> {
        self.iter()
    }
}

/// Members of a [`MemberList`] in the order of their addresses.
#[derive(Clone)]
pub struct MemberListIter<'a> {
    /// The rest of each inner node above the leaf.
    above: Vec<slice::Iter<'a, Arc<Node>>>,
    leaf: slice::Iter<'a, Member>,
    left: usize,
}

impl<'a> MemberListIter<'a> {
    /// Goes to the first leaf below a node.
    fn descend(&mut self, mut node: &'a Node) {
        loop {
            match node {
                Node::Leaf(members) => {
                    self.leaf = members.iter();
                    return;
                }
                Node::Inner(children) => {
                    let mut children = children.iter();
                    let Some(first) = children.next() else { return };
                    self.above.push(children);
                    node = first;
                }
            }
        }
    }
}

impl<'a> Iterator for MemberListIter<'a> {
    type Item = &'a Member;

    fn next(&mut self) -> Option<&'a Member> {
        loop {
            if let Some(member) = self.leaf.next() {
                self.left -= 1;
                return Some(member);
            }
            match self.above.last_mut()?.next() {
                Some(node) => self.descend(node),
                None => drop(self.above.pop()),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for MemberListIter<'_> {}

impl fmt::Debug for MemberListIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
