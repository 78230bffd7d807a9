//! Looking owners up, in a member or in a stand-in.

use crate::member::Ringpop;
use crate::owner::Owner;

/// Answers who owns a key. Code that asks nothing else of a [`Ringpop`] takes this trait, and is
/// tested without a cluster, with `ringpop::testing::FakeRing` (feature `testing`) or a type of its
/// own.
///
/// ```
/// use ringpop::{Lookup, Ringpop};
///
/// /// The orders that this process works on.
/// fn mine<'a>(ring: &impl Lookup, orders: &[&'a str]) -> Vec<&'a str> {
///     orders.iter().copied().filter(|order| ring.owns(order.as_bytes())).collect()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let member = Ringpop::builder("orders").bind().await?;
/// member.serve(tonic::service::Routes::default())?;
/// member.bootstrap().await?;
/// assert_eq!(mine(&member, &["order-1", "order-2"]).len(), 2);
/// # Ok(())
/// # }
/// ```
pub trait Lookup: Send + Sync {
    /// The address of the member that asks.
    fn whoami(&self) -> &str;

    /// The owner of a key; `None` when nobody is on the ring.
    fn lookup(&self, key: &[u8]) -> Option<Owner>;

    /// The first `n` distinct owners of a key, best first; fewer when there are fewer members.
    fn lookup_n(&self, key: &[u8], n: usize) -> Vec<Owner>;

    /// Whether the member that asks owns a key.
    fn owns(&self, key: &[u8]) -> bool {
        self.lookup(key).is_some_and(|owner| owner.is_local())
    }
}

impl Lookup for Ringpop {
    fn whoami(&self) -> &str {
        Self::whoami(self)
    }

    fn lookup(&self, key: &[u8]) -> Option<Owner> {
        Self::lookup(self, key)
    }

    fn lookup_n(&self, key: &[u8], n: usize) -> Vec<Owner> {
        Self::lookup_n(self, key, n)
    }

    fn owns(&self, key: &[u8]) -> bool {
        Self::owns(self, key)
    }
}
