//! `ringpop cert`: an authority and a member's certificate, for trying encrypted clusters.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::args::{AUTHORITY, CertArgs};
use crate::failure::Failure;
use crate::output::Output;

/// Clocks of machines differ a little: a new certificate is valid from this long ago.
const CLOCK_SKEW: Duration = Duration::minutes(5);

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
