//! The forwarder: what all of its doors share, and how it is built.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderValue;
use http::request::Parts;

use crate::constants::{
    HOPS_MAX_DEFAULT, HOPS_MAX_LIMIT, NAME_BYTES_MAX, REPLAY_BYTES, REPLAY_BYTES_LIMIT,
};
use crate::drain::Gate;
use crate::error::ConfigError;
use crate::header::{Hop, is_name};
use crate::key::{Key, MissingKey};
use crate::layer::{Door, ForwardLayer, ForwardService};
use crate::policy::Policy;
use crate::resolver::{Owner, Owners, Peer, Resolver};
use crate::routes::Routes;
use crate::stats::{Counters, Stats};
use crate::transport::{H2Transport, PeerTransport};

/// Handles requests here or forwards them to the owner of their key.
///
/// A forwarder has two doors: [`layer`](Self::layer) makes the services of a server sharded, and
/// [`client`](Self::client) is the transport of a generated client. Both share connections, counters and the drain.
/// Clones are the same forwarder.
///
/// ```
/// use ringpop_forward::{Forwarder, Routes, StaticResolver};
///
/// let members = ["10.0.0.1:7100", "10.0.0.2:7100"];
/// let resolver = StaticResolver::new("10.0.0.1:7100", members)?;
/// let forwarder = Forwarder::builder(resolver)
///     .name("10.0.0.1:7100")
///     .routes(Routes::new().field("/kv.v1.Kv/Get", &[1]).unary().idempotent())
///     // Only members of the cluster can reach this port.
///     .trust_hop_headers(|_| true)
///     .build()?;
/// let layer = forwarder.layer();
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Forwarder<T = H2Transport>(Arc<Engine<T>>);

/// The shared state behind every clone and every door.
pub(crate) struct Engine<T> {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) transport: T,
    pub(crate) settings: Settings,
    pub(crate) gate: Arc<Gate>,
    pub(crate) counters: Counters,
    /// The hop header of a first hop, and the epoch it was made for.
    first_hop: RwLock<(u64, HeaderValue)>,
}

pub(crate) struct Settings {
    pub(crate) routes: Routes,
    pub(crate) policy: Policy,
    pub(crate) missing_key: MissingKey,
    pub(crate) name: String,
    pub(crate) name_value: HeaderValue,
    pub(crate) explain: bool,
    pub(crate) max_hops: u8,
    pub(crate) replay_limit: usize,
    pub(crate) trust: Option<Trust>,
}

/// Decides from the head of a request whether its hop header is believed.
type Trust = Box<dyn Fn(&Parts) -> bool + Send + Sync>;

impl Forwarder {
    /// Begins a forwarder that asks `resolver` who owns a key and sends over HTTP/2.
    pub fn builder(resolver: impl Resolver) -> Builder {
        Builder {
            resolver: Arc::new(resolver),
            transport: H2Transport::default(),
            routes: Routes::new(),
            policy: Policy::default(),
            missing_key: MissingKey::default(),
            name: "unnamed".to_owned(),
            explain: false,
            max_hops: HOPS_MAX_DEFAULT,
            replay_limit: REPLAY_BYTES,
            trust: None,
        }
    }
}

impl<T: PeerTransport> Forwarder<T> {
    /// The layer that makes services sharded: for `Server::builder().layer(..)`, or around one service.
    #[must_use]
    pub fn layer(&self) -> ForwardLayer<T> {
        ForwardLayer::new(Arc::clone(&self.0))
    }

    /// A transport for a generated client. Each call runs in `local` when this process owns its key, and at the owner
    /// otherwise: `KvClient::new(forwarder.client(KvServer::new(service)))`.
    pub fn client<S>(&self, local: S) -> ForwardService<S, T> {
        ForwardService::new(local, Arc::clone(&self.0), Door::Client { key: None })
    }

    /// A transport for a generated client whose calls all belong to `key`, whatever their messages say. The owner is
    /// looked up for each call.
    pub fn client_for<S>(&self, key: impl Into<Key>, local: S) -> ForwardService<S, T> {
        ForwardService::new(
            local,
            Arc::clone(&self.0),
            Door::Client {
                key: Some(key.into()),
            },
        )
    }

    /// The owner of `key` at this moment, if there is one.
    #[must_use]
    pub fn owner_of(&self, key: &[u8]) -> Option<Owner> {
        self.0.owner_of(key)
    }

    /// Closes the connections to `peer` when the calls on them have ended. For members that left.
    pub fn forget(&self, peer: &Peer) {
        self.0.transport.forget(peer);
    }

    /// Begins to drain. Calls are still handled and forwarded, and a call that another member forwarded here for a key
    /// that is no longer ours may travel one hop more.
    pub fn drain(&self) {
        self.0.gate.drain();
    }

    /// Ends the drain: calls of routed methods are refused from now on, with an answer that makes a forwarding member
    /// ask the next owner. Calls in flight go on.
    pub fn refuse_new_work(&self) {
        self.0.gate.close();
    }

    /// Resolves when no call of a routed method is in flight.
    pub async fn drained(&self) {
        self.0.gate.drained().await;
    }

    /// Everything that was counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let transport = self.0.transport.stats();
        Stats {
            dial_failures: transport.dial_failures,
            connections: transport.connections,
            in_flight: self.0.gate.in_flight(),
            ..self.0.counters.snapshot()
        }
    }
}

impl<T> Clone for Forwarder<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: PeerTransport> fmt::Debug for Forwarder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Forwarder");
        debug
            .field("name", &self.0.settings.name)
            .field("routes", &self.0.settings.routes);
        debug.field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl<T> Engine<T> {
    pub(crate) fn owner_of(&self, key: &[u8]) -> Option<Owner> {
        let mut owners = Owners::new();
        self.resolver.owners(key, 1, &mut owners);
        owners.into_iter().next()
    }

    /// Whether the sender of this request is believed about its hops.
    pub(crate) fn trusts(&self, head: &Parts) -> bool {
        self.settings
            .trust
            .as_ref()
            .is_some_and(|trust| trust(head))
    }

    /// After how many hops a request is handled wherever it is.
    pub(crate) fn hops_max(&self) -> u8 {
        // A member that leaves is still sent to for a moment, by members that have not heard. One hop more takes such a
        // request to its new owner.
        self.settings.max_hops + u8::from(self.gate.is_draining())
    }

    /// The hop header for a request that is forwarded for the `hops`th time.
    pub(crate) fn hop_header(&self, hops: u8) -> HeaderValue {
        let epoch = self.resolver.epoch();
        let make = |hops| {
            Hop {
                hops,
                epoch,
                sender: self.settings.name.clone(),
            }
            .to_value()
        };
        if hops != 1 {
            return make(hops);
        }
        {
            let cached = self
                .first_hop
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if cached.0 == epoch {
                return cached.1.clone();
            }
        }
        let value = make(1);
        let mut cached = self
            .first_hop
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *cached = (epoch, value.clone());
        value
    }
}

/// Settings of a [`Forwarder`].
#[must_use]
pub struct Builder<T = H2Transport> {
    resolver: Arc<dyn Resolver>,
    transport: T,
    routes: Routes,
    policy: Policy,
    missing_key: MissingKey,
    name: String,
    explain: bool,
    max_hops: u8,
    replay_limit: usize,
    trust: Option<Trust>,
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Builder");
        debug
            .field("name", &self.name)
            .field("routes", &self.routes)
            .field("policy", &self.policy);
        debug.finish_non_exhaustive()
    }
}

impl<T> Builder<T> {
    /// The methods that are sharded. Without routes everything is handled locally.
    pub fn routes(mut self, routes: Routes) -> Self {
        self.routes = routes;
        self
    }

    /// When and where a failed call is sent again.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// What happens to a request of a routed method without a key; by default it is refused.
    pub fn missing_key(mut self, missing_key: MissingKey) -> Self {
        self.missing_key = missing_key;
        self
    }

    /// The name of this process in hop headers and in `ringpop-handled-by`, such as its address: 1 to 261 visible ASCII
    /// characters without `;`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Tells in the metadata of every response which process handled the request and after how many hops. By default only
    /// requests with metadata `ringpop-explain` are told.
    pub fn explain(mut self, explain: bool) -> Self {
        self.explain = explain;
        self
    }

    /// How often a request may be forwarded, 1 to 4, by default once. Then it is handled wherever it is.
    pub fn max_hops(mut self, max_hops: u8) -> Self {
        self.max_hops = max_hops;
        self
    }

    /// How many bytes of a request are kept so that it can be sent again, 0 to 16 MiB, by default 64 KiB. It is memory
    /// per call in flight.
    pub fn replay_limit(mut self, bytes: usize) -> Self {
        self.replay_limit = bytes;
        self
    }

    /// Whose hop headers are believed: `trust` sees the head of a request with its extensions, where a server leaves the
    /// caller's address and certificate. On a port that only members reach, `|_| true` is right.
    ///
    /// Without this call nobody is believed: a caller could otherwise have any member handle any key. An unbelieved hop
    /// header is removed; its count is still carried on, and a request that was forwarded eight times is refused, so that
    /// members that disagree cannot send a request in circles without end.
    pub fn trust_hop_headers(
        mut self,
        trust: impl Fn(&Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.trust = Some(Box::new(trust));
        self
    }

    /// Sends over `transport` instead.
    pub fn transport<U: PeerTransport>(self, transport: U) -> Builder<U> {
        Builder {
            transport,
            resolver: self.resolver,
            routes: self.routes,
            policy: self.policy,
            missing_key: self.missing_key,
            name: self.name,
            explain: self.explain,
            max_hops: self.max_hops,
            replay_limit: self.replay_limit,
            trust: self.trust,
        }
    }

    /// Makes the forwarder.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first setting that is wrong, its value and its bounds.
    pub fn build(self) -> Result<Forwarder<T>, ConfigError> {
        self.check()?;
        let name_value = HeaderValue::try_from(&self.name).map_err(|_| self.bad_name())?;
        let first_hop = Hop {
            hops: 1,
            epoch: 0,
            sender: self.name.clone(),
        }
        .to_value();
        let settings = Settings {
            routes: self.routes,
            policy: self.policy,
            missing_key: self.missing_key,
            name: self.name,
            name_value,
            explain: self.explain,
            max_hops: self.max_hops,
            replay_limit: self.replay_limit,
            trust: self.trust,
        };
        Ok(Forwarder(Arc::new(Engine {
            resolver: self.resolver,
            transport: self.transport,
            settings,
            gate: Arc::default(),
            counters: Counters::default(),
            first_hop: RwLock::new((0, first_hop)),
        })))
    }

    fn check(&self) -> Result<(), ConfigError> {
        if let Some(error) = self.routes.error() {
            return Err(error.clone());
        }
        if !is_name(&self.name) {
            return Err(self.bad_name());
        }
        self.policy.check()?;
        let hops = (1..=HOPS_MAX_LIMIT).contains(&self.max_hops);
        if !hops {
            let (value, max) = (self.max_hops.into(), HOPS_MAX_LIMIT.into());
            return Err(ConfigError::Range {
                field: "max_hops",
                value,
                min: 1,
                max,
            });
        }
        if self.replay_limit > REPLAY_BYTES_LIMIT {
            let (value, max) = (self.replay_limit as u64, REPLAY_BYTES_LIMIT as u64);
            return Err(ConfigError::Range {
                field: "replay_limit",
                value,
                min: 0,
                max,
            });
        }
        Ok(())
    }

    fn bad_name(&self) -> ConfigError {
        ConfigError::Name {
            value: self.name.clone(),
            max: NAME_BYTES_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::StaticResolver;

    fn builder() -> Builder {
        Forwarder::builder(StaticResolver::from_fn(|_, _, _| {}))
    }

    #[test]
    fn settings_are_checked_by_name() {
        let error = |builder: Builder| builder.build().map(|_| ()).unwrap_err().to_string();
        assert!(builder().build().is_ok());
        assert!(error(builder().name("a;b")).contains("a;b"));
        assert!(error(builder().max_hops(0)).contains("max_hops is 0"));
        assert!(error(builder().max_hops(5)).contains("max_hops is 5"));
        assert!(error(builder().replay_limit(usize::MAX)).contains("replay_limit is"));
        assert!(error(builder().routes(Routes::new().unary())).contains("unary"));
        assert!(
            error(builder().policy(Policy::default().max_attempts(0))).contains("max_attempts")
        );
    }

    #[test]
    fn the_hop_header_follows_the_epoch() {
        use std::sync::atomic::{AtomicU64, Ordering};

        struct Changing(Arc<AtomicU64>);
        impl Resolver for Changing {
            fn owners(&self, _: &[u8], _: usize, _: &mut Owners) {}
            fn epoch(&self) -> u64 {
                self.0.load(Ordering::Relaxed)
            }
        }

        let epoch = Arc::new(AtomicU64::new(0));
        let forwarder = Forwarder::builder(Changing(Arc::clone(&epoch)))
            .name("n")
            .build()
            .unwrap();
        assert_eq!(forwarder.0.hop_header(1), "1;h=1;e=0;f=n");
        epoch.store(255, Ordering::Relaxed);
        assert_eq!(forwarder.0.hop_header(1), "1;h=1;e=ff;f=n");
        assert_eq!(forwarder.0.hop_header(2), "1;h=2;e=ff;f=n");
    }

    #[test]
    fn one_hop_more_is_allowed_while_draining() {
        let forwarder = builder().build().unwrap();
        assert_eq!(forwarder.0.hops_max(), 1);
        forwarder.drain();
        assert_eq!(forwarder.0.hops_max(), 2);
    }
}
