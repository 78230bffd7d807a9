//! The member: what an application holds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringpop_discovery::Discovery;
use ringpop_forward::{Forwarder, Stats as ForwardStats};
use swim_core::{Address, CommandError, Config, Labels, ReconfigureError, Stats as SwimStats};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::time::Instant as Clock;
use tonic::service::Routes as Services;

use crate::bootstrap::{self, BootstrapError, Bootstrapped};
use crate::builder::Builder;
use crate::event::{Event, Events, Listeners};
use crate::gossip::{Command, Handle};
use crate::lifecycle::{Lifecycle, State};
use crate::security::Security;
use crate::server::{ServeError, Server};
use crate::shutdown::{self, ShutdownReport};
use crate::view::{View, Views};

/// One member of a cluster: its membership, its ring, its forwarder and its
/// server. Clones are the same member.
///
/// A member is [bound](Builder::bind), [serves](Self::serve),
/// [bootstraps](Self::bootstrap), and at the end [shuts down](Self::shutdown).
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use ringpop::{Ringpop, discovery::StaticList};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let member = Ringpop::builder("rides")
///     .listen("127.0.0.1:0".parse()?)
///     .bind()
///     .await?;
/// member.serve(tonic::service::Routes::default())?; // the services of the application
/// member.bootstrap().await?;
///
/// assert_eq!(member.lookup(b"driver-42").as_deref(), Some(member.whoami()));
/// member.shutdown(Duration::from_secs(5)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Ringpop(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) app: String,
    pub(crate) address: Address,
    pub(crate) views: Arc<Views>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    listeners: Listeners,
    /// Keeps the streams of listeners open until the member has stopped.
    pub(crate) events: Mutex<Option<broadcast::Sender<Event>>>,
    pub(crate) handle: Handle,
    pub(crate) forwarder: Forwarder,
    discovery: Arc<dyn Discovery>,
    pub(crate) security: Security,
    pub(crate) server: Mutex<Server>,
    pub(crate) start: Clock,
}

/// What a [`Ringpop`] is put together from.
pub(crate) struct Parts {
    pub(crate) app: String,
    pub(crate) address: Address,
    pub(crate) listener: TcpListener,
    pub(crate) views: Arc<Views>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) listeners: Listeners,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) handle: Handle,
    pub(crate) forwarder: Forwarder,
    pub(crate) discovery: Arc<dyn Discovery>,
    pub(crate) security: Security,
    pub(crate) start: Clock,
}

impl Ringpop {
    /// Begins to set up a member of the application `app`. Members of
    /// different applications never mix.
    pub fn builder(app: impl Into<String>) -> Builder {
        Builder::new(app.into())
    }

    pub(crate) fn assemble(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            app: parts.app,
            address: parts.address,
            views: parts.views,
            lifecycle: parts.lifecycle,
            listeners: parts.listeners,
            events: Mutex::new(Some(parts.events)),
            handle: parts.handle,
            forwarder: parts.forwarder,
            discovery: parts.discovery,
            security: parts.security,
            server: Mutex::new(Server::Bound(parts.listener)),
            start: parts.start,
        }))
    }

    // --- Life ---

    /// Starts to serve on one port: membership, administration, and the
    /// services of the application behind the forwarder. Returns at once.
    ///
    /// # Errors
    ///
    /// When the member serves already or has stopped.
    pub fn serve(&self, services: Services) -> Result<(), ServeError> {
        let mut server = self.0.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.start(&self.0, services)
    }

    /// Finds the other members and joins them. After that, this member owns
    /// keys. Takes at most the join duration of the configuration; dropping
    /// the future gives up.
    ///
    /// # Errors
    ///
    /// When the member does not serve yet, discovery fails, or no peer could
    /// be joined. It may be tried again.
    pub async fn bootstrap(&self) -> Result<Bootstrapped, BootstrapError> {
        let inner = &self.0;
        let serving = matches!(
            *inner.server.lock().unwrap_or_else(PoisonError::into_inner),
            Server::Running { .. }
        );
        if !serving {
            return Err(BootstrapError::NotServing);
        }
        let lifecycle = &inner.lifecycle;
        lifecycle.advance(&[State::Bound], State::Bootstrapping).map_err(BootstrapError::State)?;
        let _back_if_it_fails = BackOnDrop(lifecycle);
        let bootstrapped = bootstrap::join(&inner.handle, &inner.discovery, &inner.app).await?;
        if bootstrapped.joined.is_empty() {
            tracing::warn!(
                address = %inner.address,
                peers = %inner.discovery.origin(),
                "nobody to join: this member is a cluster of its own"
            );
        }
        lifecycle
            .advance(&[State::Bootstrapping], State::Ready)
            .map_err(|_| BootstrapError::Stopped)?;
        Ok(bootstrapped)
    }

    /// Stops gracefully within `limit`: leaves the ring, tells the others,
    /// keeps serving and forwarding until what is under way is done, then
    /// stops. A second call waits for the first one.
    pub async fn shutdown(&self, limit: Duration) -> ShutdownReport {
        shutdown::run(&self.0, limit).await
    }

    /// Where the member is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.lifecycle.state()
    }

    /// Waits until the member is in the state `wanted` or a later one.
    pub async fn reached(&self, wanted: State) {
        self.0.lifecycle.reached(wanted).await;
    }

    // --- The cluster ---

    /// The address at which others reach this member.
    #[must_use]
    pub fn whoami(&self) -> &str {
        self.0.address.as_str()
    }

    /// The application name.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.0.app
    }

    /// The address of the owner of a key; `None` when nobody is on the ring.
    /// Takes no lock in the steady state and does no I/O.
    #[must_use]
    pub fn lookup(&self, key: &[u8]) -> Option<String> {
        self.0.views.with(|view| view.lookup(key).map(str::to_owned))
    }

    /// The addresses of the first `n` distinct owners of a key, best first;
    /// fewer when there are fewer members.
    #[must_use]
    pub fn lookup_n(&self, key: &[u8], n: usize) -> Vec<String> {
        self.0.views.with(|view| view.lookup_n(key, n).into_iter().map(str::to_owned).collect())
    }

    /// Whether this member owns a key.
    #[must_use]
    pub fn owns(&self, key: &[u8]) -> bool {
        self.0.views.with(|view| view.lookup(key) == Some(self.whoami()))
    }

    /// Members and ring as known now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.0.views.load()
    }

    /// Checksum of the membership: equal at members with equal views.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        self.0.views.with(|view| view.membership_checksum)
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        self.0.listeners.subscribe()
    }

    /// Replaces the labels that all members see of this one. The identity
    /// stays; weight and zone are labels as well.
    ///
    /// # Errors
    ///
    /// When the labels exceed the limits of the configuration, or use the
    /// reserved prefix. Nothing happens when the member has stopped.
    pub async fn set_labels(&self, labels: Labels) -> Result<(), CommandError> {
        self.0.handle.ask(|done| Command::SetLabels(labels, done)).await.unwrap_or(Ok(()))
    }

    /// Takes other membership settings while the member runs; what that means
    /// for each is told at [`swim_core::Node::reconfigure`].
    ///
    /// # Errors
    ///
    /// When a field differs that cannot change: those that the machine names,
    /// and `message_bytes_max`, from which connections and server are made.
    /// Nothing happens when the member has stopped.
    pub async fn reconfigure(&self, config: Config) -> Result<(), ReconfigureError> {
        let config = Arc::new(config);
        self.0.handle.ask(|done| Command::Reconfigure(config, done)).await.unwrap_or(Ok(()))
    }

    /// Has the cluster forget a member that is faulty or has left, instead of
    /// remembering it for `faulty_timeout`. A member that lives after all
    /// contradicts and is back at once.
    ///
    /// # Errors
    ///
    /// When the address names no member that is faulty or left, or this member
    /// has stopped.
    pub async fn reap(&self, address: &str) -> Result<(), ReapError> {
        if self.state() == State::Stopped {
            return Err(ReapError::Stopped);
        }
        let address = Address::new(address).map_err(|_| ReapError::Unknown(address.to_owned()))?;
        match self.0.handle.ask(|done| Command::Reap(address.clone(), done)).await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(ReapError::Unknown(address.to_string())),
            None => Err(ReapError::Stopped),
        }
    }

    // --- Requests ---

    /// The forwarder: a transport for generated clients that is local or
    /// remote for each call, and a layer for servers of one's own.
    #[must_use]
    pub fn forwarder(&self) -> &Forwarder {
        &self.0.forwarder
    }

    /// Counters of forwarding.
    #[must_use]
    pub fn forward_stats(&self) -> ForwardStats {
        self.0.forwarder.stats()
    }

    /// Counters of the membership protocol; all zero when the member has
    /// stopped.
    pub async fn membership_stats(&self) -> SwimStats {
        self.0.handle.ask(Command::Stats).await.unwrap_or_default()
    }
}

/// Leads back to [`State::Bound`] when a bootstrap fails or is given up.
struct BackOnDrop<'a>(&'a Lifecycle);

impl Drop for BackOnDrop<'_> {
    fn drop(&mut self) {
        // Another state means that the member is ready or being shut down.
        let _ = self.0.advance(&[State::Bootstrapping], State::Bound);
    }
}

/// Why a member was not reaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReapError {
    /// There is no such member, or it is not gone.
    #[error("no member at `{0}` is faulty or has left; look at the view for those that are")]
    Unknown(String),
    /// The member that was asked to do it has stopped.
    #[error("this member has stopped")]
    Stopped,
}
