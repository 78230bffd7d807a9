//! Ids of nodes.

use std::{borrow::Cow, fmt, ops::Deref, sync::Arc};

use smol_str::SmolStr;

/// The name of a node, unique in its ring.
///
/// It dereferences to `str` and is cheap to clone: ids of up to 23 bytes, such as any IPv4 address
/// with its port, lie in the value itself, so that reading one after a lookup touches no further
/// memory; a longer one is shared.
///
/// ```
/// use hashring::NodeId;
///
/// let id = NodeId::from("10.0.0.7:4040");
/// assert_eq!(id, "10.0.0.7:4040");
/// assert_eq!(id.split_once(':'), Some(("10.0.0.7", "4040")));
/// ```
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(SmolStr);

impl NodeId {
    /// The id as a string slice.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Clone for NodeId {
    /// A short id is copied whole. Were both kinds cloned in one place, their parts would meet on
    /// the stack in overlapping pieces, and reading them back would stall the processor for longer
    /// than all the rest of a clone.
    #[inline]
    fn clone(&self) -> Self {
        #[cold]
        #[inline(never)]
        fn shared(id: &NodeId) -> NodeId {
            NodeId(id.0.clone())
        }
        if self.0.is_heap_allocated() { shared(self) } else { Self(self.0.clone()) }
    }
}

impl Deref for NodeId {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for NodeId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq<str> for NodeId {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for NodeId {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl From<&str> for NodeId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<&String> for NodeId {
    fn from(id: &String) -> Self {
        Self(id.into())
    }
}

impl From<String> for NodeId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl From<Box<str>> for NodeId {
    fn from(id: Box<str>) -> Self {
        Self(id.into())
    }
}

impl From<Cow<'_, str>> for NodeId {
    fn from(id: Cow<'_, str>) -> Self {
        Self(id.into())
    }
}

impl From<Arc<str>> for NodeId {
    fn from(id: Arc<str>) -> Self {
        Self(id.into())
    }
}

impl From<&Self> for NodeId {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.0.into()
    }
}
