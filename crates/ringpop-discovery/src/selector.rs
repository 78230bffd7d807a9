//! Feature `hashring`: a client's selection of backends that follows a feed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashring::{Scheme, Selector, SetChange};
use tokio::task::JoinHandle;

use crate::{Feed, Snapshot};

/// Has `selector` follow `feed`: each list becomes the backends among which it selects, with their
/// weights, zones and labels, and only those that are healthy. A list that says the same as the one
/// before does not touch the ring. Ends when the returned handle is dropped.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Instant;
///
/// use hashring::Selector;
/// use ringpop_discovery::{DiscoveryUrl, feed_selector};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url: DiscoveryUrl = "static:10.0.0.1:7100,10.0.0.2:7100".parse()?;
/// let selector = Arc::new(Selector::builder().build(Instant::now())?);
/// let following = feed_selector(&url.feed()?, &selector);
/// following.ready().await;
/// assert_eq!(selector.ring().len(), 2);
/// # Ok(())
/// # }
/// ```
#[must_use = "the selector follows the feed only until this is dropped"]
pub fn feed_selector<S>(feed: &Feed, selector: &Arc<Selector<S>>) -> SelectorFeed
where
    S: Scheme + Clone + Send + Sync + 'static,
{
    let (mut snapshots, selector) = (feed.snapshots(), Arc::clone(selector));
    let counters = Arc::new(Counters::default());
    let (first, is_ready) = tokio::sync::watch::channel(false);
    let counted = Arc::clone(&counters);
    let task = tokio::spawn(async move {
        while let Some(snapshot) = snapshots.next().await {
            // Without a list there is nothing to change; the feed has told the log.
            let Ok(snapshot) = snapshot else { continue };
            counted.take(&selector, &snapshot, snapshots.origin());
            first.send_replace(true);
        }
        // What the source said last stands.
        std::future::pending::<()>().await;
    });
    SelectorFeed { counters, is_ready, task }
}

/// A selector that follows a feed until this is dropped; made by [`feed_selector`].
pub struct SelectorFeed {
    counters: Arc<Counters>,
    is_ready: tokio::sync::watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl SelectorFeed {
    /// Waits until the selector has got its first list.
    pub async fn ready(&self) {
        let _ = self.is_ready.clone().wait_for(|is_ready| *is_ready).await;
    }

    /// The counters so far.
    #[must_use]
    pub fn stats(&self) -> SelectorFeedStats {
        let Counters { rebuilt, unchanged, details, refused } = &*self.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SelectorFeedStats {
            rebuilt: read(rebuilt),
            unchanged: read(unchanged),
            details: read(details),
            refused: read(refused),
        }
    }
}

impl Drop for SelectorFeed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for SelectorFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectorFeed").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// What a [`SelectorFeed`] has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SelectorFeedStats {
    /// Lists that changed which backends are on the ring, or their weights.
    pub rebuilt: u64,
    /// Lists that changed addresses or labels: every key stayed where it was.
    pub details: u64,
    /// Lists of the same membership, which changed nothing.
    pub unchanged: u64,
    /// Lists that the selector refused, which changed nothing: none of their peers is healthy,
    /// there are too many, or they ask for too many points.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct Counters {
    rebuilt: AtomicU64,
    details: AtomicU64,
    unchanged: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    fn take<S: Scheme + Clone>(&self, selector: &Selector<S>, snapshot: &Snapshot, origin: &str) {
        let counter = if snapshot.records().iter().any(|record| record.healthy) {
            let backends = snapshot.records().iter().cloned().map(Into::into);
            match selector.replace_backends(backends) {
                Ok(replaced) => match replaced.change {
                    SetChange::None => &self.unchanged,
                    SetChange::Details => &self.details,
                    SetChange::Membership => &self.rebuilt,
                },
                Err(error) => {
                    tracing::warn!("the list of {origin} is not used: {error}");
                    &self.refused
                }
            }
        } else {
            // Checks that fail everywhere at once say more about the checks: a backend that is
            // asked in vain costs less than none at all.
            tracing::warn!("{origin} lists nobody who is healthy: the former list is kept");
            &self.refused
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::time::timeout;

    use super::*;
    use crate::{Record, channel};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn record(id: &str, address: &str) -> Record {
        let mut record = Record::new(address.parse().unwrap());
        record.id = id.to_owned();
        record
    }

    /// Waits until `count` lists were taken or refused.
    async fn taken(following: &SelectorFeed, count: u64) -> SelectorFeedStats {
        let all = async {
            loop {
                let stats = following.stats();
                if stats.rebuilt + stats.details + stats.unchanged + stats.refused == count {
                    return stats;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, all).await.expect("the lists are taken in time")
    }

    #[tokio::test]
    async fn the_ring_changes_with_the_membership_and_not_with_the_rest() {
        let (sender, source) = channel("our registry");
        let feed = Feed::new(source);
        let selector = Arc::new(Selector::builder().build(Instant::now()).unwrap());
        let following = feed_selector(&feed, &selector);
        let mut list = vec![record("a", "10.0.0.1:1"), record("b", "10.0.0.2:1")];
        list[0].weight = 3;
        list[0].zone = Some("eu-1a".to_owned());
        sender.send(list.clone());
        timeout(PATIENCE, following.ready()).await.unwrap();
        let ring = selector.ring();
        let a = ring.nodes().iter().find(|node| node.id() == "a").unwrap();
        assert_eq!((a.weight(), &*a.data().labels()["zone"]), (3, "eu-1a"));

        // The source fails and comes back: a list of the same membership, twice.
        sender.send(Vec::new());
        taken(&following, 2).await;
        sender.send(list.clone());
        let stats = taken(&following, 3).await;
        assert_eq!((stats.rebuilt, stats.unchanged), (1, 2));

        // An address moves, and no key does.
        list[1] = record("b", "10.0.0.9:1");
        sender.send(list.clone());
        assert_eq!(taken(&following, 4).await.details, 1);

        // Nobody healthy is no list to work with.
        for record in &mut list {
            record.healthy = false;
        }
        sender.send(list.clone());
        assert_eq!(taken(&following, 5).await.refused, 1);
        assert_eq!(selector.ring().len(), 2);
        list[0].healthy = true;
        sender.send(list);
        assert_eq!(taken(&following, 6).await.rebuilt, 2);
        assert_eq!(selector.ring().len(), 1);

        drop(following);
        sender.send(vec![record("c", "10.0.0.3:1")]);
        tokio::task::yield_now().await;
        assert_eq!(selector.ring().len(), 1, "it follows no more");
    }
}
