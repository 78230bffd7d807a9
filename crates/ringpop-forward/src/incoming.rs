//! Server settings that forwarding depends on, in one place.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpStream};
use tokio_stream::Stream;
use tonic::transport::Server;

use crate::accept::{AcceptStats, Accepted, Acceptor, Counters};
use crate::constants::{
    CONNECTION_WINDOW_BYTES, KEEPALIVE_TIMEOUT, MEMBER_KEEPALIVE_INTERVAL, PENDING_RESETS_MAX,
    SERVER_LATE_FRAMES_MAX, STREAM_WINDOW_BYTES,
};

/// The connections of `listener`, with small writes sent at once.
///
/// tonic applies its `tcp_nodelay` setting only to listeners that it opens by itself. Without it, Nagle's algorithm and
/// the peer's delayed acknowledgements hold every forwarded call up for 40 ms.
///
/// When the operating system has no descriptors left, the stream pauses, closes connections that have sent nothing yet,
/// counts and logs. tonic's own tries again at once and takes a whole core for it.
#[must_use]
pub fn incoming(listener: TcpListener) -> Incoming {
    let counters = Arc::default();
    Incoming { acceptor: Acceptor::new(listener, Arc::clone(&counters)), counters }
}

/// Accepted connections; see [`incoming`].
#[derive(Debug)]
pub struct Incoming {
    acceptor: Acceptor,
    counters: Arc<Counters>,
}

/// Reads the counters of an [`Incoming`] after a server has taken it.
#[derive(Clone, Debug)]
pub struct AcceptCounters(Arc<Counters>);

impl AcceptCounters {
    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> AcceptStats {
        self.0.stats()
    }
}

impl Incoming {
    /// The address of the listener.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.acceptor.local_addr()
    }

    /// What reads the counters later.
    #[must_use]
    pub fn counters(&self) -> AcceptCounters {
        AcceptCounters(Arc::clone(&self.counters))
    }
}

impl Stream for Incoming {
    type Item = io::Result<Accepted<TcpStream>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = self.acceptor.poll_accept(cx);
        accepted.map(|(stream, _)| Some(Ok(self.acceptor.watch(stream))))
    }
}

/// A tonic server whose windows and keepalive suit forwarded traffic: the connection window is too large to fill up, so
/// that streams that are not read hold up nothing but themselves, and half-open connections are noticed.
#[must_use]
pub fn server() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(MEMBER_KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        // A connection of a member carries many callers. When some give up while this process is busy for a moment, the
        // default of 20 would end the calls of all.
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(SERVER_LATE_FRAMES_MAX))
}
