//! Server settings that forwarding depends on, in one place.

use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::constants::{
    CONNECTION_WINDOW_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_WINDOW_BYTES,
};

/// The connections of `listener`, with small writes sent at once.
///
/// tonic applies its `tcp_nodelay` setting only to listeners that it opens by itself. Without it, Nagle's algorithm and
/// the peer's delayed acknowledgements hold every forwarded call up for 40 ms.
#[must_use]
pub fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

/// A tonic server whose windows and keepalive suit forwarded traffic: the connection window is too large to fill up, so
/// that streams that are not read hold up nothing but themselves, and half-open connections are noticed.
#[must_use]
pub fn server() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}
