//! The two ends of the connection that a request came over.

use std::net::SocketAddr;

use http::Extensions;
use tonic::transport::server::TcpConnectInfo;

/// Where a connection begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionEnds {
    /// The address of this process; `None` when it is not known.
    pub local: Option<SocketAddr>,
    /// The address of the caller, or of a proxy in between; `None` when it is not known.
    pub remote: Option<SocketAddr>,
}

impl ConnectionEnds {
    /// Of a request, by its extensions as a server with [`incoming`](crate::incoming) or
    /// `TlsIncoming` leaves them.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        let plain = extensions.get::<TcpConnectInfo>();
        #[cfg(feature = "tls")]
        let plain = plain.or_else(|| crate::tls::tcp_info(extensions));
        plain.map_or_else(Self::default, |info| Self {
            local: info.local_addr(),
            remote: info.remote_addr(),
        })
    }
}
