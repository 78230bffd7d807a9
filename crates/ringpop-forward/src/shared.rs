//! The state that all clones and all entry points of a forwarder share.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use http::HeaderValue;
use http::request::Parts;

use crate::body::{ReplayMemory, ResponseMemory};
use crate::connections::Connections;
use crate::hop::arrival::Divergence;
use crate::hop::header::Hop;
use crate::limits::{
    FIRST_MESSAGE_TIMEOUT, HOPS_MAX_DEFAULT, IN_FLIGHT, REPLAY_BYTES, REPLAY_MEMORY_BYTES,
    TIMEOUT_MAX_DEFAULT, UNNAMED, WHOLE_RESPONSES_MEMORY_BYTES,
};
use crate::observe::{ForwardEvent, Observing};
use crate::resolver::{Owner, Owners, Resolver};
use crate::retry::budget::Budgets;
use crate::retry::peer_state::PeerStates;
use crate::retry::policy::Policy;
use crate::route::key::MissingKey;
use crate::route::routes::{Route, Routes};
use crate::server::drain::Gate;
use crate::server::explain::Explain;
use crate::stats::{Counter, Counters};

/// The state behind a [`Forwarder`](crate::Forwarder).
pub(crate) struct Shared<T> {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) transport: T,
    pub(crate) settings: Settings,
    /// The name of this process as a header value.
    pub(crate) name: HeaderValue,
    pub(crate) gate: Arc<Gate>,
    /// The connections of the server that this forwarder is a layer of, from its first request on.
    pub(crate) server: OnceLock<Weak<Connections>>,
    pub(crate) counters: Counters,
    pub(crate) budgets: Budgets,
    pub(crate) replay_memory: Arc<ReplayMemory>,
    pub(crate) response_memory: Arc<ResponseMemory>,
    pub(crate) peers: PeerStates,
    /// The hop header of a first hop, and the epoch it was made for.
    first_hop: RwLock<(u64, HeaderValue)>,
}

/// What a [`Builder`](crate::Builder) sets.
pub(crate) struct Settings {
    pub(crate) routes: Routes,
    pub(crate) policy: Policy,
    pub(crate) missing_key: MissingKey,
    pub(crate) name: String,
    pub(crate) explain: Explain,
    pub(crate) divergence: Divergence,
    pub(crate) max_hops: u8,
    pub(crate) replay_limit: usize,
    pub(crate) replay_memory: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) first_message_timeout: Duration,
    pub(crate) max_timeout: Duration,
    pub(crate) trust: Option<Trust>,
    pub(crate) observing: Observing,
}

/// Decides from the head of a request whether its hop header is believed.
pub(crate) type Trust = Box<dyn Fn(&Parts) -> bool + Send + Sync>;

impl Default for Settings {
    fn default() -> Self {
        Self {
            routes: Routes::new(),
            policy: Policy::default(),
            missing_key: MissingKey::default(),
            name: UNNAMED.to_owned(),
            explain: Explain::default(),
            divergence: Divergence::default(),
            max_hops: HOPS_MAX_DEFAULT,
            replay_limit: REPLAY_BYTES,
            replay_memory: REPLAY_MEMORY_BYTES,
            max_in_flight: IN_FLIGHT,
            first_message_timeout: FIRST_MESSAGE_TIMEOUT,
            max_timeout: TIMEOUT_MAX_DEFAULT,
            trust: None,
            observing: Observing::default(),
        }
    }
}

impl<T> Shared<T> {
    /// `name` is the name in `settings`, checked.
    pub(crate) fn new(
        resolver: Arc<dyn Resolver>,
        transport: T,
        settings: Settings,
        name: HeaderValue,
    ) -> Self {
        let budgets = Budgets::new(settings.policy.tokens());
        let replay_memory = Arc::new(ReplayMemory::new(settings.replay_memory));
        let first_hop = Hop::first(&settings.name, 0).to_value();
        Self {
            resolver,
            transport,
            settings,
            name,
            gate: Arc::default(),
            server: OnceLock::new(),
            counters: Counters::default(),
            budgets,
            replay_memory,
            response_memory: Arc::new(ResponseMemory::new(WHOLE_RESPONSES_MEMORY_BYTES)),
            peers: PeerStates::default(),
            first_hop: RwLock::new((0, first_hop)),
        }
    }

    /// Counts an event and tells the observer.
    pub(crate) fn record(&self, counter: &Counter, event: ForwardEvent<'_>) {
        counter.add_one();
        self.tell(event);
    }

    /// Tells the observer, if there is one.
    pub(crate) fn tell(&self, event: ForwardEvent<'_>) {
        self.settings.observing.tell(event);
    }

    pub(crate) fn owner_of(&self, key: &[u8]) -> Option<Owner> {
        owner_of(&*self.resolver, key)
    }

    /// The resolver that names the owners of the keys of a method.
    pub(crate) fn resolver_of<'a>(&'a self, route: &'a Route) -> &'a Arc<dyn Resolver> {
        route.resolver.as_ref().unwrap_or(&self.resolver)
    }

    /// The address of an owner, for people.
    pub(crate) fn address_of<'a>(&'a self, owner: Option<&'a Owner>) -> &'a str {
        match owner {
            Some(Owner::Local) => &self.settings.name,
            Some(Owner::Remote(peer)) => peer.address(),
            None => "nobody",
        }
    }

    /// Whether the sender of this request is believed about its hops.
    pub(crate) fn trusts(&self, head: &Parts) -> bool {
        self.settings.trust.as_ref().is_some_and(|trust| trust(head))
    }

    /// After how many hops a request is not forwarded again.
    pub(crate) fn hops_max(&self) -> u8 {
        // A member that leaves is still sent to for a moment, by members that have not heard. One
        // hop more takes such a request to its new owner.
        self.settings.max_hops + u8::from(self.gate.is_draining())
    }

    /// The hop header for a request that begins here and goes to its first owner.
    pub(crate) fn first_hop(&self) -> HeaderValue {
        let epoch = self.resolver.epoch();
        {
            let cached = self.first_hop.read().unwrap_or_else(PoisonError::into_inner);
            if cached.0 == epoch {
                return cached.1.clone();
            }
        }
        let value = Hop::first(&self.settings.name, epoch).to_value();
        let mut cached = self.first_hop.write().unwrap_or_else(PoisonError::into_inner);
        *cached = (epoch, value.clone());
        value
    }
}

/// The first owner of a key.
pub(crate) fn owner_of(resolver: &dyn Resolver, key: &[u8]) -> Option<Owner> {
    let mut owners = Owners::new();
    resolver.owners(key, 1, &mut owners);
    owners.into_iter().next()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Changing(Arc<AtomicU64>);

    impl Resolver for Changing {
        fn owners(&self, _: &[u8], _: usize, _: &mut Owners) {}

        fn epoch(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn shared(epoch: &Arc<AtomicU64>) -> Shared<()> {
        let resolver = Arc::new(Changing(Arc::clone(epoch)));
        Shared::new(resolver, (), Settings::default(), HeaderValue::from_static("unnamed"))
    }

    #[test]
    fn the_hop_header_follows_the_epoch() {
        let epoch = Arc::new(AtomicU64::new(0));
        let shared = shared(&epoch);
        assert_eq!(shared.first_hop(), "1;h=1;e=0;f=unnamed");
        epoch.store(255, Ordering::Relaxed);
        assert_eq!(shared.first_hop(), "1;h=1;e=ff;f=unnamed");
    }

    #[test]
    fn one_hop_more_is_allowed_while_draining() {
        let shared = shared(&Arc::default());
        assert_eq!(shared.hops_max(), HOPS_MAX_DEFAULT);
        shared.gate.drain();
        assert_eq!(shared.hops_max(), HOPS_MAX_DEFAULT + 1);
    }
}
