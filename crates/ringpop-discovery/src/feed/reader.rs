//! A reader of what a feed says.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::Shared;
use crate::snapshot::State;
use crate::{DiscoveryError, Snapshot};

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
