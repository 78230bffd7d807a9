//! Opening connections: the connector, and what can go wrong.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use super::addresses::{dial_any, tcp};
use crate::constants::CONNECT_TIMEOUT;
use crate::resolver::Peer;

/// A byte stream to a peer.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A dial in progress.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send>>;

/// Opens byte streams to peers.
pub trait Connector: Send + Sync + 'static {
    /// Dials `peer`. The transport bounds the time.
    fn connect(&self, peer: &Peer) -> Dialing;

    /// Dials `peer`, who is given up after `limit`: a connector that has several addresses to try divides it among them.
    /// By default [`connect`](Self::connect).
    fn connect_within(&self, peer: &Peer, limit: Duration) -> Dialing {
        let _ = limit;
        self.connect(peer)
    }

    /// Whether the streams are encrypted: requests then have the scheme `https`. The default says no.
    fn is_encrypted(&self) -> bool {
        false
    }
}

/// Dials over TCP, without delaying small writes. A name with several addresses is dialled as RFC 8305 has it.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TcpConnector;

impl Connector for TcpConnector {
    fn connect(&self, peer: &Peer) -> Dialing {
        self.connect_within(peer, CONNECT_TIMEOUT)
    }

    fn connect_within(&self, peer: &Peer, limit: Duration) -> Dialing {
        let address = peer.address().to_owned();
        Box::pin(async move {
            let stream = dial_any(&address, limit, tcp).await?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

/// Why there is no connection to a peer. Cloned to everyone who waited for the same dial.
#[derive(Clone, Debug, Error)]
pub(crate) enum DialError {
    #[error("cannot connect: {0}")]
    Connect(Arc<io::Error>),
    #[error("cannot connect within {0:?}")]
    Timeout(Duration),
    #[error("HTTP/2 handshake failed: {0}")]
    Handshake(Arc<h2::Error>),
    #[error("peer closed the connection before it answered")]
    Closed,
    #[error("skipped until a connection succeeds: {0}")]
    Skipped(Arc<Self>),
    #[error("calls were not answered in time")]
    Unanswered,
    #[error("dial was given up")]
    Abandoned,
    #[error("too many peers have connections (limit {0})")]
    TooManyPeers(usize),
}
