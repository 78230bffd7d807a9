//! The owners of keys.

use ringpop_forward::{Key, Ownership};

use super::Ringpop;
use crate::named_ring::NamedRing;
use crate::owner::Owner;
use crate::view::Subring;

impl Ringpop {
    /// The owner of a key; `None` when nobody is on the ring. Takes no lock in the
    /// steady state, allocates nothing and does no I/O.
    #[inline]
    #[must_use]
    pub fn lookup(&self, key: &[u8]) -> Option<Owner> {
        self.0.views.with(|view| view.ring.lookup(key).map(Owner::of))
    }

    /// The first `n` distinct owners of a key, best first; fewer when there are
    /// fewer members.
    #[must_use]
    pub fn lookup_n(&self, key: &[u8], n: usize) -> Vec<Owner> {
        self.0.views.with(|view| view.ring.walk(key).take(n).map(Owner::of).collect())
    }

    /// The first `n` distinct owners of a key whose zones differ while that is possible, then the
    /// next ones whatever their zone. The owner is the first, and members without a zone count as
    /// one zone.
    #[must_use]
    pub fn lookup_spread(&self, key: &[u8], n: usize) -> Vec<Owner> {
        self.0.views.with(|view| view.spread(&view.ring, key, n))
    }

    /// A further ring, which [`Builder::ring`](crate::Builder::ring) has set up; `None` when there
    /// is none of this name.
    #[must_use]
    pub fn ring(&self, name: &str) -> Option<NamedRing> {
        NamedRing::new(&self.0.views, &self.0.listeners, name)
    }

    /// The `n` members that serve a tenant, the same on every member of the cluster (shuffle
    /// sharding): requests of one tenant that bring members down take few others with it. Where
    /// members have zones, as many are from each zone, but for one.
    ///
    /// When a member comes or goes, at most one of the others changes. Fewer than `n` when the ring
    /// has fewer. It is kept until the ring changes; see `docs/rings.md` for how many members two
    /// tenants have in common.
    ///
    /// ```
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// # member.serve(tonic::service::Routes::default())?;
    /// # member.bootstrap().await?;
    /// let subring = member.subring("tenant-7", 4);
    /// assert_eq!(subring.len(), 1); // a cluster of one
    /// assert!(subring.owns(b"driver-42"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn subring(&self, tenant: impl AsRef<[u8]>, n: usize) -> Subring {
        self.0.views.subring(tenant.as_ref(), n)
    }

    /// Whether this member owns a key.
    #[inline]
    #[must_use]
    pub fn owns(&self, key: &[u8]) -> bool {
        self.0.views.with(|view| view.ring.lookup(key).is_some_and(Owner::is_here))
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
