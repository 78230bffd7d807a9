//! What one client, one connection, and all of them together may hold of a server.

use std::time::Duration;

use crate::error::ConfigError;
use crate::limits::{
    CONNECTIONS_PER_ADDRESS, CONTROL_FRAMES, CONTROL_FRAMES_LIMIT, CONTROL_FRAMES_MIN,
    HALF_OPEN_CALLS, HEADER_LIST_BYTES, HEADER_LIST_BYTES_LIMIT, HEADER_LIST_BYTES_MIN, IDLE_LIMIT,
    IDLE_MIN, REQUEST_BYTES, REQUEST_BYTES_MIN, STREAMS_PER_CONNECTION, UNREAD_BYTES,
    UNREAD_BYTES_MIN, UNREAD_TIMEOUT, UPLOAD_IDLE_TIMEOUT,
};
use crate::range::{duration_in_range, in_range};

/// Limits of a server: what its callers may hold of it before the oldest and idlest of it is taken
/// back.
///
/// ```
/// use std::time::Duration;
/// use ringpop_forward::{ServerLimits, incoming, server_with};
///
/// # async fn run(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
/// let limits = ServerLimits::default()
///     .streams_per_connection(200)
///     .unread_timeout(Duration::from_secs(20));
/// let server = server_with(&limits)?;
/// let connections = incoming(listener).limits(&limits)?;
/// # let _ = (server, connections);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ServerLimits {
    pub(crate) streams_per_connection: u32,
    pub(crate) connections_per_address: usize,
    pub(crate) control_frames: u32,
    pub(crate) half_open_calls: usize,
    pub(crate) upload_idle_timeout: Duration,
    pub(crate) unread_timeout: Duration,
    pub(crate) unread_bytes: usize,
    pub(crate) request_bytes: usize,
    pub(crate) header_list_bytes: u32,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            streams_per_connection: STREAMS_PER_CONNECTION,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            control_frames: CONTROL_FRAMES,
            half_open_calls: HALF_OPEN_CALLS,
            upload_idle_timeout: UPLOAD_IDLE_TIMEOUT,
            unread_timeout: UNREAD_TIMEOUT,
            unread_bytes: UNREAD_BYTES,
            request_bytes: REQUEST_BYTES,
            header_list_bytes: HEADER_LIST_BYTES,
        }
    }
}

impl ServerLimits {
    /// Streams that may be open on one connection: 1 to 65,536, by default 1,024, as many as a
    /// member sends to a peer. It is announced as SETTINGS_MAX_CONCURRENT_STREAMS.
    pub fn streams_per_connection(mut self, streams: u32) -> Self {
        self.streams_per_connection = streams;
        self
    }

    /// Connections of one address: 1 to 1,048,576, by default 1,024. A further one takes the place
    /// of the one that has been without a call for longest; when all have calls, it is closed.
    pub fn connections_per_address(mut self, connections: usize) -> Self {
        self.connections_per_address = connections;
        self
    }

    /// PING, SETTINGS, PRIORITY and WINDOW_UPDATE frames that a peer may send without requests and
    /// responses between them: 100 to 1,000,000, by default 1,000. It gets them back within ten
    /// seconds. More end the connection.
    pub fn control_frames(mut self, frames: u32) -> Self {
        self.control_frames = frames;
        self
    }

    /// Calls of all connections that were begun and of whose body nothing has come: 1 to 1,048,576,
    /// by default 4,096. The oldest ones beyond are answered RESOURCE_EXHAUSTED.
    pub fn half_open_calls(mut self, calls: usize) -> Self {
        self.half_open_calls = calls;
        self
    }

    /// How long a handler waits for its caller, when nothing goes in the other direction either: 10
    /// ms to a day, by default 15 minutes. Then the caller is answered DEADLINE_EXCEEDED.
    pub fn upload_idle_timeout(mut self, timeout: Duration) -> Self {
        self.upload_idle_timeout = timeout;
        self
    }

    /// How long an answer waits for its caller to read on: 10 ms to a day, by default 60 s. Then
    /// the rest is freed, and the caller finds DEADLINE_EXCEEDED in its place. A connection on
    /// which nothing but unread answers is left is closed.
    pub fn unread_timeout(mut self, timeout: Duration) -> Self {
        self.unread_timeout = timeout;
        self
    }

    /// Bytes of unread answers of all connections: 64 KiB or more, by default 64 MiB. Beyond it,
    /// answers that have not been read for a second are freed, oldest first, and beyond one and a
    /// half times of it, any.
    pub fn unread_bytes(mut self, bytes: usize) -> Self {
        self.unread_bytes = bytes;
        self
    }

    /// Bytes of requests of all connections that nobody can use yet: of messages of which the rest
    /// is still to come, and of bodies that their handlers do not read. 1 MiB or more, by default
    /// 48 MiB. Beyond it, calls whose request has not gone on for a second are answered
    /// RESOURCE_EXHAUSTED, idlest first, and beyond one and a half times of it, any.
    pub fn request_bytes(mut self, bytes: usize) -> Self {
        self.request_bytes = bytes;
        self
    }

    /// Bytes of the header list of a request, as HTTP/2 counts them: 2 KiB to 256 KiB, by default
    /// 16 KiB. A request with as many or more is answered RESOURCE_EXHAUSTED, or 431 if it is not
    /// gRPC.
    ///
    /// Members forward whatever the first of them has taken: 8 KiB more are announced
    /// ([`FORWARD_HEADERS_BYTES`](crate::FORWARD_HEADERS_BYTES)), for the headers that forwarding
    /// adds.
    pub fn header_list_bytes(mut self, bytes: u32) -> Self {
        self.header_list_bytes = bytes;
        self
    }

    /// Checks all limits, as [`server_with`](crate::server_with) and
    /// [`Incoming::limits`](crate::Incoming::limits) do.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Range`] names the first setting that is out of bounds.
    pub fn check(&self) -> Result<(), ConfigError> {
        const COUNT_MAX: u64 = 1 << 20;
        in_range("streams_per_connection", self.streams_per_connection.into(), 1, 65_536)?;
        in_range("connections_per_address", self.connections_per_address as u64, 1, COUNT_MAX)?;
        let (min, max) = (CONTROL_FRAMES_MIN, CONTROL_FRAMES_LIMIT);
        in_range("control_frames", self.control_frames.into(), min, max)?;
        in_range("half_open_calls", self.half_open_calls as u64, 1, COUNT_MAX)?;
        for (field, value) in [
            ("upload_idle_timeout", self.upload_idle_timeout),
            ("unread_timeout", self.unread_timeout),
        ] {
            duration_in_range(field, value, IDLE_MIN, IDLE_LIMIT)?;
        }
        let (min, max) = (HEADER_LIST_BYTES_MIN, HEADER_LIST_BYTES_LIMIT);
        in_range("header_list_bytes", self.header_list_bytes.into(), min.into(), max.into())?;
        in_range("request_bytes", self.request_bytes as u64, REQUEST_BYTES_MIN, u64::MAX / 4)?;
        in_range("unread_bytes", self.unread_bytes as u64, UNREAD_BYTES_MIN, u64::MAX / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_checked_by_name() {
        let ok = ServerLimits::default;
        assert_eq!(ok().check(), Ok(()));
        for (limits, field) in [
            (ok().streams_per_connection(0), "streams_per_connection"),
            (ok().connections_per_address(0), "connections_per_address"),
            (ok().control_frames(1), "control_frames"),
            (ok().half_open_calls(0), "half_open_calls"),
            (ok().upload_idle_timeout(Duration::ZERO), "upload_idle_timeout"),
            (ok().unread_timeout(Duration::MAX), "unread_timeout"),
            (ok().unread_bytes(0), "unread_bytes"),
            (ok().request_bytes(1000), "request_bytes"),
            (ok().header_list_bytes(1 << 20), "header_list_bytes"),
        ] {
            assert!(limits.check().unwrap_err().to_string().contains(field), "{field}");
        }
    }
}
