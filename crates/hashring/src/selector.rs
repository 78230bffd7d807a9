//! Selection for a client without a cluster: discovery, ring and local health together.

mod picker;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use thiserror::Error;

pub use self::picker::{PickError, Picker};
use crate::{
    active_set::{ActiveSet, ActiveSetError, BackendRecord, Replaced, SetChange},
    health::{BackendHealth, HealthConfig, HealthConfigError, LocalHealth, Outcome},
    node::Node,
    ring::{BuildError, Ring, RingBuilder},
    scheme::{Scheme, Xxh3},
    shared::SharedRing,
    sync::{Arc, AtomicU64, Mutex, Ordering, lock},
};

/// What the nodes of a selector's ring carry.
#[derive(Clone, Debug)]
pub struct Backend {
    address: Box<str>,
    labels: BTreeMap<String, String>,
    health: BackendHealth,
    counters: Arc<Counters>,
}

/// How often a backend was picked and passed over. It stays with the backend while it is listed.
#[derive(Debug, Default)]
struct Counters {
    picks: AtomicU64,
    skips: AtomicU64,
}

impl Backend {
    /// Where the backend is reached.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What discovery knows of it.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// Its local health; report outcomes here without a lock.
    #[must_use]
    pub fn health(&self) -> &BackendHealth {
        &self.health
    }

    /// How often it was picked since it is listed.
    #[must_use]
    pub fn picks(&self) -> u64 {
        self.counters.picks.load(Ordering::Relaxed)
    }

    /// How often a pick passed over it because of its quarantine since it is listed.
    #[must_use]
    pub fn skips(&self) -> u64 {
        self.counters.skips.load(Ordering::Relaxed)
    }
}

/// What a pick does when every backend is quarantined. It takes a [`HealthConfig`] that allows so
/// many quarantines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenAllQuarantined {
    /// It picks as if none were: a backend that may be back is better than a sure failure.
    #[default]
    Ignore,
    /// It fails, for callers that have a fallback of their own. The [panic
    /// threshold](HealthConfig::with_panic_threshold_percent) is not looked at then.
    Fail,
}

/// Chooses backends for tokens: the active set of discovery on a ring, minus those in local
/// quarantine.
///
/// One selector is shared by all threads; each has a [`Picker`] of its own. Health never changes
/// the ring: a token goes to the next backend of its walk while its own is quarantined, and back
/// afterwards, and no other token moves.
///
/// ```
/// use hashring::{BackendRecord, Outcome, Selector};
/// use std::time::Instant;
///
/// let now = Instant::now();
/// let selector = Selector::builder().build(now)?;
/// selector.replace_backends(["a", "b", "c"].map(|id| BackendRecord::new(id, format!("{id}.local:80"))))?;
///
/// let mut picker = selector.picker();
/// let home = picker.pick(b"session-1", now)?.clone();
/// for _ in 0..3 {
///     home.data().health().report(Outcome::Failure, now);
/// }
/// assert_ne!(picker.pick(b"session-1", now)?.id(), home.id());
///
/// // Off the hot path, a report by id; and figures for a status page.
/// selector.report(home.id(), Outcome::Success, now);
/// assert_eq!(picker.pick(b"session-1", now)?.id(), home.id());
/// assert_eq!(selector.quarantines_withheld(), 0);
/// assert_eq!(selector.ring().nodes().iter().map(|node| node.data().skips()).max(), Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Selector<S = Xxh3> {
    shared: SharedRing<Backend, S>,
    health: LocalHealth,
    set: Mutex<ActiveSet>,
    when_all_quarantined: WhenAllQuarantined,
}

impl Selector {
    /// Starts a selector with the default scheme and health.
    pub fn builder() -> SelectorBuilder {
        SelectorBuilder {
            ring: Ring::builder(),
            health: HealthConfig::default(),
            when_all_quarantined: WhenAllQuarantined::default(),
        }
    }
}

impl<S: Scheme + Clone> Selector<S> {
    /// Takes a new list from discovery. The ring changes only if the membership did, and then only
    /// by what differs.
    ///
    /// An empty list, or one of unhealthy backends, empties the ring. A discovery that may answer
    /// with nothing when it is disturbed should be filtered before.
    ///
    /// # Errors
    ///
    /// [`SelectorError`] if the list is too long or its weights ask for too many points; all stays
    /// as it was.
    pub fn replace_backends(
        &self,
        records: impl IntoIterator<Item = BackendRecord>,
    ) -> Result<Replaced, SelectorError> {
        let mut set = lock(&self.set);
        let mut next = set.clone();
        let replaced = next.replace(records)?;
        if replaced.change != SetChange::None {
            let ring = self.shared.update(|ring| {
                ring.with_nodes(next.backends().iter().map(|record| self.node(ring, record)))
            })?;
            let pickable = ring.nodes().iter().filter(|node| node.weight() > 0);
            self.health.set_listed(pickable.map(|node| node.data().health()));
            *set = next;
        }
        Ok(replaced)
    }

    /// A picker for one thread or task.
    #[must_use]
    pub fn picker(&self) -> Picker<S> {
        Picker::new(
            self.shared.reader(),
            Arc::clone(self.health.rules()),
            self.when_all_quarantined,
        )
    }

    /// Takes note of how a request to a backend ended; the answer is the window of the quarantine
    /// if this report began one. An id that is not listed any more is ignored.
    ///
    /// It takes a lock for the time of a pointer's clone. On a hot path report to
    /// [`Backend::health`] of the node that was picked.
    pub fn report(&self, id: &str, outcome: Outcome, now: Instant) -> Option<Duration> {
        self.shared.load().node(id)?.data().health.report(outcome, now)
    }

    /// How many quarantines did not begin because as many ran as may; see
    /// [`HealthConfig::with_max_quarantined_percent`].
    #[must_use]
    pub fn quarantines_withheld(&self) -> u64 {
        self.health.withheld()
    }

    /// The ring as it is now, with the counts of every backend. Backends of weight 0 are listed
    /// too.
    #[must_use]
    pub fn ring(&self) -> Arc<Ring<Backend, S>> {
        self.shared.load()
    }

    /// The node of a record. A backend that was listed before keeps its counters and its health.
    fn node(&self, ring: &Ring<Backend, S>, record: &BackendRecord) -> Node<Backend> {
        let listed = ring.node(&record.id).map(|node| node.data());
        let backend = Backend {
            address: record.address.as_str().into(),
            labels: record.labels.clone(),
            health: listed
                .map_or_else(|| self.health.track(&record.id), |backend| backend.health.clone()),
            counters: listed.map(|backend| Arc::clone(&backend.counters)).unwrap_or_default(),
        };
        Node::new(record.id.as_str()).with_weight(record.weight).with_data(backend)
    }
}

/// Options of a [`Selector`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct SelectorBuilder<S = Xxh3> {
    ring: RingBuilder<Backend, S>,
    health: HealthConfig,
    when_all_quarantined: WhenAllQuarantined,
}

impl<S: Scheme + Clone> SelectorBuilder<S> {
    /// Lays the ring out by another scheme.
    pub fn scheme<T: Scheme + Clone>(self, scheme: T) -> SelectorBuilder<T> {
        SelectorBuilder {
            ring: self.ring.scheme(scheme),
            health: self.health,
            when_all_quarantined: self.when_all_quarantined,
        }
    }

    /// Sets the points of a backend of weight 1; see [`RingBuilder::points_per_weight_unit`].
    pub fn points_per_weight_unit(mut self, points: u32) -> Self {
        self.ring = self.ring.points_per_weight_unit(points);
        self
    }

    /// Sets how many points all backends together may have; see [`RingBuilder::max_points`].
    pub fn max_points(mut self, points: u32) -> Self {
        self.ring = self.ring.max_points(points);
        self
    }

    /// Sets the rules of quarantine.
    pub fn health(mut self, config: HealthConfig) -> Self {
        self.health = config;
        self
    }

    /// Sets what a pick does when every backend is quarantined.
    pub fn when_all_quarantined(mut self, policy: WhenAllQuarantined) -> Self {
        self.when_all_quarantined = policy;
        self
    }

    /// Builds the selector, still without backends. `now` is the moment from which its times are
    /// counted.
    ///
    /// # Errors
    ///
    /// [`SelectorError`] if an option is out of its range.
    pub fn build(self, now: Instant) -> Result<Selector<S>, SelectorError> {
        Ok(Selector {
            shared: SharedRing::new(self.ring.build()?),
            health: LocalHealth::new(self.health, now)?,
            set: Mutex::new(ActiveSet::default()),
            when_all_quarantined: self.when_all_quarantined,
        })
    }
}

/// Why a [`Selector`] cannot be built or updated.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// The list of backends.
    #[error(transparent)]
    Backends(#[from] ActiveSetError),
    /// The ring.
    #[error(transparent)]
    Ring(#[from] BuildError),
    /// The rules of quarantine.
    #[error(transparent)]
    Health(#[from] HealthConfigError),
}

#[cfg(all(test, loom))]
mod models;
