//! The client side: a channel that picks a backend by key, for processes that are no members.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use crate::forwarder::Forwarder;
use crate::options::CallOptions;
use crate::origin::Target;
use crate::route::key::Key;
use crate::server::answer::{Protocol, answer};
use crate::server::layer::{ForwardFuture, ForwardService};
use crate::transport::{H2Transport, PeerTransport};

/// A transport for generated clients that sends each call to the owner of its key, in the place of
/// a `tonic::transport::Channel`.
///
/// Made by [`Forwarder::channel`]: same routes, same resolver, same retries to the next owner as
/// between members, in a process that serves nothing. A call without a key, and a call of a method
/// without a route, goes to any backend.
///
/// ```
/// use ringpop_forward::{Forwarder, Routes, StaticResolver};
///
/// let backends = ["10.0.0.1:7100", "10.0.0.2:7100"];
/// let channel = Forwarder::builder(StaticResolver::remote(backends)?)
///     .routes(Routes::new().field("/kv.v1.Kv/Get", &[1]).unary().idempotent())
///     .build()?
///     .channel();
/// // let mut kv = KvClient::new(channel);                         the key is in each message
/// // let mut kv = KvClient::new(channel.with_key("user-42"));     one key for all calls
/// # let _ = channel.with_key("user-42");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RingChannel<T = H2Transport> {
    forwarder: Forwarder<T>,
    service: ForwardService<NoService, T>,
}

impl<T: PeerTransport> RingChannel<T> {
    pub(crate) fn new(
        forwarder: Forwarder<T>,
        key: Option<Key>,
        options: Option<CallOptions>,
    ) -> Self {
        let target = Target { key, owner: None, options, is_channel: true };
        Self { service: forwarder.service(NoService, target), forwarder }
    }

    /// A channel whose calls all belong to `key`, whatever their messages say. It shares all
    /// connections.
    #[must_use]
    pub fn with_key(&self, key: impl Into<Key>) -> Self {
        Self::new(self.forwarder.clone(), Some(key.into()), None)
    }

    /// A channel whose calls all have these settings, unless they bring their own. It shares all
    /// connections.
    #[must_use]
    pub fn with_options(&self, options: CallOptions) -> Self {
        Self::new(self.forwarder.clone(), None, Some(options))
    }

    /// The forwarder behind this channel, for its figures and for the owners of keys.
    #[must_use]
    pub fn forwarder(&self) -> &Forwarder<T> {
        &self.forwarder
    }
}

impl<T: PeerTransport> Forwarder<T> {
    /// A channel for generated clients of a process that is no member: each call is sent to an
    /// owner of its key.
    #[must_use]
    pub fn channel(&self) -> RingChannel<T> {
        RingChannel::new(self.clone(), None, None)
    }
}

impl<T> Clone for RingChannel<T> {
    fn clone(&self) -> Self {
        Self { forwarder: self.forwarder.clone(), service: self.service.clone() }
    }
}

impl<T> fmt::Debug for RingChannel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingChannel").field("service", &self.service).finish_non_exhaustive()
    }
}

impl<T: PeerTransport> Service<Request<Body>> for RingChannel<T> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ChannelFuture<T>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ChannelFuture { future: self.service.call(request) }
    }
}

pin_project! {
    /// The response to a call on a [`RingChannel`].
    pub struct ChannelFuture<T = H2Transport> {
        #[pin]
        future: ForwardFuture<NoService, T>,
    }
}

impl<T> fmt::Debug for ChannelFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelFuture").finish_non_exhaustive()
    }
}

impl<T: PeerTransport> Future for ChannelFuture<T> {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx)
    }
}

/// Stands where a member has its services.
#[derive(Clone, Debug)]
pub(crate) struct NoService;

impl Service<Request<Body>> for NoService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let status = Status::failed_precondition(
            "the resolver says that this process owns the key, and a channel serves nothing; give the resolver a local \
             address that is not in its list",
        );
        ready(Ok(answer(status, Protocol::of(request.headers()))))
    }
}
