//! Forwarding for code that is no tonic service, such as an axum handler or the consumer of a
//! queue.
//!
//! A request is opaque bytes with a content type and the name of an endpoint. It travels as a call
//! of the small service `ringpop.forward.v1.Forward`, by the same shared as every other call: same
//! owners, same retries, same verification at the receiver.

mod many;
mod service;

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]
pub(crate) mod generated {
    include!("direct/generated.rs");
}

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

pub(crate) use self::generated::FORWARD_ROUTES as ROUTES;
use self::generated::forward_client::ForwardClient;
pub use self::generated::forward_server::ForwardServer;
use self::generated::{HandleRequest, HandleResponse};
pub use self::many::GroupOutcome;
pub use self::service::{DirectHandler, DirectService};
use crate::forwarder::Forwarder;
use crate::limits::{DIRECT_BYTES_MAX, DIRECT_KEYS_MAX};
use crate::options::CallOptions;
use crate::origin::Target;
use crate::route::key::Key;
use crate::transport::PeerTransport;

/// A request of opaque bytes.
///
/// ```
/// use std::time::Duration;
/// use ringpop_forward::DirectRequest;
///
/// let request = DirectRequest::new("carts/add", r#"{"item":7}"#)
///     .content_type("application/json")
///     .timeout(Duration::from_secs(2));
/// assert_eq!(request.endpoint(), "carts/add");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct DirectRequest {
    keys: Vec<Key>,
    endpoint: String,
    content_type: String,
    body: Bytes,
    headers: HeaderMap,
    options: CallOptions,
}

impl DirectRequest {
    /// A request to `endpoint`, a word that the application's [`DirectHandler`] understands. Body
    /// and names together may have 4 MiB.
    pub fn new(endpoint: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            keys: Vec::new(),
            endpoint: endpoint.into(),
            content_type: String::new(),
            body: body.into(),
            headers: HeaderMap::new(),
            options: CallOptions::new(),
        }
    }

    /// Says how to read the body, such as `application/json`.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// Adds metadata that the handler gets too, such as the context of a trace (`traceparent`).
    /// Names that gRPC, HTTP or the forwarder use are refused when the request is sent: those that
    /// begin with `grpc-` or `ringpop-`, `te`, `host`, `content-type` and `user-agent`.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// States that handling the request twice has the effect of handling it once, so it is
    /// sent again when it is unknown whether it was handled.
    pub fn idempotent(mut self) -> Self {
        self.options = self.options.idempotent();
        self
    }

    /// How long everything may take together, retries included. By default there is no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options = self.options.timeout(timeout);
        self
    }

    /// Replaces all settings of the call: where it goes, when it is sent again, when it is hedged,
    /// how long it may take. A request to a stated member has one key at most.
    pub fn options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }

    /// The keys that the request was sent for.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The endpoint that is asked.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How to read the body; empty if nobody said.
    #[must_use]
    pub fn content_type_str(&self) -> &str {
        &self.content_type
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The metadata of the request.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn to_message(&self) -> HandleRequest {
        HandleRequest {
            keys: self.keys.iter().map(|key| Bytes::copy_from_slice(key.as_bytes())).collect(),
            endpoint: self.endpoint.clone(),
            content_type: self.content_type.clone(),
            body: self.body.clone(),
        }
    }

    fn from_call(call: tonic::Request<HandleRequest>) -> Self {
        let (metadata, _, message) = call.into_parts();
        let HandleRequest { keys, endpoint, content_type, body } = message;
        let keys = keys.iter().map(|key| Key::from(key.as_ref())).collect();
        let mut headers = HeaderMap::new();
        for (name, value) in metadata.as_ref().iter().filter(|(name, _)| !is_reserved(name)) {
            headers.append(name, value.clone());
        }
        Self { keys, endpoint, content_type, body, headers, options: CallOptions::new() }
    }
}

/// The reply to a [`DirectRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct DirectReply {
    content_type: String,
    body: Bytes,
}

impl DirectReply {
    /// A reply of opaque bytes, at most 4 MiB.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { content_type: String::new(), body: body.into() }
    }

    /// Says how to read the body.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// How to read the body; empty if nobody said.
    #[must_use]
    pub fn content_type_str(&self) -> &str {
        &self.content_type
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// What became of a [`DirectRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This process owns the key: here is the request, handle it.
    Handle(DirectRequest),
    /// The owner has handled it.
    Forwarded(DirectReply),
}

impl<T: PeerTransport> Forwarder<T> {
    /// Gives `request` back if this process owns `key`, and otherwise has the owner handle it.
    /// Owners that fail are followed by the next ones, by the policy of this forwarder; that may
    /// end here as well.
    ///
    /// A request that is handled here is not counted as in flight after this returns: the end of it
    /// is the caller's to know.
    ///
    /// # Errors
    ///
    /// The status that the owner's handler or the forwarder answered. INVALID_ARGUMENT for a key
    /// that is empty or longer than [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX), or a request above the
    /// limit.
    ///
    /// ```
    /// use ringpop_forward::{
    ///     DirectHandler, DirectReply, DirectRequest, Forwarder, Outcome, StaticResolver,
    /// };
    /// # use tonic::Status;
    ///
    /// struct Carts;
    /// impl DirectHandler for Carts {
    ///     async fn handle(&self, request: DirectRequest) -> Result<DirectReply, Status> {
    ///         Ok(DirectReply::new(request.body().clone()))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let resolver = StaticResolver::new("a:1", ["a:1"])?;
    /// let forwarder = Forwarder::builder(resolver).name("a:1").build()?;
    /// let _for_the_server = forwarder.direct_service(Carts);
    ///
    /// let request = DirectRequest::new("carts/add", r#"{"item":7}"#);
    /// let reply = match forwarder.handle_or_forward("user-42", request.clone()).await? {
    ///     Outcome::Handle(request) => Carts.handle(request).await?, // the key is ours
    ///     Outcome::Forwarded(reply) => reply,
    /// };
    /// assert_eq!(reply.body(), request.body());
    ///
    /// // Many keys: one request for each owner.
    /// let groups = forwarder.handle_or_forward_all(["user-1", "user-2"], request).await;
    /// assert_eq!((groups.len(), groups[0].keys.len()), (1, 2));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn handle_or_forward(
        &self,
        key: impl Into<Key>,
        request: DirectRequest,
    ) -> Result<Outcome, Status> {
        self.send_direct(DirectRequest { keys: vec![key.into()], ..request }).await
    }

    /// Gives `request` back if this process is the member of this id or address, and otherwise has
    /// that member handle it and nobody else; see [`CallOptions::to_member`]. It has no key.
    ///
    /// # Errors
    ///
    /// As [`handle_or_forward`](Self::handle_or_forward); FAILED_PRECONDITION when the resolver
    /// knows no such member.
    ///
    /// ```
    /// use ringpop_forward::{DirectRequest, Forwarder, Outcome, StaticResolver};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let resolver = StaticResolver::new("a:1", ["a:1"])?;
    /// let forwarder = Forwarder::builder(resolver).name("a:1").build()?;
    /// let request = DirectRequest::new("caches/clear", "");
    /// let outcome = forwarder.handle_at("a:1", request.clone()).await?;
    /// assert!(matches!(outcome, Outcome::Handle(_)), "this is the process");
    /// assert!(forwarder.handle_at("b:1", request).await.is_err(), "there is no such member");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn handle_at(
        &self,
        member: impl Into<Arc<str>>,
        request: DirectRequest,
    ) -> Result<Outcome, Status> {
        let options = request.options.clone().to_member(member);
        self.send_direct(DirectRequest { keys: Vec::new(), options, ..request }).await
    }

    /// Sends a request that has its keys to the owner of the first, or to the stated member.
    async fn send_direct(&self, request: DirectRequest) -> Result<Outcome, Status> {
        let keys = match request.options.member {
            Some(_) => 0..=1,
            None => 1..=DIRECT_KEYS_MAX,
        };
        check(&request, keys)?;
        let here = Here::default();
        let key = request.keys.first().cloned();
        let service = self.service(here.clone(), Target { key, ..Target::default() });
        let mut client = ForwardClient::new(service)
            .max_decoding_message_size(DIRECT_BYTES_MAX)
            .max_encoding_message_size(DIRECT_BYTES_MAX);
        let mut call = tonic::Request::new(request.to_message());
        call.metadata_mut().as_mut().extend(request.headers.clone());
        call.extensions_mut().insert(request.options.clone());
        let reply = client.handle(call).await;
        if here.was_asked() {
            return Ok(Outcome::Handle(request));
        }
        let HandleResponse { content_type, body } = reply?.into_inner();
        Ok(Outcome::Forwarded(DirectReply { content_type, body }))
    }
}

/// What every member refuses: senders before they send, receivers before they handle.
fn check(request: &DirectRequest, allowed: RangeInclusive<usize>) -> Result<(), Status> {
    let keys = request.keys.len();
    if !allowed.contains(&keys) {
        let (min, max) = allowed.into_inner();
        let message = format!("request has {keys} keys, it must have {min} to {max}");
        return Err(Status::invalid_argument(message));
    }
    for key in &request.keys {
        match crate::route::key::checked(key.clone())? {
            Some(_) => {}
            None => {
                return Err(Status::invalid_argument("a key is empty; leave it out or fill it"));
            }
        }
    }
    if let Some(name) = request.headers.keys().find(|name| is_reserved(name)) {
        let message = format!("header {name} is not the application's to set; leave it out");
        return Err(Status::invalid_argument(message));
    }
    let names = request.endpoint.len() + request.content_type.len();
    let keys: usize = request.keys.iter().map(|key| key.as_bytes().len()).sum();
    let bytes = request.body.len() + names + keys;
    if bytes > DIRECT_BYTES_MAX {
        let message = format!("request has {bytes} bytes, at most {DIRECT_BYTES_MAX} are allowed");
        return Err(Status::invalid_argument(message));
    }
    Ok(())
}

/// Whether a header says something of the call itself.
fn is_reserved(name: &HeaderName) -> bool {
    let is_prefixed = ["grpc-", "ringpop-"].iter().any(|prefix| name.as_str().starts_with(prefix));
    is_prefixed || [TE, HOST, CONTENT_TYPE, USER_AGENT].contains(name)
}

/// Stands where a client service expects a service of this process, and remembers that the shared
/// came to it.
#[derive(Clone, Debug, Default)]
struct Here(Arc<AtomicBool>);

impl Here {
    fn was_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Service<http::Request<Body>> for Here {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        self.0.store(true, Ordering::Release);
        // Never seen: the caller that finds this asked looks at nothing else.
        ready(Ok(Status::cancelled("handled here").into_http()))
    }
}
