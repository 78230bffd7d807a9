//! The connections of a listener.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

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
    Incoming { admission: Admission::new(listener, Arc::default()) }
}

/// Accepted connections; see [`incoming`].
#[derive(Debug)]
pub struct Incoming {
    admission: Admission,
}

/// Reads the counters of an [`Incoming`] after a server has taken it.
#[derive(Clone, Debug)]
pub struct AcceptCounters(Arc<Counters>, Arc<Connections>);

impl AcceptCounters {
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
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.admission.acceptor.local_addr()
    }

    /// Keeps callers within `limits` in the place of the default ones. The server takes the same
    /// ones, with [`server_with`](crate::server_with).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first limit that is out of bounds.
    pub fn limits(mut self, limits: &ServerLimits) -> Result<Self, ConfigError> {
        self.admission.set_limits(limits)?;
        Ok(self)
    }

    /// A reader for the counters of this listener.
    #[must_use]
    pub fn counters(&self) -> AcceptCounters {
        self.admission.counters()
    }
}

impl Stream for Incoming {
    type Item = io::Result<Bounded<Accepted<TcpStream>>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let admission = &mut self.admission;
        admission.poll_sweep(cx);
        loop {
            let (stream, peer) = ready!(admission.acceptor.poll_accept(cx));
            // A connection that is not let in is closed by being dropped.
            if let Some(stream) = admission.admit(stream, peer) {
                return Poll::Ready(Some(Ok(stream)));
            }
        }
    }
}

/// The part that listeners with and without TLS share: they accept, let in as many connections as
/// there may be, and look now and then for calls that wait too long.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) acceptor: Acceptor,
    counters: Arc<Counters>,
    connections: Arc<Connections>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Admission {
    pub(crate) fn new(listener: TcpListener, counters: Arc<Counters>) -> Self {
        let acceptor = Acceptor::new(listener, Arc::clone(&counters));
        let connections = Connections::new(ServerLimits::default());
        Self { acceptor, counters, connections, timer: None }
    }

    pub(crate) fn set_limits(&mut self, limits: &ServerLimits) -> Result<(), ConfigError> {
        limits.check()?;
        self.connections = Connections::new(limits.clone());
        Ok(())
    }

    pub(crate) fn counters(&self) -> AcceptCounters {
        AcceptCounters(Arc::clone(&self.counters), Arc::clone(&self.connections))
    }

    /// Lets a connection in, unless its address has too many.
    pub(crate) fn admit<S: Connected>(
        &self,
        stream: S,
        peer: SocketAddr,
    ) -> Option<Bounded<Accepted<S>>> {
        Bounded::admit(self.acceptor.watch(stream), peer, &self.connections)
    }

    /// Looks for calls that wait too long when it is time, and makes sure to be polled again then.
    pub(crate) fn poll_sweep(&mut self, cx: &mut Context<'_>) {
        // A timer needs the runtime, which is there when a stream is polled.
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(SWEEP_INTERVAL)));
        while timer.as_mut().poll(cx).is_ready() {
            self.connections.sweep();
            timer.set(sleep(SWEEP_INTERVAL));
        }
    }
}
