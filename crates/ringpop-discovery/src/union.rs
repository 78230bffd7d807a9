//! Several sources as one.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::Poll;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::time::timeout;

use crate::limits::{PEERS_TIMEOUT, SOURCES_MAX};
use crate::{Discovery as _, DiscoveryError, Feed, PeersFuture, Record, Snapshots, Source};

/// Several sources as one: the peers of all of them. Of records with one id, that of the first
/// source counts. A source that fails leaves its last list in place, and one that never answered
/// adds nobody.
#[derive(Debug)]
pub struct Union {
    sources: Vec<Snapshots>,
    origin: String,
    is_asked: bool,
}

impl Union {
    /// The peers of all these.
    ///
    /// # Errors
    ///
    /// There are no feeds, or more than [`SOURCES_MAX`].
    pub fn new(feeds: impl IntoIterator<Item = Feed>) -> Result<Self, UnionError> {
        let feeds: Vec<Feed> = feeds.into_iter().collect();
        if !(1..=SOURCES_MAX).contains(&feeds.len()) {
            return Err(UnionError { count: feeds.len() });
        }
        let origins: Vec<String> = feeds.iter().map(Feed::origin).collect();
        let sources = feeds.iter().map(Feed::snapshots).collect();
        Ok(Self { sources, origin: origins.join(" and "), is_asked: false })
    }

    async fn merge(&mut self) -> Result<Vec<Record>, DiscoveryError> {
        let mut last_error = None;
        if self.is_asked {
            last_error = any(&mut self.sources).await;
        } else {
            self.is_asked = true;
            for source in &mut self.sources {
                // One that hangs must not keep the others back for ever.
                if let Ok(Some(Err(error))) = timeout(PEERS_TIMEOUT, source.next()).await {
                    last_error = Some(error);
                }
            }
        }
        let mut merged: BTreeMap<String, Record> = BTreeMap::new();
        for snapshot in self.sources.iter().filter_map(Snapshots::latest) {
            for record in snapshot.records() {
                merged.entry(record.id.clone()).or_insert_with(|| record.clone());
            }
        }
        match last_error {
            Some(error) if merged.is_empty() => Err(error),
            _ => Ok(merged.into_values().collect()),
        }
    }
}

/// Waits for news of any source; its error, if that is the news.
async fn any(sources: &mut [Snapshots]) -> Option<DiscoveryError> {
    let mut news: Vec<BoxFuture<'_, _>> =
        sources.iter_mut().map(|source| source.next().boxed()).collect();
    poll_fn(|context| {
        for source in &mut news {
            match source.poll_unpin(context) {
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(error)),
                Poll::Ready(Some(Ok(_))) => return Poll::Ready(None),
                // One that has ended says nothing any more.
                Poll::Ready(None) => *source = std::future::pending().boxed(),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    })
    .await
}

impl Source for Union {
    fn next(&mut self) -> PeersFuture<'_> {
        Box::pin(self.merge())
    }

    fn origin(&self) -> String {
        self.origin.clone()
    }
}

/// Why sources cannot be united.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{count} sources cannot be united: give 1 to {SOURCES_MAX}")]
#[non_exhaustive]
pub struct UnionError {
    /// How many were given.
    pub count: usize,
}
