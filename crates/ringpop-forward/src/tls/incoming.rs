//! Connections that are accepted over TLS.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;

use super::Tls;
use crate::cause;
use crate::connections::accept::Accepted;
use crate::connections::incoming::{AcceptCounters, Admission};
use crate::connections::{Bounded, ServerLimits};
use crate::error::ConfigError;
use crate::limits::{ACCEPT_LOG_INTERVAL, TLS_HANDSHAKE_TIMEOUT, TLS_HANDSHAKES_MAX};
use crate::log_limit::LogLimit;

/// A connection before and after its handshake.
type Encrypted = TlsStream<Accepted<TcpStream>>;

impl Tls {
    /// The connections of `listener` that complete a handshake, with small writes sent at once.
    ///
    /// Handshakes run side by side in tasks that end with the stream, so a caller that is
    /// slow, or speaks no TLS, holds nobody up. When too many run, the address that has most of
    /// them loses its oldest one.
    #[must_use]
    pub fn incoming(&self, listener: TcpListener) -> TlsIncoming {
        TlsIncoming {
            tls: self.clone(),
            admission: Admission::new(listener, Arc::clone(&self.0.counters.accept)),
            handshakes: JoinSet::new(),
            running: Running::default(),
            log: LogLimit::new(ACCEPT_LOG_INTERVAL),
        }
    }
}

impl TlsIncoming {
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

/// Accepted connections; see [`Tls::incoming`].
#[derive(Debug)]
pub struct TlsIncoming {
    tls: Tls,
    admission: Admission,
    handshakes: JoinSet<Result<(Encrypted, SocketAddr), Refused>>,
    running: Running,
    log: LogLimit,
}

/// A handshake that failed, and whose.
#[derive(Debug)]
struct Refused {
    peer: SocketAddr,
    error: io::Error,
}

impl Stream for TlsIncoming {
    type Item = io::Result<Bounded<Accepted<Encrypted>>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.admission.poll_sweep(cx);
        loop {
            this.accept_all(cx);
            match this.handshakes.poll_join_next_with_id(cx) {
                Poll::Ready(Some(Ok((id, result)))) => {
                    this.running.remove(id);
                    match result {
                        Ok((stream, peer)) => {
                            if let Some(stream) = this.admission.admit(stream, peer) {
                                return Poll::Ready(Some(Ok(stream)));
                            }
                        }
                        Err(refused) => this.tell(&refused),
                    }
                }
                // It was ended in favour of another one, or it broke.
                Poll::Ready(Some(Err(error))) => this.running.remove(error.id()),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl TlsIncoming {
    /// Begins a handshake with everyone who waits.
    fn accept_all(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready((stream, peer)) = self.admission.acceptor.poll_accept(cx) {
            if self.running.make_room() {
                self.tls.0.counters.handshakes_ended.fetch_add(1, Ordering::Relaxed);
            }
            let acceptor = TlsAcceptor::from(self.tls.configs().server);
            let stream = self.admission.acceptor.watch(stream);
            let task = self.handshakes.spawn(shake(acceptor, stream, peer, TLS_HANDSHAKE_TIMEOUT));
            self.running.add(peer.ip(), task);
        }
    }

    fn tell(&mut self, Refused { peer, error }: &Refused) {
        self.tls.0.counters.handshake_failures.fetch_add(1, Ordering::Relaxed);
        let reason = cause::explain(error);
        tracing::debug!(%peer, %reason, "a connection was not accepted");
        if let Some(held_back) = self.log.pass() {
            tracing::warn!(%peer, %reason, held_back, "a TLS handshake failed");
        }
    }
}

/// The handshakes that run, oldest first.
#[derive(Debug, Default)]
struct Running {
    tasks: VecDeque<(IpAddr, AbortHandle)>,
    by_address: HashMap<IpAddr, usize>,
}

impl Running {
    fn add(&mut self, address: IpAddr, task: AbortHandle) {
        self.tasks.push_back((address, task));
        *self.by_address.entry(address).or_default() += 1;
    }

    fn remove(&mut self, id: Id) {
        if let Some(i) = self.tasks.iter().position(|(_, task)| task.id() == id) {
            self.remove_at(i);
        }
    }

    fn remove_at(&mut self, i: usize) -> Option<AbortHandle> {
        let (address, task) = self.tasks.remove(i)?;
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
        Some(task)
    }

    /// Ends one handshake when no more may run: the oldest one of the address that has most. A peer
    /// that means it needs a few round trips, so the oldest one of many is the one that says
    /// nothing.
    fn make_room(&mut self) -> bool {
        if self.tasks.len() < TLS_HANDSHAKES_MAX {
            return false;
        }
        let most = self.by_address.values().max().copied();
        let oldest = |(address, _): &(IpAddr, _)| self.by_address.get(address).copied() == most;
        let Some(task) = self.tasks.iter().position(oldest).and_then(|i| self.remove_at(i)) else {
            return false;
        };
        task.abort();
        true
    }
}

async fn shake(
    acceptor: TlsAcceptor,
    stream: Accepted<TcpStream>,
    peer: SocketAddr,
    limit: Duration,
) -> Result<(Encrypted, SocketAddr), Refused> {
    timeout(limit, acceptor.accept(stream))
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no handshake in time")))
        .map(|stream| (stream, peer))
        .map_err(|error| Refused { peer, error })
}
