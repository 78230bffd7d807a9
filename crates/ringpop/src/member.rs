//! The member: what an application holds.

mod placing;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hashring::Node;
use http::{Request, Response};
use ringpop_forward::{
    self as forward, ForwardService, Forwarder, Key, Ownership, ServerStats, Stats as ForwardStats,
};
use swim_core::{
    Address, CommandError, Config, Isolation, Labels, Node as Machine, Stats as SwimStats,
};
use tokio::time::Instant as Clock;
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::service::Routes as Services;
use tower_layer::{Identity, Layer};
use tower_service::Service;

use crate::bootstrap::{self, BootstrapError, Bootstrapped, Joined};
use crate::builder::Builder;
use crate::command_error::{ReapError, ReconfigureError, SetLabelsError};
use crate::counters::Counters;
use crate::event::Events;
use crate::inner::{Expected, Inner};
use crate::labels::{OwnLabels, check_weight};
use crate::lifecycle::{Lifecycle, State};
use crate::own_address;
use crate::owner::Owner;
use crate::problem::Problem;
use crate::server::{ServeError, Server};
use crate::shutdown::{self, ShutdownReport};
use crate::view::View;

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
#[doc = include_str!("../docs/member.md")]
#[derive(Debug, Clone)]
pub struct Ringpop(pub(crate) Arc<Inner>);

impl Ringpop {
    /// Begins to set up a member of the application `app`. Members of
    /// different applications never mix.
    pub fn builder(app: impl Into<String>) -> Builder {
        Builder::new(app.into())
    }

    // --- Life ---

    /// Starts to serve on one port: membership, administration, and the
    /// services of the application behind the forwarder. Returns at once.
    ///
    /// # Errors
    ///
    /// When the member serves already or has stopped.
    pub fn serve(&self, services: Services) -> Result<(), ServeError> {
        self.serve_with(services, Identity::new())
    }

    /// As [`serve`](Self::serve), with a layer of the application around everything: forwarding,
    /// membership and administration too. It sees each request on the member that the client asked
    /// and again on the owner, after the [limits](Builder::server_limits) on connections and
    /// streams and before the forwarder. Layers for calls that are handled here alone belong around
    /// the services.
    ///
    /// Tell the requests of members apart by their path, which begins with
    /// `/ringpop.v1.`: a layer that refuses those cuts this member off.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use ringpop::Ringpop;
    /// use ringpop::tonic::body::Body;
    /// use tower::util::MapRequestLayer;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// let log = MapRequestLayer::new(|request: http::Request<Body>| {
    ///     println!("{}", request.uri().path());
    ///     request
    /// });
    /// member.serve_with(tonic::service::Routes::default(), log)?;
    /// # member.shutdown(Duration::from_secs(5)).await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub fn serve_with<L, B>(&self, services: Services, layer: L) -> Result<(), ServeError>
    where
        L: Layer<ForwardService<Services>> + Clone + Send + 'static,
        L::Service:
            Service<Request<Body>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<StdError> + Send,
        B: HttpBody<Data = Bytes, Error: Into<StdError>> + Send + 'static,
    {
        let mut server = self.0.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.start(&self.0, services, layer)
    }

    /// Finds the other members and joins them. After that, this member owns
    /// keys. Takes at most the join duration of the configuration; dropping
    /// the future gives up.
    ///
    /// Discovery is asked again after each pause. When it has nobody to join
    /// for [`Builder::start_alone_after`], this member begins a cluster of its
    /// own: an event and the log say so ([`Problem::Alone`]), and it goes on
    /// looking.
    ///
    /// # Errors
    ///
    /// When the member does not serve yet, another process answers at its
    /// address, no peer that discovery lists could be joined, or discovery
    /// could not be asked for all that time. It may be tried again.
    /// [`BootstrapError::Stopped`] when the member is shut down meanwhile.
    pub async fn bootstrap(&self) -> Result<Bootstrapped, BootstrapError> {
        let inner = &self.0;
        let serving = matches!(
            *inner.server.lock().unwrap_or_else(PoisonError::into_inner),
            Server::Running { .. }
        );
        if !serving {
            let state = self.state();
            let is_over = matches!(state, State::Draining | State::Stopped);
            return Err(if is_over {
                BootstrapError::State(state)
            } else {
                BootstrapError::NotServing
            });
        }
        let lifecycle = &inner.lifecycle;
        lifecycle.advance(&[State::Bound], State::Bootstrapping).map_err(BootstrapError::State)?;
        let _back_if_it_fails = BackOnDrop(lifecycle);
        let began = Clock::now();
        let joined = tokio::select! {
            biased;
            () = lifecycle.reached(State::Draining) => return Err(BootstrapError::Stopped),
            joined = self.join() => joined?,
        };
        let Joined { mut bootstrapped, alone } = joined;
        match alone {
            Some(problem) if !inner.is_meant_to_be_alone => inner.problems.begin(problem),
            Some(_) => {
                tracing::info!(member = %inner.address, "a cluster of one: no discovery is set");
            }
            None => {}
        }
        if let Some(Expected { members, within }) = inner.expected {
            let expected = inner.handle.expect_members(members, began, within);
            bootstrapped.members = tokio::select! {
                biased;
                () = lifecycle.reached(State::Draining) => return Err(BootstrapError::Stopped),
                members = expected => members.map_err(|_| BootstrapError::Stopped)?,
            };
        }
        lifecycle
            .advance(&[State::Bootstrapping], State::Ready)
            .map_err(|_| BootstrapError::Stopped)?;
        Ok(bootstrapped)
    }

    pub(crate) async fn join(&self) -> Result<Joined, BootstrapError> {
        let inner = &self.0;
        if inner.checks_address {
            own_address::check(&inner.address, inner.instance, &inner.security).await?;
        }
        let setup = bootstrap::Setup {
            handle: &inner.handle,
            lifecycle: &inner.lifecycle,
            hosts: &inner.hosts,
            app: &inner.app,
            alone_after: inner.alone_after,
        };
        bootstrap::join(setup).await
    }

    /// Leaves the ring and tells the others, within `limit`, and goes on to serve
    /// and forward everything: the first half of a [`shutdown`](Self::shutdown), which
    /// has to follow. Gives how many members confirmed that they know.
    ///
    /// For a process with front ends of its own, such as an HTTP server, which need
    /// the forwarder until their last request is answered. It leaves, tells its
    /// clients by its readiness to go elsewhere, waits for the lame duck time, stops
    /// its front ends, and shuts down.
    ///
    /// Health says NOT_SERVING and the state is [`State::Draining`] at once. A join that
    /// is under way is given up.
    pub async fn leave(&self, limit: Duration) -> usize {
        shutdown::leave_within(&self.0, limit).await
    }

    /// Stops gracefully within `limit`: health says NOT_SERVING, the member leaves the ring and
    /// tells the others, keeps serving and forwarding for the [lame duck](Builder::lame_duck) time
    /// and until the calls under way are done, then stops and frees its port. A join that is under
    /// way is given up. After [`leave`](Self::leave) the lame duck time is over.
    ///
    /// It goes on when the future is dropped. A second call waits for the first
    /// one, and hurries it when its `limit` ends sooner.
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

    /// The owner of a key; `None` when nobody is on the ring. Takes no lock in the
    /// steady state, allocates nothing and does no I/O.
    #[must_use]
    pub fn lookup(&self, key: &[u8]) -> Option<Owner> {
        self.0.views.with(|view| view.ring.lookup(key).map(owner))
    }

    /// The first `n` distinct owners of a key, best first; fewer when there are
    /// fewer members.
    #[must_use]
    pub fn lookup_n(&self, key: &[u8], n: usize) -> Vec<Owner> {
        self.0.views.with(|view| view.ring.walk(key).take(n).map(owner).collect())
    }

    /// Whether this member owns a key.
    #[must_use]
    pub fn owns(&self, key: &[u8]) -> bool {
        self.0.views.with(|view| view.ring.lookup(key).is_some_and(is_local))
    }

    /// Follows who owns `key` from now on, for work that lasts longer than a
    /// lookup is true: its future [`lost`](Ownership::lost) resolves when the key
    /// moves from this member to another one, and when this member leaves.
    ///
    /// The handler of a streaming method finds one for its own key in the
    /// extensions of its request.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// # member.serve(tonic::service::Routes::default())?;
    /// # member.bootstrap().await?;
    /// let ownership = member.ownership("driver-42");
    /// assert!(ownership.is_held()); // as a cluster of one, it owns every key
    /// let work = tokio::spawn(async move {
    ///     let new_owner = tokio::select! {
    ///         new_owner = ownership.lost() => new_owner,
    ///         () = std::future::pending() => unreachable!("the work for the key goes here"),
    ///     };
    ///     new_owner // store what it must know
    /// });
    /// member.shutdown(Duration::from_secs(5)).await;
    /// assert_eq!(work.await?, None, "nobody is left");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn ownership(&self, key: impl Into<Key>) -> Ownership {
        self.0.forwarder.ownership(key)
    }

    /// Members and ring as known now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.0.views.load()
    }

    /// Checksum of the membership: equal at members with equal views. ringpop-go's
    /// `Checksum` is the one of the ring.
    #[must_use]
    pub fn membership_checksum(&self) -> u64 {
        self.0.views.with(|view| view.membership_checksum)
    }

    /// Checksum of the ring: members with equal ones agree on the owner of every key.
    #[must_use]
    pub fn ring_checksum(&self) -> u64 {
        self.0.views.with(|view| view.ring_checksum)
    }

    /// How long ago this member was [bound](Builder::bind).
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// Whether this member is in touch with the others. One that is
    /// [`Isolation::Alone`] or [`Isolation::Partial`] stays ready and serves, but may
    /// own keys that are owned by others on the other side of a partition; a
    /// service whose state must not split asks this first.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        *self.0.isolation.borrow()
    }

    /// The events from now on. A [`View`] has each change before its event.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use ringpop::{Event, Ringpop, State};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// let mut events = member.events();
    /// member.serve(tonic::service::Routes::default())?;
    /// member.bootstrap().await?;
    /// member.shutdown(Duration::from_secs(5)).await;
    ///
    /// let mut states = Vec::new();
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         Event::StateChanged(state) => states.push(state),
    ///         Event::RingChanged(change) => println!("{:?} joined the ring", change.added),
    ///         Event::Missed(count) => println!("{count} events were missed: look at the view"),
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!(
    ///     states,
    ///     [State::Bootstrapping, State::Ready, State::Draining, State::Stopped]
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        self.0.listeners.subscribe()
    }

    /// Replaces the labels that all members see of this one. Identity, weight
    /// and zone stay, unless a label `weight` or `zone` is among the new ones.
    ///
    /// # Errors
    ///
    /// When the labels exceed the limits of the configuration, use the reserved
    /// prefix, or have a weight that is none; when the member has stopped. The
    /// labels stay as they were.
    pub async fn set_labels(&self, labels: Labels) -> Result<(), SetLabelsError> {
        self.update_labels(|own| own.replace(&labels).map_err(SetLabelsError::weight)).await
    }

    /// The labels of this member without weight and zone, as the others see them.
    pub async fn labels(&self) -> Labels {
        let own = self.0.labels.lock().await;
        // They were checked when they were taken.
        Labels::new(own.others.iter().cloned()).unwrap_or_default()
    }

    /// Sets one label and leaves the others as they are. A label `weight` or `zone`
    /// is the same as [`set_weight`](Self::set_weight) or [`set_zone`](Self::set_zone).
    ///
    /// ```
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// member.set_label("version", "1.4.0").await?;
    /// member.set_label("role", "dispatch").await?;
    /// assert!(member.remove_label("version").await?);
    /// assert_eq!(member.labels().await.get("version"), None);
    /// assert_eq!(member.labels().await.get("role"), Some("dispatch"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`set_labels`](Self::set_labels).
    pub async fn set_label(
        &self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), SetLabelsError> {
        let (key, value) = (key.into(), value.into());
        self.update_labels(|own| own.set(key, value).map_err(SetLabelsError::weight)).await
    }

    /// Removes a label; whether there was one. Without a label `weight` the weight
    /// is 1, without a label `zone` there is none.
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn remove_label(&self, key: &str) -> Result<bool, SetLabelsError> {
        let mut removed = false;
        self.update_labels(|own| {
            removed = own.remove(key);
            Ok(())
        })
        .await?;
        Ok(removed)
    }

    /// Changes how much of the keys this member owns, relative to others: 0 to
    /// [`WEIGHT_MAX`](crate::limits::WEIGHT_MAX).
    ///
    /// # Errors
    ///
    /// As [`set_labels`](Self::set_labels).
    pub async fn set_weight(&self, weight: u32) -> Result<(), SetLabelsError> {
        let change = |own: &mut OwnLabels| {
            own.weight = Some(check_weight(&weight.to_string()).map_err(SetLabelsError::weight)?);
            Ok(())
        };
        self.update_labels(change).await
    }

    /// Changes the failure domain of this member.
    ///
    /// # Errors
    ///
    /// As [`set_labels`](Self::set_labels).
    pub async fn set_zone(&self, zone: impl Into<String>) -> Result<(), SetLabelsError> {
        let zone = zone.into();
        self.update_labels(|own| {
            own.zone = Some(zone);
            Ok(())
        })
        .await
    }

    pub(crate) async fn update_labels(
        &self,
        change: impl FnOnce(&mut OwnLabels) -> Result<(), SetLabelsError>,
    ) -> Result<(), SetLabelsError> {
        // Held while the machine takes them: concurrent changes follow one another.
        let mut own = self.0.labels.lock().await;
        let mut changed = own.clone();
        change(&mut changed)?;
        let labels = changed.labels().map_err(CommandError::Labels)?;
        self.0.handle.with(move |node, now| node.set_labels(now, &labels)).await??;
        *own = changed;
        Ok(())
    }

    /// Takes other membership settings while the member runs; what that means
    /// for each is told at [`swim_core::Node::reconfigure`].
    ///
    /// # Errors
    ///
    /// When a field differs that cannot change: those that the machine names,
    /// and `message_bytes_max`, which was checked against what the transport
    /// carries; when the member has stopped.
    pub async fn reconfigure(&self, config: Config) -> Result<(), ReconfigureError> {
        let config = Arc::new(config);
        let reconfigure = move |node: &mut Machine, now| {
            if config.message_bytes_max() != node.config().message_bytes_max() {
                // It was checked against what the transport carries at the start.
                let field = "message_bytes_max";
                return Err(swim_core::ReconfigureError::Fixed { field });
            }
            node.reconfigure(now, config)
        };
        Ok(self.0.handle.with(reconfigure).await??)
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
        let reap = move |node: &mut Machine, now| {
            let gone = node.reap(now, &address);
            gone.map_err(|_| ReapError::Unknown(address.to_string()))
        };
        self.0.handle.with(reap).await?
    }

    /// What a person should look after now; empty when all is well. Also told
    /// by events, and by `ringpop status`.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.0.problems.list()
    }

    // --- Requests ---

    /// The forwarder: a transport for generated clients that is local or
    /// remote for each call, and a layer for servers of one's own.
    #[must_use]
    pub fn forwarder(&self) -> &Forwarder {
        &self.0.forwarder
    }

    /// Everything that this member counts, as `ringpop status` shows it; what the
    /// membership protocol counts is zero when the member has stopped.
    pub async fn counters(&self) -> Counters {
        Counters::new(&self.0, &self.membership_stats().await)
    }

    /// Counters of forwarding.
    #[must_use]
    pub fn forward_stats(&self) -> ForwardStats {
        self.0.forwarder.stats()
    }

    /// Counters of the resources that callers hold now, and of those that were
    /// taken back from them; all zero until [`serve`](Self::serve).
    #[must_use]
    pub fn server_stats(&self) -> ServerStats {
        self.0.security.server_stats()
    }

    /// Counters of the membership protocol; all zero when the member has
    /// stopped.
    pub async fn membership_stats(&self) -> SwimStats {
        self.0.handle.with(|node, _| *node.stats()).await.unwrap_or_default()
    }
}

fn owner(node: &Arc<Node<forward::Owner>>) -> Owner {
    Owner::new(Arc::clone(node.shared_id()), is_local(node))
}

fn is_local(node: &Arc<Node<forward::Owner>>) -> bool {
    matches!(node.data(), forward::Owner::Local)
}

/// Leads back to [`State::Bound`] when a bootstrap fails or is given up.
struct BackOnDrop<'a>(&'a Lifecycle);

impl Drop for BackOnDrop<'_> {
    fn drop(&mut self) {
        // Another state means that the member is ready or being shut down.
        let _ = self.0.advance(&[State::Bootstrapping], State::Bound);
    }
}
