//! What a watched source says: whole lists, and how fresh they are.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use crate::feed::Shared;
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

/// A reader of a [`Feed`](crate::Feed): a stream of whole snapshots. A slow reader skips to the
/// latest one: nothing queues up.
pub struct Snapshots {
    receiver: watch::Receiver<State>,
    /// Keeps the task of the feed running.
    feed: Arc<Shared>,
}

impl Snapshots {
    pub(crate) const fn new(receiver: watch::Receiver<State>, feed: Arc<Shared>) -> Self {
        Self { receiver, feed }
    }

    /// Waits for the next snapshot, which differs from the one before in its list or its
    /// freshness. The first call gives the latest one, as soon as there is one. `None`: the source
    /// has ended, and what it said last stands.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// The source has failed, and no list is known that could be used instead. The feed tries
    /// again; so may the caller.
    pub async fn next(&mut self) -> Option<Result<Snapshot, DiscoveryError>> {
        loop {
            self.receiver.changed().await.ok()?;
            match &*self.receiver.borrow_and_update() {
                State::Unasked => {}
                State::Failing(error) => return Some(Err(error.clone())),
                State::Known(snapshot) => return Some(Ok(snapshot.clone())),
            }
        }
    }

    /// The latest snapshot; `None` when no list is known. Never waits.
    #[must_use]
    pub fn latest(&self) -> Option<Snapshot> {
        match &*self.receiver.borrow() {
            State::Known(snapshot) => Some(snapshot.clone()),
            State::Unasked | State::Failing(_) => None,
        }
    }

    /// How messages name the source.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.feed.origin()
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").field("origin", &self.origin()).finish_non_exhaustive()
    }
}
