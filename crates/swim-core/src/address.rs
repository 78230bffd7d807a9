//! Where a member is reached.

use std::fmt;
use std::str::FromStr;

use smol_str::SmolStr;

use crate::limits::ADDRESS_BYTES_MAX;

/// The address of a member, usually `host:port`.
///
/// The machine compares addresses byte by byte and never parses them: what an
/// address means is up to the transport. An address is 1 to
/// [`ADDRESS_BYTES_MAX`] bytes long and has no white space or control
/// characters. A text of up to 23 bytes, such as any IPv4 address with a port,
/// is held in place; clones of a longer one share it.
///
/// ```
/// use swim_core::Address;
///
/// let address: Address = "10.0.0.7:7946".parse()?;
/// assert_eq!(address.as_str(), "10.0.0.7:7946");
/// assert!("".parse::<Address>().is_err());
/// # Ok::<(), swim_core::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(SmolStr);

/// Longest text that is held in place.
#[cfg(feature = "wire")]
const IN_PLACE_BYTES_MAX: usize = 23;

impl Address {
    /// Checks and takes an address.
    ///
    /// # Errors
    ///
    /// When the text is empty, too long, or has white space or control
    /// characters.
    pub fn new(text: &str) -> Result<Self, AddressError> {
        if Self::is_plain(text.as_bytes()) {
            return Ok(Self(text.into()));
        }
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

    /// Whether bytes are an address of ASCII only, as nearly all are: one look
    /// at each byte tells.
    pub(crate) fn is_plain(bytes: &[u8]) -> bool {
        (1..=ADDRESS_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
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
    fn host_is_what_precedes_the_port() {
        assert_eq!(Address::new("10.0.0.1:7").unwrap().host(), "10.0.0.1");
        assert_eq!(Address::new("[::1]:7").unwrap().host(), "[::1]");
        assert_eq!(Address::new("subject").unwrap().host(), "subject");
    }
}
