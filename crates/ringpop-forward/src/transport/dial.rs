//! Opening connections: the connector, and what can go wrong.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower_service::Service;

use super::addresses::{dial_any, tcp};
use crate::limits::CONNECT_TIMEOUT;
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

    /// Dials `peer`, who is given up after `limit`: a connector that has several addresses to try
    /// divides it among them. By default [`connect`](Self::connect).
    fn connect_within(&self, peer: &Peer, limit: Duration) -> Dialing {
        let _ = limit;
        self.connect(peer)
    }

    /// Whether the streams are encrypted: requests then have the scheme `https`. The default says
    /// no.
    fn is_encrypted(&self) -> bool {
        false
    }
}

/// Dials over TCP, without delaying small writes. A name with several addresses is dialled as RFC
/// 8305 has it.
#[derive(Clone, Copy, Debug)]
pub struct TcpConnector {
    /// How long a dial for a channel may take.
    limit: Duration,
}

impl TcpConnector {
    /// A connector for a tonic channel whose dials take at most `limit`, the lookup of the name
    /// included; by default [`CONNECT_TIMEOUT`]. Its errors say whether the name or the address
    /// took the time; an endpoint whose `connect_timeout` cuts it off cannot.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use ringpop_forward::TcpConnector;
    /// use tonic::transport::Endpoint;
    ///
    /// let endpoint = Endpoint::from_static("http://workers.internal:7100");
    /// let connector = TcpConnector::within(Duration::from_millis(400));
    /// let channel = endpoint.connect_with_connector_lazy(connector);
    /// # drop(channel);
    /// # }
    /// ```
    #[must_use]
    pub const fn within(limit: Duration) -> Self {
        Self { limit }
    }
}

impl Default for TcpConnector {
    fn default() -> Self {
        Self::within(CONNECT_TIMEOUT)
    }
}

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

/// For tonic's channels, which by themselves dial the addresses of one family one after the other;
/// see [`TcpConnector::within`].
impl Service<Uri> for TcpConnector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = self.limit;
        Box::pin(async move {
            let address = uri.authority().ok_or_else(|| io::Error::other("URI has no host"))?;
            dial_any(address.as_str(), limit, tcp).await.map(TokioIo::new)
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// As tonic calls it, and by a name that may have another address before the one that listens.
    #[tokio::test]
    async fn a_name_is_dialled_for_a_channel() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dial = |uri: String| TcpConnector::default().call(uri.parse().unwrap());
        let stream = dial(format!("http://localhost:{port}")).await.unwrap().into_inner();
        assert_eq!(stream.peer_addr().unwrap().port(), port);
        assert!(stream.nodelay().unwrap());
        assert!(dial("/path".to_owned()).await.is_err());
    }
}
