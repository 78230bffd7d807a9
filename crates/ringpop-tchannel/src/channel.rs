//! TChannel on sockets: connections that carry calls in both directions.
//!
//! Nothing here knows of membership: a call of a peer is handed to the [`Serve`], an own [`Call`]
//! comes with the place for its answer.

mod connection;
mod listener;
mod peers;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};

pub(crate) use self::{listener::listen, peers::Peers};
use crate::counters::Counters;
use crate::frame::{Args, ErrorCode};
use crate::limits::ASSEMBLING_KIB_MAX;

/// What all connections of this process share.
pub(crate) struct Shared {
    /// Where this process listens.
    pub(crate) host_port: String,
    pub(crate) process_name: String,
    pub(crate) serve: Arc<dyn Serve>,
    pub(crate) counters: Arc<Counters>,
    /// Bytes of incomplete calls, in KiB.
    assembling: Arc<Semaphore>,
}

impl Shared {
    pub(crate) fn new(host_port: String, serve: Arc<dyn Serve>, counters: Arc<Counters>) -> Self {
        let process_name = format!("ringpop-tchannel[{}]", std::process::id());
        let assembling = Arc::new(Semaphore::new(ASSEMBLING_KIB_MAX));
        Self { host_port, process_name, serve, counters, assembling }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("host_port", &self.host_port).finish_non_exhaustive()
    }
}

/// Serves the calls of peers.
pub(crate) trait Serve: Send + Sync + 'static {
    /// The answer to a call. The future is dropped when the caller's time is
    /// over.
    fn serve(&self, service: String, args: Args) -> Answering;
}

pub(crate) type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was served.
    Ok(Bytes),
    /// The application refuses in its own words.
    Error(Bytes),
    /// The transport refuses.
    Refused(ErrorCode, String),
}

/// A call of this process.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) endpoint: &'static str,
    pub(crate) body: Bytes,
    /// How long the peer may take; it is told.
    pub(crate) ttl: Duration,
    pub(crate) answer: oneshot::Sender<Result<Reply, CallError>>,
}

/// What a peer answered to an own call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Ok(Bytes),
    /// The application of the peer refused.
    Error(Bytes),
}

/// Why an own call got no answer of the application.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the connection cannot be opened: {0}")]
    NotConnected(String),
    #[error("the connection was closed before the answer came")]
    Closed,
    #[error("too many calls are open to this peer")]
    TooMany,
    #[error("the peer refused: {0:?}: {1}")]
    Refused(ErrorCode, String),
    #[error("the answer is {0}")]
    Malformed(#[from] crate::frame::Malformed),
}

#[cfg(test)]
mod tests;
