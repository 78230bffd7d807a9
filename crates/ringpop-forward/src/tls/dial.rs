//! Connections that are opened over TLS.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::{Channel, Endpoint};
use tower_service::Service;

use super::Tls;
use crate::limits::{CONNECT_TIMEOUT, TLS_HANDSHAKE_TIMEOUT};
use crate::resolver::Peer;
use crate::transport::{Connector, Dialing, Io, dial_any, tcp};

impl Tls {
    /// Opens the connections of a transport:
    /// [`H2Transport::with_connector`](crate::H2Transport::with_connector).
    #[must_use]
    pub fn connector(&self) -> TlsConnector {
        self.connector_within(TLS_HANDSHAKE_TIMEOUT)
    }

    /// A tonic channel to a member, for services beside the forwarder. The scheme of `endpoint` is
    /// `http`, because it is not tonic that encrypts; requests have the scheme `https` all the
    /// same. The endpoint's `connect_timeout` bounds each dial as a whole, lookup and handshake
    /// included; without one it is 5 s. The first call connects it.
    #[must_use]
    pub fn channel(&self, endpoint: &Endpoint) -> Channel {
        let mut origin = endpoint.uri().clone().into_parts();
        origin.scheme = Some(Scheme::HTTPS);
        // Some servers reset a stream whose scheme is not that of its connection.
        let endpoint = match Uri::from_parts(origin) {
            Ok(origin) => endpoint.clone().origin(origin),
            Err(_) => endpoint.clone(),
        };
        let limit = endpoint.get_connect_timeout().unwrap_or(TLS_HANDSHAKE_TIMEOUT);
        // Cut off by the endpoint, the connector could not say what took the time.
        let endpoint = endpoint.connect_timeout(limit + CONNECT_TIMEOUT);
        endpoint.connect_with_connector_lazy(self.connector_within(limit))
    }

    fn connector_within(&self, limit: Duration) -> TlsConnector {
        TlsConnector { tls: self.clone(), limit }
    }

    /// Dials `address`, which is `host:port`, within `limit`.
    async fn dial(
        self,
        host: String,
        address: String,
        limit: Duration,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = match &self.0.server_name {
            Some(name) => name.clone(),
            None => {
                // An IPv6 address stands in brackets in front of its port, and without them in a
                // certificate.
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                ServerName::try_from(host).map_err(io::Error::other)?
            }
        };
        let connector = tokio_rustls::TlsConnector::from(self.configs().client);
        // An address that accepts and then says nothing is as bad as one that does not accept.
        dial_any(&address, limit, move |address| {
            let (connector, name) = (connector.clone(), name.clone());
            async move { connector.connect(name, tcp(address).await?).await }
        })
        .await
    }
}

/// Dials peers over TLS; see [`Tls::connector`].
#[derive(Clone, Debug)]
pub struct TlsConnector {
    tls: Tls,
    /// How long a dial for a channel may take.
    limit: Duration,
}

impl Connector for TlsConnector {
    fn connect(&self, peer: &Peer) -> Dialing {
        self.connect_within(peer, CONNECT_TIMEOUT)
    }

    fn connect_within(&self, peer: &Peer, limit: Duration) -> Dialing {
        let host = peer.authority().host().to_owned();
        let dialing = self.tls.clone().dial(host, peer.address().to_owned(), limit);
        Box::pin(async move { Ok(Box::new(dialing.await?) as Box<dyn Io>) })
    }

    fn is_encrypted(&self) -> bool {
        true
    }
}

impl Service<Uri> for TlsConnector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (tls, limit) = (self.tls.clone(), self.limit);
        Box::pin(async move {
            let authority = uri.authority().ok_or_else(|| io::Error::other("URI has no host"))?;
            let (host, address) = (authority.host().to_owned(), authority.as_str().to_owned());
            tls.dial(host, address, limit).await.map(TokioIo::new)
        })
    }
}
