//! Real members in one process.

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ringpop_discovery::StaticList;
use swim_core::{Config, Status};
use tokio::time::{Instant, sleep};
use tonic::service::Routes as Services;

use super::Network;
use crate::bind_error::BindError;
use crate::bootstrap::BootstrapError;
use crate::builder::Builder;
use crate::clock::after;
use crate::member::Ringpop;
use crate::server::ServeError;
use crate::server::phase::Server;
use crate::shutdown::ShutdownReport;
use crate::state::State;

/// How long a cluster waits by default: a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Why a cluster is not as wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// No port is free.
    #[error("cannot listen on loopback; end processes that hold its ports")]
    Listen(#[source] std::io::Error),
    /// The list of members is none.
    #[error(transparent)]
    Discovery(#[from] ringpop_discovery::DiscoveryError),
    /// A member could not be set up.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A member does not serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A member could not join.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// A condition did not come true in time.
    #[error("not within {patience:?}: {what}; the members see\n{views}")]
    TimedOut {
        /// How long it was waited for.
        patience: Duration,
        /// The condition.
        what: String,
        /// What each member sees.
        views: String,
    },
}

/// A name that no other cluster of this machine has.
fn unique_app() -> String {
    static CLUSTERS: AtomicU64 = AtomicU64::new(0);
    let cluster = CLUSTERS.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{cluster}", std::process::id())
}

type Settings = dyn Fn(usize, Builder) -> Builder + Send + Sync;
type ClockSkew = dyn Fn(usize) -> i64 + Send + Sync;
type MakeServices = dyn Fn(usize, &Ringpop) -> Services + Send + Sync;

/// Sets up a [`Cluster`].
#[must_use = "a builder does nothing until `start` is called"]
pub struct ClusterBuilder {
    app: String,
    members: usize,
    patience: Duration,
    settings: Box<Settings>,
    services: Box<MakeServices>,
    clock_skew: Box<ClockSkew>,
}

/// Members in one process that have found each other over loopback. Each has the settings of
/// [`Config::local`] unless the test chooses others. Dropping the cluster stops them all.
///
/// ```
/// use ringpop::testing::Cluster;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::start(3).await?;
/// let owner = cluster.member(0).lookup(b"driver-42").expect("the ring has members");
///
/// let victim = cluster.index_of(owner.address()).expect("it is one of them");
/// cluster.kill(victim).await;
/// cluster.converged().await?;
/// let survivor = cluster.member((victim + 1) % 3);
/// assert_ne!(survivor.lookup(b"driver-42"), Some(owner));
///
/// cluster.restart(victim).await?;
/// cluster.converged().await?;
/// # Ok(())
/// # }
/// ```
pub struct Cluster {
    places: Vec<Place>,
    network: Network,
    setup: ClusterBuilder,
}

/// A member, and its address, which stays when it is killed.
struct Place {
    address: String,
    member: Ringpop,
    runs: bool,
}

impl ClusterBuilder {
    fn new(members: usize) -> Self {
        Self {
            app: unique_app(),
            members,
            patience: PATIENCE,
            settings: Box::new(|_, builder| builder),
            services: Box::new(|_, _| Services::default()),
            clock_skew: Box::new(|_| 0),
        }
    }

    /// The application name. Default: one that no other cluster has. The port of a member that was
    /// killed may go to another test, and two clusters of one name would merge there.
    pub fn app(mut self, app: impl Into<String>) -> Self {
        self.app = app.into();
        self
    }

    /// Further settings of member `i`, counted from 0, such as its routes or labels. Where it
    /// listens, whom it finds and [`Config::local`] are set already.
    pub fn settings(
        mut self,
        settings: impl Fn(usize, Builder) -> Builder + Send + Sync + 'static,
    ) -> Self {
        self.settings = Box::new(settings);
        self
    }

    /// The services of member `i`. Default: none.
    pub fn services(
        mut self,
        services: impl Fn(usize, &Ringpop) -> Services + Send + Sync + 'static,
    ) -> Self {
        self.services = Box::new(services);
        self
    }

    /// By how many milliseconds the wall clock of member `i` is ahead; behind when negative.
    /// Default: all are right.
    pub fn clock_skew_ms(mut self, skew: impl Fn(usize) -> i64 + Send + Sync + 'static) -> Self {
        self.clock_skew = Box::new(skew);
        self
    }

    /// How long [`Cluster::converged`] and [`Cluster::until`] wait. Default: a minute.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the members and waits until they have one view.
    ///
    /// # Errors
    ///
    /// When one cannot be set up, or they do not find each other.
    pub async fn start(self) -> Result<Cluster, ClusterError> {
        let any = (Ipv4Addr::LOCALHOST, 0);
        let listeners: Result<Vec<_>, _> =
            (0..self.members).map(|_| TcpListener::bind(any)).collect();
        let listeners = listeners.map_err(ClusterError::Listen)?;
        let addresses: Result<Vec<_>, _> = listeners.iter().map(TcpListener::local_addr).collect();
        let addresses: Vec<String> =
            addresses.map_err(ClusterError::Listen)?.iter().map(ToString::to_string).collect();
        let network = Network::new();
        let mut places = Vec::new();
        for (i, listener) in listeners.into_iter().enumerate() {
            let builder = self.builder(i, &addresses, &network)?.listener(listener);
            let member = builder.bind().await?;
            member.serve((self.services)(i, &member))?;
            places.push(Place { address: addresses[i].clone(), member, runs: true });
        }
        for place in &places {
            place.member.bootstrap().await?;
        }
        let cluster = Cluster { places, network, setup: self };
        cluster.converged().await?;
        Ok(cluster)
    }

    fn builder(
        &self,
        i: usize,
        addresses: &[String],
        network: &Network,
    ) -> Result<Builder, ClusterError> {
        let discovery = StaticList::parse(&addresses.join(","))?;
        let builder = Ringpop::builder(self.app.clone())
            .discovery(Arc::new(discovery))
            .config(Config::local());
        let skew_us = (self.clock_skew)(i).saturating_mul(1000);
        Ok((self.settings)(i, builder).network(&addresses[i], network).clock_skew(skew_us))
    }
}

impl Cluster {
    /// Sets up a cluster of so many members.
    pub fn builder(members: usize) -> ClusterBuilder {
        ClusterBuilder::new(members)
    }

    /// Starts a cluster of so many members without services.
    ///
    /// # Errors
    ///
    /// As [`ClusterBuilder::start`].
    pub async fn start(members: usize) -> Result<Self, ClusterError> {
        Self::builder(members).start().await
    }

    /// Member `i`, counted from 0, also when it was killed.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn member(&self, i: usize) -> &Ringpop {
        &self.places[i].member
    }

    /// The address of member `i`.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn address(&self, i: usize) -> &str {
        &self.places[i].address
    }

    /// The number of the member with this address.
    #[must_use]
    pub fn index_of(&self, address: &str) -> Option<usize> {
        self.places.iter().position(|place| place.address == address)
    }

    /// The members that run.
    pub fn running(&self) -> impl Iterator<Item = &Ringpop> {
        self.places.iter().filter(|place| place.runs).map(|place| &place.member)
    }

    /// The connections between the members, to be cut and made slow.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// Stops member `i` in order, within `limit`, as when its process is told to end.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn stop(&mut self, i: usize, limit: Duration) -> ShutdownReport {
        let place = &mut self.places[i];
        place.runs = false;
        place.member.shutdown(limit).await
    }

    /// Ends member `i` without a leave, as when its process is killed: its port is closed, and it
    /// says nothing any more. Handlers that run are not interrupted.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn kill(&mut self, i: usize) {
        let place = &mut self.places[i];
        place.runs = false;
        let inner = &place.member.0;
        let server = {
            let mut server = inner.server.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *server, Server::Stopped)
        };
        if let Server::Running { stop, task } = server {
            task.abort();
            // The port is free when the task is gone.
            let _ = task.await;
            drop(stop);
        }
        inner.forwarder_control.refuse_new_work();
        inner.handle.stop().await;
        inner.handle.ended().await;
        if let Some(thread) = &inner.gossip_thread {
            thread.ended().await;
        }
        let all = [State::Bound, State::Bootstrapping, State::Ready, State::Draining];
        // It may have stopped by itself.
        let _ = inner.lifecycle.advance(&all, State::Stopped);
        inner.events.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Starts member `i` again at its address, and joins it.
    ///
    /// # Errors
    ///
    /// When it cannot be set up, or nobody can be joined.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn restart(&mut self, i: usize) -> Result<(), ClusterError> {
        if self.places[i].runs {
            self.kill(i).await;
        }
        let addresses: Vec<String> =
            self.places.iter().map(|place| place.address.clone()).collect();
        let listener = TcpListener::bind(&addresses[i]).map_err(ClusterError::Listen)?;
        let builder = self.setup.builder(i, &addresses, &self.network)?.listener(listener);
        let member = builder.bind().await?;
        member.serve((self.setup.services)(i, &member))?;
        self.places[i].member = member;
        self.places[i].runs = true;
        self.places[i].member.bootstrap().await?;
        Ok(())
    }

    /// Waits until all members that run are ready and have one view and one ring, with exactly them
    /// reachable. With a partition it does not come true.
    ///
    /// # Errors
    ///
    /// When it does not come true in time; the error tells what each member sees.
    pub async fn converged(&self) -> Result<(), ClusterError> {
        self.until("one view of the members that run", Self::is_converged).await
    }

    fn is_converged(&self) -> bool {
        let mut running: Vec<&str> = self.running().map(Ringpop::whoami).collect();
        running.sort_unstable();
        let Some(first) = self.running().next() else { return true };
        self.running().all(|member| {
            let view = member.view();
            let alive = view.members.iter().filter(|member| member.status == Status::Alive);
            let mut alive: Vec<&str> = alive.map(|member| member.address.as_str()).collect();
            alive.sort_unstable();
            member.state() == State::Ready
                && alive == running
                && view.reachable().count() == running.len()
                && view.membership_checksum == first.membership_checksum()
                && view.ring_checksum == first.ring_checksum()
        })
    }

    /// Waits until a condition holds.
    ///
    /// # Errors
    ///
    /// When it does not come true in time; the error tells what each member sees.
    pub async fn until(
        &self,
        what: &str,
        condition: impl Fn(&Self) -> bool,
    ) -> Result<(), ClusterError> {
        let patience = self.setup.patience;
        let deadline = after(Instant::now(), patience);
        while !condition(self) {
            if Instant::now() >= deadline {
                let (what, views) = (what.to_owned(), self.views());
                return Err(ClusterError::TimedOut { patience, what, views });
            }
            sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// What each member sees, for people.
    fn views(&self) -> String {
        let mut lines = Vec::new();
        for member in self.running() {
            let view = member.view();
            let known = view.members.iter();
            let known: Vec<_> =
                known.map(|member| format!("{} {}", member.address, member.status)).collect();
            lines.push(format!(
                "{} ({}), ring {:016x}: {}",
                member.whoami(),
                member.state(),
                view.ring_checksum,
                known.join(", ")
            ));
        }
        lines.join("\n")
    }
}

impl fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { app, members, patience, .. } = self;
        f.debug_struct("ClusterBuilder")
            .field("app", app)
            .field("members", members)
            .field("patience", patience)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> =
            self.places.iter().map(|place| (&place.address, place.runs)).collect();
        f.debug_struct("Cluster").field("members", &members).finish_non_exhaustive()
    }
}
