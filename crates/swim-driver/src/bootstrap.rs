//! Finding the other members by discovery.
//!
//! Discovery that fails, lists nobody or only this member is asked again after
//! a pause: the others may be starting, or be listed only once they are ready.
//! A member that discovery gives nobody to join for long enough begins a
//! cluster of its own, and says so. One that discovery gives somebody to join
//! never does.

mod error;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use swim_core::{Address, CommandError, Config, Instant as SwimInstant, JoinFailure, Node};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::discover::{Discover, Lists, next_list};
use crate::handle::{Handle, Stopped, WaitError};
use crate::join::{JoinProgress, Joined, Joining};
use crate::limits::{ALONE_AFTER, DISCOVERY_TIMEOUT, JOIN_LOG_INTERVAL};

pub use error::BootstrapError;

/// Finds the members that discovery lists and joins them; the machine's configuration bounds how
/// long that takes.
///
/// ```
/// # use std::time::Duration;
/// # use swim_driver::{Driver, Start, memory::Network, queue};
/// # use swim_core::{Address, Config, Node};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let address = "10.0.0.1:7946".parse()?;
/// # let node = Node::new(Config::lan(), Start::now()?.init("rides", address))?;
/// # let endpoint = Network::new(1).endpoint(&node)?;
/// # let (handle, queue) = queue();
/// # tokio::spawn(Driver::new(queue, node, endpoint, ()).run());
/// use swim_driver::Bootstrap;
///
/// let peers: Vec<Address> = Vec::new();
/// let begun = Bootstrap::new(&handle, &peers)
///     .start_alone_after(Duration::from_secs(1))
///     .run()
///     .await?;
/// assert!(begun.alone.is_some());
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is joined before `run`"]
pub struct Bootstrap<'a, D> {
    handle: &'a Handle,
    discover: &'a D,
    alone_after: Option<Duration>,
    may_join: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// How a bootstrap ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bootstrapped {
    /// The members that were joined, none when this member is a cluster of its own.
    pub joined: Joined,
    /// Why this member began a cluster of its own, for people; `None` when it joined others.
    pub alone: Option<String>,
}

impl<'a, D: Discover> Bootstrap<'a, D> {
    /// Has the member of `handle` join whomever `discover` lists.
    pub fn new(handle: &'a Handle, discover: &'a D) -> Self {
        let may_join = Arc::new(|| true);
        Self { handle, discover, alone_after: Some(ALONE_AFTER), may_join }
    }

    /// How long discovery may have nobody to join before the member begins a cluster of its own;
    /// `None`: it never does, and the bootstrap fails in the end. A list that is
    /// [fixed](Discover::is_fixed) is not waited for. Default: [`ALONE_AFTER`].
    pub fn start_alone_after(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.alone_after = wait.into();
        self
    }

    /// Asks `may_join` right before the machine begins to join, on the task of the driver: a member
    /// that is being stopped joins nobody. Default: it may.
    pub fn only_if(mut self, may_join: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.may_join = Arc::new(may_join);
        self
    }

    /// Joins, or begins a cluster of one. Discovery is asked again after each pause, and looked at
    /// at once when it [pushes](Discover::lists) another list. Dropping the future cancels the
    /// join.
    ///
    /// # Errors
    ///
    /// When no peer could be joined within the configuration's `join_duration_max`, discovery could
    /// not be asked or listed nobody for all that time, the machine refuses, or the member stops.
    /// It may be tried again.
    pub async fn run(self) -> Result<Bootstrapped, BootstrapError<D::Error>> {
        Search::new(self).await?.run().await
    }

    async fn begin(&self, peers: Vec<Address>) -> Result<Joining, BootstrapError<D::Error>> {
        let may_join = Arc::clone(&self.may_join);
        let join = move |node: &mut Node, now: SwimInstant| {
            if may_join() { node.join(now, peers).map_err(Some) } else { Err(None::<CommandError>) }
        };
        self.handle.join_with(join).await.map_err(|error| match error {
            WaitError::Refused(Some(refused)) => BootstrapError::Refused(refused),
            WaitError::Refused(None) | WaitError::Stopped(_) => BootstrapError::Stopped,
        })
    }
}

impl<D> fmt::Debug for Bootstrap<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bootstrap").field("alone_after", &self.alone_after).finish_non_exhaustive()
    }
}

impl Handle {
    /// Joins the members that discovery lists by the default [`Bootstrap`].
    ///
    /// # Errors
    ///
    /// As [`Bootstrap::run`].
    pub async fn join_discovered<D: Discover>(
        &self,
        discover: &D,
    ) -> Result<Joined, BootstrapError<D::Error>> {
        Ok(Bootstrap::new(self, discover).run().await?.joined)
    }
}

/// Members that are probed after a join, besides the one of the first protocol period: all others
/// of a cluster of five.
const PROBES_AFTER_JOIN: usize = 3;

/// Probes more members than the first protocol period does. Of members that start together, some
/// are joined before others: each probe spreads what is known of them, and the next period is some
/// time away.
async fn probe(handle: &Handle) -> Result<(), Stopped> {
    let probe = |node: &mut Node, now: SwimInstant| {
        // A member that has left again meanwhile probes nobody.
        let _ = (0..PROBES_AFTER_JOIN).all(|_| node.tick(now));
    };
    handle.tell(probe).await
}

/// What discovery says of the others.
enum Listing<E> {
    Peers(Vec<Address>),
    /// It answers, and has nobody but this member. With the reason for people.
    Nobody(String),
    /// It cannot be asked, which says nothing about the others.
    Unknown(BootstrapError<E>),
}

struct Search<'a, D: Discover> {
    setup: Bootstrap<'a, D>,
    local: Address,
    config: Config,
    deadline: Instant,
    /// The join of the machine, once it runs.
    joining: Option<Joining>,
    /// Since when discovery has nobody to join, and what it says.
    nobody: Option<(Instant, String)>,
    /// Why discovery could not be asked the last time.
    unknown: Option<BootstrapError<D::Error>>,
    failures: Vec<JoinFailure>,
    /// The pause before discovery is asked again while nobody is asked to join.
    pause: Duration,
    /// When discovery is asked again.
    look_at: Option<Instant>,
    /// The lists of a discovery that pushes them: a new one is looked at at once.
    lists: Option<Box<dyn Lists>>,
    logged: Option<Instant>,
}

impl<'a, D: Discover> Search<'a, D> {
    async fn new(setup: Bootstrap<'a, D>) -> Result<Self, BootstrapError<D::Error>> {
        let settings = |node: &mut Node, _| (node.local().address.clone(), node.config().clone());
        let (local, config) =
            setup.handle.with(settings).await.map_err(|Stopped| BootstrapError::Stopped)?;
        Ok(Self {
            deadline: Instant::now() + config.join_duration_max(),
            pause: config.join_delay_min(),
            lists: setup.discover.lists(),
            setup,
            local,
            config,
            joining: None,
            nobody: None,
            unknown: None,
            failures: Vec::new(),
            look_at: None,
            logged: None,
        })
    }

    async fn run(mut self) -> Result<Bootstrapped, BootstrapError<D::Error>> {
        loop {
            let listing = ask(self.setup.discover, &self.local, self.deadline).await;
            if let ControlFlow::Break(begun) = self.consider(listing).await? {
                return Ok(begun);
            }
            if let ControlFlow::Break(begun) = self.wait().await? {
                return Ok(begun);
            }
        }
    }

    async fn consider(
        &mut self,
        listing: Listing<D::Error>,
    ) -> Result<ControlFlow<Bootstrapped>, BootstrapError<D::Error>> {
        self.look_at = None;
        self.unknown = None;
        match listing {
            Listing::Peers(peers) => {
                self.nobody = None;
                self.join(peers).await?;
                return Ok(ControlFlow::Continue(()));
            }
            Listing::Nobody(reason) => {
                let since = self.nobody.take().map_or_else(Instant::now, |(since, _)| since);
                self.nobody = Some((since, reason.clone()));
                if self.starts_alone_at().is_some_and(|at| at <= Instant::now()) {
                    return self.start_alone().await.map(ControlFlow::Break);
                }
                self.warn("discovery has nobody to join", &reason);
            }
            Listing::Unknown(error) => {
                self.warn("discovery cannot be asked", &error.to_string());
                self.unknown = Some(error);
            }
        }
        if self.joining.is_none() {
            let next = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(self.config.join_delay_max());
            self.look_at = Some(next);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// When this member starts alone if nothing changes: at the latest when the
    /// time of a join is over.
    fn starts_alone_at(&self) -> Option<Instant> {
        let (since, _) = self.nobody.as_ref()?;
        let fixed = self.setup.discover.is_fixed().then_some(Duration::ZERO);
        let after = self.setup.alone_after.map(|after| fixed.unwrap_or(after))?;
        Some(since.checked_add(after).map_or(self.deadline, |at| at.min(self.deadline)))
    }

    /// Has the machine join these peers, or go on with them.
    async fn join(&mut self, peers: Vec<Address>) -> Result<(), BootstrapError<D::Error>> {
        match &self.joining {
            Some(joining) => joining.replace_peers(peers).await,
            None => self.joining = Some(self.setup.begin(peers).await?),
        }
        Ok(())
    }

    /// Waits for the join of the machine, and until discovery is to be asked
    /// again.
    async fn wait(&mut self) -> Result<ControlFlow<Bootstrapped>, BootstrapError<D::Error>> {
        loop {
            // One more look when the wait is over, also while peers are asked in
            // vain that are listed no more. A wait that is over already was
            // looked at, and waits for discovery to answer again.
            let alone_at = self.starts_alone_at().filter(|at| *at > Instant::now());
            let wake = [self.look_at, alone_at].into_iter().flatten().min();
            let wake = wake.unwrap_or(self.deadline).min(self.deadline);
            let progress = tokio::select! {
                progress = progress(&mut self.joining) => progress.ok_or(BootstrapError::Stopped)?,
                () = sleep_until(wake) => return self.woken().await,
                _ = next_list(&mut self.lists) => return Ok(ControlFlow::Continue(())),
            };
            match progress {
                JoinProgress::Retrying { delay, failures } => {
                    self.warn("no peer could be joined yet", &error::several(&failures));
                    self.failures = failures;
                    self.look_at = Some(Instant::now() + delay);
                }
                JoinProgress::Complete(joined) => {
                    probe(self.setup.handle).await.map_err(|_| BootstrapError::Stopped)?;
                    return Ok(ControlFlow::Break(Bootstrapped { joined, alone: None }));
                }
                JoinProgress::Failed { failure, failures } => {
                    return Err(self.failed(failure, failures));
                }
            }
        }
    }

    /// Looks again, or ends when the time is over.
    async fn woken(&mut self) -> Result<ControlFlow<Bootstrapped>, BootstrapError<D::Error>> {
        if Instant::now() < self.deadline {
            return Ok(ControlFlow::Continue(()));
        }
        if self.unknown.is_none() && self.starts_alone_at().is_some() {
            return self.start_alone().await.map(ControlFlow::Break);
        }
        if let Some(failure) = self.failures.last().cloned() {
            let failures = std::mem::take(&mut self.failures);
            return Err(self.failed(failure, failures));
        }
        Err(match (self.unknown.take(), self.nobody.take()) {
            (Some(error), _) => error,
            (None, Some((_, reason))) => BootstrapError::Nobody { reason },
            (None, None) => {
                let failure = JoinFailure::Timeout { peer: self.local.clone() };
                self.failed(failure, Vec::new())
            }
        })
    }

    /// Begins a cluster of one.
    async fn start_alone(&mut self) -> Result<Bootstrapped, BootstrapError<D::Error>> {
        if let Some(joining) = self.joining.take() {
            joining.cancel().await;
        }
        let mut joining = self.setup.begin(Vec::new()).await?;
        match joining.next().await {
            Some(JoinProgress::Complete(joined)) => {
                let reason = self.nobody.take().map_or_else(String::new, |(_, reason)| reason);
                Ok(Bootstrapped { joined, alone: Some(reason) })
            }
            _ => Err(BootstrapError::Stopped),
        }
    }

    fn failed(&self, failure: JoinFailure, failures: Vec<JoinFailure>) -> BootstrapError<D::Error> {
        BootstrapError::NoPeer { failure, failures, origin: self.setup.discover.origin() }
    }

    /// Tells the log at once, and then from time to time.
    fn warn(&mut self, what: &str, reason: &str) {
        let now = Instant::now();
        if self.logged.is_some_and(|logged| now - logged < JOIN_LOG_INTERVAL) {
            return;
        }
        self.logged = Some(now);
        let left = self.deadline.saturating_duration_since(now);
        tracing::warn!(
            member = %self.local,
            %reason,
            "{what}; looking for {} s more: check that {} lists running members that this one can reach",
            left.as_secs(),
            self.setup.discover.origin(),
        );
    }
}

/// How a join goes on, `None` when it was cancelled; waits for ever when there is none.
async fn progress(joining: &mut Option<Joining>) -> Option<JoinProgress> {
    match joining {
        Some(joining) => joining.next().await,
        None => std::future::pending().await,
    }
}

/// Asks discovery once.
async fn ask<D: Discover>(discover: &D, local: &Address, deadline: Instant) -> Listing<D::Error> {
    let limit = deadline.min(Instant::now() + DISCOVERY_TIMEOUT);
    match timeout_at(limit, discover.hosts()).await {
        Ok(Ok(hosts)) => {
            let others: Vec<_> = hosts.into_iter().filter(|host| host != local).collect();
            if others.is_empty() {
                let reason = format!("{} lists nobody but this member", discover.origin());
                return Listing::Nobody(reason);
            }
            Listing::Peers(others)
        }
        // No peer is ready yet, and a headless service without one has no name.
        Ok(Err(error)) if D::lists_nobody(&error) => Listing::Nobody(error.to_string()),
        Ok(Err(error)) => Listing::Unknown(BootstrapError::Discovery(error)),
        Err(_) => Listing::Unknown(BootstrapError::DiscoveryTimeout { origin: discover.origin() }),
    }
}
