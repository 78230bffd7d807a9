//! A server that its callers cannot fill.
//!
//! * [`limits`]: what callers may hold.
//! * [`registry`]: all connections, each with its calls that are not over, and shedding.
//! * [`io`], [`frames`], [`inflow`]: the bytes of a connection, floods in them, and requests that
//!   are not read.
//! * [`layer`], [`upload`], [`messages`], [`bounded_body`]: requests and responses on their way.
//! * [`ends`]: where a connection begins and ends.

pub(crate) mod accept;
mod bounded_body;
mod ends;
mod frames;
pub(crate) mod incoming;
mod inflow;
mod io;
mod layer;
mod limits;
mod messages;
mod registry;
mod upload;
pub(crate) mod write_through;

use tonic::transport::Server;
use tower_layer::{Identity, Stack};

pub use ends::ConnectionEnds;
pub use io::Bounded;
pub use layer::{LimitLayer, Limited, LimitedFuture};
pub use limits::ServerLimits;
pub(crate) use registry::Connections;
pub use registry::ServerStats;
pub use registry::connection::ConnectionHandle;
pub(crate) use registry::connection::open_call::{InFlight, OpenCall};

use crate::error::ConfigError;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, FORWARD_HEADERS_BYTES, KEEPALIVE_TIMEOUT, MEMBER_KEEPALIVE_INTERVAL,
    PENDING_RESETS_MAX, SERVER_LATE_FRAMES_MAX, STREAM_WINDOW_BYTES,
};

/// A server with the layer that keeps its callers within their limits.
pub type LimitedServer = Server<Stack<LimitLayer, Identity>>;

/// A tonic server whose windows and keepalive suit forwarded traffic: the connection window is too
/// large to fill up, so streams that are not read hold up nothing but themselves, and
/// half-open connections are noticed. Its callers are kept within the [default
/// limits](ServerLimits).
#[must_use]
pub fn server() -> LimitedServer {
    limited(&ServerLimits::default())
}

/// As [`server`], with limits of one's own. Give them to the
/// [connections](crate::Incoming::limits), too.
///
/// # Errors
///
/// [`ConfigError`] names the first limit that is out of bounds.
pub fn server_with(limits: &ServerLimits) -> Result<LimitedServer, ConfigError> {
    limits.check()?;
    Ok(limited(limits))
}

fn limited(limits: &ServerLimits) -> LimitedServer {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits.streams_per_connection)
        .http2_max_header_list_size(limits.header_list_bytes + FORWARD_HEADERS_BYTES)
        .http2_keepalive_interval(Some(MEMBER_KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        // A connection of a member carries many callers. When some give up while this process is
        // busy for a moment, the default of 20 would end the calls of all.
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(SERVER_LATE_FRAMES_MAX))
        .layer(LimitLayer::new(limits))
}
