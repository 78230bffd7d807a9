//! Times and limits of connections to peers.

use std::time::Duration;

use super::Class;
use crate::error::ConfigError;
use crate::limits::{
    CONNECT_TIMEOUT, HEADER_LIST_BYTES, HEADER_LIST_BYTES_LIMIT, HEADER_LIST_BYTES_MIN,
    IDLE_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MEMBER_KEEPALIVE_INTERVAL,
    PEER_RESPONSES_BYTES, PEERS_MAX, PER_PEER_LIMIT, RESPONSE_WINDOW_BYTES_MAX,
    RESPONSE_WINDOW_BYTES_MIN, STREAM_WINDOW_BYTES, STREAMS_PER_PEER, UNARY_PER_PEER,
};
use crate::range::in_range;

/// Times and limits of an [`H2Transport`](crate::H2Transport).
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

    pub(super) fn check(&self) -> Result<(), ConfigError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_by_name() {
        let config = H2Config::default().keepalive_timeout(Duration::ZERO);
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("keepalive_timeout is 0ns"), "{error}");
        let config = H2Config::default().streams_per_peer(0);
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("streams_per_peer is 0"), "{error}");
        let error = H2Config::default().header_list_bytes(0).check().unwrap_err();
        assert!(error.to_string().contains("header_list_bytes is 0"), "{error}");
        let error = H2Config::default().peers(0).check().unwrap_err().to_string();
        assert!(error.contains("peers is 0"), "{error}");
        assert!(H2Config::default().check().is_ok());
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
