//! Any process answers any request: handle it here, or forward it to the owner of its key.
//!
//! A [`Forwarder`] is a tower layer around tonic services. It finds the key of a request, asks a
//! [`Resolver`] who owns the key, and either lets the service of this process handle the request or
//! sends the whole of it, untouched, to the owner and the owner's response back. Every shape of
//! call is carried: metadata, messages, trailers, deadlines and cancellation, and no message is
//! ever decoded.
//! `docs/glossary.md` of the project explains the terms.
//!
//! ```
//! use std::convert::Infallible;
//! use http::{Request, Response};
//! use ringpop_forward::{Forwarder, KEY_HEADER, Owner, Routes, StaticResolver};
//! use tonic::body::Body;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let me = "10.0.0.1:7100"; // a cluster of one: every key is its own
//! let forwarder = Forwarder::builder(StaticResolver::new(me, [me])?)
//!     .name(me)
//!     .routes(Routes::new().header("/kv.v1.Kv/Get").unary().idempotent())
//!     .build()?;
//! assert_eq!(forwarder.owner_of(b"user-42"), Some(Owner::Local));
//!
//! let kv = service_fn(|request: Request<Body>| async move {
//!     println!("handled here: {}", request.uri().path());
//!     Ok::<_, Infallible>(Response::new(Body::empty()))
//! });
//! let request = Request::post("http://kv/kv.v1.Kv/Get").header(KEY_HEADER, "user-42");
//! let response = forwarder.layer().layer(kv).oneshot(request.body(Body::empty())?).await?;
//! assert!(response.status().is_success());
//! assert_eq!(forwarder.stats().local, 1);
//! # Ok(())
//! # }
//! ```
//!
//! Around the services of a server, with others to forward to:
//!
//! ```no_run
//! use ringpop_forward::{Forwarder, Routes, StaticResolver, incoming, server};
//! # use std::convert::Infallible;
//! # use std::task::{Context, Poll};
//! # #[derive(Clone)]
//! # struct KvServer;
//! # impl tonic::server::NamedService for KvServer { const NAME: &'static str = "kv.v1.Kv"; }
//! # impl tower_service::Service<http::Request<tonic::body::Body>> for KvServer {
//! #     type Response = http::Response<tonic::body::Body>;
//! #     type Error = Infallible;
//! #     type Future = std::future::Ready<Result<Self::Response, Infallible>>;
//! #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
//! #         Poll::Ready(Ok(()))
//! #     }
//! #     fn call(&mut self, _: http::Request<tonic::body::Body>) -> Self::Future {
//! #         std::future::ready(Ok(http::Response::new(tonic::body::Body::empty())))
//! #     }
//! # }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let me = "10.0.0.1:7100";
//! let forwarder = Forwarder::builder(StaticResolver::new(me, [me, "10.0.0.2:7100"])?)
//!     .name(me)
//!     .routes(
//!         Routes::new()
//!             .field("/kv.v1.Kv/Get", &[1]).unary().idempotent()
//!             .field("/kv.v1.Kv/Put", &[1]).unary(),
//!     )
//!     .trust_hop_headers(|_| true)
//!     .build()?;
//! let listener = tokio::net::TcpListener::bind(me).await?;
//! server()
//!     .layer(forwarder.layer())
//!     .add_service(KvServer)
//!     .serve_with_incoming(incoming(listener))
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a request goes through
//!
//! Its path finds a [route](Routes); without one it is handled locally, untouched. The route says
//! where the key is, and the key finds the owner. If that is this process, the request goes on to
//! the service. If not, it is sent, and when an attempt fails, the [`Policy`] decides whether it is
//! sent again and to whom: a request that was never executed moves on to the next owner at once,
//! one that may have been executed is sent again only if its method is marked idempotent, and one
//! that was answered stays answered. A read whose owner is slow may be
//! [hedged](Policy::hedge_after).
//!
//! A request says in one header how often it was forwarded, by whom, and by which ring, so
//! processes that disagree about an owner cannot send it in circles. Its receiver looks the key up
//! again and handles, sends on or refuses what it does not own, as [`Divergence`] says. See
//! [`Builder::trust_hop_headers`] for whom to believe.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod builder;
mod cause;
mod channel;
mod connections;
mod control;
#[cfg(feature = "direct")]
mod direct;
mod error;
mod forwarder;
mod header_list;
mod hop;
mod http_error;
mod limits;
mod log_limit;
#[cfg(feature = "metrics")]
mod metrics;
mod observe;
mod options;
mod origin;
mod range;
mod replicate;
mod resolver;
mod retry;
mod route;
#[cfg(feature = "hashring")]
mod selector;
mod server;
mod shared;
mod stats;
mod sync;
#[cfg(feature = "tls")]
mod tls;
mod transport;

pub use body::RequestBody;
pub use builder::Builder;
pub use cause::{explain_failure, with_causes};
pub use channel::{ChannelFuture, RingChannel};
pub use connections::accept::{AcceptStats, Accepted};
pub use connections::incoming::{AcceptCounters, Incoming, incoming};
pub use connections::{
    Bounded, ConnectionEnds, ConnectionHandle, LimitLayer, Limited, LimitedFuture, LimitedServer,
    ServerLimits, ServerStats, server, server_with,
};
pub use control::ForwarderControl;
#[cfg(feature = "direct")]
pub use direct::{
    DirectHandler, DirectReply, DirectRequest, DirectService, ForwardServer, GroupOutcome, Outcome,
};
pub use error::ConfigError;
pub use forwarder::{Destination, Forwarder, OwnerGroup};
pub use hop::arrival::Divergence;
#[cfg(feature = "tls")]
pub use limits::TLS_RELOAD_INTERVAL;
pub use limits::{
    ATTEMPT_TIMEOUT, ATTEMPT_TIMEOUT_MAX, ATTEMPT_TIMEOUT_MIN, ATTEMPTS_LIMIT,
    ATTEMPTS_MAX_DEFAULT, BACKOFF_LIMIT, CONNECT_TIMEOUT, CONNECTION_WINDOW_BYTES,
    CONNECTIONS_PER_ADDRESS, CONTROL_FRAMES, EXPLAIN_HEADER, FIRST_MESSAGE_TIMEOUT,
    FORWARD_HEADERS_BYTES, HALF_OPEN_CALLS, HANDLED_BY_HEADER, HEADER_LIST_BYTES,
    HEADER_LIST_BYTES_LIMIT, HEADER_LIST_BYTES_MIN, HOP_HEADER, HOPS_HEADER, HOPS_MAX_DEFAULT,
    HOPS_MAX_LIMIT, IDEMPOTENT_HEADER, IDLE_TIMEOUT, IN_FLIGHT, IN_FLIGHT_LIMIT,
    KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, KEY_BIN_HEADER, KEY_BYTES_MAX, KEY_HEADER,
    MEMBER_KEEPALIVE_INTERVAL, MOVED_TO_HEADER, NAME_BYTES_MAX, OWNERS_DEFAULT, OWNERS_LIMIT,
    PEEK_BYTES_MAX, PEERS_MAX, PENDING_RESETS_MAX, PER_PEER_LIMIT, REFUSED_HEADER, REPLAY_BYTES,
    REPLAY_BYTES_LIMIT, REPLAY_MEMORY_BYTES, REPLAY_MEMORY_BYTES_LIMIT, REPLICAS_DEFAULT,
    REQUEST_BYTES, RETRY_TOKENS, RETRY_TOKENS_LIMIT, SCHEDULE_LEN_LIMIT, SERVER_LATE_FRAMES_MAX,
    STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION, STREAMS_PER_PEER, TIMEOUT_MAX_DEFAULT,
    UNARY_PER_PEER, UNREAD_BYTES, UNREAD_TIMEOUT, UPLOAD_IDLE_TIMEOUT, VIEW_HEADER,
    WHOLE_RESPONSE_BYTES,
};
#[cfg(feature = "direct")]
pub use limits::{DIRECT_BYTES_MAX, DIRECT_KEYS_MAX};
pub use log_limit::LogLimit;
#[cfg(feature = "metrics")]
pub use metrics::{MetricDescription, MetricKind, MetricsObserver};
pub use observe::{AttemptEnd, ForwardEvent, Observer, RetriedAt};
pub use options::CallOptions;
pub use replicate::{
    Failed, FanOut, ReplicateError, Replicated, Replicator, ReplicatorBuilder, Reply,
};
pub use resolver::{Changed, Held, InvalidAddress, Owner, Owners, Peer, Resolver, StaticResolver};
pub use retry::peer_state::PeerState;
pub use retry::policy::{AttemptOutcome, Evidence, FailureClass, Policy, RetryTarget, Schedule};
pub use route::key::{Key, MissingKey, RoutingKey};
pub use route::routes::{MethodRoute, Routes};
#[cfg(feature = "hashring")]
pub use selector::SelectorResolver;
pub use server::explain::Explain;
pub use server::layer::{ForwardFuture, ForwardLayer, ForwardService};
pub use server::ownership::{Lost, Ownership};
pub use stats::Stats;
#[cfg(feature = "tls")]
pub use tls::{
    CertificateNames, Tls, TlsConnector, TlsError, TlsFiles, TlsIncoming, TlsStats, Validity,
    caller_names, is_verified,
};
pub use transport::{
    Class, Connector, Dialing, H2Config, H2Transport, Io, PeerConnections, PeerRequest,
    PeerTransport, Progress, ResponseBody, SendError, TcpConnector, TransportStats,
};

/// The examples of the readme, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
