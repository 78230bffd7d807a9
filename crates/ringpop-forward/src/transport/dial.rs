//! Opening connections: the connector, and what can go wrong.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

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

    /// Whether the streams are encrypted: requests then have the scheme `https`. The default says no.
    fn is_encrypted(&self) -> bool {
        false
    }
}

/// Dials over TCP, without delaying small writes.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TcpConnector;

impl Connector for TcpConnector {
    fn connect(&self, peer: &Peer) -> Dialing {
        let address = peer.address().to_owned();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            // Nagle's algorithm against delayed acknowledgements costs 40 ms per call.
            stream.set_nodelay(true)?;
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
