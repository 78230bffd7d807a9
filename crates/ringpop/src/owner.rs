//! The owner of a key.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use hashring::{Node, NodeId};
use ringpop_forward::Owner as Reached;
use swim_core::Address;

/// The member that owns a key: its address, and whether it is this member.
///
/// It dereferences to the address and is cheap to clone. Owners are equal when their
/// addresses are, on whichever member they were looked up.
///
/// ```
/// # use ringpop::Ringpop;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
/// member.serve(tonic::service::Routes::default())?;
/// assert!(member.lookup(b"driver-42").is_none(), "nobody is on the ring yet");
/// member.bootstrap().await?;
///
/// let owner = member.lookup(b"driver-42").expect("this member is on the ring");
/// assert!(owner.is_local());
/// assert_eq!(owner, member.whoami());
/// let address = ringpop::Address::from(&owner); // for what outlives the lookup
/// assert!(member.view().member(address.as_str()).is_some());
/// # member.shutdown(std::time::Duration::from_secs(5)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Owner {
    address: NodeId,
    is_local: bool,
}

impl Owner {
    /// One that need not be on a ring.
    #[cfg(feature = "testing")]
    pub(crate) fn new(address: Arc<str>, is_local: bool) -> Self {
        Self { address: address.into(), is_local }
    }

    /// The member at a place of a ring.
    #[inline]
    pub(crate) fn of(node: &Arc<Node<Reached>>) -> Self {
        // Up to a certain length it is copied: counting one more reference would make the
        // processor wait for all loads before.
        let address = node.shared_id().clone();
        Self { address, is_local: Self::is_here(node) }
    }

    /// Whether a place of a ring is that of the member that looks it up.
    #[inline]
    pub(crate) fn is_here(node: &Arc<Node<Reached>>) -> bool {
        matches!(node.data(), Reached::Local)
    }

    /// The address of the owner, as `host:port`.
    #[inline]
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether the member that looked the key up owns it.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        self.is_local
    }
}

impl Deref for Owner {
    type Target = str;

    fn deref(&self) -> &str {
        self.address()
    }
}

impl AsRef<str> for Owner {
    fn as_ref(&self) -> &str {
        self.address()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.address())
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.address(), f)
    }
}

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

impl Eq for Owner {}

impl Hash for Owner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

impl PartialEq<str> for Owner {
    fn eq(&self, other: &str) -> bool {
        self.address() == other
    }
}

impl PartialEq<&str> for Owner {
    fn eq(&self, other: &&str) -> bool {
        self.address() == *other
    }
}

impl PartialEq<String> for Owner {
    fn eq(&self, other: &String) -> bool {
        self.address() == other.as_str()
    }
}

impl PartialEq<Owner> for str {
    fn eq(&self, other: &Owner) -> bool {
        other == self
    }
}

impl PartialEq<Owner> for &str {
    fn eq(&self, other: &Owner) -> bool {
        other == self
    }
}

impl PartialEq<Owner> for String {
    fn eq(&self, other: &Owner) -> bool {
        other == self
    }
}

impl From<&Owner> for Address {
    fn from(owner: &Owner) -> Self {
        Self::verbatim(owner.address()).expect("what is on a ring has an address")
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> Self {
        Self::from(owner.address())
    }
}
