//! Sources that push, and sources that are asked.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::limits::{NOBODY_INTERVAL, PEERS_TIMEOUT, POLL_INTERVAL_MAX, POLL_INTERVAL_MIN};
use crate::{Discovery, DiscoveryError, PeersFuture, Record};

/// A source that says by itself when its list changes. A [`Feed`](crate::Feed) watches it for many
/// readers.
///
/// An implementation of your own writes its body inside `Box::pin(async move { … })`.
pub trait Source: Debug + Send + 'static {
    /// Waits for the next whole list; the first call gives the list of now. It need not differ from
    /// the one before. The feed drops the future only when it ends.
    ///
    /// # Errors
    ///
    /// The source cannot be read, or its answer is not a list of peers. The feed calls again after
    /// a pause that grows, and the last list stands meanwhile.
    fn next(&mut self) -> PeersFuture<'_>;

    /// How messages name this source, such as `the hosts file "hosts.json"`.
    fn origin(&self) -> String;

    /// The same source with each record changed, or left out where `change` gives `None`.
    fn filter_map<F>(self, change: F) -> FilterMap<Self, F>
    where
        Self: Sized,
        F: FnMut(Record) -> Option<Record> + Send + 'static,
    {
        FilterMap { source: self, change }
    }
}

/// A [`Discovery`] that is asked again and again.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use ringpop_discovery::{Feed, JsonFile, Poll};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let hosts = Arc::new(JsonFile::new("hosts.json"));
/// let feed = Feed::new(Poll::new(hosts, Duration::from_secs(5))?);
/// let mut snapshots = feed.snapshots();
/// while let Some(snapshot) = snapshots.next().await {
///     match snapshot {
///         Ok(snapshot) => println!("{} peers", snapshot.records().len()),
///         Err(error) => eprintln!("no list yet: {error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Poll {
    source: Arc<dyn Discovery>,
    interval: Duration,
    due: Option<Instant>,
}

impl Poll {
    /// Asks `source`, with a pause of `interval` between an answer and the next question, and a
    /// shorter one while it lists nobody.
    ///
    /// # Errors
    ///
    /// `interval` is not within [`POLL_INTERVAL_MIN`] and [`POLL_INTERVAL_MAX`].
    pub fn new(source: Arc<dyn Discovery>, interval: Duration) -> Result<Self, PollError> {
        if !(POLL_INTERVAL_MIN..=POLL_INTERVAL_MAX).contains(&interval) {
            return Err(PollError::Interval { interval });
        }
        Ok(Self { source, interval, due: None })
    }

    async fn ask(&mut self) -> Result<Vec<Record>, DiscoveryError> {
        if let Some(due) = self.due.take() {
            sleep_until(due).await;
        }
        let answer = timeout(PEERS_TIMEOUT, self.source.peers()).await.unwrap_or_else(|_| {
            let timeout_ms = PEERS_TIMEOUT.as_millis();
            Err(DiscoveryError::TimedOut { origin: self.source.origin(), timeout_ms })
        });
        // After other failures the feed makes the pause.
        let pause = match &answer {
            Ok(_) => Some(self.interval),
            Err(error) => error.lists_nobody().then(|| self.interval.min(NOBODY_INTERVAL)),
        };
        self.due = pause.map(|pause| Instant::now() + pause);
        answer
    }
}

impl Source for Poll {
    fn next(&mut self) -> PeersFuture<'_> {
        Box::pin(self.ask())
    }

    fn origin(&self) -> String {
        self.source.origin()
    }
}

/// Why a source cannot be asked at an interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PollError {
    /// The interval is out of bounds.
    #[error(
        "poll interval {interval:?} is not between {POLL_INTERVAL_MIN:?} and {POLL_INTERVAL_MAX:?}: choose one that is"
    )]
    Interval {
        /// The refused interval.
        interval: Duration,
    },
}

/// What [`Source::filter_map`] returns.
pub struct FilterMap<S, F> {
    source: S,
    change: F,
}

impl<S: Debug, F> Debug for FilterMap<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterMap").field("source", &self.source).finish_non_exhaustive()
    }
}

impl<S, F> Source for FilterMap<S, F>
where
    S: Source,
    F: FnMut(Record) -> Option<Record> + Send + 'static,
{
    fn next(&mut self) -> PeersFuture<'_> {
        Box::pin(async {
            let records = self.source.next().await?;
            Ok(records.into_iter().filter_map(&mut self.change).collect())
        })
    }

    fn origin(&self) -> String {
        self.source.origin()
    }
}
