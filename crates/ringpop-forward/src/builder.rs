//! The settings of a forwarder, and their bounds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::request::Parts;

use crate::control::ForwarderControl;
use crate::error::ConfigError;
use crate::forwarder::Forwarder;
use crate::hop::arrival::Divergence;
use crate::hop::header::is_name;
use crate::limits::{
    ATTEMPT_TIMEOUT_MAX, ATTEMPT_TIMEOUT_MIN, HOPS_MAX_LIMIT, IDLE_LIMIT, IN_FLIGHT_LIMIT,
    NAME_BYTES_MAX, REPLAY_BYTES_LIMIT, REPLAY_MEMORY_BYTES_LIMIT,
};
use crate::observe::{Observer, Observing};
use crate::range::{duration_in_range, in_range};
use crate::resolver::Resolver;
use crate::retry::policy::Policy;
use crate::route::key::MissingKey;
use crate::route::routes::Routes;
use crate::server::explain::Explain;
use crate::shared::{Settings, Shared};
use crate::transport::{H2Transport, PeerTransport};

/// Settings of a [`Forwarder`]. All but the resolver have a default.
///
/// ```
/// use std::time::Duration;
/// use ringpop_forward::{
///     Divergence, Explain, ForwardEvent, Forwarder, H2Transport, MissingKey, Observer, Policy,
///     Routes, StaticResolver,
/// };
///
/// struct Silent;
/// impl Observer for Silent {
///     fn event(&self, _: &ForwardEvent<'_>) {}
/// }
///
/// let resolver = StaticResolver::new("10.0.0.1:7100", ["10.0.0.1:7100", "10.0.0.2:7100"])?;
/// let forwarder = Forwarder::builder(resolver)
///     .name("10.0.0.1:7100")
///     .routes(Routes::new().field("/kv.v1.Kv/Get", &[1]).unary().idempotent())
///     .trust_hop_headers(|_| true)
///     // Attempts, and the room to keep requests for them.
///     .policy(Policy::default().max_attempts(3))
///     .replay_limit(256 << 10)
///     .replay_memory(32 << 20)
///     // Members that see other rings.
///     .max_hops(2)
///     .divergence(Divergence::Refuse)
///     // Callers that leave things out.
///     .missing_key(MissingKey::Local)
///     .first_message_timeout(Duration::from_secs(5))
///     .max_timeout(Duration::from_secs(60))
///     .max_in_flight(1_000)
///     // An observer.
///     .explain(Explain::Always)
///     .observer(Silent)
///     .transport(H2Transport::default())
///     .build()?;
/// # let _ = forwarder;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct Builder<T = H2Transport> {
    resolver: Arc<dyn Resolver>,
    transport: T,
    settings: Settings,
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { name, routes, policy, .. } = &self.settings;
        let mut debug = f.debug_struct("Builder");
        debug.field("name", name).field("routes", routes).field("policy", policy);
        debug.finish_non_exhaustive()
    }
}

impl<T> Builder<T> {
    pub(crate) fn new(resolver: Arc<dyn Resolver>, transport: T) -> Self {
        Self { resolver, transport, settings: Settings::default() }
    }

    /// The methods that are sharded. Without routes everything is handled locally.
    pub fn routes(mut self, routes: Routes) -> Self {
        self.settings.routes = routes;
        self
    }

    /// When and where a failed call is sent again.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// What happens to a request of a routed method without a key; by default it is refused.
    pub fn missing_key(mut self, missing_key: MissingKey) -> Self {
        self.settings.missing_key = missing_key;
        self
    }

    /// The name of this process in hop headers and in `ringpop-handled-by`, such as its address: 1
    /// to 261 visible ASCII characters without `;` and `,`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Which responses tell who handled the request and after how many hops, by default those to
    /// requests that ask.
    pub fn explain(mut self, explain: Explain) -> Self {
        self.settings.explain = explain;
        self
    }

    /// What this process does with requests that members with another view send to it, by default
    /// [`Divergence::AcceptOwned`]. What it refuses was not executed, and the
    /// first member looks up again.
    pub fn divergence(mut self, divergence: Divergence) -> Self {
        self.settings.divergence = divergence;
        self
    }

    /// How often a request may be forwarded, 1 to 4, by default twice: once to the owner, and once
    /// more because the receiver may know better. Then [`divergence`](Self::divergence) decides.
    pub fn max_hops(mut self, max_hops: u8) -> Self {
        self.settings.max_hops = max_hops;
        self
    }

    /// How many bytes of a request are kept so that it can be sent again, 0 to 16 MiB, by default
    /// 64 KiB. It is memory per call in flight.
    pub fn replay_limit(mut self, bytes: usize) -> Self {
        self.settings.replay_limit = bytes;
        self
    }

    /// How many bytes all calls together may keep for being sent again, 0 to 64 GiB, by default 64
    /// MiB. What comes when they are used up is forwarded all the same, and sent once.
    pub fn replay_memory(mut self, bytes: usize) -> Self {
        self.settings.replay_memory = bytes;
        self
    }

    /// How many calls of routed methods may be in flight here, handled and forwarded together: 1 to
    /// 1,048,576, by default 5,000. Further ones are refused with RESOURCE_EXHAUSTED. A forwarding
    /// member gives that to its caller and does not ask the next owner, as with its own limit of
    /// [calls to one peer](crate::H2Config::unary_per_peer).
    pub fn max_in_flight(mut self, calls: usize) -> Self {
        self.settings.max_in_flight = calls;
        self
    }

    /// How long the first message of a call may take from the head of its request on, 1 ms to an
    /// hour, by default 30 s. It counts where the key is in the message, and where the message of a
    /// unary call is to be forwarded. Then the call is answered DEADLINE_EXCEEDED.
    pub fn first_message_timeout(mut self, timeout: Duration) -> Self {
        self.settings.first_message_timeout = timeout;
        self
    }

    /// How long a unary call of a routed method may take whose caller sets no deadline, 1 ms to a
    /// day, by default 10 minutes. Deadlines that callers set are never changed, and streams have
    /// none of their own.
    pub fn max_timeout(mut self, timeout: Duration) -> Self {
        self.settings.max_timeout = timeout;
        self
    }

    /// Decides which hop headers are believed: `trust` sees the head of a request with its
    /// extensions, where a server leaves the caller's address and certificate. On a port that only
    /// members reach, `|_| true` is right.
    ///
    /// Without this call nobody is believed: a caller could otherwise have any member handle any
    /// key. An unbelieved hop header is removed; its count is still carried on, and a request that
    /// was forwarded eight times is refused, so members that disagree cannot send a request in
    /// circles without end.
    pub fn trust_hop_headers(
        mut self,
        trust: impl Fn(&Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.trust = Some(Box::new(trust));
        self
    }

    /// Tells `observer` what happens to every call. By default nobody is told, which costs nothing;
    /// [`Forwarder::stats`] counts in any case.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.settings.observing = Observing::with(observer);
        self
    }

    /// Sends over `transport` instead.
    pub fn transport<U: PeerTransport>(self, transport: U) -> Builder<U> {
        Builder { resolver: self.resolver, transport, settings: self.settings }
    }

    /// Makes the forwarder, and what takes it out of service at the end of a process that serves.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_with_control(self) -> Result<(Forwarder<T>, ForwarderControl<T>), ConfigError> {
        let forwarder = self.build()?;
        let control = ForwarderControl::new(Arc::clone(forwarder.shared()));
        Ok((forwarder, control))
    }

    /// Makes the forwarder of a process that only calls others, or that need not stop gracefully.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first setting that is wrong, its value and its bounds.
    pub fn build(self) -> Result<Forwarder<T>, ConfigError> {
        let name = check(&self.settings)?;
        let Self { resolver, transport, settings } = self;
        // The service that this crate has of its own has routes as any other.
        #[cfg(feature = "direct")]
        let settings =
            Settings { routes: settings.routes.table(crate::direct::ROUTES), ..settings };
        Ok(Forwarder::new(Shared::new(resolver, transport, settings, name)))
    }
}

/// Checks every setting, and gives the name as the header value that it has to be.
fn check(settings: &Settings) -> Result<HeaderValue, ConfigError> {
    if let Some(error) = settings.routes.error() {
        return Err(error.clone());
    }
    settings.policy.check()?;
    in_range("max_hops", settings.max_hops.into(), 1, HOPS_MAX_LIMIT.into())?;
    in_range("replay_limit", settings.replay_limit as u64, 0, REPLAY_BYTES_LIMIT as u64)?;
    let memory = settings.replay_memory as u64;
    in_range("replay_memory", memory, 0, REPLAY_MEMORY_BYTES_LIMIT)?;
    in_range("max_in_flight", settings.max_in_flight as u64, 1, IN_FLIGHT_LIMIT as u64)?;
    let (min, hour) = (ATTEMPT_TIMEOUT_MIN, ATTEMPT_TIMEOUT_MAX);
    duration_in_range("first_message_timeout", settings.first_message_timeout, min, hour)?;
    duration_in_range("max_timeout", settings.max_timeout, min, IDLE_LIMIT)?;
    let name = Some(&settings.name).filter(|name| is_name(name));
    name.and_then(|name| HeaderValue::from_str(name).ok())
        .ok_or_else(|| ConfigError::Name { value: settings.name.clone(), max: NAME_BYTES_MAX })
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
        assert!(error(builder().max_in_flight(0)).contains("max_in_flight is 0"));
        let zero = Duration::ZERO;
        assert!(error(builder().first_message_timeout(zero)).contains("first_message_timeout"));
        assert!(error(builder().max_timeout(Duration::MAX)).contains("max_timeout"));
        assert!(error(builder().replay_limit(usize::MAX)).contains("replay_limit is"));
        assert!(error(builder().routes(Routes::new().unary())).contains("unary"));
        assert!(
            error(builder().policy(Policy::default().max_attempts(0))).contains("max_attempts")
        );
    }
}
