//! What one call decides for itself.

use std::sync::Arc;
use std::time::Duration;

use crate::retry::policy::Policy;

/// Settings of one call, in the place of those of its forwarder.
///
/// They go with a typed call as [`request`](Self::request) makes it, with all calls of a client by
/// [`Forwarder::client_with`](crate::Forwarder::client_with) or
/// [`RingChannel::with_options`](crate::RingChannel::with_options), and with a request of opaque
/// bytes by `DirectRequest::options`. Those of a call count in place of those of its client, as a
/// whole. They are extensions of a request, so a layer around the services of a server can set
/// them for what the network brings. Metadata, such as the context of a trace, is that of the call.
///
/// ```
/// use std::time::Duration;
/// use ringpop_forward::{CallOptions, Policy, RetryTarget};
///
/// let careful = CallOptions::new()
///     .timeout(Duration::from_millis(300))
///     .policy(Policy::default().max_attempts(2).target(RetryTarget::Reroute));
/// let quick = CallOptions::new().idempotent().policy(
///     Policy::default().hedge_after(Duration::from_millis(20)),
/// );
/// let at_one_member = CallOptions::new().to_member("10.0.0.7:7100");
/// # struct GetRequest;
/// let request = quick.request(GetRequest); // kv.get(request).await
/// # let _ = (careful, at_one_member, request);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct CallOptions {
    pub(crate) member: Option<Arc<str>>,
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) idempotent: bool,
    pub(crate) timeout: Option<Duration>,
}

impl CallOptions {
    /// Changes nothing yet.
    pub const fn new() -> Self {
        Self { member: None, policy: None, idempotent: false, timeout: None }
    }

    /// Sends the call to this member and to nobody else, whatever its key; it needs no key.
    /// The [resolver](crate::Resolver::member) knows members by their id or their address. A call
    /// for one that it does not know fails with FAILED_PRECONDITION, and so does one from a process
    /// that is no member.
    ///
    /// The member handles it if it believes the hop header of this process, as
    /// [`trust_hop_headers`](crate::Builder::trust_hop_headers) says; otherwise the key decides.
    pub fn to_member(mut self, id: impl Into<Arc<str>>) -> Self {
        self.member = Some(id.into());
        self
    }

    /// When and where the call is sent again, and when it is hedged. Its
    /// [`retry_tokens`](Policy::retry_tokens) are those of the forwarder: calls share a budget. A
    /// policy out of its bounds is answered INVALID_ARGUMENT.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// States that handling the call twice has the effect of handling it once, so it is sent again
    /// when it is unknown whether it was handled, and may be hedged.
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// How long everything may take together, retries included, from when it is called. Of this
    /// time and a deadline in the metadata of the call the shorter one counts.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// A typed request with these settings.
    pub fn request<M>(self, message: M) -> tonic::Request<M> {
        let mut request = tonic::Request::new(message);
        request.extensions_mut().insert(self);
        request
    }
}

/// In the extensions of a request that a member which is believed sent to this one, whatever its
/// key: it may have none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForStatedMember;
