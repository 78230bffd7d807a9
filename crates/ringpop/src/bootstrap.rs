//! Finding the other members.
//!
//! Discovery that fails, lists nobody or only this member is asked again after
//! a pause: the others may be starting, or be listed only once they are ready.
//! A member that discovery gives nobody to join for long enough begins a
//! cluster of its own, and says so. One that discovery gives somebody to join
//! never does.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use ringpop_discovery::{Discovery, DiscoveryError, Record, Snapshots};
use swim_core::{Address, CommandError, Config, Instant as SwimInstant, JoinFailure, Node};
use swim_driver::{Discover, Handle, JoinProgress, Joining, WaitError};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::lifecycle::{Lifecycle, State};
use crate::limits::{FAILURES_TOLD_MAX, JOIN_LOG_INTERVAL, LISTING_TIMEOUT};
use crate::problem::Problem;

/// How a bootstrap ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bootstrapped {
    /// The members that this one joined. Empty when discovery knows nobody
    /// else: this member is a cluster of its own.
    pub joined: Vec<Address>,
    /// Members known afterwards, this one included.
    pub members: usize,
}

/// Why a bootstrap failed. It may be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The member does not serve yet: others could not reach it.
    #[error("others could not reach this member: call `serve` before `bootstrap`")]
    NotServing,
    /// The member is not in a state to bootstrap from.
    #[error("this member is {0} and cannot bootstrap")]
    State(State),
    /// Another live process advertises the address of this one.
    #[error(
        "another process answers at {address}, the address that this member advertises; give each \
         an address of its own"
    )]
    AddressTaken {
        /// The address.
        address: Address,
    },
    /// Discovery failed for as long as a join may take.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// Discovery listed nobody to join for as long as a join may take, and the
    /// member was told never to start alone.
    #[error("nobody to join ({reason}); start the other members, or let this one start alone")]
    Nobody {
        /// What discovery said.
        reason: String,
    },
    /// An address from discovery is none.
    #[error("{origin} lists an address that cannot be used: {reason}")]
    Address {
        /// Where it comes from.
        origin: String,
        /// The fault.
        reason: String,
    },
    /// A peer belongs to another application.
    #[error(
        "{peer} belongs to application `{theirs}`, this member to `{ours}`; check the application \
         name and the list of peers"
    )]
    OtherApp {
        /// The peer.
        peer: Address,
        /// The name of its application.
        theirs: String,
        /// The name of this member's.
        ours: String,
    },
    /// No peer answered in time.
    #[error(
        "no peer could be joined: {}; check that {origin} lists running members",
        told(failures, failure)
    )]
    NoPeer {
        /// The last failure.
        failure: JoinFailure,
        /// The last failure of each peer, at most
        /// [`JOIN_FAILURES_MAX`](swim_core::limits::JOIN_FAILURES_MAX).
        failures: Vec<JoinFailure>,
        /// Where the peers come from.
        origin: String,
    },
    /// The membership machine refused.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The member was stopped meanwhile.
    #[error("this member was stopped while it bootstrapped")]
    Stopped,
}

/// A few failures, one after the other.
fn told(failures: &[JoinFailure], last: &JoinFailure) -> String {
    let all = if failures.is_empty() { std::slice::from_ref(last) } else { failures };
    let mut text = String::new();
    for failure in all.iter().take(FAILURES_TOLD_MAX) {
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{separator}{failure}");
    }
    if let Some(more @ 1..) = all.len().checked_sub(FAILURES_TOLD_MAX) {
        let _ = write!(text, "; and {more} more");
    }
    text
}

/// What a bootstrap needs of its member.
pub(crate) struct Setup<'a> {
    pub(crate) handle: &'a Handle,
    pub(crate) lifecycle: &'a Arc<Lifecycle>,
    pub(crate) discovery: &'a Arc<dyn Discovery>,
    pub(crate) local: &'a Address,
    pub(crate) app: &'a str,
    pub(crate) config: Config,
    /// How long discovery may have nobody to join before this member starts
    /// alone; `None`: it never does.
    pub(crate) alone_after: Option<Duration>,
}

/// A member that has joined, or starts alone and why.
pub(crate) struct Joined {
    pub(crate) bootstrapped: Bootstrapped,
    pub(crate) alone: Option<Problem>,
}

/// Joins the members that discovery lists. Discovery is asked again after each pause: peers that
/// appear late are found.
pub(crate) async fn join(setup: Setup<'_>) -> Result<Joined, BootstrapError> {
    Search::new(setup).run().await
}

/// What discovery says of the others.
enum Listing {
    Peers(Vec<Address>),
    /// It answers, and has nobody but this member. With the reason for people.
    Nobody(String),
    /// It cannot be asked, which says nothing about the others.
    Unknown(BootstrapError),
}

struct Search<'a> {
    setup: Setup<'a>,
    deadline: Instant,
    /// The join of the machine, once it runs.
    joining: Option<Joining>,
    /// Since when discovery has nobody to join, and what it says.
    nobody: Option<(Instant, String)>,
    /// Why discovery could not be asked the last time.
    unknown: Option<BootstrapError>,
    failures: Vec<JoinFailure>,
    /// The pause before discovery is asked again while nobody is asked to join.
    pause: Duration,
    /// When discovery is asked again.
    look_at: Option<Instant>,
    /// The lists of a discovery that is watched: a new one is looked at at once.
    snapshots: Option<Snapshots>,
    logged: Option<Instant>,
}

impl<'a> Search<'a> {
    fn new(setup: Setup<'a>) -> Self {
        Self {
            deadline: Instant::now() + setup.config.join_duration_max(),
            pause: setup.config.join_delay_min(),
            snapshots: setup.discovery.snapshots(),
            setup,
            joining: None,
            nobody: None,
            unknown: None,
            failures: Vec::new(),
            look_at: None,
            logged: None,
        }
    }

    async fn run(mut self) -> Result<Joined, BootstrapError> {
        loop {
            let listing = read(&self.setup, self.deadline).await;
            if let ControlFlow::Break(joined) = self.consider(listing).await? {
                return Ok(joined);
            }
            if let ControlFlow::Break(joined) = self.wait().await? {
                return Ok(joined);
            }
        }
    }

    async fn consider(&mut self, listing: Listing) -> Result<ControlFlow<Joined>, BootstrapError> {
        self.look_at = None;
        self.unknown = None;
        match listing {
            Listing::Peers(peers) => {
                self.nobody = None;
                self.ask(peers).await?;
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
            self.pause = (self.pause * 2).min(self.setup.config.join_delay_max());
            self.look_at = Some(next);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// When this member starts alone if nothing changes: at the latest when the
    /// time of a join is over.
    fn starts_alone_at(&self) -> Option<Instant> {
        let (since, _) = self.nobody.as_ref()?;
        let fixed = self.setup.discovery.is_fixed().then_some(Duration::ZERO);
        let after = self.setup.alone_after.map(|after| fixed.unwrap_or(after))?;
        Some(since.checked_add(after).map_or(self.deadline, |at| at.min(self.deadline)))
    }

    /// Has the machine join these peers, or go on with them.
    async fn ask(&mut self, peers: Vec<Address>) -> Result<(), BootstrapError> {
        match &self.joining {
            Some(joining) => joining.replace_peers(peers).await,
            None => self.joining = Some(self.begin(peers).await?),
        }
        Ok(())
    }

    async fn begin(&self, peers: Vec<Address>) -> Result<Joining, BootstrapError> {
        let lifecycle = Arc::clone(self.setup.lifecycle);
        let join = move |node: &mut Node, now: SwimInstant| {
            // A member that is being stopped joins no more.
            if lifecycle.state() >= State::Draining {
                return Err(BootstrapError::Stopped);
            }
            Ok(node.join(now, peers)?)
        };
        self.setup.handle.join_with(join).await.map_err(|error| match error {
            WaitError::Refused(refused) => refused,
            WaitError::Stopped(_) => BootstrapError::Stopped,
        })
    }

    /// Waits for the join of the machine, and until discovery is to be asked
    /// again.
    async fn wait(&mut self) -> Result<ControlFlow<Joined>, BootstrapError> {
        loop {
            // One more look when the wait is over, also while peers are asked in
            // vain that are listed no more. A wait that is over already was
            // looked at, and waits for discovery to answer again.
            let alone_at = self.starts_alone_at().filter(|at| *at > Instant::now());
            let wake = [self.look_at, alone_at].into_iter().flatten().min();
            let wake = wake.unwrap_or(self.deadline).min(self.deadline);
            let progress = tokio::select! {
                progress = progress(&mut self.joining) => progress?,
                () = sleep_until(wake) => {
                    return self.woken().await;
                }
                () = next_list(&mut self.snapshots) => return Ok(ControlFlow::Continue(())),
            };
            match progress {
                JoinProgress::Retrying { delay, failures } => {
                    self.warn("no peer could be joined yet", &describe(&failures));
                    self.failures = failures;
                    self.look_at = Some(Instant::now() + delay);
                }
                JoinProgress::Complete(joined) => {
                    let bootstrapped =
                        Bootstrapped { joined: joined.peers, members: joined.members };
                    return Ok(ControlFlow::Break(Joined { bootstrapped, alone: None }));
                }
                JoinProgress::Failed { failure, failures } => {
                    return Err(self.failed(failure, failures));
                }
            }
        }
    }

    /// Looks again, or ends when the time is over.
    async fn woken(&mut self) -> Result<ControlFlow<Joined>, BootstrapError> {
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
        let error = match (self.unknown.take(), self.nobody.take()) {
            (Some(error), _) => error,
            (None, Some((_, reason))) => BootstrapError::Nobody { reason },
            (None, None) => BootstrapError::NoPeer {
                failure: JoinFailure::Timeout { peer: self.setup.local.clone() },
                failures: Vec::new(),
                origin: self.setup.discovery.origin(),
            },
        };
        Err(error)
    }

    /// Begins a cluster of one.
    async fn start_alone(&mut self) -> Result<Joined, BootstrapError> {
        if let Some(joining) = self.joining.take() {
            joining.cancel().await;
        }
        let mut joining = self.begin(Vec::new()).await?;
        match joining.next().await {
            Some(JoinProgress::Complete(joined)) => {
                let reason = self.nobody.take().map_or_else(String::new, |(_, reason)| reason);
                let bootstrapped = Bootstrapped { joined: joined.peers, members: joined.members };
                Ok(Joined { bootstrapped, alone: Some(Problem::Alone { reason }) })
            }
            _ => Err(BootstrapError::Stopped),
        }
    }

    fn failed(&self, failure: JoinFailure, failures: Vec<JoinFailure>) -> BootstrapError {
        match failure {
            JoinFailure::OtherApp { peer, theirs } => BootstrapError::OtherApp {
                peer,
                theirs: theirs.to_string(),
                ours: self.setup.app.to_owned(),
            },
            failure => {
                let origin = self.setup.discovery.origin();
                BootstrapError::NoPeer { failure, failures, origin }
            }
        }
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
            member = %self.setup.local,
            %reason,
            "{what}; looking for {} s more: check that {} lists running members that this one can reach",
            left.as_secs(),
            self.setup.discovery.origin(),
        );
    }
}

/// How a join goes on; waits for ever when there is none.
async fn progress(joining: &mut Option<Joining>) -> Result<JoinProgress, BootstrapError> {
    match joining {
        Some(joining) => joining.next().await.ok_or(BootstrapError::Stopped),
        None => std::future::pending().await,
    }
}

/// Waits for another list of a discovery that is watched.
async fn next_list(snapshots: &mut Option<Snapshots>) {
    if let Some(snapshots) = snapshots {
        while let Some(list) = snapshots.next().await {
            if list.is_ok() {
                return;
            }
        }
    }
    std::future::pending::<()>().await;
}

fn describe(failures: &[JoinFailure]) -> String {
    failures.last().map_or_else(String::new, |last| told(failures, last))
}

/// Asks discovery once.
async fn read(setup: &Setup<'_>, deadline: Instant) -> Listing {
    let limit = deadline.min(Instant::now() + LISTING_TIMEOUT);
    let origin = || setup.discovery.origin();
    let resolved = timeout_at(limit, resolve(setup.discovery)).await.unwrap_or_else(|_| {
        let timeout_ms = LISTING_TIMEOUT.as_millis();
        Err(DiscoveryError::TimedOut { origin: origin(), timeout_ms }.into())
    });
    match resolved {
        Ok(peers) => {
            let others: Vec<_> = peers.into_iter().filter(|peer| peer != setup.local).collect();
            if others.is_empty() {
                return Listing::Nobody(format!("{} lists nobody but this member", origin()));
            }
            Listing::Peers(others)
        }
        // No peer is ready yet, and a headless service without one has no name.
        Err(BootstrapError::Discovery(error)) if error.lists_nobody() => {
            Listing::Nobody(error.to_string())
        }
        Err(error) => Listing::Unknown(error),
    }
}

/// The healthy peers that discovery lists now.
async fn resolve(discovery: &Arc<dyn Discovery>) -> Result<Vec<Address>, BootstrapError> {
    let records = discovery.peers().await?;
    let address = |record: Record| {
        Address::new(record.address.as_str()).map_err(|error| BootstrapError::Address {
            origin: discovery.origin(),
            reason: error.to_string(),
        })
    };
    records.into_iter().filter(|record| record.healthy).map(address).collect()
}

/// Discovery as the membership task asks it, to heal.
pub(crate) struct Hosts(pub(crate) Arc<dyn Discovery>);

impl Discover for Hosts {
    type Error = BootstrapError;

    async fn hosts(&self) -> Result<Vec<Address>, BootstrapError> {
        resolve(&self.0).await
    }
}
