//! Opening connections, and not opening them: the connector and the dial gate.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::constants::{BACKOFF_JITTER, DIAL_BACKOFF_MAX, DIAL_BACKOFF_MIN};
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
    #[error("not dialled again yet: {0}")]
    TooSoon(Arc<Self>),
    #[error("dial was given up")]
    Abandoned,
    #[error("too many peers have connections (limit {0})")]
    TooManyPeers(usize),
}

/// Remembers the last failed dial and keeps everyone from dialling again at once.
#[derive(Debug, Default)]
pub(crate) struct DialGate {
    failures: u32,
    closed: Option<(Instant, Arc<DialError>)>,
}

impl DialGate {
    /// # Errors
    ///
    /// The failure that closed the gate, while it is closed.
    pub(crate) fn check(&self, now: Instant) -> Result<(), DialError> {
        match &self.closed {
            Some((until, error)) if now < *until => Err(DialError::TooSoon(Arc::clone(error))),
            _ => Ok(()),
        }
    }

    pub(crate) fn on_success(&mut self) {
        *self = Self::default();
    }

    /// `unit` is a random number from 0 to 1 for the jitter, which keeps the members of a cluster from dialling a
    /// restarted one in step.
    pub(crate) fn on_failure(&mut self, error: DialError, now: Instant, unit: f64) {
        let doublings = self.failures.min(16);
        let base = DIAL_BACKOFF_MIN.saturating_mul(1 << doublings).min(DIAL_BACKOFF_MAX);
        let wait = base.mul_f64(1.0 + BACKOFF_JITTER * (2.0 * unit - 1.0));
        self.failures = self.failures.saturating_add(1);
        self.closed = Some((now + wait, Arc::new(error)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_gate_closes_longer_with_each_failure_and_opens_on_success() {
        let mut gate = DialGate::default();
        let now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..8 {
            gate.on_failure(DialError::Abandoned, now, 0.5);
            let (until, _) = gate.closed.as_ref().unwrap();
            waits.push((*until - now).as_millis());
        }
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert!(matches!(gate.check(now), Err(DialError::TooSoon(_))));
        assert!(gate.check(now + DIAL_BACKOFF_MAX).is_ok());
        gate.on_success();
        assert!(gate.check(now).is_ok());
    }
}
