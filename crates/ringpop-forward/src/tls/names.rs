//! Whom a certificate names: the organisations of its subject and its alternative names
//! (RFC 5280, sections 4.1.2.6 and 4.2.1.6).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::der::{SEQUENCE, after_issuer, element};
use crate::limits::CERTIFICATE_NAMES_MAX;

/// Tags of DER (X.690).
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const SET: u8 = 0x31;
const EXTENSIONS: u8 = 0xa3;
const EMAIL: u8 = 0x81;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
const IP_ADDRESS: u8 = 0x87;

/// 2.5.4.10, the organisation in a subject.
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
/// 2.5.29.17, the alternative names of a subject.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// The names in a certificate that its authority vouches for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateNames {
    /// Organisations of the subject.
    pub organizations: Vec<String>,
    /// Alternative names: DNS names in lower case, URIs, email addresses and IP addresses.
    pub alternative: Vec<String>,
}

impl CertificateNames {
    /// Reads them from a certificate in DER form; `None` when the bytes are no certificate. Names
    /// with characters that cannot be shown are left out.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (_, fields) = element(after_issuer(certificate)?, SEQUENCE)?;
        let (subject, fields) = element(fields, SEQUENCE)?;
        let (_public_key, fields) = element(fields, SEQUENCE)?;
        let alternative = alternative_names(fields).unwrap_or_default();
        Some(Self { organizations: organizations(subject), alternative })
    }
}

fn organizations(mut subject: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((mut names, rest)) = element(subject, SET) {
        subject = rest;
        while let Some((name, rest)) = element(names, SEQUENCE) {
            names = rest;
            found.extend(organization(name).filter(|_| found.len() < CERTIFICATE_NAMES_MAX));
        }
    }
    found
}

fn organization(name: &[u8]) -> Option<String> {
    let (kind, value) = element(name, OBJECT_IDENTIFIER)?;
    if kind != ORGANIZATION {
        return None;
    }
    let text = element(value, UTF8_STRING).or_else(|| element(value, PRINTABLE_STRING))?.0;
    let text = std::str::from_utf8(text).ok()?;
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// Of the fields that follow the public key.
fn alternative_names(mut fields: &[u8]) -> Option<Vec<String>> {
    // Unique identifiers, which nobody uses, come before the extensions.
    let (extensions, _) = loop {
        match element(fields, EXTENSIONS) {
            Some(extensions) => break extensions,
            None => fields = element(fields, *fields.first()?)?.1,
        }
    };
    let (mut extensions, _) = element(extensions, SEQUENCE)?;
    while let Some((extension, rest)) = element(extensions, SEQUENCE) {
        extensions = rest;
        let (kind, value) = element(extension, OBJECT_IDENTIFIER)?;
        if kind == ALTERNATIVE_NAMES {
            let value = element(value, BOOLEAN).map_or(value, |(_critical, value)| value);
            let (names, _) = element(element(value, OCTET_STRING)?.0, SEQUENCE)?;
            return Some(general_names(names));
        }
    }
    None
}

fn general_names(mut names: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((value, rest)) = names.first().and_then(|tag| element(names, *tag)) {
        let tag = names[0];
        names = rest;
        found.extend(general_name(tag, value).filter(|_| found.len() < CERTIFICATE_NAMES_MAX));
    }
    found
}

fn general_name(tag: u8, value: &[u8]) -> Option<String> {
    if tag == IP_ADDRESS {
        let v4 = <[u8; 4]>::try_from(value).map(|octets| Ipv4Addr::from(octets).to_string());
        let v6 = || <[u8; 16]>::try_from(value).map(|octets| Ipv6Addr::from(octets).to_string());
        return v4.or_else(|_| v6()).ok();
    }
    let text = std::str::from_utf8(value).ok()?;
    // They are IA5 strings: a name with anything else in it is meant to look like another one.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    match tag {
        DNS_NAME => Some(text.to_ascii_lowercase()),
        EMAIL | URI => Some(text.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate() -> rcgen::Certificate {
        let mut params = CertificateParams::new(vec!["Ops.Example.com".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "not a name that counts");
        params.distinguished_name.push(DnType::OrganizationName, "Platform Ökonomie");
        params.subject_alt_names.extend([
            SanType::URI("spiffe://prod/Ops/alice".try_into().unwrap()),
            SanType::IpAddress("10.0.0.1".parse().unwrap()),
            SanType::IpAddress("fd00::1".parse().unwrap()),
            SanType::Rfc822Name("ops@example.com".try_into().unwrap()),
        ]);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn names_are_those_that_the_authority_vouches_for() {
        let names = CertificateNames::of(certificate().der()).unwrap();
        assert_eq!(names.organizations, ["Platform Ökonomie"]);
        let expected = [
            "ops.example.com",
            "spiffe://prod/Ops/alice",
            "10.0.0.1",
            "fd00::1",
            "ops@example.com",
        ];
        assert_eq!(names.alternative, expected);
    }

    #[test]
    fn a_certificate_without_names_names_nobody() {
        let params = CertificateParams::new(Vec::new()).unwrap();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let names = CertificateNames::of(certificate.der()).unwrap();
        assert_eq!(names, CertificateNames::default());
    }

    #[test]
    fn a_name_that_cannot_be_shown_is_left_out() {
        assert_eq!(general_name(DNS_NAME, b"ops.example.com\0.evil.com"), None);
        assert_eq!(general_name(URI, b"spiffe://a b"), None);
        assert_eq!(general_name(IP_ADDRESS, b"12345"), None);
        assert_eq!(general_name(0x84, b"a"), None);
    }

    #[test]
    fn a_certificate_that_is_cut_off_is_read_without_a_panic() {
        let whole = certificate();
        for end in 0..whole.der().len() {
            let _ = CertificateNames::of(&whole.der()[..end]);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = CertificateNames::of(&bytes);
            let _ = alternative_names(&bytes);
            let _ = organizations(&bytes);
        }
    }
}
