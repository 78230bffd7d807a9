//! Where a member is reached.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use smol_str::SmolStr;

use crate::limits::ADDRESS_BYTES_MAX;

/// The address of a member, usually `host:port`.
///
/// An address is 1 to [`ADDRESS_BYTES_MAX`] bytes long and has no white space or
/// control characters. The machine compares addresses byte by byte; so that two
/// spellings of one place are one address, [`new`](Self::new) brings a text of
/// the form `host:port` into its canonical form: a name in lower case and without
/// the dot of the root, an IPv6 address as RFC 5952 writes it, an IPv4-mapped one
/// as IPv4, a port without leading zeros. What else an address means is up to
/// the transport. A text of up to 23 bytes, such as any IPv4 address with a
/// port, is held in place; clones of a longer one share it.
///
/// ```
/// use swim_core::Address;
///
/// let address: Address = "Worker-1.internal.:7946".parse()?;
/// assert_eq!(address.as_str(), "worker-1.internal:7946");
/// assert_eq!(Address::new("[::ffff:10.0.0.7]:7946")?, Address::new("10.0.0.7:7946")?);
/// assert!("".parse::<Address>().is_err());
/// # Ok::<(), swim_core::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(SmolStr);

/// Longest text that is held in place.
#[cfg(feature = "wire")]
const IN_PLACE_BYTES_MAX: usize = 23;

impl Address {
    /// Checks an address and brings it into its canonical form.
    ///
    /// # Errors
    ///
    /// When the text is empty, too long, or has white space or control
    /// characters.
    pub fn new(text: &str) -> Result<Self, AddressError> {
        if Self::is_settled(text.as_bytes()) {
            return Ok(Self(text.into()));
        }
        Self::verbatim(text).map(|address| Self(canonical(&address.0).unwrap_or(address.0)))
    }

    /// Checks an address and takes it letter by letter, for clusters of other
    /// implementations, which compare addresses as they are written.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn verbatim(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError::TooLong { bytes: text.len() });
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(AddressError::Unprintable(text.escape_debug().to_string()));
        }
        Ok(Self(text.into()))
    }

    /// Checks that others can dial the address, as far as its text tells: a
    /// member that advertises one nobody can dial would own keys that nobody can
    /// ask for. A text that is not of the form `host:port` is the transport's
    /// own and passes.
    ///
    /// # Errors
    ///
    /// When the address stands for all hosts, for many or for this one only, or
    /// when its name or port is one that cannot be.
    pub fn check_diallable(&self) -> Result<(), AddressError> {
        let Some((host, port)) = self.0.rsplit_once(':') else { return Ok(()) };
        let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let undiallable = if !is_number {
            None
        } else if port.parse::<u16>().is_ok_and(|port| port != 0) {
            undiallable_host(host)
        } else {
            Some("its port is not between 1 and 65535")
        };
        match undiallable {
            None => Ok(()),
            Some(why) => Err(AddressError::Undiallable { address: self.clone(), why }),
        }
    }

    /// Whether the host is an IP address and not a name, which may stand for
    /// another host tomorrow.
    pub(crate) fn is_ip(&self) -> bool {
        let host = self.host();
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inner.unwrap_or(host).parse::<IpAddr>().is_ok()
    }

    /// Whether bytes are an address of ASCII only, as nearly all are: one look
    /// at each byte tells.
    #[cfg(feature = "wire")]
    pub(crate) fn is_plain(bytes: &[u8]) -> bool {
        (1..=ADDRESS_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    }

    /// Whether bytes are an address that is canonical as it stands, as nearly all
    /// are. `false` asks for a closer look.
    fn is_settled(bytes: &[u8]) -> bool {
        // No upper case, no IPv6, no dot or zero next to the colon.
        let settled = |b: &u8| b.is_ascii_graphic() && !b.is_ascii_uppercase() && *b != b'[';
        (1..=ADDRESS_BYTES_MAX).contains(&bytes.len())
            && bytes.iter().all(settled)
            && !bytes.windows(2).any(|pair| pair == b".:" || pair == b":0")
    }

    /// Whether making this address takes memory elsewhere than in place.
    #[cfg(feature = "wire")]
    pub(crate) const fn is_long(text: &str) -> bool {
        text.len() > IN_PLACE_BYTES_MAX
    }

    /// The text of the address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the last colon; the whole address when there is none.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.rsplit_once(':').map_or(&self.0, |(host, _)| host)
    }
}

/// The canonical form of `host:port`; `None` when the text is of another form.
fn canonical(text: &str) -> Option<SmolStr> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok())??;
    let Some(inner) = host.strip_prefix('[') else {
        let root = host.strip_suffix('.').filter(|name| !name.ends_with('.'));
        let name = root.unwrap_or(host);
        let is_host = !name.is_empty() && !name.contains(':');
        return is_host.then(|| smol_str::format_smolstr!("{}:{port}", name.to_ascii_lowercase()));
    };
    let inner = inner.strip_suffix(']')?;
    let (ip, zone) = inner.split_at(inner.find('%').unwrap_or(inner.len()));
    let ip: Ipv6Addr = ip.parse().ok()?;
    match ip.to_ipv4_mapped() {
        Some(ip) if zone.is_empty() => Some(smol_str::format_smolstr!("{ip}:{port}")),
        _ => Some(smol_str::format_smolstr!("[{ip}{zone}]:{port}")),
    }
}

/// Why a host cannot be dialled; `None` when it may be.
fn undiallable_host(host: &str) -> Option<&'static str> {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let (ip, zone) = inner.split_at(inner.find('%').unwrap_or(inner.len()));
        return match ip.parse::<Ipv6Addr>() {
            Err(_) => Some("there is no IPv6 address between its brackets"),
            Ok(ip) if ip.is_unspecified() => Some("it stands for all addresses of a host"),
            Ok(ip) if ip.is_multicast() => Some("it is a multicast address"),
            Ok(ip) if ip.is_unicast_link_local() || !zone.is_empty() => {
                Some("it holds on one link of one host only")
            }
            Ok(_) => None,
        };
    }
    match host.parse::<Ipv4Addr>() {
        // RFC 1122 section 3.2.1.3: all of 0.0.0.0/8 is for a host that does not know better.
        Ok(ip) if ip.octets()[0] == 0 => Some("it stands for all addresses of a host"),
        Ok(ip) if ip.is_broadcast() => Some("it is the broadcast address"),
        Ok(ip) if ip.is_multicast() => Some("it is a multicast address"),
        Ok(_) => None,
        Err(_) => impossible_name(host),
    }
}

/// Why no host has a name (RFC 1035 section 2.3.4, RFC 1123 section 2.1). The
/// underscore is not in the RFCs and in use.
fn impossible_name(name: &str) -> Option<&'static str> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if name.len() > 253 {
        return Some("its name has more than 253 characters");
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Some("its name has an empty part");
        }
        if label.len() > 63 {
            return Some("a part of its name has more than 63 characters");
        }
        if !label.bytes().all(letter) {
            return Some("its name has a character that no host name has");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Some("a part of its name begins or ends with a hyphen");
        }
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    is_number(last).then_some("it is neither an IPv4 address nor a name")
}

/// Whether the last part of a host makes it an IPv4 address by the URL standard ("ends in a
/// number checker"), in a spelling that resolvers read differently.
fn is_number(part: &str) -> bool {
    let hex = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => part.bytes().all(|b| b.is_ascii_digit()),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::new(text)
    }
}

impl AsRef<str> for Address {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The text is empty.
    #[error("address is empty; give it as host:port")]
    Empty,
    /// The text is too long.
    #[error("address has {bytes} bytes, at most {ADDRESS_BYTES_MAX} are allowed")]
    TooLong {
        /// Length of the text in bytes.
        bytes: usize,
    },
    /// The text has white space or control characters (shown escaped).
    #[error("address `{0}` has white space or control characters; give it as host:port")]
    Unprintable(String),
    /// The address cannot be dialled by others.
    #[error(
        "nobody can dial {address}: {why}; advertise the address at which others reach this member"
    )]
    Undiallable {
        /// The address.
        address: Address,
        /// Why it is refused.
        why: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_address() {
        assert_eq!(Address::new(""), Err(AddressError::Empty));
        assert!(matches!(Address::new("a b:1"), Err(AddressError::Unprintable(_))));
        assert!(matches!(Address::new("a\n:1"), Err(AddressError::Unprintable(_))));
        let long = "a".repeat(ADDRESS_BYTES_MAX + 1);
        assert!(matches!(Address::new(&long), Err(AddressError::TooLong { .. })));
    }

    #[test]
    #[cfg(feature = "wire")]
    fn short_addresses_are_held_in_place() {
        for bytes in 1..40 {
            let address = Address::new(&"a".repeat(bytes)).unwrap();
            assert_eq!(address.0.is_heap_allocated(), Address::is_long(address.as_str()));
        }
    }

    #[test]
    fn spellings_of_one_place_are_one_address() {
        for (spelling, canonical) in [
            ("LOCALHOST:22005", "localhost:22005"),
            ("localhost.:22005", "localhost:22005"),
            ("host:007100", "host:7100"),
            ("[0:0:0:0:0:0:0:1]:7100", "[::1]:7100"),
            ("[FD00::00A0]:7100", "[fd00::a0]:7100"),
            ("[::ffff:127.0.0.1]:7100", "127.0.0.1:7100"),
            ("[::FFFF:7f00:1]:7100", "127.0.0.1:7100"),
            ("[fe80::0%Eth0]:7100", "[fe80::%Eth0]:7100"),
        ] {
            assert_eq!(Address::new(spelling).unwrap().as_str(), canonical);
            assert_eq!(Address::new(canonical).unwrap().as_str(), canonical);
            assert_eq!(Address::verbatim(spelling).unwrap().as_str(), spelling);
        }
        // Other forms are the transport's own.
        for text in
            ["Subject", "a:B", "::1:7100", "[::g]:1", "a:99999", "[::1]", ".:1", "..:1", "a:"]
        {
            assert_eq!(Address::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_nobody_can_dial_is_told_with_the_reason() {
        let check = |text: &str| Address::new(text).unwrap().check_diallable();
        let long_label = format!("{}.a:1", "x".repeat(64));
        let long_name = format!("{}b:1", "a.".repeat(127));
        for (text, why) in [
            ("0.0.0.0:7100", "all addresses"),
            ("0.1.2.3:7100", "all addresses"),
            ("[::]:7100", "all addresses"),
            ("[::ffff:0.0.0.0]:7100", "all addresses"),
            ("255.255.255.255:7100", "broadcast"),
            ("224.0.0.1:7100", "multicast"),
            ("[ff02::1]:7100", "multicast"),
            ("[fe80::1%2]:7100", "one link"),
            ("[fe80::1]:7100", "one link"),
            ("[fd00::1%eth0]:7100", "one link"),
            ("10.0.0.1:0", "port"),
            ("10.0.0.1:65536", "port"),
            ("a..b:7100", "empty part"),
            (".a:7100", "empty part"),
            ("-x:7100", "hyphen"),
            ("a.x-.b:7100", "hyphen"),
            ("a/b:7100", "character"),
            ("10.0.0.256:7100", "neither"),
            ("10.0.0:7100", "neither"),
            ("0x7f000001:7100", "neither"),
            ("0X7F000001:7100", "neither"),
            ("0x:7100", "neither"),
            ("127.0.0.0x1:7100", "neither"),
            (&long_label, "63"),
            (&long_name, "253"),
        ] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        let error = check("0.0.0.0:7100").unwrap_err().to_string();
        let expected = "nobody can dial 0.0.0.0:7100: it stands for all addresses of a host; \
                        advertise the address at which others reach this member";
        assert_eq!(error, expected);
        for text in [
            "localhost:1",
            "worker_1.a-b.internal:65535",
            "1a.2b:1",
            "0xyz:1",
            "0x7f.internal:1",
            "7f:1",
            "169.254.1.1:1",
            "127.0.0.1:7100",
            "[::1]:7100",
            "subject",
            "a:b",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn host_is_what_precedes_the_port() {
        assert_eq!(Address::new("10.0.0.1:7").unwrap().host(), "10.0.0.1");
        assert_eq!(Address::new("[::1]:7").unwrap().host(), "[::1]");
        assert_eq!(Address::new("subject").unwrap().host(), "subject");
    }
}
