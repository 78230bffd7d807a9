//! `ringpop cert`: an authority and a member's certificate, for trying encrypted clusters.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use ringpop::discovery::Address;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::failure::{EXIT_CODES, Failure};
use crate::limits::{CERT_DAYS_MAX, CERT_NAMES_MAX};
use crate::output::Output;

/// Clocks of machines differ a little: a new certificate is valid from this long ago.
const CLOCK_SKEW: Duration = Duration::minutes(5);

const AUTHORITY: &str = "ca";

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct CertArgs {
    /// Hosts of the addresses that others dial, as IP addresses or DNS names
    #[arg(value_name = "NAME", required = true, num_args = 1..=CERT_NAMES_MAX,
          value_parser = parse_name)]
    names: Vec<String>,

    /// Directory of the files; an authority that is there already signs the new certificate
    #[arg(long, value_name = "DIRECTORY", default_value = "certificates")]
    dir: PathBuf,

    /// The certificate is written to FILE.pem, its key to FILE-key.pem
    #[arg(long, value_name = "FILE", default_value = "member", value_parser = parse_stem)]
    out: String,

    /// How long the certificates are valid
    #[arg(long, value_name = "DAYS", default_value_t = 90,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(CERT_DAYS_MAX)))]
    days: u16,

    /// Write one JSON object
    #[arg(long)]
    json: bool,
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

/// The files that a member needs.
#[derive(Serialize)]
struct Written {
    authority: PathBuf,
    authority_is_new: bool,
    certificate: PathBuf,
    key: PathBuf,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = if self.authority_is_new { "new" } else { "was there" };
        writeln!(f, "authority    {} ({origin})", self.authority.display())?;
        writeln!(f, "certificate  {}", self.certificate.display())?;
        writeln!(f, "key          {}", self.key.display())?;
        write!(
            f,
            "\nringpop node ... --tls-cert {} --tls-key {} --tls-ca {}",
            self.certificate.display(),
            self.key.display(),
            self.authority.display()
        )
    }
}

pub(crate) fn run(args: &CertArgs) -> Result<(), Failure> {
    let path = |name: String| args.dir.join(name);
    std::fs::create_dir_all(&args.dir).map_err(|error| unusable(&args.dir, &error))?;
    let authority = path(format!("{AUTHORITY}.pem"));
    let (issuer, authority_is_new) =
        authority_of(&authority, &path(format!("{AUTHORITY}-key.pem")), args.days)?;

    let key = generate()?;
    let certificate = member_params(&args.names, args.days)?;
    let certificate = certificate.signed_by(&key, &issuer).map_err(Failure::failed)?;
    let written = Written {
        authority,
        authority_is_new,
        certificate: path(format!("{}.pem", args.out)),
        key: path(format!("{}-key.pem", args.out)),
    };
    write(&written.key, &key.serialize_pem(), true)?;
    write(&written.certificate, &certificate.pem(), false)?;
    Output::new(args.json).emit(&written);
    Ok(())
}

/// The authority that is there already, or a new one, and whether it is new.
///
/// A certificate names its issuer and carries the identifier of the issuer's key. Both follow from
/// the parameters here and from the key: the key alone is enough to sign again.
fn authority_of(
    certificate: &Path,
    key: &Path,
    days: u16,
) -> Result<(CertifiedIssuer<'static, KeyPair>, bool), Failure> {
    if certificate.exists() || key.exists() {
        let pem = std::fs::read_to_string(key).map_err(|error| unusable(key, &error))?;
        if !certificate.exists() {
            return Err(Failure::failed(format!(
                "{} is missing beside its key: remove {} to make a new authority",
                certificate.display(),
                key.display()
            )));
        }
        let pair = KeyPair::from_pem(&pem)
            .map_err(|error| Failure::failed(format!("{} is no key: {error}", key.display())))?;
        let issuer = CertifiedIssuer::self_signed(authority_params(days)?, pair);
        return Ok((issuer.map_err(Failure::failed)?, false));
    }
    let issuer = CertifiedIssuer::self_signed(authority_params(days)?, generate()?);
    let issuer = issuer.map_err(Failure::failed)?;
    write(key, &issuer.key().serialize_pem(), true)?;
    write(certificate, &issuer.pem(), false)?;
    Ok((issuer, true))
}

fn generate() -> Result<KeyPair, Failure> {
    KeyPair::generate().map_err(Failure::failed)
}

fn authority_params(days: u16) -> Result<CertificateParams, Failure> {
    let mut params = params(Vec::new(), "ringpop trial authority", days)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// A member is server and client.
fn member_params(names: &[String], days: u16) -> Result<CertificateParams, Failure> {
    let mut params = params(names.to_vec(), "ringpop member", days)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn params(names: Vec<String>, common: &str, days: u16) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(names).map_err(|error| {
        Failure::Usage(format!("a name cannot stand in a certificate: {error}"))
    })?;
    params.distinguished_name.push(DnType::CommonName, common);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + Duration::days(days.into());
    Ok(params)
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{} cannot be used: {error}", path.display()))
}

/// Writes a file that only its owner may read when it is secret.
fn write(path: &Path, text: &str, secret: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if secret {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| unusable(path, &error))
}
