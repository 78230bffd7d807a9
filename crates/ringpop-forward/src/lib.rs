//! Any process answers any request: handle it here, or forward it to the owner of its key.
//!
//! A [`Forwarder`] is a tower layer around tonic services. It finds the key of a request, asks a [`Resolver`] who owns
//! the key, and either lets the service of this process handle the request or sends the whole of it, untouched, to the
//! owner and the owner's response back. Every shape of call is carried: metadata, messages, trailers, deadlines and
//! cancellation, and no message is ever decoded.
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
//! #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> { Poll::Ready(Ok(())) }
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
//! Its path finds a [route](Routes); without one it is handled locally, untouched. The route says where the key is, and
//! the key finds the owner. If that is this process, the request goes on to the service. If not, it is sent, and when an
//! attempt fails, the [`Policy`] decides whether it is sent again and to whom: what was never executed moves on to the
//! next owner at once, what may have been executed is sent again only if its method is marked idempotent, and what was
//! answered stays answered. A read whose owner is slow may be [hedged](Policy::hedge_after).
//!
//! A request says in one header how often it was forwarded, by whom, and by which ring, so that processes that disagree
//! about an owner cannot send it in circles. Its receiver looks the key up again and handles, sends on or refuses what it
//! does not own, as [`Divergence`] says. See [`Builder::trust_hop_headers`] for whom to believe.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod answer;
mod arrival;
mod asking;
mod attempt;
mod attempts;
mod body;
mod budget;
mod builder;
mod call;
mod cause;
mod channel;
mod constants;
mod deadline;
#[cfg(feature = "direct")]
mod direct;
mod drain;
#[cfg(test)]
#[path = "drain/tests.rs"]
mod drain_tests;
mod engine;
mod error;
mod explain;
mod first_message;
mod forwarder;
mod header;
mod header_list;
mod hedge;
mod http_error;
mod incoming;
mod key;
mod layer;
mod local;
mod log_limit;
#[cfg(feature = "metrics")]
mod metrics;
mod moved;
mod observe;
mod ownership;
mod peek;
mod peer_state;
mod policy;
mod resolver;
mod routes;
#[cfg(feature = "hashring")]
mod selector;
mod server;
mod stats;
mod sync;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod watch;
mod write_through;

pub use accept::{AcceptStats, Accepted};
pub use arrival::Divergence;
pub use body::RequestBody;
pub use builder::Builder;
pub use cause::explain_failure;
pub use channel::{ChannelFuture, RingChannel};
pub use constants::*;
#[cfg(feature = "direct")]
pub use direct::{
    DirectHandler, DirectReply, DirectRequest, DirectService, ForwardServer, GroupOutcome, Outcome,
};
pub use error::ConfigError;
pub use explain::Explain;
pub use forwarder::{Forwarder, OwnerGroup};
pub use incoming::{AcceptCounters, Incoming, incoming};
pub use key::{Key, MissingKey, RoutingKey};
pub use layer::{ForwardFuture, ForwardLayer, ForwardService};
#[cfg(feature = "metrics")]
pub use metrics::MetricsObserver;
pub use observe::{AttemptEnd, ForwardEvent, Observer, RetriedAt};
pub use ownership::{Lost, Ownership};
pub use peer_state::PeerState;
pub use policy::{AttemptOutcome, Evidence, FailureClass, Policy, RetryTarget, Schedule};
pub use resolver::{Changed, InvalidAddress, Owner, Owners, Peer, Resolver, StaticResolver};
pub use routes::{MethodRoute, Routes};
#[cfg(feature = "hashring")]
pub use selector::SelectorResolver;
pub use server::{
    Bounded, ConnectionHandle, LimitLayer, Limited, LimitedFuture, LimitedServer, ServerLimits,
    ServerStats, server, server_with,
};
pub use stats::Stats;
#[cfg(feature = "tls")]
pub use tls::{
    Tls, TlsConnector, TlsError, TlsFiles, TlsIncoming, TlsStats, Validity, is_verified,
};
pub use transport::{
    Answer, Class, Connector, Dialing, H2Config, H2Transport, Io, PeerRequest, PeerTransport,
    Progress, SendError, TcpConnector, TransportStats,
};

/// The examples of the readme, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
