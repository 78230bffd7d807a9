//! The backends that discovery reports, without what does not matter to a ring.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::limits::DISCOVERED_BACKENDS_MAX;

/// One backend as discovery reports it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct BackendRecord {
    /// The stable name that places the backend on the ring: an instance id rather than an address
    /// that changes.
    pub id: String,
    /// Where the backend is reached.
    pub address: String,
    /// Whether discovery takes it for healthy.
    pub healthy: bool,
    /// The multiplier of the number of points; 0 takes it off the ring and keeps it in the list.
    pub weight: u32,
    /// Whatever else is known: zone, version, shard.
    pub labels: BTreeMap<String, String>,
}

impl BackendRecord {
    /// A healthy backend of weight 1 without labels.
    pub fn new(id: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            address: address.into(),
            healthy: true,
            weight: 1,
            labels: BTreeMap::new(),
        }
    }

    /// Sets the weight.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets whether discovery takes the backend for healthy.
    #[must_use]
    pub fn with_healthy(mut self, healthy: bool) -> Self {
        self.healthy = healthy;
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn with_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }
}

/// The healthy backends of the last list, sorted by id.
///
/// Discovery repeats itself: the same backends come again and again, in another order, or twice. A
/// set tells whether a list changed anything, so that a ring is rebuilt only when it is due.
///
/// ```
/// use hashring::{ActiveSet, BackendRecord, SetChange};
///
/// let mut set = ActiveSet::default();
/// let (a, b) = (BackendRecord::new("a", "10.0.0.1:80"), BackendRecord::new("b", "10.0.0.2:80"));
/// assert_eq!(set.replace([a.clone(), b.clone()])?.change, SetChange::Membership);
/// assert_eq!(set.replace([b.clone(), a.clone(), b.clone()])?.change, SetChange::None);
/// assert_eq!(set.replace([a, b.with_healthy(false)])?.change, SetChange::Membership);
/// # Ok::<(), hashring::ActiveSetError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActiveSet {
    backends: Vec<BackendRecord>,
}

impl ActiveSet {
    /// Takes the healthy backends of a new list, and tells what changed.
    ///
    /// The order of the list does not matter. Of several healthy records of one id the lowest by
    /// address, weight and labels is taken, whichever came first; a record without an id is left
    /// out. Both are counted in the answer.
    ///
    /// # Errors
    ///
    /// [`ActiveSetError`] if the list is too long; the set stays as it was.
    pub fn replace(
        &mut self,
        records: impl IntoIterator<Item = BackendRecord>,
    ) -> Result<Replaced, ActiveSetError> {
        let mut backends: Vec<_> = records.into_iter().take(DISCOVERED_BACKENDS_MAX + 1).collect();
        if backends.len() > DISCOVERED_BACKENDS_MAX {
            return Err(ActiveSetError::TooManyBackends);
        }
        let mut replaced =
            Replaced { change: SetChange::None, unhealthy: 0, duplicates: 0, without_id: 0 };
        let listed = backends.len();
        backends.retain(|record| record.healthy);
        replaced.unhealthy = listed - backends.len();
        let healthy = backends.len();
        backends.retain(|record| !record.id.is_empty());
        replaced.without_id = healthy - backends.len();
        let named = backends.len();
        backends.sort_unstable();
        backends.dedup_by(|next, kept| next.id == kept.id);
        replaced.duplicates = named - backends.len();

        replaced.change = change_between(&self.backends, &backends);
        self.backends = backends;
        Ok(replaced)
    }

    /// The healthy backends, sorted by id.
    #[must_use]
    pub fn backends(&self) -> &[BackendRecord] {
        &self.backends
    }
}

/// What a list from discovery changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// How far the change goes.
    pub change: SetChange,
    /// Records left out because discovery takes them for unhealthy.
    pub unhealthy: usize,
    /// Records left out because another one has their id.
    pub duplicates: usize,
    /// Records left out because they have no id.
    pub without_id: usize,
}

/// How far a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetChange {
    /// The list has the last known state.
    None,
    /// Addresses or labels changed; every key stays where it is.
    Details,
    /// Backends came or went, or changed their weight.
    Membership,
}

fn change_between(old: &[BackendRecord], new: &[BackendRecord]) -> SetChange {
    let membership = |record: &BackendRecord| (record.id.clone(), record.weight);
    if old == new {
        SetChange::None
    } else if old.iter().map(membership).eq(new.iter().map(membership)) {
        SetChange::Details
    } else {
        SetChange::Membership
    }
}

/// Why a list from discovery is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ActiveSetError {
    /// The list is longer than any real one.
    #[error("discovery lists more than {DISCOVERED_BACKENDS_MAX} backends; check what it returns")]
    TooManyBackends,
}
