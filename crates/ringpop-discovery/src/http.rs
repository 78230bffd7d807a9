//! The small HTTP/1.1 client of the registries: one connection for each request, since a request
//! here lasts for minutes or comes once.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::DiscoveryError;
use crate::limits::{ANSWER_BYTES_MAX, CONNECT_TIMEOUT, TOKEN_BYTES_MAX};

/// Where an HTTP server is: `http://host:port` or `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    is_https: bool,
    host: String,
    port: u16,
}

impl Endpoint {
    /// `None`: the text is none.
    pub(crate) fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_https = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let address = if has_port { rest.to_owned() } else { format!("{rest}:{default_port}") };
        let address: crate::Address = address.parse().ok()?;
        Some(Self { is_https, host: address.host().to_owned(), port: address.port() })
    }

    /// `host:port`, an IPv6 host in brackets.
    fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}", if self.is_https { "s" } else { "" }, self.authority())
    }
}

/// A server, and the files that requests to it need. They are read for each request, since both
/// tokens and authorities are renewed while a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) endpoint: Endpoint,
    /// The file with the token; `None`: requests have none.
    pub(crate) token_file: Option<PathBuf>,
    /// The file with the certificates of the authorities that may vouch for it, for `https`.
    pub(crate) ca_file: Option<PathBuf>,
}

impl Server {
    /// A server that needs no files; `None`: the text is no URL of one.
    pub(crate) fn parse(url: &str, default_port: u16) -> Option<Self> {
        let endpoint = Endpoint::parse(url, default_port)?;
        Some(Self { endpoint, token_file: None, ca_file: None })
    }
}

/// How a token is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenHeader {
    #[cfg(feature = "kubernetes")]
    Bearer,
    #[cfg(feature = "consul")]
    Consul,
}

/// Sends requests to a server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) server: Server,
    /// The source, for people.
    pub(crate) origin: String,
    pub(crate) token_header: TokenHeader,
}

impl Client {
    /// Sends a request, and waits for the whole answer for at most `limit`.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Answer, DiscoveryError> {
        let whole = async {
            let (response, _connection) = self.open(method, path, body).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| self.malformed(&error))?.to_bytes();
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        timeout(limit, whole).await.unwrap_or_else(|_| Err(self.timed_out(limit)))
    }

    /// Asks for `path`, and waits for the head of the answer for at most `limit`; the body may take
    /// for ever.
    #[cfg(feature = "kubernetes")]
    pub(crate) async fn stream(
        &self,
        path: &str,
        limit: Duration,
    ) -> Result<(u16, Stream), DiscoveryError> {
        let (response, connection) = timeout(limit, self.open(Method::GET, path, Vec::new()))
            .await
            .unwrap_or_else(|_| Err(self.timed_out(limit)))?;
        let (head, body) = response.into_parts();
        Ok((head.status.as_u16(), Stream { body, _connection: connection }))
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(Response<Incoming>, Connection), DiscoveryError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.server.endpoint.authority())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| self.malformed(&error))?;
        if let Some((name, value)) = self.token().await? {
            request.headers_mut().insert(name, value);
        }
        let address = (self.server.endpoint.host.as_str(), self.server.endpoint.port);
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        let stream = stream.map_err(|_| self.timed_out(CONNECT_TIMEOUT))?;
        let stream = stream.map_err(|error| self.unreachable(error))?;
        stream.set_nodelay(true).map_err(|error| self.unreachable(error))?;
        if !self.server.endpoint.is_https {
            return self.exchange(stream, request).await;
        }
        let connector = self.connector().await?;
        let name = ServerName::try_from(self.server.endpoint.host.clone());
        let name = name.map_err(|error| self.unreachable(io::Error::other(error)))?;
        let handshake = timeout(CONNECT_TIMEOUT, connector.connect(name, stream)).await;
        let stream = handshake.map_err(|_| self.timed_out(CONNECT_TIMEOUT))?;
        self.exchange(stream.map_err(|error| self.unreachable(error))?, request).await
    }

    async fn exchange<S>(
        &self,
        stream: S,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Connection), DiscoveryError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |error: hyper::Error| self.unreachable(io::Error::other(error));
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // What goes wrong with the connection, the request hears of.
        let connection = Connection(tokio::spawn(async {
            let _ = connection.await;
        }));
        let response = sender.send_request(request).await.map_err(failed)?;
        Ok((response, connection))
    }

    async fn token(&self) -> Result<Option<(HeaderName, HeaderValue)>, DiscoveryError> {
        let Some(path) = &self.server.token_file else { return Ok(None) };
        let text = self.read(path).await?;
        let token = text.trim();
        let (name, value) = match self.token_header {
            #[cfg(feature = "kubernetes")]
            TokenHeader::Bearer => (hyper::header::AUTHORIZATION, format!("Bearer {token}")),
            #[cfg(feature = "consul")]
            TokenHeader::Consul => (HeaderName::from_static("x-consul-token"), token.to_owned()),
        };
        let mut value = HeaderValue::try_from(value).map_err(|_| {
            self.unreachable(io::Error::other(format!("the token in {path:?} is none")))
        })?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
    }

    async fn connector(&self) -> Result<TlsConnector, DiscoveryError> {
        let Some(path) = &self.server.ca_file else {
            return Err(self.unreachable(io::Error::other("no file with its authority is set")));
        };
        let pem = self.read(path).await?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).flatten() {
            // A bundle may hold one that this library does not take; the others count.
            let _ = roots.add(certificate);
        }
        if roots.is_empty() {
            let cause = format!("{path:?} has no certificate of an authority");
            return Err(self.unreachable(io::Error::other(cause)));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| self.unreachable(io::Error::other(error)))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// Reads a small file.
    async fn read(&self, path: &Path) -> Result<String, DiscoveryError> {
        let named = |error: io::Error| {
            self.unreachable(io::Error::new(error.kind(), format!("{path:?}: {error}")))
        };
        let length = tokio::fs::metadata(path).await.map_err(named)?.len();
        if length > TOKEN_BYTES_MAX {
            let cause = format!("it has more than {TOKEN_BYTES_MAX} bytes");
            return Err(named(io::Error::other(cause)));
        }
        tokio::fs::read_to_string(path).await.map_err(named)
    }

    pub(crate) fn unreachable(&self, cause: io::Error) -> DiscoveryError {
        DiscoveryError::Unreachable { origin: self.origin.clone(), cause: Arc::new(cause) }
    }

    pub(crate) fn malformed(&self, reason: &dyn fmt::Display) -> DiscoveryError {
        DiscoveryError::Malformed { origin: self.origin.clone(), reason: reason.to_string() }
    }

    fn timed_out(&self, limit: Duration) -> DiscoveryError {
        let timeout_ms = limit.as_millis();
        DiscoveryError::TimedOut { origin: self.origin.clone(), timeout_ms }
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    #[cfg_attr(not(feature = "consul"), expect(dead_code))]
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The body of an answer that comes line by line.
#[cfg(feature = "kubernetes")]
#[derive(Debug)]
pub(crate) struct Stream {
    body: Incoming,
    _connection: Connection,
}

#[cfg(feature = "kubernetes")]
impl Stream {
    /// The next piece; `None` at the end, whatever ended it.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                return Some(data);
            }
        }
    }
}

/// A connection that is closed when its request is given up.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Escapes a value for a path or a query (RFC 3986 section 2.3).
pub(crate) fn escape(value: &str) -> String {
    use fmt::Write as _;

    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
pub(crate) mod fake;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_scheme_a_host_and_a_port() {
        for (text, expected) in [
            ("http://127.0.0.1:8500", "http://127.0.0.1:8500"),
            ("https://Consul.internal/", "https://consul.internal:8500"),
            ("https://[::1]", "https://[::1]:8500"),
            ("https://[fd00::1]:443", "https://[fd00::1]:443"),
        ] {
            assert_eq!(Endpoint::parse(text, 8500).unwrap().to_string(), expected);
        }
        for text in ["127.0.0.1:8500", "ftp://a:1", "http://", "http://a:0", "http://a/b"] {
            assert_eq!(Endpoint::parse(text, 8500), None, "{text}");
        }
    }

    #[test]
    fn what_is_escaped_cannot_leave_its_place() {
        assert_eq!(escape("kv-1.a_b~"), "kv-1.a_b~");
        assert_eq!(escape("a b/../c?x=1&y\r\nä"), "a%20b%2F..%2Fc%3Fx%3D1%26y%0D%0A%C3%A4");
    }
}
