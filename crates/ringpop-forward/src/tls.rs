//! Encryption, and proof of who is a member: TLS in both directions with certificates of one
//! authority.
//!
//! * [`files`]: what the files say, parsed and turned into settings of rustls.
//! * [`incoming`]: connections that are accepted.
//! * [`dial`]: connections that are opened.
//!
//! Every member presents the same kind of certificate as a server and as a client. Certificates run
//! out, so the files are read again: by [`Tls::reload`], or from time to time by [`Tls::watch`]. A
//! connection keeps the certificate that it was opened with.

mod der;
mod dial;
mod files;
mod incoming;
mod names;
mod validity;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use http::Extensions;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::connections::accept;

pub use self::dial::TlsConnector;
use self::files::{Configs, Contents};
pub use self::files::{TlsError, TlsFiles};
pub use self::incoming::TlsIncoming;
pub use self::names::CertificateNames;
pub use self::validity::Validity;

/// What tonic leaves in the extensions of a request that came over TLS. Its type has no public name
/// of its own.
type ConnectInfo = <TlsStream<TcpStream> as Connected>::ConnectInfo;

/// Certificates of this process, for the connections that it accepts and for those that it opens.
/// Clones are the same.
///
/// ```no_run
/// use ringpop_forward::{Forwarder, H2Config, H2Transport, StaticResolver};
/// use ringpop_forward::{Tls, TlsFiles, is_verified};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let me = "10.0.0.1:7100";
/// let tls = Tls::new(TlsFiles::new("member.pem", "member.key", "cluster-ca.pem"))?;
/// let forwarder = Forwarder::builder(StaticResolver::new(me, [me, "10.0.0.2:7100"])?)
///     .transport(H2Transport::with_connector(H2Config::default(), tls.connector())?)
///     .trust_hop_headers(|head| is_verified(&head.extensions))
///     .build()?;
/// let listener = tokio::net::TcpListener::bind(me).await?;
/// let incoming = tls.incoming(listener); // Server::serve_with_incoming(..)
/// # drop((forwarder, incoming));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    server_name: Option<ServerName<'static>>,
    current: RwLock<Current>,
    counters: Counters,
}

/// The files as they were last read, and the configuration made of them.
struct Current {
    contents: Contents,
    configs: Configs,
}

#[derive(Debug, Default)]
struct Counters {
    reloads: AtomicU64,
    reload_failures: AtomicU64,
    handshake_failures: AtomicU64,
    handshakes_ended: AtomicU64,
    /// Of all listeners.
    accept: Arc<accept::Counters>,
}

/// What happened to certificates since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsStats {
    /// How often changed files replaced the certificates.
    pub reloads: u64,
    /// How often changed files could not be used, so the old certificates stayed.
    pub reload_failures: u64,
    /// Accepted connections that did not complete a handshake: no TLS, no certificate of ours, or
    /// too slow.
    pub handshake_failures: u64,
    /// Handshakes that were ended in favour of newer ones, because too many ran: the oldest ones of
    /// the address that had most.
    pub handshakes_ended: u64,
    /// How often the operating system refused to accept a connection, as it does when too many
    /// files are open.
    pub accept_failures: u64,
    /// Connections that were closed because they had sent nothing: for too long, or when
    /// descriptors ran out.
    pub silent_closed: u64,
}

impl TlsStats {
    /// All counters with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let Self {
            reloads,
            reload_failures,
            handshake_failures,
            handshakes_ended,
            accept_failures,
            silent_closed,
        } = *self;
        [
            ("reloads", reloads),
            ("reload_failures", reload_failures),
            ("handshake_failures", handshake_failures),
            ("handshakes_ended", handshakes_ended),
            ("accept_failures", accept_failures),
            ("silent_closed", silent_closed),
        ]
        .into_iter()
    }
}

impl Tls {
    /// Reads the certificates. This blocks the thread for as long as reading three small files
    /// takes.
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the file that cannot be used.
    pub fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let server_name = files.parse_server_name()?;
        let contents = files.read()?;
        let configs = files.build(&contents)?;
        let current = RwLock::new(Current { contents, configs });
        Ok(Self(Arc::new(Shared { files, server_name, current, counters: Counters::default() })))
    }

    /// Reads the files again. Says whether they had changed; new connections use the new
    /// certificates from then on.
    ///
    /// A certificate and its key are two files, and the moment between their replacements is seen
    /// as a pair that does not fit: an error, after which the old pair stays in use and the next
    /// call tries again.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when the new files cannot be used. The certificates stay as they were.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let shared = &*self.0;
        let changed = self.read_changed().inspect_err(|_| {
            shared.counters.reload_failures.fetch_add(1, Ordering::Relaxed);
        })?;
        let Some(current) = changed else {
            return Ok(false);
        };
        *shared.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        shared.counters.reloads.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    fn read_changed(&self) -> Result<Option<Current>, TlsError> {
        let contents = self.0.files.read()?;
        let is_same = {
            let current = self.0.current.read().unwrap_or_else(PoisonError::into_inner);
            current.contents == contents
        };
        if is_same {
            return Ok(None);
        }
        let configs = self.0.files.build(&contents)?;
        Ok(Some(Current { contents, configs }))
    }

    /// Reloads the files whenever they have changed, looking at them in the interval of
    /// [`TlsFiles`]. Never resolves: run it beside the server, and drop it with the server.
    pub async fn watch(&self) {
        loop {
            sleep(self.0.files.interval()).await;
            let tls = self.clone();
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(true)) => tracing::info!("certificates were reloaded"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::error!(%error, "certificates stay as they were"),
                // The runtime is about to end.
                Err(_) => return std::future::pending().await,
            }
        }
    }

    /// The counters so far.
    #[must_use]
    pub fn stats(&self) -> TlsStats {
        let Counters { reloads, reload_failures, handshake_failures, handshakes_ended, accept } =
            &self.0.counters;
        let accept = accept.stats();
        TlsStats {
            reloads: reloads.load(Ordering::Relaxed),
            reload_failures: reload_failures.load(Ordering::Relaxed),
            handshake_failures: handshake_failures.load(Ordering::Relaxed),
            handshakes_ended: handshakes_ended.load(Ordering::Relaxed),
            accept_failures: accept.accept_failures,
            silent_closed: accept.silent_closed,
        }
    }

    /// Counters of connections before their first request.
    #[must_use]
    pub fn accept_stats(&self) -> crate::AcceptStats {
        self.0.counters.accept.stats()
    }

    /// From when until when the certificate of this process is valid, as it was read last; of
    /// several in its file, the first. `None` when its dates cannot be read.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).configs.validity
    }

    /// Where the certificate of this process is.
    #[must_use]
    pub fn certificate_path(&self) -> &std::path::Path {
        self.0.files.certificate_path()
    }

    /// How often the files are looked at.
    #[must_use]
    pub fn reload_interval(&self) -> std::time::Duration {
        self.0.files.interval()
    }

    fn configs(&self) -> Configs {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).configs.clone()
    }
}

impl fmt::Debug for Tls {
    /// Says where the certificates are, never what they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.0.files)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Whether a request came over a connection whose caller presented a certificate of the cluster's
/// authority. Made for [`Builder::trust_hop_headers`](crate::Builder::trust_hop_headers), and for
/// services that only members may call.
///
/// `extensions` are those of the request, as a server with [`TlsIncoming`] leaves them.
#[must_use]
pub fn is_verified(extensions: &Extensions) -> bool {
    // The handshake has verified every certificate that was presented.
    let certificates = extensions.get::<ConnectInfo>().and_then(|info| info.peer_certs());
    certificates.is_some_and(|certificates| !certificates.is_empty())
}

/// The names in the certificate that the caller of a request presented; `None` when it presented
/// none. The handshake has verified it.
///
/// `extensions` are those of the request, as a server with [`TlsIncoming`] leaves them.
#[must_use]
pub fn caller_names(extensions: &Extensions) -> Option<CertificateNames> {
    let certificates = extensions.get::<ConnectInfo>()?.peer_certs()?;
    CertificateNames::of(certificates.first()?)
}

/// What the connection under the encryption of a request says.
pub(crate) fn tcp_info(extensions: &Extensions) -> Option<&TcpConnectInfo> {
    extensions.get::<ConnectInfo>().map(|info| info.get_ref())
}
