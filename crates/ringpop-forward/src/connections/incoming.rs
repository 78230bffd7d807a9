//! The connections of a listener.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};
use tokio_stream::Stream;

use crate::connections::accept::{AcceptStats, Accepted, Acceptor, Counters};
use crate::connections::{Bounded, Connections, ServerLimits, ServerStats};
use crate::error::ConfigError;
use crate::limits::SWEEP_INTERVAL;

/// The connections of `listener`, with small writes sent at once.
///
/// tonic applies its `tcp_nodelay` setting only to listeners that it opens by itself. Without it,
/// Nagle's algorithm and the peer's delayed acknowledgements hold every forwarded call up for 40
/// ms.
///
/// When the operating system has no descriptors left, the stream pauses, closes connections that
/// have sent nothing yet, counts and logs. tonic's own tries again at once and takes a whole core
/// for it.
#[must_use]
pub fn incoming(listener: TcpListener) -> Incoming {
    let counters = Arc::default();
    let acceptor = Acceptor::new(listener, Arc::clone(&counters));
    Incoming { acceptor, counters, sweeper: Sweeper::new(ServerLimits::default()) }
}

/// Accepted connections; see [`incoming`].
#[derive(Debug)]
pub struct Incoming {
    acceptor: Acceptor,
    counters: Arc<Counters>,
    sweeper: Sweeper,
}

/// Reads the counters of an [`Incoming`] after a server has taken it.
#[derive(Clone, Debug)]
pub struct AcceptCounters(Arc<Counters>, Arc<Connections>);

impl AcceptCounters {
    pub(crate) fn new(counters: &Arc<Counters>, connections: &Arc<Connections>) -> Self {
        Self(Arc::clone(counters), Arc::clone(connections))
    }

    /// The counters so far.
    #[must_use]
    pub fn stats(&self) -> AcceptStats {
        self.0.stats()
    }

    /// Counters of the limits that callers met so far.
    #[must_use]
    pub fn server_stats(&self) -> ServerStats {
        self.1.stats()
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

    /// Keeps callers within `limits` in the place of the default ones. The server takes the same
    /// ones, with [`server_with`](crate::server_with).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first limit that is out of bounds.
    pub fn limits(mut self, limits: &ServerLimits) -> Result<Self, ConfigError> {
        limits.check()?;
        self.sweeper = Sweeper::new(limits.clone());
        Ok(self)
    }

    /// What reads the counters later.
    #[must_use]
    pub fn counters(&self) -> AcceptCounters {
        AcceptCounters::new(&self.counters, self.sweeper.connections())
    }
}

impl Stream for Incoming {
    type Item = io::Result<Bounded<Accepted<TcpStream>>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.sweeper.poll(cx);
        loop {
            let (stream, peer) = ready!(this.acceptor.poll_accept(cx));
            let stream = this.acceptor.watch(stream);
            // A connection that is not let in is closed by being dropped.
            if let Some(stream) = Bounded::admit(stream, peer, this.sweeper.connections()) {
                return Poll::Ready(Some(Ok(stream)));
            }
        }
    }
}

/// Looks now and then for what waits too long on the connections of a listener.
#[derive(Debug)]
pub(crate) struct Sweeper {
    connections: Arc<Connections>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Sweeper {
    pub(crate) fn new(limits: ServerLimits) -> Self {
        Self { connections: Connections::new(limits), timer: None }
    }

    pub(crate) const fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Looks when it is time, and makes sure to be polled again then.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        // A timer needs the runtime, which is there when a stream is polled.
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(SWEEP_INTERVAL)));
        while timer.as_mut().poll(cx).is_ready() {
            self.connections.sweep();
            timer.set(sleep(SWEEP_INTERVAL));
        }
    }
}
