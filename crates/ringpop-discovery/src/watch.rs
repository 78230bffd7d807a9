//! A source that is asked again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::contradictions::Contradictions;
use crate::limits::{PEERS_TIMEOUT, WATCH_INTERVAL_MAX, WATCH_INTERVAL_MIN};
use crate::{Discovery, DiscoveryError, PeersFuture, Record};

/// Asks a source at an interval and yields its list when that changed.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use ringpop_discovery::{JsonFile, Watch};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let hosts = Arc::new(JsonFile::new("hosts.json"));
/// let mut watch = Watch::new(hosts, Duration::from_secs(5))?;
/// loop {
///     match watch.changed().await {
///         Ok(records) => println!("{} peers", records.len()),
///         Err(error) => eprintln!("still using the former peers: {error}"),
///     }
/// }
/// # }
/// ```
pub struct Watch {
    source: Arc<dyn Discovery>,
    interval: Duration,
    next_at: Instant,
    /// The question that is being answered. It outlives a dropped `changed()`, so that a caller
    /// who is often interrupted still gets an answer from a slow source.
    pending: Option<PeersFuture<'static>>,
    last: Option<Vec<Record>>,
    contradictions: Arc<Contradictions>,
}

impl Watch {
    /// Watches `source`, with a pause of `interval` between an answer and the next question.
    ///
    /// # Errors
    ///
    /// `interval` is not within [`WATCH_INTERVAL_MIN`] and [`WATCH_INTERVAL_MAX`].
    pub fn new(source: Arc<dyn Discovery>, interval: Duration) -> Result<Self, WatchError> {
        if !(WATCH_INTERVAL_MIN..=WATCH_INTERVAL_MAX).contains(&interval) {
            return Err(WatchError::Interval { interval });
        }
        Ok(Self {
            source,
            interval,
            next_at: Instant::now(),
            pending: None,
            last: None,
            contradictions: Arc::default(),
        })
    }

    /// How many ids were left out of answers because their records contradict each other. Sources
    /// that leave them out themselves, as [`JsonFile`](crate::JsonFile) does, count them there.
    #[must_use]
    pub fn contradictions(&self) -> u64 {
        self.contradictions.seen()
    }

    /// Waits for a list that differs from the last one that was yielded. The first call yields
    /// the first list at once; the order in which the source lists its peers does not matter.
    ///
    /// Dropping the future loses nothing: the next call continues where it stopped.
    ///
    /// # Errors
    ///
    /// A question to the source failed or was not answered within [`PEERS_TIMEOUT`]. Each
    /// failure is reported, and the next call asks again after the interval. An empty list is a
    /// failure too: a source that lost its data must not empty a ring.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled.
    pub async fn changed(&mut self) -> Result<Vec<Record>, DiscoveryError> {
        loop {
            if self.pending.is_none() {
                sleep_until(self.next_at).await;
            }
            let source = &self.source;
            let contradictions = &self.contradictions;
            let ask = || ask(Arc::clone(source), Arc::clone(contradictions));
            let answer = self.pending.get_or_insert_with(ask).await;
            self.pending = None;
            self.next_at = Instant::now() + self.interval;
            let records = answer?;
            if self.last.as_ref() != Some(&records) {
                self.last = Some(records.clone());
                return Ok(records);
            }
        }
    }
}

/// One bounded question; the answer has the form in which lists are compared.
fn ask(source: Arc<dyn Discovery>, contradictions: Arc<Contradictions>) -> PeersFuture<'static> {
    Box::pin(async move {
        let records = timeout(PEERS_TIMEOUT, source.peers()).await.map_err(|_| {
            DiscoveryError::TimedOut {
                origin: source.origin(),
                timeout_ms: PEERS_TIMEOUT.as_millis(),
            }
        })??;
        contradictions.resolve(records, &source.origin())
    })
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("source", &self.source)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// Why a source cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The interval is out of bounds.
    #[error(
        "watch interval {interval:?} is not between {WATCH_INTERVAL_MIN:?} and {WATCH_INTERVAL_MAX:?}: choose one that is"
    )]
    Interval {
        /// The refused interval.
        interval: Duration,
    },
}

#[cfg(test)]
mod tests;
