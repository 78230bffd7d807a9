//! Settings of the forwarder.

use std::time::Duration;

use ringpop_forward::{Divergence, Explain, H2Config, MissingKey, Observer, Policy, Routes};

use super::Builder;

impl Builder {
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
    ///
    /// [`Ringpop::forward_stats`]: crate::Ringpop::forward_stats
    pub fn forward_observer(mut self, observer: impl Observer) -> Self {
        self.forward_observer = Some(Box::new(observer));
        self
    }
}
