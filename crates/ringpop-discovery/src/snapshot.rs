//! What a watched source says: whole lists, and how fresh they are.

use std::sync::Arc;
use std::time::SystemTime;

use crate::{DiscoveryError, Record};

/// One whole list of peers, and how fresh it is. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshot {
    records: Arc<[Record]>,
    freshness: Freshness,
}

impl Snapshot {
    pub(crate) const fn new(records: Arc<[Record]>, freshness: Freshness) -> Self {
        Self { records, freshness }
    }

    /// The peers, sorted by id and each id once.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How far the list can be trusted to be that of now.
    #[must_use]
    pub const fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    pub(crate) fn shared_records(&self) -> Arc<[Record]> {
        Arc::clone(&self.records)
    }
}

/// How fresh a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// The source said so, and is still being watched.
    Live,
    /// The list was written by an earlier run at this time; the source has not answered this one.
    Cached {
        /// When the list was written.
        since: SystemTime,
    },
    /// The source has failed since this time, and this is the last list that it gave.
    Failed {
        /// When it first failed after its last answer.
        since: SystemTime,
        /// What went wrong first.
        reason: Arc<str>,
    },
}

impl Freshness {
    /// Whether the source said so, and is still being watched.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Live)
    }
}

/// What the task of a feed has to say.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// The source has not answered yet.
    Unasked,
    /// It has failed so far, and no list is known.
    Failing(DiscoveryError),
    Known(Snapshot),
}
