//! How a request gets to a peer.
//!
//! The forwarder decides who is asked; a transport asks. What it owes the forwarder is the truth
//! about a failure: whether the peer's handler can have seen the request decides whether it may be
//! sent again.

mod activity;
mod addresses;
mod circuit;
mod config;
mod connection;
mod cork;
mod dial;
mod exchange;
mod h2;
mod names;
mod pool;
mod progress;
mod read_after_write_error;
mod settings;

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use tonic::Status;

#[cfg(feature = "tls")]
pub(crate) use self::addresses::{dial_any, tcp};
pub use self::config::H2Config;
pub use self::dial::{Connector, Dialing, Io, TcpConnector};
pub use self::exchange::ResponseBody;
pub use self::h2::H2Transport;
pub(crate) use self::names::Unresolved;
pub use self::progress::Progress;
use crate::body::RequestBody;
use crate::resolver::Peer;
use crate::retry::policy::FailureClass;

/// Sends requests to peers.
pub trait PeerTransport: Send + Sync + 'static {
    /// The body of a response. A broken body is a [`Status`] that names the peer.
    type Body: http_body::Body<Data = Bytes, Error = Status> + Send + Unpin + 'static;

    /// Sends one request and resolves with the head of the response. Dropping the future, or the
    /// response body, cancels the call at the peer.
    ///
    /// An unsent request needs no giving back: the forwarder can produce the request again as long
    /// as the transport has read no more of its body than is kept for a replay.
    ///
    /// # Errors
    ///
    /// [`SendError`] when no response came, and how far the request came.
    fn send(
        &self,
        peer: &Arc<Peer>,
        request: PeerRequest,
    ) -> impl Future<Output = Result<http::Response<Self::Body>, SendError>> + Send;

    /// The scheme of requests as peers get them: `https` when the connections are encrypted. Some
    /// servers reset a stream whose scheme is not that of its connection.
    fn scheme(&self) -> Scheme {
        Scheme::HTTP
    }

    /// Sends one request as [`send`](Self::send) does, and tells `progress` how far it has come. A
    /// transport that cannot tell needs no implementation: its requests count as sent from the
    /// beginning.
    ///
    /// # Errors
    ///
    /// As of [`send`](Self::send).
    fn send_tracked(
        &self,
        peer: &Arc<Peer>,
        request: PeerRequest,
        progress: &Progress,
    ) -> impl Future<Output = Result<http::Response<Self::Body>, SendError>> + Send {
        progress.sent();
        self.send(peer, request)
    }

    /// Learns that `peer` is dead, or counts as dead: what waits for it waits in vain, so its
    /// connections end at once. By default it is forgotten.
    fn abandon(&self, peer: &Peer) {
        self.forget(peer);
    }

    /// Forgets `peer`: its connections close when the calls on them have ended.
    fn forget(&self, peer: &Peer) {
        let _ = peer;
    }

    /// Learns that `peer` was heard from elsewhere, so a pause before it is dialled again has
    /// lost its reason.
    fn reset_backoff(&self, peer: &Peer) {
        let _ = peer;
    }

    /// Learns that a request to `peer` was given up because no response began within the time of an
    /// attempt. A transport that sees several of them in a row should no longer trust its
    /// connections to that peer.
    fn unanswered(&self, peer: &Peer) {
        let _ = peer;
    }

    /// What the transport counts by itself.
    fn stats(&self) -> TransportStats {
        TransportStats::default()
    }

    /// The peers that it has connections to, or cannot reach, sorted by address. A transport that
    /// cannot tell needs no implementation.
    fn peers(&self) -> Vec<PeerConnections> {
        Vec::new()
    }
}

/// What a transport knows of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerConnections {
    /// The address of the peer.
    pub address: String,
    /// Why calls skip the peer without waiting for it; `None` when they do not.
    pub unreachable: Option<String>,
    /// Open connections to it.
    pub connections: usize,
    /// Calls in flight to it.
    pub in_flight: usize,
}

/// The figures of a transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportStats {
    /// Dials that failed.
    pub dial_failures: u64,
    /// Connections that ended because a PING was not answered.
    pub pings_unanswered: u64,
    /// Connections that peers ended because they got more PINGs than they want.
    pub pings_unwanted: u64,
    /// Open connections.
    pub connections: u64,
    /// How often a peer was found to be unreachable, so calls skip it.
    pub circuits_opened: u64,
    /// Calls that skipped an unreachable peer without waiting.
    pub circuit_skips: u64,
    /// Peers that are skipped at this moment.
    pub circuits_open: u64,
    /// Requests that were not sent because their header list is larger than the peer takes, and
    /// responses whose header list, or trailers, were larger than is taken here.
    pub header_lists_exceeded: u64,
}

/// What kind of call a request begins. Unary calls and streams use different connections, so
/// streams that their callers do not read cannot hold up unary calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// One message each way.
    Unary,
    /// Anything else.
    Stream,
}

/// A request on its way to a peer.
#[derive(Debug)]
pub struct PeerRequest {
    /// The head, addressed to the peer.
    pub head: http::Request<()>,
    /// The body.
    pub body: RequestBody,
    /// What kind of call it begins.
    pub class: Class,
}

/// A request that got no response.
#[derive(Debug)]
pub struct SendError {
    class: FailureClass,
    source: Box<dyn StdError + Send + Sync>,
}

impl SendError {
    /// Nothing of the request was sent.
    pub fn never_sent(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { class: FailureClass::NeverSent, source: source.into() }
    }

    /// The peer says that no handler saw the request.
    pub fn refused(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { class: FailureClass::Refused, source: source.into() }
    }

    /// The request may have been executed.
    pub fn ambiguous(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { class: FailureClass::Ambiguous, source: source.into() }
    }

    /// No response began in the time of an attempt.
    pub(crate) fn unanswered(limit: Duration) -> Self {
        let source = format!("no answer within {limit:?}").into();
        Self { class: FailureClass::Unanswered, source }
    }

    /// The response has begun, and cannot be given to the caller for the reason in `status`.
    pub(crate) fn unusable_response(status: Status) -> Self {
        Self { class: FailureClass::Committed, source: status.into() }
    }

    /// As many calls to the peer are in flight as may be; nothing was sent.
    pub fn overloaded(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { class: FailureClass::Overloaded, source: source.into() }
    }

    /// The caller's body failed with `status` while it was sent.
    #[must_use]
    pub fn caller(status: Status) -> Self {
        Self { class: FailureClass::Caller, source: status.into() }
    }

    /// How far the request came.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        self.class
    }

    /// The failure as the caller will see it if nothing else can be tried.
    pub(crate) fn into_status(self, peer: &Peer, reason: &str) -> Status {
        let is_final = matches!(self.class, FailureClass::Caller | FailureClass::Committed);
        let source = match self.source.downcast::<Status>() {
            Ok(status) if is_final => return *status,
            Ok(status) => status,
            Err(source) => source,
        };
        let message = format!("owner {} failed: {}; {reason}", peer.address(), Chain(&*source));
        match self.class {
            FailureClass::Overloaded => Status::resource_exhausted(message),
            _ => Status::unavailable(message),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request got no response ({:?}): {}", self.class, self.source)
    }
}

impl StdError for SendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

/// An error with its causes, for people who read a status message and see nothing else.
struct Chain<'a>(&'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        write!(f, "{text}")?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let next = error.to_string();
            // Many errors repeat their cause in their own text.
            if !text.contains(&next) {
                write!(f, ": {next}")?;
            }
            text = next;
            cause = error.source();
        }
        Ok(())
    }
}
