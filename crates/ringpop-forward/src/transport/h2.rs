//! The transport that is used unless another is chosen: pooled HTTP/2 connections, spoken by `h2`
//! itself.
//!
//! A level above, hyper's client and tonic's channel, costs a task switch per request and cannot
//! say whether a failed request was sent.

use std::fmt;
use std::sync::Arc;

use http::uri::Scheme;

use super::config::H2Config;
use super::dial::{Connector, TcpConnector};
use super::exchange::{ResponseBody, exchange};
use super::pool::{Checkout, Pool};
use super::{PeerConnections, PeerRequest, PeerTransport, Progress, SendError, TransportStats};
use crate::error::ConfigError;
use crate::resolver::Peer;

/// How many connections an attempt may find to be over before it counts as unsendable. The second
/// is dialled for it.
const CONNECTIONS_PER_ATTEMPT: usize = 2;

/// Sends requests over pooled HTTP/2 connections.
///
/// A connection is opened when it is first needed, by one dial however many calls wait for it.
/// Unary calls and streams have a connection each. It closes when it is idle for long, when a PING
/// stays unanswered and when the peer is forgotten.
///
/// Each peer has a circuit. It opens when a dial fails, or when several attempts in a row are not
/// answered in their time; calls then skip the peer at once. From time to time one call has it
/// dialled in the background, and the first connection on which the peer answers closes the
/// circuit.
pub struct H2Transport {
    pool: Pool,
    scheme: Scheme,
}

impl H2Transport {
    /// A transport over TCP.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that is out of range.
    pub fn new(config: H2Config) -> Result<Self, ConfigError> {
        Self::with_connector(config, TcpConnector::default())
    }

    /// A transport over the byte streams that `connector` opens.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that is out of range.
    pub fn with_connector(
        config: H2Config,
        connector: impl Connector,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let scheme = if connector.is_encrypted() { Scheme::HTTPS } else { Scheme::HTTP };
        Ok(Self { pool: Pool::new(Box::new(connector), config), scheme })
    }
}

impl Default for H2Transport {
    /// Over TCP, with the default times.
    fn default() -> Self {
        let pool = Pool::new(Box::new(TcpConnector::default()), H2Config::default());
        Self { pool, scheme: Scheme::HTTP }
    }
}

impl PeerTransport for H2Transport {
    type Body = ResponseBody;

    async fn send(
        &self,
        peer: &Arc<Peer>,
        request: PeerRequest,
    ) -> Result<http::Response<ResponseBody>, SendError> {
        self.send_tracked(peer, request, &Progress::default()).await
    }

    async fn send_tracked(
        &self,
        peer: &Arc<Peer>,
        request: PeerRequest,
        progress: &Progress,
    ) -> Result<http::Response<ResponseBody>, SendError> {
        let PeerRequest { head, body, class } = request;
        // A connection from the pool may have ended a moment ago. That says nothing about the peer,
        // so it is dialled again before the request counts as unsendable.
        for _ in 0..CONNECTIONS_PER_ATTEMPT {
            progress.connecting();
            let checkout = self.pool.checkout(peer, class, progress).await?;
            progress.queued();
            if let Some(guard) = self.pool.reserve_stream(&checkout, class, progress).await? {
                let Checkout { connection, peer_pool } = checkout;
                if let Ok(sender) = connection.sender.ready().await {
                    progress.sent();
                    let response = exchange(peer, sender, guard, head, body).await;
                    if response.is_ok() {
                        self.pool.on_answer(&peer_pool);
                    }
                    return response;
                }
                self.pool.discard(peer, class, connection.id);
            } else {
                self.pool.discard(peer, class, checkout.connection.id);
            }
        }
        Err(SendError::never_sent("connections end before they take a request"))
    }

    fn abandon(&self, peer: &Peer) {
        self.pool.abandon(peer);
    }

    fn scheme(&self) -> Scheme {
        self.scheme.clone()
    }

    fn forget(&self, peer: &Peer) {
        self.pool.forget(peer);
    }

    fn reset_backoff(&self, peer: &Peer) {
        self.pool.on_sign_of_life(peer);
    }

    fn unanswered(&self, peer: &Peer) {
        self.pool.on_unanswered(peer);
    }

    fn peers(&self) -> Vec<PeerConnections> {
        self.pool.peers()
    }

    fn stats(&self) -> TransportStats {
        self.pool.stats()
    }
}

impl fmt::Debug for H2Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("H2Transport").field("stats", &self.pool.stats()).finish_non_exhaustive()
    }
}
