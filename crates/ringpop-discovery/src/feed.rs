//! A source that one task watches for many readers.

mod reader;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub use self::reader::Snapshots;
use crate::cache::Cache;
use crate::contradictions::Contradictions;
use crate::limits::{CACHE_WAIT, PEERS_TIMEOUT, RETRY_MAX, RETRY_MIN};
use crate::snapshot::State;
use crate::{Discovery, DiscoveryError, Freshness, PeersFuture, Record, Snapshot, Source};

/// A source that one task watches for many readers. Clones share the task, which ends with the last
/// of them and of their [`Snapshots`].
///
/// A feed keeps the last list that it got. A source that fails, or lists nobody all of a sudden,
/// changes only the [`Freshness`] of that list. After a failure the source is asked again, with
/// pauses that double from [`RETRY_MIN`] to [`RETRY_MAX`], half of each by chance.
///
/// As a [`Discovery`] a feed gives its list at once; while it has none, it waits for the first one
/// and gives the latest error.
#[derive(Clone)]
pub struct Feed {
    shared: Arc<Shared>,
}

impl Feed {
    /// Watches `source` from now on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled.
    #[must_use]
    pub fn new(source: impl Source) -> Self {
        Self::start(Box::new(source), None)
    }

    /// Watches `source`, and keeps its last list in the file at `path`: a process that starts while
    /// the source is down has one. The file is a hosts file; it is replaced as a whole at each
    /// change, and checked as any hosts file when it is read. Each source needs a file of its own.
    ///
    /// # Panics
    ///
    /// As [`Self::new`].
    #[must_use]
    pub fn with_cache(source: impl Source, path: impl Into<PathBuf>) -> Self {
        Self::start(Box::new(source), Some(path.into()))
    }

    pub(crate) fn start(source: Box<dyn Source>, cache: Option<PathBuf>) -> Self {
        let (sender, receiver) = watch::channel(State::Unasked);
        let origin = source.origin();
        let counters = Arc::new(Counters::default());
        let task = Task {
            source,
            sender,
            cache: cache.map(Cache::new),
            contradictions: Contradictions::default(),
            counters: Arc::clone(&counters),
            pause: RETRY_MIN,
        };
        let task = tokio::spawn(task.run());
        Self { shared: Arc::new(Shared { receiver, origin, counters, task }) }
    }

    /// A reader, whose first snapshot is the latest one.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots {
        let mut receiver = self.shared.receiver.clone();
        receiver.mark_changed();
        Snapshots::new(receiver, Arc::clone(&self.shared))
    }

    /// The counters so far.
    #[must_use]
    pub fn stats(&self) -> FeedStats {
        let Counters { lists, changes, failures, contradictions } = &*self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FeedStats {
            lists: read(lists),
            changes: read(changes),
            failures: read(failures),
            contradictions: read(contradictions),
        }
    }

    async fn first(&self) -> Result<Vec<Record>, DiscoveryError> {
        let mut receiver = self.shared.receiver.clone();
        let answered = receiver.wait_for(|state| !matches!(state, State::Unasked));
        let state = match timeout(PEERS_TIMEOUT, answered).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => return Err(DiscoveryError::Ended { origin: self.origin() }),
            Err(_) => {
                let timeout_ms = PEERS_TIMEOUT.as_millis();
                return Err(DiscoveryError::TimedOut { origin: self.origin(), timeout_ms });
            }
        };
        match state {
            State::Known(snapshot) => Ok(snapshot.records().to_vec()),
            State::Failing(error) => Err(error),
            State::Unasked => Err(DiscoveryError::Ended { origin: self.origin() }),
        }
    }
}

impl Discovery for Feed {
    fn peers(&self) -> PeersFuture<'_> {
        Box::pin(self.first())
    }

    fn origin(&self) -> String {
        self.shared.origin.clone()
    }

    fn snapshots(&self) -> Option<Snapshots> {
        Some(Self::snapshots(self))
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("origin", &self.shared.origin).finish_non_exhaustive()
    }
}

/// What a [`Feed`] has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedStats {
    /// Lists that the source gave.
    pub lists: u64,
    /// Lists that differed from the one before; the others changed nothing.
    pub changes: u64,
    /// Failures of the source, answers that list nobody among them.
    pub failures: u64,
    /// Ids that were left out of lists because their records contradict each other.
    pub contradictions: u64,
}

#[derive(Debug, Default)]
struct Counters {
    lists: AtomicU64,
    changes: AtomicU64,
    failures: AtomicU64,
    contradictions: AtomicU64,
}

/// What readers have of a feed.
pub(crate) struct Shared {
    receiver: watch::Receiver<State>,
    origin: String,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Shared {
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    source: Box<dyn Source>,
    sender: watch::Sender<State>,
    cache: Option<Cache>,
    contradictions: Contradictions,
    counters: Arc<Counters>,
    pause: Duration,
}

impl Task {
    async fn run(mut self) {
        let mut cached = match &self.cache {
            Some(cache) => cache.load().await,
            None => None,
        };
        loop {
            let answer = self.answer(cached.take()).await;
            let origin = self.source.origin();
            match answer.and_then(|records| self.contradictions.resolve(records, &origin)) {
                Ok(records) => self.take(records, &origin).await,
                Err(error @ DiscoveryError::Ended { .. }) => return self.fail(error, &origin),
                Err(error) => {
                    let pause = self.pause_after(&error);
                    self.fail(error, &origin);
                    sleep(pause).await;
                }
            }
        }
    }

    /// What the source says next. The list of an earlier run stands in for a first answer that
    /// fails or does not come.
    async fn answer(&mut self, cached: Option<Snapshot>) -> Result<Vec<Record>, DiscoveryError> {
        let mut next = self.source.next();
        let Some(list) = cached else { return next.await };
        // The source may be about to answer, and what it says is better.
        let answer = timeout(CACHE_WAIT, &mut next).await.ok();
        if !matches!(answer, Some(Ok(_))) {
            let peers = list.records().len();
            tracing::warn!(
                "the source has not answered: the {peers} peers of the cache are used until it does"
            );
            self.sender.send_replace(State::Known(list));
        }
        match answer {
            Some(answer) => answer,
            None => next.await,
        }
    }

    async fn take(&mut self, records: Vec<Record>, origin: &str) {
        self.pause = RETRY_MIN;
        self.counters.lists.fetch_add(1, Ordering::Relaxed);
        self.counters.contradictions.store(self.contradictions.seen(), Ordering::Relaxed);
        let before = match &*self.sender.borrow() {
            State::Known(snapshot) => Some(snapshot.clone()),
            State::Unasked | State::Failing(_) => None,
        };
        let same = before.as_ref().is_some_and(|before| before.records() == records);
        if same && before.as_ref().is_some_and(|before| before.freshness().is_live()) {
            return;
        }
        if before.is_some_and(|before| !before.freshness().is_live()) {
            tracing::info!("{origin} answers again");
        }
        let snapshot = Snapshot::new(records.into(), Freshness::Live);
        self.sender.send_replace(State::Known(snapshot.clone()));
        if same {
            return;
        }
        self.counters.changes.fetch_add(1, Ordering::Relaxed);
        if let Some(cache) = &mut self.cache {
            cache.store(&snapshot).await;
        }
    }

    /// The last list stands.
    fn fail(&self, error: DiscoveryError, origin: &str) {
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
        self.counters.contradictions.store(self.contradictions.seen(), Ordering::Relaxed);
        self.sender.send_if_modified(|state| {
            let State::Known(snapshot) = state else {
                *state = State::Failing(error);
                return true;
            };
            if !snapshot.freshness().is_live() {
                return false;
            }
            let records = snapshot.shared_records();
            let peers = records.len();
            tracing::warn!(
                "{error}; until {origin} answers again, its last {peers} peers are used"
            );
            let reason = error.to_string().into();
            let failed = Freshness::Failed { since: SystemTime::now(), reason };
            *snapshot = Snapshot::new(records, failed);
            true
        });
    }

    /// The pause before the source is asked again. One that works and lists nobody paces itself.
    fn pause_after(&mut self, error: &DiscoveryError) -> Duration {
        if error.lists_nobody() {
            return RETRY_MIN;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(RETRY_MAX);
        // Half of it by chance: processes that lost their registry at one instant do not come back
        // at one instant.
        pause.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
    }
}

#[cfg(test)]
mod tests;
