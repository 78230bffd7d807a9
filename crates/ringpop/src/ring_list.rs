//! The ring as a plain list over HTTP, for clients in other languages.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use hashring::{Node, Share};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use ringpop_forward::{Owner, Resolver as _};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tower_service::Service;

use crate::inner::Inner;
use crate::limits::{RING_LIST_WAIT_MAX, RING_LIST_WAITERS_MAX};
use crate::member::Ringpop;
use crate::state::State;
use crate::view::MemberRing;

/// The end of the path under which Envoy asks for endpoints (xDS over REST).
const EDS_PATH: &str = "/v3/discovery:endpoints";

/// What such an answer is a list of.
const EDS_TYPE: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

/// The ring of a member as a plain list over HTTP; made by [`Ringpop::ring_list`].
///
/// It is read-only: all callers that reach it may ask. `GET` answers with JSON:
///
/// ```json
/// {
///   "app": "rides",
///   "ring_checksum": "9f2c6a0d41e8b375",
///   "placement": "ring:100",
///   "members": [
///     {"address": "10.0.0.7:7100", "identity": "w7", "weight": 1, "points": 100, "share": 0.3312}
///   ]
/// }
/// ```
///
/// Members are sorted by address. `ring_checksum` is the epoch of the ring, the same at all members
/// that agree, and the `ETag`. A request with `If-None-Match` is answered 304 while the ring is the
/// same, and with `?wait=SECONDS` besides only when the ring has changed or that time has passed: a
/// client that asks again and again has each change at once. At most
/// [`RING_LIST_WAIT_MAX`] passes so, and at most [`RING_LIST_WAITERS_MAX`] requests wait; others
/// get 503, as all do while the member is not ready.
///
/// Under a path that ends in `/v3/discovery:endpoints`, `GET` and `POST` answer with the same
/// members in the form of Envoy's endpoint discovery service over REST. The cluster is named as the
/// application. Envoy chooses members by its own hash: whichever it asks forwards to the owner.
#[derive(Clone, Debug)]
#[cfg_attr(docsrs, doc(cfg(feature = "ring-list")))]
pub struct RingList(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// It does not keep the member running.
    member: Weak<Inner>,
    /// Places for requests that wait.
    waiters: Semaphore,
    written: Mutex<Option<Written>>,
}

/// The answers for one ring. They are written once, however many ask.
#[derive(Clone, Debug)]
struct Written {
    ring: Arc<MemberRing>,
    list: Bytes,
    endpoints: Bytes,
}

#[derive(Serialize)]
struct List<'a> {
    app: &'a str,
    ring_checksum: String,
    placement: String,
    members: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    address: &'a str,
    identity: &'a str,
    weight: u32,
    points: u32,
    share: f64,
}

#[derive(Clone, Copy)]
enum Form {
    List,
    Endpoints,
}

impl Ringpop {
    /// The ring as a plain list over HTTP, for clients in other languages: a service to be mounted
    /// in a server of the application.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use ringpop::Ringpop;
    /// use tower::ServiceExt as _;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").bind().await?;
    /// # member.serve(tonic::service::Routes::default())?;
    /// # member.bootstrap().await?;
    /// // axum::Router::new().route_service("/ring", member.ring_list())
    /// let answer = member.ring_list().oneshot(http::Request::get("/ring").body(())?).await?;
    /// assert_eq!(answer.headers()["etag"], format!("\"{:016x}\"", member.ring_checksum()));
    /// # member.shutdown(Duration::from_secs(5)).await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "ring-list")))]
    pub fn ring_list(&self) -> RingList {
        RingList(Arc::new(Shared {
            member: Arc::downgrade(&self.0),
            waiters: Semaphore::new(RING_LIST_WAITERS_MAX),
            written: Mutex::new(None),
        }))
    }
}

impl<B> Service<Request<B>> for RingList {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        // What the request carries says nothing that is needed.
        let (head, _) = request.into_parts();
        Box::pin(async move {
            let answer = shared.answer(&head.method, &head.uri, &head.headers).await;
            Ok(answer.unwrap_or_else(Refused::answer))
        })
    }
}

/// Why a request gets no list.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the list can only be read: {0}")]
    Method(&'static str),
    #[error("wait must be a number of seconds from 0 to {}", RING_LIST_WAIT_MAX.as_secs())]
    Wait,
    #[error("this member is not ready: ask another one")]
    NotReady,
    #[error("{RING_LIST_WAITERS_MAX} requests wait for a change already: ask again")]
    Busy,
}

impl Shared {
    async fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Refused> {
        let form = if uri.path().ends_with(EDS_PATH) { Form::Endpoints } else { Form::List };
        check_method(method, form)?;
        let wait = wait(uri)?;
        let mut written = self.written()?;
        if knows(headers, &written) {
            self.changed(&written, wait).await?;
            written = self.written()?;
            if knows(headers, &written) {
                return Ok(answer(StatusCode::NOT_MODIFIED, &written, Bytes::new()));
            }
        }
        // For HEAD, the server sends the length and leaves the body out.
        let body = match form {
            Form::List => written.list.clone(),
            Form::Endpoints => written.endpoints.clone(),
        };
        Ok(answer(StatusCode::OK, &written, body))
    }

    /// The answers for the ring of now.
    fn written(&self) -> Result<Written, Refused> {
        let member = self.member.upgrade();
        let Some(member) = member.filter(|member| member.lifecycle.state() == State::Ready) else {
            return Err(Refused::NotReady);
        };
        let view = member.views.load();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        match &*written {
            Some(known) if Arc::ptr_eq(&known.ring, &view.ring) => Ok(known.clone()),
            _ => Ok(written.insert(Written::new(&member.app, &view.ring)).clone()),
        }
    }

    /// Waits until the ring is another one, the member stops or the time is over.
    async fn changed(&self, known: &Written, wait: Duration) -> Result<(), Refused> {
        let Some(member) = self.member.upgrade().filter(|_| !wait.is_zero()) else {
            return Ok(());
        };
        let _place = self.waiters.try_acquire().map_err(|_| Refused::Busy)?;
        let (changed, lifecycle) =
            (member.views.changed(known.ring.checksum()), Arc::clone(&member.lifecycle));
        drop(member);
        tokio::select! {
            () = changed => {}
            () = lifecycle.reached(State::Draining) => {}
            () = sleep(wait) => {}
        }
        Ok(())
    }
}

impl Written {
    fn new(app: &str, ring: &Arc<MemberRing>) -> Self {
        let bytes = |json: serde_json::Result<Vec<u8>>| {
            Bytes::from(json.expect("texts and numbers are JSON"))
        };
        Self {
            list: bytes(serde_json::to_vec(&list(app, ring))),
            endpoints: bytes(serde_json::to_vec(&endpoints(app, ring))),
            ring: Arc::clone(ring),
        }
    }

    fn etag(&self) -> String {
        format!("\"{}\"", checksum(&self.ring))
    }
}

fn checksum(ring: &MemberRing) -> String {
    format!("{:016x}", ring.checksum())
}

fn list<'a>(app: &'a str, ring: &'a MemberRing) -> List<'a> {
    let entry = |share: &Share<'a, Owner>| Entry {
        address: share.node.id(),
        identity: share.node.identity(),
        weight: share.node.weight(),
        points: share.points,
        share: share.fraction,
    };
    List {
        app,
        ring_checksum: checksum(ring),
        placement: ring.placement().to_string(),
        members: ring.shares().iter().map(entry).collect(),
    }
}

/// A `DiscoveryResponse` of Envoy.
fn endpoints(app: &str, ring: &MemberRing) -> serde_json::Value {
    let endpoint = |node: &Arc<Node<Owner>>| {
        let (host, port) = node.id().rsplit_once(':').unwrap_or((node.id(), ""));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port: u16 = port.parse().unwrap_or_default();
        serde_json::json!({
            "endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}},
            "load_balancing_weight": node.weight(),
        })
    };
    let all: Vec<_> = ring.nodes().iter().map(endpoint).collect();
    serde_json::json!({
        "version_info": checksum(ring),
        "type_url": EDS_TYPE,
        "resources": [{
            "@type": EDS_TYPE,
            "cluster_name": app,
            "endpoints": [{"lb_endpoints": all}],
        }],
    })
}

fn check_method(method: &Method, form: Form) -> Result<(), Refused> {
    match (method, form) {
        (&Method::GET | &Method::HEAD, _) => Ok(()),
        // Envoy posts what it knows; the answer is the same.
        (&Method::POST, Form::Endpoints) => Ok(()),
        (_, Form::List) => Err(Refused::Method("GET, HEAD")),
        (_, Form::Endpoints) => Err(Refused::Method("GET, HEAD, POST")),
    }
}

/// How long the request may wait for a change.
fn wait(uri: &Uri) -> Result<Duration, Refused> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let Some(seconds) = pairs.filter_map(|pair| pair.strip_prefix("wait=")).next_back() else {
        return Ok(Duration::ZERO);
    };
    let wait = seconds.parse().map(Duration::from_secs).map_err(|_| Refused::Wait)?;
    if wait <= RING_LIST_WAIT_MAX { Ok(wait) } else { Err(Refused::Wait) }
}

/// Whether the asker has this ring (RFC 9110, section 13.1.2).
fn knows(headers: &HeaderMap, written: &Written) -> bool {
    let etag = written.etag();
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

fn answer(status: StatusCode, written: &Written, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ETAG, written.etag().parse().expect("hexadecimal digits are a value"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if status == StatusCode::OK {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

impl Refused {
    fn answer(self) -> Response<Body> {
        let mut response = Response::new(Body::new(format!("{self}\n")));
        let headers = response.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, plain);
        let status = match self {
            Self::Method(allowed) => {
                headers.insert(ALLOW, HeaderValue::from_static(allowed));
                StatusCode::METHOD_NOT_ALLOWED
            }
            Self::Wait => StatusCode::BAD_REQUEST,
            Self::NotReady | Self::Busy => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        *response.status_mut() = status;
        response
    }
}
