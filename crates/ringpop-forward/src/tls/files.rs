//! The files of one member: its certificate, its key, and the authority of the cluster.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use thiserror::Error;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};

use super::validity::Validity;
use crate::limits::{TLS_FILE_BYTES_MAX, TLS_RELOAD_INTERVAL, TLS_RELOAD_INTERVAL_MIN};

/// Where the certificates of a member are, in PEM form.
#[derive(Clone, Debug)]
#[must_use]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    authority: PathBuf,
    server_name: Option<String>,
    anonymous_clients: bool,
    interval: Duration,
}

/// What stood in the files.
#[derive(PartialEq, Eq)]
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authority: Vec<u8>,
}

/// The settings of rustls for both directions.
#[derive(Clone)]
pub(super) struct Configs {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
    pub(super) validity: Option<Validity>,
}

/// Why certificates cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file is too large to be what it should be.
    #[error("{path} has more than {max} bytes; it must hold certificates or one key in PEM form")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes that are read.
        max: u64,
    },
    /// A file is not PEM, or not of what it should hold.
    #[error("{path} does not hold {what} in PEM form: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// The fault.
        source: pem::Error,
    },
    /// The authority's certificate cannot be used as such.
    #[error("{path} does not hold the certificate of an authority: {reason}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// Certificate and key are not a pair, or of a kind that is not supported.
    #[error("the certificate in {certificate} cannot be used with the key in {key}: {source}")]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// The fault.
        source: rustls::Error,
    },
    /// The name that all certificates should bear is no name.
    #[error("server name {name:?} is not a DNS name")]
    ServerName {
        /// The value.
        name: String,
    },
}

impl TlsFiles {
    /// The certificate of this member with the chain up to its authority, its private key, and the
    /// authorities whose certificates are members.
    pub fn new(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        authority: impl Into<PathBuf>,
    ) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            authority: authority.into(),
            server_name: None,
            anonymous_clients: false,
            interval: TLS_RELOAD_INTERVAL,
        }
    }

    /// A DNS name that the certificate of every member bears, such as `member.cluster.internal`.
    /// For members whose addresses are not known when their certificates are made.
    ///
    /// By default a member's certificate must bear the host of its address.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Also accepts connections without a certificate. They are encrypted, but not those of a
    /// member: see [`is_verified`](crate::is_verified). By default every caller must present a
    /// certificate of the authority.
    pub fn anonymous_clients(mut self, accepted: bool) -> Self {
        self.anonymous_clients = accepted;
        self
    }

    /// How often [`Tls::watch`](crate::Tls::watch) looks for changed files, by default every 10 s,
    /// at the shortest every 100 ms.
    pub fn reload_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    pub(super) fn certificate_path(&self) -> &Path {
        &self.certificate
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval.max(TLS_RELOAD_INTERVAL_MIN)
    }

    pub(super) fn parse_server_name(&self) -> Result<Option<ServerName<'static>>, TlsError> {
        let parse = |name: &String| {
            let parsed = ServerName::try_from(name.clone());
            parsed.map_err(|_| TlsError::ServerName { name: name.clone() })
        };
        self.server_name.as_ref().map(parse).transpose()
    }

    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        Ok(Contents {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            authority: read(&self.authority)?,
        })
    }

    pub(super) fn build(&self, contents: &Contents) -> Result<Configs, TlsError> {
        let chain = certificates(&self.certificate, &contents.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|source| TlsError::Pem {
            path: self.key.clone(),
            what: "a private key",
            source,
        })?;
        let roots = Arc::new(self.roots(&contents.authority)?);
        let validity = chain.first().and_then(|certificate| Validity::of(certificate));
        let provider = Arc::new(ring::default_provider());
        let server = self.server(&provider, &roots, chain.clone(), key.clone_key())?;
        let client = self.client(&provider, roots, chain, key)?;
        Ok(Configs { server: Arc::new(server), client: Arc::new(client), validity })
    }

    fn roots(&self, pem: &[u8]) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authority, pem)? {
            roots.add(certificate).map_err(|error| self.authority_error(&error))?;
        }
        Ok(roots)
    }

    fn server(
        &self,
        provider: &Arc<CryptoProvider>,
        roots: &Arc<RootCertStore>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ServerConfig, TlsError> {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider));
        let verifier =
            if self.anonymous_clients { verifier.allow_unauthenticated() } else { verifier };
        let verifier =
            verifier.build().map_err(|error: VerifierBuilderError| self.authority_error(&error))?;
        let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)
            })
            .map_err(|source| self.pair_error(source))?;
        // gRPC needs HTTP/2; plain HTTP services on the same port may not.
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(server)
    }

    fn client(
        &self,
        provider: &Arc<CryptoProvider>,
        roots: Arc<RootCertStore>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ClientConfig, TlsError> {
        let mut client = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_root_certificates(roots).with_client_auth_cert(chain, key)
            })
            .map_err(|source| self.pair_error(source))?;
        client.alpn_protocols = vec![b"h2".to_vec()];
        Ok(client)
    }

    fn authority_error(&self, error: &dyn std::error::Error) -> TlsError {
        TlsError::Authority { path: self.authority.clone(), reason: error.to_string() }
    }

    fn pair_error(&self, source: rustls::Error) -> TlsError {
        TlsError::Pair { certificate: self.certificate.clone(), key: self.key.clone(), source }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > TLS_FILE_BYTES_MAX {
        return Err(TlsError::TooLarge { path: path.to_owned(), max: TLS_FILE_BYTES_MAX });
    }
    fs::read(path).map_err(failed)
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem { path: path.to_owned(), what: "certificates", source };
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(failed)?;
    if certificates.is_empty() {
        return Err(failed(pem::Error::NoItemsFound));
    }
    Ok(certificates)
}
