//! The forwarder: its entry points and its figures.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::builder::Builder;
use crate::limits::OWNERS_LIMIT;
use crate::options::CallOptions;
use crate::origin::{Origin, Target};
use crate::resolver::{Owner, Owners, Resolver};
use crate::retry::peer_state::PeerState;
use crate::route::key::Key;
use crate::server::layer::{ForwardLayer, ForwardService};
use crate::server::ownership::Ownership;
use crate::shared::Shared;
use crate::stats::Stats;
use crate::transport::{H2Transport, PeerConnections, PeerTransport};

/// Handles requests here or forwards them to the owner of their key.
///
/// A forwarder has two entry points: [`layer`](Self::layer) makes the services of a server sharded,
/// and [`client`](Self::client) is the transport of a generated client. Both share connections,
/// counters and the drain, which its [`ForwarderControl`](crate::ForwarderControl) begins. Clones
/// are the same forwarder.
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
///
/// Its clients, and questions:
///
/// ```
/// use ringpop_forward::{CallOptions, Forwarder, Owner, StaticResolver};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[derive(Clone)] struct KvServer;
/// let resolver = StaticResolver::new("a:1", ["a:1", "b:1"])?;
/// let forwarder = Forwarder::builder(resolver).name("a:1").build()?;
///
/// // Transports for generated clients, local or remote for each call: by the key of each message,
/// // or for one key, whatever the messages say.
/// let by_message = forwarder.client(KvServer);
/// let by_key = forwarder.client_for("user-42", KvServer);
/// let at_one_member = forwarder.client_with(CallOptions::new().to_member("b:1"), KvServer);
/// # let _ = (by_message, by_key, at_one_member);
///
/// // Questions that need no call.
/// let groups = forwarder.group_by_owner(["user-1", "user-2", "user-3", "user-4"]);
/// assert_eq!(groups.iter().map(|group| group.keys.len()).sum::<usize>(), 4);
/// let ownership = forwarder.ownership("user-42");
/// assert_eq!(ownership.is_held(), forwarder.owner_of(b"user-42") == Some(Owner::Local));
///
/// forwarder.drained().await; // whatever is in flight
/// assert_eq!(forwarder.stats().in_flight, 0);
/// assert!(forwarder.destinations().is_empty());
/// # Ok(())
/// # }
/// ```
pub struct Forwarder<T = H2Transport>(Arc<Shared<T>>);

impl Forwarder {
    /// Begins a forwarder that asks `resolver` who owns a key and sends over HTTP/2.
    pub fn builder(resolver: impl Resolver) -> Builder {
        Builder::new(Arc::new(resolver), H2Transport::default())
    }
}

/// Keys that have one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnerGroup {
    /// The owner; `None` when nobody is known to own the keys.
    pub owner: Option<Owner>,
    /// The keys.
    pub keys: Vec<Key>,
}

/// A peer that requests are forwarded to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Destination {
    /// What others know of it; see
    /// [`ForwarderControl::set_peer_state`](crate::ForwarderControl::set_peer_state).
    pub state: PeerState,
    /// What the transport knows of it.
    pub connections: PeerConnections,
}

impl<T> Forwarder<T> {
    pub(crate) fn shared(&self) -> &Arc<Shared<T>> {
        &self.0
    }

    pub(crate) fn new(shared: Shared<T>) -> Self {
        Self(Arc::new(shared))
    }
}

impl<T: PeerTransport> Forwarder<T> {
    /// The layer that makes services sharded: for `Server::builder().layer(..)`, or around one
    /// service.
    #[must_use]
    pub fn layer(&self) -> ForwardLayer<T> {
        ForwardLayer::new(Arc::clone(&self.0))
    }

    /// A transport for a generated client. Each call runs in `local` when this process owns its
    /// key, and at the owner otherwise: `KvClient::new(forwarder.client(KvServer::new(service)))`.
    pub fn client<S>(&self, local: S) -> ForwardService<S, T> {
        self.service(local, Target::default())
    }

    /// A transport for a generated client whose calls all belong to `key`, whatever their messages
    /// say. The owner is looked up for each call.
    pub fn client_for<S>(&self, key: impl Into<Key>, local: S) -> ForwardService<S, T> {
        self.service(local, Target { key: Some(key.into()), ..Target::default() })
    }

    /// A transport for a generated client whose calls all have these settings, unless they bring
    /// their own.
    pub fn client_with<S>(&self, options: CallOptions, local: S) -> ForwardService<S, T> {
        self.service(local, Target { options: Some(options), ..Target::default() })
    }

    /// Transports for generated clients of the first `n` owners of `key` at this moment, best
    /// first; fewer when there are fewer owners, and never more than 16. Each sends to its owner
    /// and to nobody else, which is what replication needs.
    ///
    /// ```
    /// # use ringpop_forward::{Forwarder, Owner, StaticResolver};
    /// # let resolver = StaticResolver::new("a:1", ["a:1", "b:1", "c:1"])?;
    /// # let forwarder = Forwarder::builder(resolver).name("a:1").build()?;
    /// # #[derive(Clone)] struct KvServer;
    /// let replicas = forwarder.n_clients("user-42", 2, KvServer);
    /// assert_eq!(replicas.len(), 2);
    /// assert_eq!(Some(&replicas[0].0), forwarder.owner_of(b"user-42").as_ref());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn n_clients<S: Clone>(
        &self,
        key: impl Into<Key>,
        n: usize,
        local: S,
    ) -> Vec<(Owner, ForwardService<S, T>)> {
        let key = key.into();
        let client =
            |owner: Owner| (owner.clone(), self.client_at(owner, key.clone(), local.clone()));
        self.owners_of(key.as_bytes(), n).into_iter().map(client).collect()
    }

    /// A transport for calls with `key` to one owner and to nobody else.
    pub(crate) fn client_at<S>(&self, owner: Owner, key: Key, local: S) -> ForwardService<S, T> {
        let target = Target { key: Some(key), owner: Some(owner), ..Target::default() };
        self.service(local, target)
    }

    /// The first `n` owners of `key`, best first, and never more than 16.
    pub(crate) fn owners_of(&self, key: &[u8], n: usize) -> Owners {
        let mut owners = Owners::new();
        self.0.resolver.owners(key, n.min(OWNERS_LIMIT), &mut owners);
        owners
    }

    pub(crate) fn service<S>(&self, local: S, target: Target) -> ForwardService<S, T> {
        ForwardService::new(local, Arc::clone(&self.0), Origin::Client(target))
    }

    /// The owner of `key` at this moment, if there is one.
    #[must_use]
    pub fn owner_of(&self, key: &[u8]) -> Option<Owner> {
        self.0.owner_of(key)
    }

    /// Follows who owns `key` from this moment on. A handler of a stream finds one for its own key
    /// in the extensions of its request.
    #[must_use]
    pub fn ownership(&self, key: impl Into<Key>) -> Ownership {
        Ownership::new(Arc::clone(&self.0.resolver), key.into())
    }

    /// Groups `keys` by the owner that each has at this moment, in the order in which owners first
    /// appear. Keys keep their order.
    pub fn group_by_owner<K: Into<Key>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Vec<OwnerGroup> {
        let mut groups: Vec<OwnerGroup> = Vec::new();
        let mut places: HashMap<Option<String>, usize> = HashMap::new();
        for key in keys {
            let key = key.into();
            let owner = self.owner_of(key.as_bytes());
            // Every peer has an address, so the empty one is free for this process.
            let name = owner.as_ref().map(|owner| match owner {
                Owner::Local => String::new(),
                Owner::Remote(peer) => peer.address().to_owned(),
            });
            let place = *places.entry(name).or_insert_with(|| {
                groups.push(OwnerGroup { owner, keys: Vec::new() });
                groups.len() - 1
            });
            groups[place].keys.push(key);
        }
        groups
    }

    /// Resolves when no call of a routed method is in flight.
    pub async fn drained(&self) {
        self.0.gate.drained().await;
    }

    /// The peers that requests were forwarded to lately, and those that others know to be silent,
    /// sorted by address.
    #[must_use]
    pub fn destinations(&self) -> Vec<Destination> {
        let mut all: BTreeMap<String, Destination> = BTreeMap::new();
        for (address, state) in self.0.peers.list() {
            let connections = PeerConnections { address: address.clone(), ..Default::default() };
            all.insert(address, Destination { state, connections });
        }
        for connections in self.0.transport.peers() {
            match all.get_mut(&connections.address) {
                Some(known) => known.connections = connections,
                None => {
                    let state = PeerState::Good;
                    all.insert(connections.address.clone(), Destination { state, connections });
                }
            }
        }
        all.into_values().collect()
    }

    /// Everything that was counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let transport = self.0.transport.stats();
        Stats {
            dial_failures: transport.dial_failures,
            pings_unanswered: transport.pings_unanswered,
            pings_unwanted: transport.pings_unwanted,
            connections: transport.connections,
            circuits_opened: transport.circuits_opened,
            circuit_skips: transport.circuit_skips,
            circuits_open: transport.circuits_open,
            header_lists_exceeded: transport.header_lists_exceeded,
            in_flight: self.0.gate.in_flight(),
            replays_unkept: self.0.replay_memory.unkept(),
            replay_bytes: self.0.replay_memory.kept() as u64,
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
        debug.field("name", &self.0.settings.name).field("routes", &self.0.settings.routes);
        debug.field("stats", &self.stats()).finish_non_exhaustive()
    }
}
