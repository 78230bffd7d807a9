//! The transport that is used unless another is chosen: pooled HTTP/2 connections, spoken by `h2`
//! itself.
//!
//! A level above, hyper's client and tonic's channel, costs a task switch per request and cannot
//! say whether a failed request was sent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;

use super::dial::{Connector, TcpConnector};
use super::exchange::{ResponseBody, exchange};
use super::pool::{Checkout, Pool};
use super::{
    Class, PeerConnections, PeerRequest, PeerTransport, Progress, SendError, TransportStats,
};
use crate::error::ConfigError;
use crate::limits::{
    CONNECT_TIMEOUT, HEADER_LIST_BYTES, HEADER_LIST_BYTES_LIMIT, HEADER_LIST_BYTES_MIN,
    IDLE_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MEMBER_KEEPALIVE_INTERVAL,
    PEER_RESPONSES_BYTES, PEERS_MAX, PER_PEER_LIMIT, RESPONSE_WINDOW_BYTES_MAX,
    RESPONSE_WINDOW_BYTES_MIN, STREAM_WINDOW_BYTES, STREAMS_PER_PEER, UNARY_PER_PEER,
};
use crate::range::in_range;
use crate::resolver::Peer;

/// Times and limits of an [`H2Transport`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct H2Config {
    pub(crate) connect_timeout: Duration,
    pub(crate) keepalive_interval: Duration,
    pub(crate) keepalive_timeout: Duration,
    pub(crate) keepalive_when_idle: bool,
    pub(crate) idle_timeout: Duration,
    unary_per_peer: usize,
    streams_per_peer: usize,
    pub(crate) peers: usize,
    pub(crate) header_list_bytes: u32,
}

/// How many connections an attempt may find to be over before it counts as unsendable. The second
/// is dialled for it.
const CONNECTIONS_PER_ATTEMPT: usize = 2;

/// Shortest time that may be configured. Below it, timers cost more than they save.
const SHORTEST: Duration = Duration::from_millis(1);

/// Longest time that may be configured.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Default for H2Config {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            keepalive_interval: KEEPALIVE_INTERVAL,
            keepalive_timeout: KEEPALIVE_TIMEOUT,
            keepalive_when_idle: false,
            idle_timeout: IDLE_TIMEOUT,
            unary_per_peer: UNARY_PER_PEER,
            streams_per_peer: STREAMS_PER_PEER,
            peers: PEERS_MAX,
            header_list_bytes: HEADER_LIST_BYTES,
        }
    }
}

impl H2Config {
    /// For connections between members of a cluster, whose servers are made with
    /// [`server`](fn@crate::server): PINGs every 20 s, with calls in flight or without, so a
    /// broken connection is noticed soon.
    #[must_use]
    pub fn between_members() -> Self {
        Self::default().keepalive_interval(MEMBER_KEEPALIVE_INTERVAL).keepalive_when_idle(true)
    }

    /// How long one dial may take, name resolution and handshake included; by default 1 s. A peer
    /// that swallows packets costs its callers this much once.
    #[must_use]
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// How often a PING is sent on a connection that carries calls, by default every 310 s, so
    /// a half-open connection is noticed. 1 ms to 24 h, which is as good as never.
    ///
    /// Many servers end connections on which PINGs come more often than every 5 minutes (gRFC A8);
    /// they have to allow the interval set here. When one complains, the time between two PINGs to
    /// it doubles. Between members, see [`between_members`](Self::between_members).
    #[must_use]
    pub fn keepalive_interval(mut self, keepalive_interval: Duration) -> Self {
        self.keepalive_interval = keepalive_interval;
        self
    }

    /// Whether PINGs are sent while no call is in flight too, by default not: servers allow even
    /// fewer of those.
    #[must_use]
    pub fn keepalive_when_idle(mut self, keepalive_when_idle: bool) -> Self {
        self.keepalive_when_idle = keepalive_when_idle;
        self
    }

    /// How long an answer to a PING may take before the connection counts as broken, by default 10
    /// s.
    #[must_use]
    pub fn keepalive_timeout(mut self, keepalive_timeout: Duration) -> Self {
        self.keepalive_timeout = keepalive_timeout;
        self
    }

    /// How long a connection may carry nothing before it is closed, by default 300 s.
    #[must_use]
    pub fn idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// How many unary calls may be in flight to one peer, 1 to 65,536, by default 1,024. Further
    /// ones are answered with RESOURCE_EXHAUSTED.
    ///
    /// The calls share 64 MiB for responses that are not read: the HTTP/2 window of each is its
    /// share, at least 64 KiB and at most 1 MiB. Allow fewer calls when responses are large and the
    /// network is slow.
    #[must_use]
    pub fn unary_per_peer(mut self, calls: usize) -> Self {
        self.unary_per_peer = calls;
        self
    }

    /// How many streams may be in flight to one peer, 1 to 65,536, by default 256. Further ones are
    /// answered with RESOURCE_EXHAUSTED. They share 64 MiB as unary calls do.
    #[must_use]
    pub fn streams_per_peer(mut self, calls: usize) -> Self {
        self.streams_per_peer = calls;
        self
    }

    /// How many peers may have connections at the same time, 1 to 16,384, by default 16,384. A peer
    /// beyond that counts as unreachable until the connections to another one have ended.
    #[must_use]
    pub fn peers(mut self, peers: usize) -> Self {
        self.peers = peers;
        self
    }

    /// Bytes of the header list of a response, as HTTP/2 counts them, and of its trailers: 2 KiB to
    /// 256 KiB, by default 16 KiB. A response with more has been executed and is not asked for
    /// again: its caller is answered RESOURCE_EXHAUSTED, or the code of the handler if that is an
    /// error, without the metadata.
    ///
    /// Requests are bound by what the peer announces; for members, see
    /// [`ServerLimits::header_list_bytes`](crate::ServerLimits::header_list_bytes).
    #[must_use]
    pub fn header_list_bytes(mut self, bytes: u32) -> Self {
        self.header_list_bytes = bytes;
        self
    }

    pub(crate) fn limit(&self, class: Class) -> usize {
        match class {
            Class::Unary => self.unary_per_peer,
            Class::Stream => self.streams_per_peer,
        }
    }

    /// The window of one response: small enough that the responses of all calls that may be in
    /// flight on a connection hold little when nobody reads them.
    pub(crate) fn response_window(&self, class: Class) -> u32 {
        let share = PEER_RESPONSES_BYTES / self.limit(class);
        let window = share.clamp(RESPONSE_WINDOW_BYTES_MIN, RESPONSE_WINDOW_BYTES_MAX);
        u32::try_from(window).unwrap_or(STREAM_WINDOW_BYTES)
    }

    fn check(&self) -> Result<(), ConfigError> {
        in_range("unary_per_peer", self.unary_per_peer as u64, 1, PER_PEER_LIMIT as u64)?;
        in_range("streams_per_peer", self.streams_per_peer as u64, 1, PER_PEER_LIMIT as u64)?;
        in_range("peers", self.peers as u64, 1, PEERS_MAX as u64)?;
        let (min, max) = (HEADER_LIST_BYTES_MIN, HEADER_LIST_BYTES_LIMIT);
        in_range("header_list_bytes", self.header_list_bytes.into(), min.into(), max.into())?;
        let fields = [
            ("connect_timeout", self.connect_timeout),
            ("keepalive_interval", self.keepalive_interval),
            ("keepalive_timeout", self.keepalive_timeout),
            ("idle_timeout", self.idle_timeout),
        ];
        match fields.into_iter().find(|(_, value)| !(SHORTEST..=LONGEST).contains(value)) {
            Some((field, value)) => {
                Err(ConfigError::DurationRange { field, value, min: SHORTEST, max: LONGEST })
            }
            None => Ok(()),
        }
    }
}

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
        Self::with_connector(config, TcpConnector)
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
        let pool = Pool::new(Box::new(TcpConnector), H2Config::default());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_by_name() {
        let config = H2Config::default().keepalive_timeout(Duration::ZERO);
        let error = H2Transport::new(config).unwrap_err().to_string();
        assert!(error.contains("keepalive_timeout is 0ns"), "{error}");
        let config = H2Config::default().streams_per_peer(0);
        let error = H2Transport::new(config).unwrap_err().to_string();
        assert!(error.contains("streams_per_peer is 0"), "{error}");
        let error = H2Transport::new(H2Config::default().header_list_bytes(0)).unwrap_err();
        assert!(error.to_string().contains("header_list_bytes is 0"), "{error}");
        let error = H2Transport::new(H2Config::default().peers(0)).unwrap_err().to_string();
        assert!(error.contains("peers is 0"), "{error}");
        assert!(H2Transport::new(H2Config::default()).is_ok());
    }

    #[test]
    fn the_responses_of_all_calls_together_hold_little() {
        let config = H2Config::default();
        for class in [Class::Unary, Class::Stream] {
            let all = config.limit(class) * config.response_window(class) as usize;
            assert!(all <= PEER_RESPONSES_BYTES, "{class:?}: {all}");
        }
        assert_eq!(config.response_window(Class::Unary), 64 * 1024);
        assert_eq!(config.response_window(Class::Stream), 256 * 1024);
        let few = H2Config::default().streams_per_peer(1);
        assert_eq!(few.response_window(Class::Stream), 1024 * 1024, "no more helps");
        let many = H2Config::default().unary_per_peer(PER_PEER_LIMIT);
        assert_eq!(many.response_window(Class::Unary), 65_535, "no less does");
    }
}
