//! The certificates of this process, when connections are encrypted.

use std::path::PathBuf;

use clap::Args;
use ringpop::forward::{Tls, TlsFiles};

use crate::failure::Failure;

/// Where the certificates are. They come together or not at all.
#[derive(Args, Debug, Default)]
pub(crate) struct TlsArgs {
    /// Certificate of this process with its chain, in PEM form; with it all connections of members
    /// are encrypted
    #[arg(long, value_name = "FILE", requires = "tls_key", requires = "tls_ca")]
    tls_cert: Option<PathBuf>,

    /// Private key of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Certificates of the authority whose certificates make a process a member
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_ca: Option<PathBuf>,

    /// DNS name that every member's certificate bears [default: the host of its address]
    #[arg(long, value_name = "NAME", requires = "tls_cert")]
    tls_name: Option<String>,
}

impl TlsArgs {
    /// Reads the certificates. `None` when there are to be none.
    pub(crate) fn load(&self) -> Result<Option<Tls>, Failure> {
        let (Some(certificate), Some(key), Some(authority)) =
            (&self.tls_cert, &self.tls_key, &self.tls_ca)
        else {
            return Ok(None);
        };
        let files = TlsFiles::new(certificate, key, authority);
        let files = match &self.tls_name {
            Some(name) => files.server_name(name),
            None => files,
        };
        Tls::new(files).map(Some).map_err(Failure::failed)
    }
}
