//! Certificates for members on this host.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ringpop::forward::TlsFiles;

pub type Authority = CertifiedIssuer<'static, KeyPair>;

pub fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes the files of a member whose certificate the authority has signed.
pub fn certificates(authority: &Authority, directory: &Path) -> TlsFiles {
    certificates_for(
        authority,
        directory,
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap(),
    )
}

/// Writes the files of a process with such a certificate.
pub fn certificates_for(
    authority: &Authority,
    directory: &Path,
    params: CertificateParams,
) -> TlsFiles {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let file = |name| directory.join(name);
    std::fs::write(file("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(file("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(file("ca.pem"), authority.pem()).unwrap();
    TlsFiles::new(file("cert.pem"), file("key.pem"), file("ca.pem"))
}
