//! At most one owner: leases from a store that decides.
//!
//! The ring prefers availability: while members disagree, a key has several owners. Those who need
//! at most one writer take a lease on a slot of the keys and pass its fencing token to the store
//! that they write to.

mod held;
mod keeper;
mod memory;
mod settings;
mod store;
mod stores;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hashring::scheme::{Scheme as _, Xxh3};
use ringpop_forward::Resolver;
use tokio::sync::watch;

pub use self::held::Lease;
use self::held::Table;
use self::keeper::Keeper;
pub use self::memory::MemoryLeases;
pub use self::settings::{LeaseSettings, LeaseSettingsError};
pub use self::store::{LeaseError, LeaseStore, Session};
#[cfg(feature = "consul")]
pub use self::stores::ConsulLeases;
#[cfg(feature = "kubernetes")]
pub use self::stores::KubernetesLeases;
use crate::event::{Event, Listeners};
use crate::problem::{Problem, ProblemKind};
use crate::problems::Problems;

/// The leases of a member, on the slots of the keys that it owns; made by
/// [`Ringpop::leases`](crate::Ringpop::leases).
/// Clones are the same; when the last one is dropped all leases are given back.
///
/// The keys are divided into a fixed number of slots. A task in the background takes the lease of
/// each slot whose [routing key](Self::routing_key) the member owns, renews all of them in one
/// session, and gives them back when the ring moves them. So requests have to be routed by the slot
/// of their key: put the routing key in place of the key.
///
/// A lease is lost loudly: [`Event::LeasesLost`](crate::Event::LeasesLost), a problem, the counter
/// `lease.lost` and the end of the handle, all before the store lets another member have it.
///
/// ```
/// # use ringpop::Ringpop;
/// use ringpop::{LeaseSettings, MemoryLeases};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
/// # member.serve(tonic::service::Routes::default())?;
/// # member.bootstrap().await?;
/// let leases = member.leases(MemoryLeases::new(), LeaseSettings::new(64))?;
///
/// let owner = member.lookup(leases.routing_key(b"driver-42").as_bytes());
/// assert!(owner.is_some_and(|owner| owner.is_local()));
/// let lease = leases.granted(b"driver-42").await;
/// println!("write driver-42 with token {}", lease.token());
/// assert!(lease.check());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Leases {
    table: Arc<Table>,
    slots: u32,
    /// Closed when the last clone is gone.
    _kept: watch::Sender<()>,
}

/// Takes leases in the background, for the slots that the resolver has as this process's.
pub(crate) fn start(
    store: impl LeaseStore,
    resolver: Arc<dyn Resolver>,
    holder: String,
    settings: LeaseSettings,
    stats: Arc<LeaseStats>,
    teller: Teller,
) -> Leases {
    let (kept, is_kept) = watch::channel(());
    let (table, slots) = (Table::new(), settings.slots);
    stats.add(&table);
    let keeper =
        Keeper { store, resolver, holder, settings, table: Arc::clone(&table), stats, teller };
    tokio::spawn(keeper.run(is_kept));
    Leases { table, slots, _kept: kept }
}

impl Leases {
    /// The slot of a key.
    #[must_use]
    pub fn slot(&self, key: &[u8]) -> u32 {
        let part = (u128::from(Xxh3.hash_key(key)) * u128::from(self.slots)) >> 64;
        // Smaller than the number of slots.
        u32::try_from(part).unwrap_or_default()
    }

    /// The key by which requests for `key` are routed: that of its slot.
    #[must_use]
    pub fn routing_key(&self, key: &[u8]) -> String {
        routing_key(self.slot(key))
    }

    /// The lease of a key's slot, when this member holds it.
    #[must_use]
    pub fn lease(&self, key: &[u8]) -> Option<Lease> {
        self.table.get(self.slot(key))
    }

    /// Waits until this member holds the lease of a key's slot, which it does some time after the
    /// ring gave it the slot; for ever when the ring does not, and after the member has stopped.
    /// Give it a limit.
    pub async fn granted(&self, key: &[u8]) -> Lease {
        let mut changed = self.table.changed();
        loop {
            if let Some(lease) = self.lease(key) {
                return lease;
            }
            // The sender lives as long as this.
            let _ = changed.changed().await;
        }
    }

    /// The number of leases that this member holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.table.len()
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slots, held) = (self.slots, self.held());
        f.debug_struct("Leases").field("slots", &slots).field("held", &held).finish_non_exhaustive()
    }
}

fn routing_key(slot: u32) -> String {
    format!("slot-{slot}")
}

/// Tells people and listeners of leases that are lost.
pub(crate) struct Teller(Option<(Listeners, Arc<Problems>)>);

impl Teller {
    pub(crate) const fn new(listeners: Listeners, problems: Arc<Problems>) -> Self {
        Self(Some((listeners, problems)))
    }

    /// There is no session.
    fn begin(&self, reason: &str) {
        if let Some((_, problems)) = &self.0 {
            problems.begin(Problem::LeasesLost { reason: reason.to_owned() });
        }
    }

    /// There is a session again.
    fn end(&self) {
        if let Some((_, problems)) = &self.0 {
            problems.end(ProblemKind::Leases);
        }
    }

    fn lost(&self, reason: &str, leases: usize) {
        self.begin(reason);
        if let Some((listeners, _)) = &self.0 {
            listeners.tell(Event::LeasesLost { reason: reason.to_owned(), leases });
        }
    }
}

/// Counters of leases.
#[derive(Debug, Default)]
pub(crate) struct LeaseStats {
    granted: AtomicU64,
    lost: AtomicU64,
    refused: AtomicU64,
    renewals_failed: AtomicU64,
    tables: Mutex<Vec<Weak<Table>>>,
}

impl LeaseStats {
    fn granted(&self) {
        self.granted.fetch_add(1, Ordering::Relaxed);
    }

    fn lost(&self, leases: usize) {
        self.lost.fetch_add(leases as u64, Ordering::Relaxed);
    }

    fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn renewal_failed(&self) {
        self.renewals_failed.fetch_add(1, Ordering::Relaxed);
    }

    fn add(&self, table: &Arc<Table>) {
        let mut tables = self.lock();
        tables.retain(|table| table.strong_count() > 0);
        tables.push(Arc::downgrade(table));
    }

    fn held(&self) -> u64 {
        self.lock().iter().filter_map(Weak::upgrade).map(|table| table.len() as u64).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Table>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters by name.
    pub(crate) fn counters(&self) -> [(&'static str, u64); 5] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("granted", read(&self.granted)),
            ("held", self.held()),
            ("lost", read(&self.lost)),
            ("refused", read(&self.refused)),
            ("renewals_failed", read(&self.renewals_failed)),
        ]
    }
}
