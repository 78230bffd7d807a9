//! Calls to several owners of a key, which count as done when enough of them have answered.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::time::Duration;

use thiserror::Error;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use crate::error::ConfigError;
use crate::forwarder::Forwarder;
use crate::limits::{ATTEMPT_TIMEOUT_MAX, OWNERS_LIMIT, REPLICAS_DEFAULT};
use crate::range::{duration_in_range, in_range};
use crate::resolver::Owner;
use crate::route::key::Key;
use crate::server::layer::ForwardService;
use crate::transport::{H2Transport, PeerTransport};

/// In which order the owners of a key are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FanOut {
    /// All at once.
    #[default]
    Parallel,
    /// One after the other, best owner first, until enough have answered.
    Serial,
    /// One after the other, beginning with one drawn at random, so all of them get reads.
    Balanced,
}

/// Keeps keys at several owners: a write goes to N of them and is done when W have answered, a read
/// when R have. With R + W > N every read meets at least one owner that has the last write, as long
/// as all members see one ring.
///
/// It carries calls and compares no values: the caller gets each owner's answer, and decides which
/// one is the latest. While the ring changes, or after a partition, owners differ; see which of
/// their answers to believe by versions or timestamps in the values.
///
/// ```no_run
/// # use ringpop_forward::{ForwardService, Forwarder, FanOut};
/// # use tonic::Status;
/// # #[derive(Clone)] struct KvServer;
/// # struct KvClient(ForwardService<KvServer>);
/// # impl KvClient {
/// #     fn new(service: ForwardService<KvServer>) -> Self { Self(service) }
/// #     async fn get(self, _: &str) -> Result<u64, Status> { Ok(0) }
/// # }
/// # async fn run(forwarder: Forwarder) -> Result<(), Box<dyn std::error::Error>> {
/// let replicator = forwarder.replicator().owners(3).read_quorum(2).write_quorum(2).build()?;
/// let replicated = replicator
///     .read("user-42", KvServer, |service| KvClient::new(service).get("user-42"))
///     .await?;
/// let latest = replicated.replies.iter().map(|reply| reply.value).max();
/// # let _ = (latest, FanOut::Parallel);
/// # Ok(())
/// # }
/// ```
pub struct Replicator<T = H2Transport> {
    forwarder: Forwarder<T>,
    settings: Settings,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    owners: usize,
    read_quorum: usize,
    /// `None` for all owners.
    write_quorum: Option<usize>,
    fan_out: FanOut,
    timeout: Option<Duration>,
}

/// Sets a [`Replicator`] up. See [`Forwarder::replicator`].
#[must_use]
pub struct ReplicatorBuilder<T = H2Transport>(Replicator<T>);

/// What the owners of some keys answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Replicated<R> {
    /// The answers, in the order in which they came.
    pub replies: Vec<Reply<R>>,
    /// The owners that failed before enough had answered.
    pub failures: Vec<Failed>,
}

/// The answer of one owner.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply<R> {
    /// The owner.
    pub owner: Owner,
    /// The keys that it was asked for.
    pub keys: Vec<Key>,
    /// Its answer.
    pub value: R,
}

/// The failure of one owner.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failed {
    /// The owner.
    pub owner: Owner,
    /// The keys that it was asked for.
    pub keys: Vec<Key>,
    /// Why it gave no answer.
    pub status: Status,
}

/// Why a read or write of a [`Replicator`] failed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ReplicateError<R> {
    /// Nobody was asked: the ring has fewer members than have to answer.
    #[error(
        "{owners} owners are known for key {key:?} and {wanted} have to answer: nobody was asked; \
         lower the quorum, or wait for members"
    )]
    TooFewOwners {
        /// The first such key.
        key: Key,
        /// Its owners.
        owners: usize,
        /// How many have to answer.
        wanted: usize,
    },
    /// Owners were asked, and too few of them answered. A write may have reached some.
    #[error("{} of {wanted} owners have answered for key {key:?}{}", answered(.partial, .key), why(.partial))]
    TooFewReplies {
        /// The first such key.
        key: Key,
        /// How many have to answer.
        wanted: usize,
        /// Those that did, and those that did not.
        partial: Box<Replicated<R>>,
    },
}

fn answered<R>(partial: &Replicated<R>, key: &Key) -> usize {
    partial.replies.iter().filter(|reply| reply.keys.contains(key)).count()
}

/// The failures in a line.
fn why<R>(partial: &Replicated<R>) -> String {
    let failure = |failed: &Failed| {
        let owner = match &failed.owner {
            Owner::Local => "this process",
            Owner::Remote(peer) => peer.address(),
        };
        format!("; {owner}: {}", failed.status.message())
    };
    partial.failures.iter().map(failure).collect()
}

impl<R> From<ReplicateError<R>> for Status {
    /// The code of the first owner that failed, UNAVAILABLE without one, and the whole message.
    fn from(error: ReplicateError<R>) -> Self {
        let message = error.to_string();
        match error {
            ReplicateError::TooFewReplies { partial, .. } if !partial.failures.is_empty() => {
                Self::new(partial.failures[0].status.code(), message)
            }
            _ => Self::unavailable(message),
        }
    }
}

impl<T: PeerTransport> Forwarder<T> {
    /// Begins a [`Replicator`] that sends by this forwarder: 3 owners, of which 1 has to answer a
    /// read and all have to answer a write, asked at once.
    pub fn replicator(&self) -> ReplicatorBuilder<T> {
        let settings = Settings {
            owners: REPLICAS_DEFAULT,
            read_quorum: 1,
            write_quorum: None,
            fan_out: FanOut::default(),
            timeout: None,
        };
        ReplicatorBuilder(Replicator { forwarder: self.clone(), settings })
    }
}

impl<T> ReplicatorBuilder<T> {
    /// How many owners a key has, 1 to 16: N.
    pub fn owners(mut self, n: usize) -> Self {
        self.0.settings.owners = n;
        self
    }

    /// How many of them have to answer a read, 1 to N: R. By default one.
    pub fn read_quorum(mut self, r: usize) -> Self {
        self.0.settings.read_quorum = r;
        self
    }

    /// How many of them have to answer a write, 1 to N: W. By default all.
    pub fn write_quorum(mut self, w: usize) -> Self {
        self.0.settings.write_quorum = Some(w);
        self
    }

    /// In which order they are asked.
    pub fn fan_out(mut self, fan_out: FanOut) -> Self {
        self.0.settings.fan_out = fan_out;
        self
    }

    /// How long a read or write may take, 1 ms to 1 h. By default only its calls have limits.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.settings.timeout = Some(timeout);
        self
    }

    /// The replicator.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that is out of range.
    pub fn build(self) -> Result<Replicator<T>, ConfigError> {
        let Settings { owners, read_quorum, write_quorum, timeout, .. } = self.0.settings;
        in_range("owners", owners as u64, 1, OWNERS_LIMIT as u64)?;
        in_range("read_quorum", read_quorum as u64, 1, owners as u64)?;
        in_range("write_quorum", write_quorum.unwrap_or(owners) as u64, 1, owners as u64)?;
        if let Some(timeout) = timeout {
            let (min, max) = (Duration::from_millis(1), ATTEMPT_TIMEOUT_MAX);
            duration_in_range("timeout", timeout, min, max)?;
        }
        Ok(self.0)
    }
}

impl<T: PeerTransport> Replicator<T> {
    /// Asks owners of `key` by `call` until R have answered. `call` gets the transport for a
    /// generated client, which sends to one owner and to nobody else; calls at this process run in
    /// `local`. Calls that are under way when enough have answered are given up, as they are when
    /// the future is dropped.
    ///
    /// # Errors
    ///
    /// [`ReplicateError`] as soon as too few owners can still answer.
    pub async fn read<S, R, F, Fut>(
        &self,
        key: impl Into<Key>,
        local: S,
        call: F,
    ) -> Result<Replicated<R>, ReplicateError<R>>
    where
        S: Clone,
        R: Send + 'static,
        F: Fn(ForwardService<S, T>) -> Fut,
        Fut: Future<Output = Result<R, Status>> + Send + 'static,
    {
        self.read_all([key], local, |service, _| call(service)).await
    }

    /// Sends a write to owners of `key` by `call`, as [`read`](Self::read) does, and is done when W
    /// have answered. When all were asked at once, the calls to the others go on.
    ///
    /// # Errors
    ///
    /// [`ReplicateError`] as soon as too few owners can still answer. Some may have executed the
    /// write, and others may yet.
    pub async fn write<S, R, F, Fut>(
        &self,
        key: impl Into<Key>,
        local: S,
        call: F,
    ) -> Result<Replicated<R>, ReplicateError<R>>
    where
        S: Clone,
        R: Send + 'static,
        F: Fn(ForwardService<S, T>) -> Fut,
        Fut: Future<Output = Result<R, Status>> + Send + 'static,
    {
        self.write_all([key], local, |service, _| call(service)).await
    }

    /// [Reads](Self::read) many keys with one call for each owner, which gets the keys that are to
    /// be read there. It is done when R owners of each key have answered. An owner checks the first
    /// of its keys only.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_all<S, K, R, F, Fut>(
        &self,
        keys: impl IntoIterator<Item = K>,
        local: S,
        call: F,
    ) -> Result<Replicated<R>, ReplicateError<R>>
    where
        S: Clone,
        K: Into<Key>,
        R: Send + 'static,
        F: Fn(ForwardService<S, T>, Vec<Key>) -> Fut,
        Fut: Future<Output = Result<R, Status>> + Send + 'static,
    {
        let mut running = JoinSet::new();
        self.run(self.settings.read_quorum, keys, local, call, &mut running).await
    }

    /// [Writes](Self::write) many keys with one call for each owner, as
    /// [`read_all`](Self::read_all) reads them.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn write_all<S, K, R, F, Fut>(
        &self,
        keys: impl IntoIterator<Item = K>,
        local: S,
        call: F,
    ) -> Result<Replicated<R>, ReplicateError<R>>
    where
        S: Clone,
        K: Into<Key>,
        R: Send + 'static,
        F: Fn(ForwardService<S, T>, Vec<Key>) -> Fut,
        Fut: Future<Output = Result<R, Status>> + Send + 'static,
    {
        let mut running = JoinSet::new();
        let quorum = self.settings.write_quorum.unwrap_or(self.settings.owners);
        let written = self.run(quorum, keys, local, call, &mut running).await;
        running.detach_all();
        written
    }

    async fn run<S, K, R, F, Fut>(
        &self,
        quorum: usize,
        keys: impl IntoIterator<Item = K>,
        local: S,
        call: F,
        running: &mut JoinSet<Result<R, Status>>,
    ) -> Result<Replicated<R>, ReplicateError<R>>
    where
        S: Clone,
        K: Into<Key>,
        R: Send + 'static,
        F: Fn(ForwardService<S, T>, Vec<Key>) -> Fut,
        Fut: Future<Output = Result<R, Status>> + Send + 'static,
    {
        let mut round = Round::new(quorum);
        let mut waiting = self.groups(keys, &mut round)?;
        let at_once = if self.settings.fan_out == FanOut::Parallel { usize::MAX } else { 1 };
        let end = self.settings.timeout.map(|timeout| Instant::now() + timeout);
        let mut asked: HashMap<Id, (Owner, Vec<Key>)> = HashMap::new();
        loop {
            while running.len() < at_once
                && let Some((owner, keys)) = waiting.pop_front()
            {
                let keys = round.unanswered(keys);
                let Some(first) = keys.first().cloned() else { continue };
                let service = self.forwarder.client_at(owner.clone(), first, local.clone());
                let task = running.spawn(call(service, keys.clone()));
                asked.insert(task.id(), (owner, keys));
            }
            if let Some(key) = round.done() {
                return round.finish(key);
            }
            let next = running.join_next_with_id();
            let next = match end {
                Some(end) => timeout_at(end, next).await,
                None => Ok(next.await),
            };
            let (id, result) = match next {
                Ok(Some(Ok(finished))) => finished,
                // A call has panicked. To its caller this is as if there had been no task.
                Ok(Some(Err(error))) if error.is_panic() => {
                    std::panic::resume_unwind(error.into_panic())
                }
                // The runtime stops.
                Ok(Some(Err(error))) => (error.id(), Err(Status::cancelled(error.to_string()))),
                Ok(None) => unreachable!("a round without running calls is done"),
                Err(_) => {
                    let limit = self.settings.timeout.unwrap_or_default();
                    let late = Status::deadline_exceeded(format!("no answer within {limit:?}"));
                    asked.drain().for_each(|(_, asked)| round.answer(asked, Err(late.clone())));
                    waiting.drain(..).for_each(|group| round.answer(group, Err(late.clone())));
                    continue;
                }
            };
            if let Some(asked) = asked.remove(&id) {
                round.answer(asked, result);
            }
        }
    }

    /// The owners to ask, with the keys of each, in the order in which they are asked.
    fn groups<K: Into<Key>, R>(
        &self,
        keys: impl IntoIterator<Item = K>,
        round: &mut Round<R>,
    ) -> Result<VecDeque<(Owner, Vec<Key>)>, ReplicateError<R>> {
        let mut groups: VecDeque<(Owner, Vec<Key>)> = VecDeque::new();
        for key in keys {
            let key = key.into();
            let owners = self.forwarder.owners_of(key.as_bytes(), self.settings.owners);
            if !round.add(&key, owners.len()) {
                let wanted = round.quorum;
                return Err(ReplicateError::TooFewOwners { key, owners: owners.len(), wanted });
            }
            for owner in owners {
                match groups.iter_mut().find(|group| group.0 == owner) {
                    Some((_, keys)) if keys.contains(&key) => {}
                    Some((_, keys)) => keys.push(key.clone()),
                    None => groups.push_back((owner, vec![key.clone()])),
                }
            }
        }
        if self.settings.fan_out == FanOut::Balanced && !groups.is_empty() {
            groups.rotate_left(fastrand::usize(..groups.len()));
        }
        Ok(groups)
    }
}

/// The answers to one read or write so far, counted by key.
struct Round<R> {
    quorum: usize,
    /// How many owners of each key have answered, and how many still may.
    keys: HashMap<Key, Count>,
    replicated: Replicated<R>,
}

#[derive(Clone, Copy)]
struct Count {
    answered: usize,
    open: usize,
}

/// A key that keeps a round from success.
type Lacking = Option<Key>;

impl<R> Round<R> {
    fn new(quorum: usize) -> Self {
        let replicated = Replicated { replies: Vec::new(), failures: Vec::new() };
        Self { quorum, keys: HashMap::new(), replicated }
    }

    /// Adds a key; false when it has too few owners.
    fn add(&mut self, key: &Key, owners: usize) -> bool {
        self.keys.insert(key.clone(), Count { answered: 0, open: owners });
        owners >= self.quorum
    }

    /// Those of the keys for which owners still have to answer.
    fn unanswered(&self, keys: Vec<Key>) -> Vec<Key> {
        let lacks = |key: &Key| self.keys.get(key).is_some_and(|at| at.answered < self.quorum);
        keys.into_iter().filter(lacks).collect()
    }

    fn answer(&mut self, (owner, keys): (Owner, Vec<Key>), result: Result<R, Status>) {
        for key in &keys {
            let Some(count) = self.keys.get_mut(key) else { continue };
            count.open -= 1;
            count.answered += usize::from(result.is_ok());
        }
        match result {
            Ok(value) => self.replicated.replies.push(Reply { owner, keys, value }),
            Err(status) => self.replicated.failures.push(Failed { owner, keys, status }),
        }
    }

    /// Whether the round is over: every key is answered, or one cannot be any more.
    fn done(&self) -> Option<Lacking> {
        let lost = |at: &Count| at.answered + at.open < self.quorum;
        if let Some((key, _)) = self.keys.iter().find(|(_, at)| lost(at)) {
            return Some(Some(key.clone()));
        }
        self.keys.values().all(|at| at.answered >= self.quorum).then_some(None)
    }

    fn finish(self, lacking: Lacking) -> Result<Replicated<R>, ReplicateError<R>> {
        let (partial, wanted) = (self.replicated, self.quorum);
        match lacking {
            None => Ok(partial),
            Some(key) => {
                Err(ReplicateError::TooFewReplies { key, wanted, partial: Box::new(partial) })
            }
        }
    }
}

impl<T> Clone for Replicator<T> {
    fn clone(&self) -> Self {
        Self { forwarder: self.forwarder.clone(), settings: self.settings }
    }
}

impl<T> fmt::Debug for Replicator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicator").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for ReplicatorBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicatorBuilder").field("settings", &self.0.settings).finish()
    }
}
