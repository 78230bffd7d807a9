//! What can be typed behind `ringpop cert`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use ringpop::discovery::Address;

use crate::failure::EXIT_CODES;
use crate::limits::{CERT_DAYS_MAX, CERT_NAMES_MAX};

/// The files of the authority are called so.
pub(crate) const AUTHORITY: &str = "ca";

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct CertArgs {
    /// Hosts of the addresses that others dial, as IP addresses or DNS names
    #[arg(value_name = "NAME", required = true, num_args = 1..=CERT_NAMES_MAX,
          value_parser = parse_name)]
    pub(crate) names: Vec<String>,

    /// Directory of the files; an authority that is there already signs the new certificate
    #[arg(long, value_name = "DIRECTORY", default_value = "certificates")]
    pub(crate) dir: PathBuf,

    /// The certificate is written to FILE.pem, its key to FILE-key.pem
    #[arg(long, value_name = "FILE", default_value = "member", value_parser = parse_stem)]
    pub(crate) out: String,

    /// How long the certificates are valid
    #[arg(long, value_name = "DAYS", default_value_t = 90,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(CERT_DAYS_MAX)))]
    pub(crate) days: u16,

    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What others dial, without the port.
fn parse_name(text: &str) -> Result<String, String> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    // A certificate may stand for all hosts of a domain (RFC 6125, section 6.4.3).
    let host = text.strip_prefix("*.").unwrap_or(text);
    match (host.contains(':'), format!("{host}:1").parse::<Address>()) {
        (false, Ok(_)) => Ok(text.to_owned()),
        _ => Err("give each IP address or DNS name by itself, without a port".to_owned()),
    }
}

fn parse_stem(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match text {
        AUTHORITY => Err("`ca` is the authority: give the certificate another name".to_owned()),
        _ if !text.is_empty() && !text.starts_with('.') && text.chars().all(plain) => {
            Ok(text.to_owned())
        }
        _ => Err("a file name has letters, digits, dots, dashes and underscores".to_owned()),
    }
}
