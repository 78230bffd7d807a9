//! Addresses: text of the form `host:port` that has been checked.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use crate::limits::ADDRESS_BYTES_MAX;

/// Where a peer is reached: `host:port`, with an IPv6 host in brackets.
///
/// The text is brought into its canonical form, since members compare addresses as text: a name in
/// lower case and without the dot of the root, an IPv6 address as RFC 5952 writes it, an
/// IPv4-mapped one as IPv4, a port without leading zeros.
///
/// ```
/// use ringpop_discovery::Address;
///
/// let address: Address = "Worker-1.internal:7100".parse().expect("the form is host:port");
/// assert_eq!(address.host(), "worker-1.internal");
/// assert_eq!(address.port(), 7100);
/// assert!("worker-1.internal".parse::<Address>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    text: String,
    port: u16,
}

impl Address {
    /// The host, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        let (host, _) = self.text.rsplit_once(':').unwrap_or((&self.text, ""));
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, 1 to 65,535.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The whole address in its canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        // The length comes first: no other message can repeat a huge text.
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError::TooLong { bytes: text.len() });
        }
        let address = || text.to_owned();
        if let Some((_, rest)) = text.split_once("://") {
            let rest = rest.trim_end_matches('/').to_owned();
            return Err(AddressError::SchemeGiven { address: address(), rest });
        }
        if text.contains(|c: char| c.is_whitespace() || c == ';') {
            return Err(AddressError::Several { address: address() });
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(AddressError::PortMissing { address: address() });
        };
        if host.is_empty() {
            return Err(AddressError::HostMissing { address: address() });
        }
        if host.starts_with('[') {
            // The brackets are checked first: in `[::1]` the last colon does not begin a port.
            if !host.ends_with(']') {
                return Err(AddressError::PortMissing { address: address() });
            }
        } else if host.contains(':') {
            return Err(AddressError::BracketsMissing { address: address() });
        }
        let port =
            parse_port(port).ok_or_else(|| AddressError::PortInvalid { address: address() })?;
        let host = canonical_host(host);
        let host = host.ok_or_else(|| AddressError::HostInvalid { address: address() })?;
        Ok(Self { text: format!("{host}:{port}"), port })
    }
}

impl TryFrom<SocketAddr> for Address {
    type Error = AddressError;

    fn try_from(address: SocketAddr) -> Result<Self, AddressError> {
        address.to_string().parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl AsRef<str> for Address {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

/// Why a text is no address. The text is quoted, and control characters stay visible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// More than [`ADDRESS_BYTES_MAX`] bytes.
    #[error(
        "an address has {bytes} bytes, more than the {ADDRESS_BYTES_MAX} allowed: write it as host:port"
    )]
    TooLong {
        /// Length of the refused text in bytes.
        bytes: usize,
    },
    /// There is no `:port` at the end.
    #[error("address {address:?} has no port: write it as host:port")]
    PortMissing {
        /// The refused text.
        address: String,
    },
    /// The port is not a decimal number from 1 to 65,535.
    #[error("address {address:?} has an invalid port: use a number from 1 to 65535")]
    PortInvalid {
        /// The refused text.
        address: String,
    },
    /// A URL instead of an address.
    #[error("address {address:?} is a URL: leave out the scheme, as in {rest:?}")]
    SchemeGiven {
        /// The refused text.
        address: String,
        /// The same without its scheme.
        rest: String,
    },
    /// More than one address, or something else that is not separated by commas.
    #[error("address {address:?} has a blank or a semicolon within: separate addresses by commas")]
    Several {
        /// The refused text.
        address: String,
    },
    /// There is nothing before the port.
    #[error("address {address:?} has no host: write it as host:port")]
    HostMissing {
        /// The refused text.
        address: String,
    },
    /// The host is neither a name nor an IPv4 address nor an IPv6 address in brackets.
    #[error(
        "address {address:?} has an invalid host: use a DNS name, an IPv4 address or an IPv6 address in brackets"
    )]
    HostInvalid {
        /// The refused text.
        address: String,
    },
    /// An IPv6 address without brackets, which leaves open where the port begins.
    #[error(
        "address {address:?} has more than one colon: put an IPv6 address in brackets, as in [::1]:7100"
    )]
    BracketsMissing {
        /// The refused text.
        address: String,
    },
}

/// The canonical form of a host; `None` when it is none.
fn canonical_host(host: &str) -> Option<String> {
    let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) else {
        let name = host.strip_suffix('.').unwrap_or(host);
        return is_name(name).then(|| name.to_ascii_lowercase());
    };
    // The standard library knows what may stand in brackets, with or without a zone.
    let _: SocketAddrV6 = format!("{host}:1").parse().ok()?;
    let (ip, zone) = inner.split_at(inner.find('%').unwrap_or(inner.len()));
    let ip: Ipv6Addr = ip.parse().ok()?;
    match ip.to_ipv4_mapped() {
        Some(ip) if zone.is_empty() => Some(ip.to_string()),
        _ => Some(format!("[{ip}{zone}]")),
    }
}

/// A name that can be (RFC 1035 section 2.3.4, RFC 1123 section 2.1; the underscore is not in the
/// RFCs and in use) or an IPv4 address. Nothing in it breaks out of a URL authority or a
/// comma-separated list.
fn is_name(name: &str) -> bool {
    let numeric = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numeric {
        return name.parse::<Ipv4Addr>().is_ok();
    }
    // By the URL standard a host whose last part is a number, in hexadecimal as well, is an IPv4
    // address. Resolvers read such spellings differently.
    let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    let hex = last.strip_prefix("0x");
    if hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return false;
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(letter)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// Digits only: `+80` would be no port.
fn parse_port(port: &str) -> Option<u16> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    if digits { port.parse().ok().filter(|port| *port != 0) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Address>().unwrap_err().to_string()
    }

    #[test]
    fn accepts_names_and_addresses_of_both_families() {
        for (text, host, port) in [
            ("localhost:1", "localhost", 1),
            ("worker_1.a-b.internal:65535", "worker_1.a-b.internal", 65_535),
            ("10.0.0.1:7100", "10.0.0.1", 7100),
            ("[::1]:7100", "::1", 7100),
            ("[fe80::1%2]:7100", "fe80::1%2", 7100),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host(), address.port(), address.as_str()), (host, port, text));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn each_refusal_names_the_text_and_the_way_out() {
        for (text, expected) in [
            ("", "address \"\" has no port: write it as host:port"),
            ("localhost", "address \"localhost\" has no port: write it as host:port"),
            ("[::1]", "address \"[::1]\" has no port: write it as host:port"),
            (":7100", "address \":7100\" has no host: write it as host:port"),
        ] {
            assert_eq!(error(text), expected);
        }
        for port in ["", "0", "65536", "+80", "-1", "http", "99999999999999999999"] {
            assert!(error(&format!("host:{port}")).contains("number from 1 to 65535"), "{port}");
            assert!(error(&format!("[::1]:{port}")).contains("number from 1 to 65535"), "{port}");
        }
        for several in ["host:80 ", "a b:1", "a\n:1", "a:1 b:1", "a:1;b:1"] {
            assert!(error(several).contains("separate addresses by commas"), "{several}");
        }
        for host in [
            "a/b",
            "user@a",
            "a,b",
            "ä",
            "10.0.0.256",
            "10.0.0",
            "..",
            "[]",
            "[10.0.0.1]",
            "[::g]",
            "a]",
            "a..b",
            "-x",
            "a.x-",
        ] {
            assert!(error(&format!("{host}:80")).contains("invalid host"), "{host}");
        }
        for text in ["http://a:80", "https://a:80/", "grpc://a:80"] {
            assert!(error(text).ends_with("leave out the scheme, as in \"a:80\""), "{text}");
        }
        for text in ["::1:7100", "fe80::1"] {
            assert!(error(text).contains("in brackets, as in [::1]:7100"), "{text}");
        }
    }

    #[test]
    fn the_longest_name_has_253_bytes() {
        let name = "a.".repeat(126) + "b";
        assert_eq!(name.len(), 253);
        assert!(format!("{name}:65535").parse::<Address>().is_ok());
        assert!(error(&format!("{name}b:1")).contains("invalid host"));
        let bytes = ADDRESS_BYTES_MAX + 1;
        assert_eq!("a".repeat(bytes).parse::<Address>(), Err(AddressError::TooLong { bytes }));
        assert!(error(&"x".repeat(1_000_000)).len() < 200);
    }

    #[test]
    fn a_socket_address_needs_a_port() {
        let with_port: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!(Address::try_from(with_port).unwrap().as_str(), "[::1]:80");
        let without: SocketAddr = "127.0.0.1:0".parse().unwrap();
        assert!(matches!(Address::try_from(without), Err(AddressError::PortInvalid { .. })));
    }
}
