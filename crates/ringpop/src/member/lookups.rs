//! Who owns a key.

use std::sync::Arc;

use hashring::Node;
use ringpop_forward::{self as forward, Key, Ownership};

use super::Ringpop;
use crate::owner::Owner;

impl Ringpop {
    /// The owner of a key; `None` when nobody is on the ring. Takes no lock in the
    /// steady state, allocates nothing and does no I/O.
    #[must_use]
    pub fn lookup(&self, key: &[u8]) -> Option<Owner> {
        self.0.views.with(|view| view.ring.lookup(key).map(owner))
    }

    /// The first `n` distinct owners of a key, best first; fewer when there are
    /// fewer members.
    #[must_use]
    pub fn lookup_n(&self, key: &[u8], n: usize) -> Vec<Owner> {
        self.0.views.with(|view| view.ring.walk(key).take(n).map(owner).collect())
    }

    /// Whether this member owns a key.
    #[must_use]
    pub fn owns(&self, key: &[u8]) -> bool {
        self.0.views.with(|view| view.ring.lookup(key).is_some_and(is_local))
    }

    /// Follows who owns `key` from now on, for work that lasts longer than a
    /// lookup is true: its future [`lost`](Ownership::lost) resolves when the key
    /// moves from this member to another one, and when this member leaves.
    ///
    /// The handler of a streaming method finds one for its own key in the
    /// extensions of its request.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// # member.serve(tonic::service::Routes::default())?;
    /// # member.bootstrap().await?;
    /// let ownership = member.ownership("driver-42");
    /// assert!(ownership.is_held()); // as a cluster of one, it owns every key
    /// let work = tokio::spawn(async move {
    ///     let new_owner = tokio::select! {
    ///         new_owner = ownership.lost() => new_owner,
    ///         () = std::future::pending() => unreachable!("the work for the key goes here"),
    ///     };
    ///     new_owner // store what it must know
    /// });
    /// member.shutdown(Duration::from_secs(5)).await;
    /// assert_eq!(work.await?, None, "nobody is left");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn ownership(&self, key: impl Into<Key>) -> Ownership {
        self.0.forwarder.ownership(key)
    }
}

fn owner(node: &Arc<Node<forward::Owner>>) -> Owner {
    Owner::new(Arc::clone(node.shared_id()), is_local(node))
}

fn is_local(node: &Arc<Node<forward::Owner>>) -> bool {
    matches!(node.data(), forward::Owner::Local)
}
