//! Checks the settings, takes the port and starts the membership task.

use std::future::ready;
use std::mem;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringpop_discovery::{Discovery, PeersFuture, Record};
use ringpop_forward::{Forwarder, ForwarderControl};
use swim_core::{Address, Config, ConfigError, Init, Node};
use swim_driver::{Driver, Handle, Hosts, Start, queue};
use tokio::sync::{broadcast, watch};

use super::Builder;
use crate::admin::comparing::Comparing;
use crate::admin::state::AdminState;
use crate::bind_error::{AdvertiseError, BindError};
use crate::event::{Event, Listeners};
use crate::gossip::{Audience, Calls, Channels, GossipThread, Publishing};
use crate::hot_keys::HotKeys;
use crate::inner::{Inner, OwnStats};
use crate::labels::{OwnLabels, with_room};
use crate::lifecycle::Lifecycle;
use crate::limits::{CHANNELS_MAX, HAND_OFF_LIMIT_MAX, HAND_OFF_LIMIT_MIN, PAGE_BYTES_MAX};
use crate::member::{Ringpop, attended};
use crate::moving::MovingKeys;
use crate::named_ring::NamedRing;
use crate::observing;
use crate::peer_clocks::PeerClocks;
use crate::problems::Problems;
use crate::ring_watch::watchers::RingWatchers;
use crate::server::phase::Server;
use crate::slow_start::SlowStart;
use crate::status_changes::StatusChanges;
use crate::timings::Timings;
use crate::view::Views;

impl Builder {
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
        let mut labels = self.own_labels()?;
        let (listener, bound) = mem::take(&mut self.listen).open().await?;
        let (address, local) = self.addresses(bound)?;
        let gossip_listener = self.open_gossip(&mut labels)?;
        let (start, clocks) = self.clocks()?;
        let (node, views) = (self.node(&local, &labels, &start)?, self.views(&local)?);
        let Told { listeners, events, lifecycle, problems } = told(&local);
        let (hosts, alone_after, is_meant_to_be_alone) = self.whom_to_join(address);
        self.add_ring_routes(&views, &listeners);
        let routed = self.routed();
        let channels = Channels::new(self.security.clone(), CHANNELS_MAX);
        let (admin, timings, moving) =
            (self.admin_state(&channels), self.timings(&local), self.moving(&views));
        let (forwarder, control) = self.forwarder((&views, moving.as_ref()), &local, &admin)?;
        let (status_changes, last_stats) = (Arc::<StatusChanges>::default(), Arc::default());
        let (isolation, isolation_now) = watch::channel(node.isolation());
        let publishing = Publishing::new(Audience {
            views: Arc::clone(&views),
            listeners: listeners.clone(),
            forwarder: control.clone(),
            problems: Arc::clone(&problems),
            isolation,
            status_changes: Arc::clone(&status_changes),
            timings: timings.clone(),
            clocks: Arc::clone(&clocks),
            last_stats: Arc::clone(&last_stats),
            propagation: Arc::clone(&admin.propagation),
        });
        let (handle, driver) = driver(node, Calls::new(channels, timings), publishing, &start);
        let gossip_thread = run(driver.discovery(hosts.clone()).run(), gossip_listener)?;
        let inner = Inner {
            planner: self.planner(&local, &views, &clocks, &listeners, moving),
            checks_address: self.advertise.is_some() && local.as_str() != bound.to_string(),
            app: self.app,
            address: local,
            alone_after,
            is_meant_to_be_alone,
            lame_duck: self.lame_duck,
            server_limits: self.server_limits,
            http1: self.http1,
            instance: start.seed(),
            labels: tokio::sync::Mutex::new(labels),
            routed,
            problems,
            shutdown: Mutex::new(None),
            views,
            lifecycle,
            listeners,
            events: Mutex::new(Some(events)),
            handle,
            gossip_thread,
            isolation: isolation_now,
            forwarder,
            forwarder_control: control,
            hosts,
            expected: self.expected,
            security: self.security,
            server: Mutex::new(Server::Bound(listener)),
            admin,
            status_changes,
            hooks: self.hooks,
            own_stats: OwnStats::default(),
            start: start.clock(),
            last_stats,
            ring_watchers: RingWatchers::default(),
        };
        Ok(attended(inner, self.off_ring))
    }

    fn admin_state(&mut self, gossip: &Channels) -> AdminState {
        let (access, log_control) = (self.admin_access.clone(), self.log_control.take());
        let hot_keys = self.hot_keys.map(|one_in| Arc::new(HotKeys::new(one_in)));
        let comparing = Comparing::new(self.security.clone(), gossip.clone());
        AdminState::new(access, log_control, comparing, self.beacons, hot_keys)
    }

    /// The address that others are told, in the form of discovery and in that of the machine.
    fn addresses(
        &self,
        bound: SocketAddr,
    ) -> Result<(ringpop_discovery::Address, Address), BindError> {
        let address = advertised(self.advertise.as_deref(), bound)?;
        let local = diallable(&address)?;
        Ok((address, local))
    }

    /// Paths of the routes; `None` when there is none.
    fn routed(&self) -> Option<Vec<String>> {
        (!self.routes.is_empty()).then(|| self.routes.paths())
    }

    /// Where the others are listed, how long they are waited for, and whether there are to be none.
    fn whom_to_join(&self, address: ringpop_discovery::Address) -> WhomToJoin {
        match &self.discovery {
            Some(discovery) => (Hosts::new(Arc::clone(discovery)), self.alone_after, false),
            None => (Hosts::new(Arc::new(Alone(address))), Some(Duration::ZERO), true),
        }
    }

    /// Checks what does not show by itself when it is used.
    fn check(&self) -> Result<(), BindError> {
        check_page(&self.config)?;
        self.placement.check()?;
        self.check_rings()?;
        check_hand_off(self.hand_off.limit)?;
        self.hand_off.while_moving.check()?;
        self.check_roll()?;
        if self.identity.as_ref().is_some_and(|identity| identity.trim().is_empty()) {
            return Err(BindError::IdentityEmpty);
        }
        self.hooks.check()?;
        self.off_ring.check(self.own_labels()?.weight)?;
        self.security.check()?;
        self.admin_access.check(self.security.is_encrypted())?;
        Ok(self.server_limits.check()?)
    }

    /// The clock of this member, and those of others.
    fn clocks(&self) -> Result<(Start, Arc<PeerClocks>), BindError> {
        let start = Start::now()?;
        let clocks = PeerClocks::new(start.clock());
        #[cfg(feature = "testing")]
        let clocks = clocks.skewed(self.clock_skew_us);
        Ok((start, Arc::new(clocks)))
    }

    fn own_labels(&self) -> Result<OwnLabels, BindError> {
        let mut labels = OwnLabels::new(self.labels.clone(), self.weight, self.zone.clone())?;
        labels.placement = self.placement;
        labels.limits = self.config.label_limits();
        labels.standing.warming = self.off_ring.slow_start.as_ref().map(SlowStart::first);
        // What others hold of its keys comes before it owns them.
        labels.waits = self.hand_off.hook.is_some() || self.hand_off.roll_wait.is_some();
        Ok(labels)
    }

    fn node(&self, local: &Address, labels: &OwnLabels, start: &Start) -> Result<Node, BindError> {
        let init = Init {
            identity: self.identity.clone(),
            labels: labels.labels(local)?,
            ..start.init(self.app.as_str(), local.clone())
        };
        Ok(Node::new(with_room(&self.config), init)?)
    }

    fn timings(&self, local: &Address) -> Timings {
        #[cfg(feature = "metrics")]
        if self.metrics {
            return Timings::of(local.as_str());
        }
        let _ = local;
        Timings::default()
    }

    /// Takes the gossip port, if there is to be one, which others learn by a label.
    fn open_gossip(&self, labels: &mut OwnLabels) -> Result<Option<TcpListener>, BindError> {
        let Some(address) = self.gossip_listen else { return Ok(None) };
        let listener = TcpListener::bind(address);
        let listener = listener.map_err(|source| BindError::Listen { address, source })?;
        labels.gossip_port = Some(listener.local_addr().map_err(BindError::Listener)?.port());
        Ok(Some(listener))
    }

    fn views(&mut self, local: &Address) -> Result<Arc<Views>, BindError> {
        let rings = mem::take(&mut self.rings);
        Ok(Arc::new(Views::with_rings(local.clone(), rings, self.zone_order)?))
    }

    /// Adds the routes whose keys are placed on further rings.
    fn add_ring_routes(&mut self, views: &Arc<Views>, listeners: &Listeners) {
        for (name, routes) in mem::take(&mut self.ring_routes) {
            // It was checked that there is such a ring.
            let Some(ring) = NamedRing::new(views, listeners, &name) else { continue };
            self.routes = mem::take(&mut self.routes).and(routes.owned_by(ring));
        }
    }

    fn forwarder(
        &mut self,
        (views, moving): (&Arc<Views>, Option<&Arc<MovingKeys>>),
        local: &Address,
        admin: &AdminState,
    ) -> Result<(Forwarder, ForwarderControl), BindError> {
        let security = self.security.clone();
        #[cfg(feature = "metrics")]
        let metrics = self.metrics;
        #[cfg(not(feature = "metrics"))]
        let metrics = false;
        // A resolver of its own costs each call a little, and is for those who want it.
        let forwarder = match moving {
            Some(moving) => Forwarder::builder(Arc::clone(moving)),
            None => Forwarder::builder(Arc::clone(views)),
        };
        let forwarder = forwarder
            .name(local.as_str())
            .routes(mem::take(&mut self.routes))
            .policy(self.policy.clone())
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
            .transport(self.security.transport(self.forward_connections.clone())?);
        let given = self.forward_observer.take();
        Ok(observing::with(forwarder, given, metrics, admin, local).build_with_control()?)
    }
}

/// The listeners of a member, and what they are told first of all.
struct Told {
    listeners: Listeners,
    events: broadcast::Sender<Event>,
    lifecycle: Arc<Lifecycle>,
    problems: Arc<Problems>,
}

fn told(local: &Address) -> Told {
    let (listeners, events) = Listeners::new();
    let lifecycle = Arc::new(Lifecycle::new(local.clone(), listeners.clone()));
    let problems = Arc::new(Problems::new(local.clone(), listeners.clone()));
    Told { listeners, events, lifecycle, problems }
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
        return Ok(ringpop_discovery::Address::try_from(bound).map_err(AdvertiseError::Invalid)?);
    };
    Ok(text.parse().map_err(AdvertiseError::Invalid)?)
}

/// The same address, when others can dial it as far as its text tells.
fn diallable(address: &ringpop_discovery::Address) -> Result<Address, AdvertiseError> {
    Address::new(address.as_str())
        .and_then(|local| local.check_diallable().map(|()| local))
        .map_err(AdvertiseError::Undiallable)
}

/// The membership task, and the handle to it.
fn driver(
    node: Node,
    calls: Calls,
    publishing: Publishing,
    start: &Start,
) -> (Handle, Driver<Calls, Publishing>) {
    let (handle, queue) = queue();
    (handle, Driver::new(queue, node, calls, publishing).started(start))
}

/// Runs the membership task, on a thread of its own when it has a port of its own.
fn run(
    driver: impl Future<Output = ()> + Send + 'static,
    gossip_listener: Option<TcpListener>,
) -> Result<Option<GossipThread>, BindError> {
    let Some(listener) = gossip_listener else {
        tokio::spawn(driver);
        return Ok(None);
    };
    GossipThread::start(listener, driver).map(Some).map_err(BindError::GossipThread)
}

/// Members take messages up to one bound: none may send larger ones.
const fn check_page(config: &Config) -> Result<(), ConfigError> {
    let (field, value) = ("message_bytes_max", config.message_bytes_max());
    if value > PAGE_BYTES_MAX {
        return Err(ConfigError::OutOfRange { field, value, min: 512, max: PAGE_BYTES_MAX });
    }
    Ok(())
}

fn check_hand_off(limit: Duration) -> Result<(), BindError> {
    if (HAND_OFF_LIMIT_MIN..=HAND_OFF_LIMIT_MAX).contains(&limit) {
        return Ok(());
    }
    Err(BindError::HandOffLimit { limit })
}

/// The discovery of a cluster of one.
#[derive(Debug)]
struct Alone(ringpop_discovery::Address);

impl Discovery for Alone {
    fn peers(&self) -> PeersFuture<'_> {
        Box::pin(ready(Ok(vec![Record::new(self.0.clone())])))
    }

    fn origin(&self) -> String {
        "no discovery".to_owned()
    }

    fn is_fixed(&self) -> bool {
        true
    }
}
