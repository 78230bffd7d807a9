//! How a member is set up.

use std::fmt;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringpop_discovery::{Discovery, StaticList};
use ringpop_forward::{
    Divergence, Explain, FIRST_MESSAGE_TIMEOUT, Forwarder, H2Config, HOPS_MAX_DEFAULT, IN_FLIGHT,
    MissingKey, Observer, Policy, REPLAY_BYTES, REPLAY_MEMORY_BYTES, Routes, ServerLimits,
    TIMEOUT_MAX_DEFAULT,
};
use swim_core::{Address, Config, ConfigError, Init, Node};
use swim_driver::{Driver, Hosts, Start, queue};
use tokio::sync::watch;

use crate::admin::{AdminAccess, AdminState};
use crate::bind_error::BindError;
use crate::event::Listeners;
use crate::gossip::{Audience, Calls, Channels, Publishing};
use crate::inner::{Expected, Inner};
use crate::labels::OwnLabels;
use crate::lifecycle::Lifecycle;
use crate::limits::{ALONE_AFTER, CHANNELS_MAX, LAME_DUCK, PAGE_BYTES_MAX};
use crate::listen::Listen;
use crate::member::Ringpop;
use crate::observing;
use crate::placement::PlacementChoice;
use crate::problem::Problems;
use crate::security::Security;
use crate::server::Server;
use crate::status_changes::StatusChanges;
use crate::timings::Timings;
use crate::view::Views;

/// Sets up a member; made by [`Ringpop::builder`].
#[doc = include_str!("../docs/builder.md")]
#[must_use = "a builder does nothing until `bind` is called"]
pub struct Builder {
    app: String,
    listen: Listen,
    advertise: Option<String>,
    identity: Option<String>,
    labels: Vec<(String, String)>,
    weight: Option<u32>,
    zone: Option<String>,
    alone_after: Option<Duration>,
    lame_duck: Duration,
    discovery: Option<Arc<dyn Discovery>>,
    expected: Option<Expected>,
    config: Config,
    placement: PlacementChoice,
    routes: Routes,
    policy: Policy,
    forward_connections: H2Config,
    server_limits: ServerLimits,
    missing_key: MissingKey,
    max_hops: u8,
    replay_limit: usize,
    replay_memory: usize,
    first_message_timeout: Duration,
    max_in_flight: usize,
    max_timeout: Duration,
    explain: Explain,
    divergence: Divergence,
    forward_observer: Option<Box<dyn Observer>>,
    security: Security,
    admin_access: AdminAccess,
    #[cfg(feature = "metrics")]
    metrics: bool,
}

impl Builder {
    pub(crate) fn new(app: String) -> Self {
        Self {
            app,
            listen: Listen::default(),
            advertise: None,
            identity: None,
            labels: Vec::new(),
            weight: None,
            zone: None,
            alone_after: Some(ALONE_AFTER),
            lame_duck: LAME_DUCK,
            discovery: None,
            expected: None,
            config: Config::lan(),
            placement: PlacementChoice::default(),
            routes: Routes::new(),
            policy: Policy::default(),
            forward_connections: H2Config::between_members(),
            server_limits: ServerLimits::default(),
            missing_key: MissingKey::default(),
            max_hops: HOPS_MAX_DEFAULT,
            replay_limit: REPLAY_BYTES,
            replay_memory: REPLAY_MEMORY_BYTES,
            first_message_timeout: FIRST_MESSAGE_TIMEOUT,
            max_in_flight: IN_FLIGHT,
            max_timeout: TIMEOUT_MAX_DEFAULT,
            explain: Explain::default(),
            divergence: Divergence::default(),
            forward_observer: None,
            security: Security::default(),
            admin_access: AdminAccess::default(),
            #[cfg(feature = "metrics")]
            metrics: false,
        }
    }

    /// Where to listen. Default: loopback, a free port.
    pub fn listen(mut self, listen: SocketAddr) -> Self {
        self.listen = Listen::At(listen);
        self
    }

    /// Serves on a socket that listens already, such as one that the supervisor of
    /// this process passed on, in place of [`listen`](Self::listen). It need not be
    /// non-blocking.
    ///
    /// ```
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?.to_string();
    /// let member = Ringpop::builder("rides").listener(listener).bind().await?;
    /// assert_eq!(member.whoami(), address);
    /// # Ok(())
    /// # }
    /// ```
    pub fn listener(mut self, listener: std::net::TcpListener) -> Self {
        self.listen = Listen::On(listener);
        self
    }

    /// The address `host:port` at which other members reach this one.
    /// Default: the address it listens on. One that nobody can dial is refused:
    /// `0.0.0.0`, `::`, broadcast, multicast, an IPv6 link-local address, a name
    /// that cannot be. Spellings do not matter: others see the canonical form.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// A stable name that places this member on the ring: it owns the same keys when it comes back
    /// at another address. Default: the address.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Adds a label that all members see. Each key may be given once; a label
    /// `weight` or `zone` is the same as [`weight`](Self::weight) or
    /// [`zone`](Self::zone).
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// How much of the keys this member owns, relative to others: 0 to
    /// [`WEIGHT_MAX`](crate::limits::WEIGHT_MAX), default 1. Others need no
    /// configuration; the weight travels as a label.
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
        self
    }

    /// The failure domain of this member.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// How long discovery may have nobody to join, because its answer is empty,
    /// names only this member or does not resolve, before this member begins a
    /// cluster of its own; at most the join duration of the configuration.
    /// `None`: never, [`Ringpop::bootstrap`] fails instead. Default:
    /// [`ALONE_AFTER`](crate::limits::ALONE_AFTER).
    ///
    /// A member that starts alone goes on looking, and joins the others when
    /// discovery lists them. A fixed list that names only this member is not
    /// waited for.
    pub fn start_alone_after(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.alone_after = wait.into();
        self
    }

    /// How long a member that was ready still serves and forwards everything after it has begun to
    /// stop, while its health says NOT_SERVING: clients and load balancers go elsewhere before
    /// connections end. At most half of the time that [`Ringpop::shutdown`] has. Default:
    /// [`LAME_DUCK`](crate::limits::LAME_DUCK).
    pub const fn lame_duck(mut self, time: Duration) -> Self {
        self.lame_duck = time;
        self
    }

    /// Where the other members come from. Default: nowhere, a cluster of one.
    pub fn discovery(mut self, discovery: Arc<dyn Discovery>) -> Self {
        self.discovery = Some(discovery);
        self
    }

    /// Has [`Ringpop::bootstrap`] wait until `members` of them are reachable, this one included, or
    /// until the time `within` has passed since it began, which the log tells. A cluster that
    /// starts as a whole then moves each key once. Default: any member is enough.
    ///
    /// Others must be able to find this member meanwhile: where discovery lists only those that are
    /// ready, everybody waits for the whole time.
    pub const fn expect(mut self, members: usize, within: Duration) -> Self {
        self.expected = Some(Expected { members, within });
        self
    }

    /// The settings of the membership protocol. Default: [`Config::lan`].
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// How keys are placed on members. All members use what most of them ask for; see
    /// [`PlacementChoice`] for which to take, and `docs/placements.md` for how to change it in a
    /// running cluster. Default: rendezvous, whose shares are exactly those of the weights.
    ///
    /// ```
    /// # use ringpop::{PlacementChoice, Ringpop};
    /// // For a thousand members, or ranges of keys to hand over.
    /// let builder = Ringpop::builder("rides").placement(PlacementChoice::Ring { points: 200 });
    /// ```
    pub const fn placement(mut self, placement: PlacementChoice) -> Self {
        self.placement = placement;
        self
    }

    /// Which methods belong to the owner of a key; others are handled where
    /// they arrive.
    pub fn routes(mut self, routes: Routes) -> Self {
        self.routes = routes;
        self
    }

    /// When and where a request that could not be answered is sent again.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Times and limits of the connections over which requests are forwarded.
    /// Default: [`H2Config::between_members`].
    pub fn forward_connections(mut self, config: H2Config) -> Self {
        self.forward_connections = config;
        self
    }

    /// What callers may hold of the server of this member: streams,
    /// connections, unread answers, requests that do not come, metadata.
    /// [`Ringpop::server_stats`] counts who met them. Default:
    /// [`ServerLimits::default`].
    pub fn server_limits(mut self, limits: ServerLimits) -> Self {
        self.server_limits = limits;
        self
    }

    /// What happens to a request of a routed method without a key. Default: it is
    /// refused.
    pub fn missing_key(mut self, missing_key: MissingKey) -> Self {
        self.missing_key = missing_key;
        self
    }

    /// How often a request may be forwarded: 1 to 4. Default: twice, to the owner,
    /// and once more because the receiver may know better. Then
    /// [`divergence`](Self::divergence) decides.
    pub const fn max_hops(mut self, max_hops: u8) -> Self {
        self.max_hops = max_hops;
        self
    }

    /// Bytes of a request that are kept to send it again: 0 to 16 MiB, by default
    /// 64 KiB. It is memory for each call in flight.
    pub const fn replay_limit(mut self, bytes: usize) -> Self {
        self.replay_limit = bytes;
        self
    }

    /// Bytes that all calls together may keep to be sent again: 0 to 64 GiB, by
    /// default 64 MiB. Requests beyond it are forwarded once.
    pub const fn replay_memory(mut self, bytes: usize) -> Self {
        self.replay_memory = bytes;
        self
    }

    /// How long the first message of a call may take from the head of its request
    /// on: 1 ms to an hour, by default 30 s. Then the call is answered
    /// DEADLINE_EXCEEDED.
    pub const fn first_message_timeout(mut self, timeout: Duration) -> Self {
        self.first_message_timeout = timeout;
        self
    }

    /// How many calls of routed methods may be in flight here, handled and
    /// forwarded together: 1 to 1,048,576, by default 5,000. Further ones are
    /// answered RESOURCE_EXHAUSTED.
    pub const fn max_in_flight(mut self, calls: usize) -> Self {
        self.max_in_flight = calls;
        self
    }

    /// How long a unary call of a routed method may take whose caller sets no
    /// deadline: 1 ms to a day, by default 10 minutes.
    pub const fn max_timeout(mut self, timeout: Duration) -> Self {
        self.max_timeout = timeout;
        self
    }

    /// Which responses say which member handled them and after how many hops.
    /// Default: those to requests that ask.
    pub const fn explain(mut self, explain: Explain) -> Self {
        self.explain = explain;
        self
    }

    /// What this member does with requests that members with another view of
    /// the ring send to it. Default: it handles those whose key it may own,
    /// sends others on once, and refuses the rest.
    pub const fn divergence(mut self, divergence: Divergence) -> Self {
        self.divergence = divergence;
        self
    }

    /// The observer of each forwarded request. Default: none; [`Ringpop::forward_stats`] has the
    /// counters without one.
    pub fn forward_observer(mut self, observer: impl Observer) -> Self {
        self.forward_observer = Some(Box::new(observer));
        self
    }

    /// The callers that may have this member do something by its administration service. All
    /// callers that reach the port may ask it. Default: nobody, [`AdminAccess::read_only`].
    pub fn admin_access(mut self, access: AdminAccess) -> Self {
        self.admin_access = access;
        self
    }

    /// Tells the recorder of the crate `metrics` what happens as it happens: forwarded requests and
    /// their attempts, round trips, joins, changes of the ring. Each figure has the label `member`,
    /// the address of this one. [`Ringpop::record_metrics`] tells the rest;
    /// [`metrics::table`](crate::metrics::table()) lists all. Default: nothing is told.
    #[cfg(feature = "metrics")]
    pub const fn metrics(mut self, on: bool) -> Self {
        self.metrics = on;
        self
    }

    /// Encrypts all connections, of the membership protocol, of forwarded
    /// requests and of clients, and takes only those for members who present a
    /// certificate of the cluster's authority. The files are read again when
    /// they change, for as long as this member serves. Default: plain text.
    ///
    /// ```no_run
    /// use ringpop::Ringpop;
    /// use ringpop::forward::{Tls, TlsFiles};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let files = TlsFiles::new("member.pem", "member.key", "cluster.pem");
    /// let member = Ringpop::builder("rides").tls(Tls::new(files)?).bind().await?;
    /// # let _ = member;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ringpop_forward::Tls) -> Self {
        self.security = tls.into();
        self
    }

    /// Has plain connections pass through the network of a test.
    #[cfg(feature = "testing")]
    pub(crate) fn link(mut self, link: crate::testing::Link) -> Self {
        self.security.set_link(link);
        self
    }

    /// Takes the port and starts the membership task. The member does nothing
    /// else until [`Ringpop::serve`] and [`Ringpop::bootstrap`].
    ///
    /// Must be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the port cannot be taken, or a setting is wrong.
    pub async fn bind(mut self) -> Result<Ringpop, BindError> {
        self.check()?;
        let security = self.security.clone();
        let labels = self.own_labels()?;
        let (listener, bound) = mem::take(&mut self.listen).open().await?;
        let address = advertised(self.advertise.as_deref(), bound)?;
        let local = Address::new(address.as_str())
            .and_then(|local| local.check_diallable().map(|()| local))
            .map_err(|error| BindError::Advertise { reason: error.to_string() })?;
        let start = Start::now()?;
        let node = self.node(&local, &labels, &start)?;
        let views = Views::new(local.clone());
        let views = Arc::new(views.map_err(|error| BindError::Ring { reason: error.to_string() })?);
        let (listeners, events) = Listeners::new();
        let lifecycle = Arc::new(Lifecycle::new(local.clone(), listeners.clone()));
        let problems = Arc::new(Problems::new(local.clone(), listeners.clone()));
        let (app, lame_duck, expected) = (self.app.clone(), self.lame_duck, self.expected);
        let server_limits = self.server_limits.clone();
        let checks_address = self.advertise.is_some() && local.as_str() != bound.to_string();
        let (hosts, alone_after, is_meant_to_be_alone) = self.whom_to_join(address)?;
        let routed = (!self.routes.is_empty()).then(|| self.routes.paths());
        let (admin_access, timings) = (self.admin_access.clone(), self.timings(&local));
        let forwarder = self.forwarder(&views, &local)?;
        let status_changes = Arc::<StatusChanges>::default();
        let (isolation, isolation_now) = watch::channel(node.isolation());
        let publishing = Publishing::new(Audience {
            views: Arc::clone(&views),
            listeners: listeners.clone(),
            forwarder: forwarder.clone(),
            problems: Arc::clone(&problems),
            isolation,
            status_changes: Arc::clone(&status_changes),
            timings: timings.clone(),
        });
        let calls = Calls::new(Channels::new(security.clone(), CHANNELS_MAX), timings);
        let (handle, queue) = queue();
        let driver = Driver::new(queue, node, calls, publishing).started(&start);
        tokio::spawn(driver.discovery(hosts.clone()).run());
        Ok(Ringpop(Arc::new(Inner {
            app,
            address: local,
            alone_after,
            is_meant_to_be_alone,
            lame_duck,
            server_limits,
            instance: start.seed(),
            checks_address,
            labels: tokio::sync::Mutex::new(labels),
            routed,
            problems,
            shutdown: Mutex::new(None),
            views,
            lifecycle,
            listeners,
            events: Mutex::new(Some(events)),
            handle,
            isolation: isolation_now,
            forwarder,
            hosts,
            expected,
            security,
            server: Mutex::new(Server::Bound(listener)),
            admin_access,
            admin: AdminState::new(),
            status_changes,
            start: start.clock(),
        })))
    }

    /// Where the others are listed, how long they are waited for, and whether there are to be none.
    fn whom_to_join(&self, address: ringpop_discovery::Address) -> Result<WhomToJoin, BindError> {
        Ok(match &self.discovery {
            Some(discovery) => (Hosts::new(Arc::clone(discovery)), self.alone_after, false),
            None => (Hosts::new(alone(address)?), Some(Duration::ZERO), true),
        })
    }

    /// Checks what does not show by itself when it is used.
    fn check(&self) -> Result<(), BindError> {
        check_page(&self.config)?;
        self.placement.check()?;
        if self.identity.as_ref().is_some_and(|identity| identity.trim().is_empty()) {
            return Err(BindError::IdentityEmpty);
        }
        self.security.check()?;
        self.admin_access.check(self.security.is_encrypted())?;
        Ok(self.server_limits.check()?)
    }

    fn own_labels(&self) -> Result<OwnLabels, BindError> {
        let mut labels = OwnLabels::new(self.labels.clone(), self.weight, self.zone.clone())?;
        labels.placement = self.placement;
        Ok(labels)
    }

    fn node(&self, local: &Address, labels: &OwnLabels, start: &Start) -> Result<Node, BindError> {
        let init = Init {
            identity: self.identity.clone(),
            labels: labels.labels()?,
            ..start.init(self.app.as_str(), local.clone())
        };
        Ok(Node::new(self.config.clone(), init)?)
    }

    fn timings(&self, local: &Address) -> Timings {
        #[cfg(feature = "metrics")]
        if self.metrics {
            return Timings::of(local.as_str());
        }
        let _ = local;
        Timings::default()
    }

    fn forwarder(self, views: &Arc<Views>, local: &Address) -> Result<Forwarder, BindError> {
        let security = self.security.clone();
        #[cfg(feature = "metrics")]
        let observer = observing::beside_recorder(self.forward_observer, self.metrics, local);
        #[cfg(not(feature = "metrics"))]
        let observer = self.forward_observer;
        let forwarder = Forwarder::builder(Arc::clone(views))
            .name(local.as_str())
            .routes(self.routes)
            .policy(self.policy)
            .missing_key(self.missing_key)
            .max_hops(self.max_hops)
            .replay_limit(self.replay_limit)
            .replay_memory(self.replay_memory)
            .first_message_timeout(self.first_message_timeout)
            .max_in_flight(self.max_in_flight)
            .max_timeout(self.max_timeout)
            .explain(self.explain)
            .divergence(self.divergence)
            // A client that is believed although it is no member only has its
            // own request handled at the wrong one.
            .trust_hop_headers(move |head| security.is_member(&head.extensions))
            .transport(self.security.transport(self.forward_connections)?);
        Ok(observing::with(forwarder, observer).build()?)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("app", &self.app)
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .field("identity", &self.identity)
            .field("labels", &self.labels)
            .field("discovery", &self.discovery)
            .finish_non_exhaustive()
    }
}

/// What [`Builder::whom_to_join`] gives.
type WhomToJoin = (Hosts, Option<Duration>, bool);

/// The address that others are told.
fn advertised(
    wanted: Option<&str>,
    bound: SocketAddr,
) -> Result<ringpop_discovery::Address, BindError> {
    let Some(text) = wanted else {
        if bound.ip().is_unspecified() {
            return Err(BindError::Unspecified { bound });
        }
        return ringpop_discovery::Address::try_from(bound)
            .map_err(|error| BindError::Advertise { reason: error.to_string() });
    };
    text.parse().map_err(|error: ringpop_discovery::AddressError| BindError::Advertise {
        reason: error.to_string(),
    })
}

/// Members take messages up to one bound: none may send larger ones.
const fn check_page(config: &Config) -> Result<(), ConfigError> {
    let (field, value) = ("message_bytes_max", config.message_bytes_max());
    if value > PAGE_BYTES_MAX {
        return Err(ConfigError::OutOfRange { field, value, min: 512, max: PAGE_BYTES_MAX });
    }
    Ok(())
}

/// The discovery of a cluster of one.
fn alone(address: ringpop_discovery::Address) -> Result<Arc<dyn Discovery>, BindError> {
    let list = StaticList::from_addresses([address]);
    let list = list.map_err(|error| BindError::Advertise { reason: error.to_string() })?;
    Ok(Arc::new(list))
}
