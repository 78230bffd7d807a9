//! What a store of leases does.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// A store that decides who holds a lease, and numbers the grants.
///
/// A session stands for a process. It ends when it was not [renewed](Self::renew) for its time, and
/// everything that it holds is free then. The implementation may end it later and must not end it
/// sooner: the time counts from when the store took the last renewal in.
///
/// Calls may be dropped before they end, and be tried again: what a call does twice it does as
/// once.
pub trait LeaseStore: Send + Sync + 'static {
    /// Begins a session of this length; `holder` is its name for people.
    fn open(
        &self,
        holder: &str,
        ttl: Duration,
    ) -> impl Future<Output = Result<Session, LeaseError>> + Send;

    /// Lets a session last its whole time again.
    fn renew(&self, session: &Session) -> impl Future<Output = Result<(), LeaseError>> + Send;

    /// Takes a slot for a session, and gives the fencing token: larger than that of each grant of
    /// the slot before. A session that holds the slot already gets a token as well.
    fn acquire(
        &self,
        session: &Session,
        slot: u32,
    ) -> impl Future<Output = Result<u64, LeaseError>> + Send;

    /// Gives a slot back; nothing happens when the session does not hold it.
    fn release(
        &self,
        session: &Session,
        slot: u32,
    ) -> impl Future<Output = Result<(), LeaseError>> + Send;

    /// Ends a session, and frees what it holds; nothing happens when it has ended.
    fn close(&self, session: &Session) -> impl Future<Output = Result<(), LeaseError>> + Send;
}

/// A session at a [`LeaseStore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What the store calls it.
    pub id: String,
    /// How long it lasts without a renewal.
    pub ttl: Duration,
    /// The name of its process for people.
    pub holder: String,
}

/// Why a store does not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// Another session holds the slot.
    #[error("another process holds the lease; it is asked for again")]
    Held,
    /// The session has ended at the store.
    #[error("the session has ended at the store")]
    Ended,
    /// The store gave no answer, or refused, as the cause says.
    #[error("the store of leases cannot be used; see that it runs and admits this process")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
}

impl LeaseError {
    /// The store gave no answer, or refused.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into().into())
    }
}
